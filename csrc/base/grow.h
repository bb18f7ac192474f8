/*
 * Arrays on the heap that grow one item at a time.
 */
#ifndef CNIF_BASE_GROW_H
#define CNIF_BASE_GROW_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/*
 * Room for one more item than `count` in the array that *array (a pointer to
 * pointer) is, of `size` bytes each; *room is how many fit.  -ENOMEM leaves both alone.
 */
static inline int cnif_grow(void *array, size_t *room, size_t count, size_t size)
{
    void **at = array;
    size_t wanted = *room ? *room * 2 : 16;
    void *more;

    if (count < *room)
        return 0;
    more = reallocarray(*at, wanted, size);
    if (!more)
        return -ENOMEM;
    *at = more;
    *room = wanted;
    return 0;
}

#endif
