/*
 * Golden bytes: a request is compared with tests/golden/netlink/NAME.hex.
 *
 * A golden file has bytes as pairs of hexadecimal digits; a "#" starts a comment up to the end of
 * the line, which names the field that the bytes below it are.
 */
#ifndef CNIF_TESTS_GOLDEN_H
#define CNIF_TESTS_GOLDEN_H

#include <stdbool.h>
#include <stddef.h>

/* Whether `data` is what the golden file says; if not, both are printed side by side. */
bool golden_equal(const char *name, const void *data, size_t size);

#endif
