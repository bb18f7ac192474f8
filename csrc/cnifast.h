/*
 * The exported ABI of the cnifast core: what the Python binding (and nothing
 * else) may call.  src/cnifast/_native/ffi.cdef.txt mirrors this header; a test
 * holds the two together.
 *
 * Conventions: a function that can fail returns 0 or a negative errno, fills
 * *reterr on failure and leaves every ret_* output alone.  A handle is used by
 * one thread at a time.  Addresses are in network byte order.  No function
 * returns in another network namespace than it was called in.
 */
#ifndef CNIFAST_H
#define CNIFAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CNIF_ERR_MSG_MAX 384

struct cnif_err {
    int code; /* errno value, positive */
    char msg[CNIF_ERR_MSG_MAX];
};

#endif
