/*
 * The lock of one network: flock(2) on the file `lock` in its directory, as
 * the reference does it, taken with a bounded wait.
 */
#ifndef CNIF_IPAM_LOCK_H
#define CNIF_IPAM_LOCK_H

#include "base/flock.h"

/*
 * Lock the directory `dir_fd`, known as `path`.  -EAGAIN after `wait_ms`, with
 * a message that names the holder; -ENOENT when the directory was removed.
 * Pair with cnif_lock_release, on success only.
 */
int cnif_lock_acquire(struct cnif_lock *lock, int dir_fd, const char *path, int wait_ms,
                      struct cnif_err *reterr);

#endif
