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

/* ---- fault: make the Nth step of an operation fail (built with CNIF_FAULTS) ---- */

#define CNIF_FAULT_KILL (-1)

/*
 * From now on count the steps that change state and fail the n-th (from 1; 0:
 * none) with errno value `code`, or kill the process there for CNIF_FAULT_KILL.
 * -EOPNOTSUPP when the core was built without CNIF_FAULTS.
 */
int cnif_fault_arm(unsigned int n, int code);
/* Steps counted since cnif_fault_arm(). */
unsigned int cnif_fault_count(void);
/* Name of the step that was made to fail, NULL if none was. */
const char *cnif_fault_failed(void);

/* ---- netns: network namespaces as file descriptors ---- */

/* Open the namespace at `path`; -EINVAL if it is something else. */
int cnif_netns_open(const char *path, int *ret_fd, struct cnif_err *reterr);
/* Device and inode of the namespace `fd`, of the calling thread's own for -1. */
int cnif_netns_id(int fd, uint64_t *ret_dev, uint64_t *ret_ino, struct cnif_err *reterr);
/* Make a new namespace and pin it at `path`, which must not exist. */
int cnif_netns_create(const char *path, struct cnif_err *reterr);
/* Unpin the namespace at `path` and remove the file; absent is success. */
int cnif_netns_remove(const char *path, struct cnif_err *reterr);

/* ---- netlink: sockets ---- */

struct cnif_nlsock;

/* A socket of a netlink protocol (NETLINK_ROUTE, ...) in the namespace `netns_fd`, -1: here. */
int cnif_nlsock_open(int protocol, int netns_fd, struct cnif_nlsock **ret, struct cnif_err *reterr);
/* Close and free; NULL is allowed. */
void cnif_nlsock_close(struct cnif_nlsock *sock);

#endif
