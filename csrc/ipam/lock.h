/*
 * The lock of one network: flock(2) on the file `lock` in its directory, as
 * the reference does it, taken with a bounded wait.
 *
 * Free, it costs one flock.  Held by a thread of this process, the wait is on a
 * condition variable; held by another process, a helper thread blocks in
 * flock(2), so that the kernel's queue is kept and nothing polls.  Threads of one
 * process queue here first.  While a lock is never let go, one helper and its
 * descriptor stay behind for all waits that ended without it.
 */
#ifndef CNIF_IPAM_LOCK_H
#define CNIF_IPAM_LOCK_H

#include "base/err.h"

struct cnif_lock {
    int fd;
    int slot; /* the place in the queue of this process; -1: none */
};

/*
 * Lock the directory `dir_fd`, known as `path`.  -EAGAIN after `wait_ms`, with
 * a message that names the holder; -ENOENT when the directory was removed.
 */
int cnif_lock_acquire(struct cnif_lock *lock, int dir_fd, const char *path, int wait_ms,
                      struct cnif_err *reterr);
void cnif_lock_release(struct cnif_lock *lock);

#endif
