/*
 * Scope-bound ownership for plain C: a local marked cnif_cleanup_* is released
 * when it leaves scope, and CNIF_TAKE_* hands it over to somebody else.
 *
 * Not a memory manager: nothing here allocates.
 */
#ifndef CNIF_BASE_CLEANUP_H
#define CNIF_BASE_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cnif_closep(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;

        (void)close(*fd);
        *fd = -1;
        errno = saved;
    }
}

static inline void cnif_freep(void *p)
{
    void **pp = p;

    free(*pp);
    *pp = NULL;
}

#define cnif_cleanup_close __attribute__((cleanup(cnif_closep)))
#define cnif_cleanup_free  __attribute__((cleanup(cnif_freep)))

#define CNIF_TAKE_FD(fd)                                                                           \
    __extension__({                                                                                \
        int cnif_taken_ = (fd);                                                                    \
        (fd) = -1;                                                                                 \
        cnif_taken_;                                                                               \
    })

#define CNIF_TAKE_PTR(ptr)                                                                         \
    __extension__({                                                                                \
        __auto_type cnif_taken_ = (ptr);                                                           \
        (ptr) = NULL;                                                                              \
        cnif_taken_;                                                                               \
    })

#endif
