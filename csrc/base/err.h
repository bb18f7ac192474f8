/*
 * What went wrong, in one line: the step, the object it worked on, and the
 * kernel's own words where it gave any.
 *
 * A fallible function returns 0 or a negative errno and takes a
 * `struct cnif_err *reterr` as its last parameter; reterr may be NULL and is
 * written only on failure.  Nothing here logs, prints or exits.
 */
#ifndef CNIF_BASE_ERR_H
#define CNIF_BASE_ERR_H

#include "cnifast.h"

/* Fill *reterr (if any) with errno value `code` (positive) and return -code. */
int cnif_err_set(struct cnif_err *reterr, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, followed by ": " and the text of the errno value. */
int cnif_err_errno(struct cnif_err *reterr, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The text of an errno value as it reads in the middle of a line, and as container
 * runtimes look for it: "no such file or directory".  Returns `text`.
 */
const char *cnif_errno_text(int code, char *text, size_t size);

/* Put "what: " before a message that is already there. */
void cnif_err_prefix(struct cnif_err *reterr, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
