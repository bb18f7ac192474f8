/*
 * flock(2) with a bounded wait.
 *
 * Free, a lock costs one flock.  Held by a thread of this process, the wait is on a
 * condition variable; held by another process, a helper thread blocks in
 * flock(2), so that the kernel's queue is kept and nothing polls.  Threads of one
 * process queue here first.  While a lock is never let go, one helper and its
 * descriptor stay behind for all waits that ended without it.
 */
#ifndef CNIF_BASE_FLOCK_H
#define CNIF_BASE_FLOCK_H

#include "base/err.h"

#include <stdint.h>
#include <time.h>

struct stat;

struct cnif_lock {
    int fd;
    int slot; /* the place in the queue of this process; -1: none */
};

#define CNIF_LOCK_NONE ((struct cnif_lock){.fd = -1, .slot = -1})

struct timespec cnif_lock_deadline(int wait_ms);

/*
 * Queue with the threads of this process that want the same file, known by a
 * number that is the same for all of them; -ETIMEDOUT.
 */
int cnif_lock_enter(struct cnif_lock *lock, uint64_t key, const struct timespec *deadline);

/* Then lock an open file, which is the lock's from here on, whatever comes of it; -ETIMEDOUT. */
int cnif_lock_take(struct cnif_lock *lock, int fd, const struct timespec *deadline);

/* Let go of what there is, also after a failure. */
void cnif_lock_release(struct cnif_lock *lock);

/* The error (-EAGAIN) for a lock that was not to be had; it names who holds `file`, if known. */
int cnif_lock_held(const struct stat *file, const char *what, int wait_ms, struct cnif_err *reterr);

#endif
