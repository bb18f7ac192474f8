#include "ipam/lock.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "ipam/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOCK_NAME "lock"
#define PATH_ROOM 320 /* of a message */

static int report_held(int dir_fd, const char *path, int wait_ms, struct cnif_err *reterr)
{
    char what[PATH_ROOM];
    struct stat st;

    (void)snprintf(what, sizeof(what), "%.*s/" LOCK_NAME, PATH_ROOM - 8, path);
    return cnif_lock_held(fstatat(dir_fd, LOCK_NAME, &st, 0) == 0 ? &st : NULL, what, wait_ms,
                          reterr);
}

/* Lock the file that is there now; -EAGAIN: it was removed in the meantime. */
static int lock_file(struct cnif_lock *lock, int dir_fd, const struct timespec *deadline)
{
    struct stat st;
    int code = cnif_fault("open the lock");
    int fd, r;

    if (code)
        return -code;
    fd = openat(dir_fd, LOCK_NAME, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    r = cnif_lock_take(lock, fd, deadline);
    if (r < 0)
        return r;
    if (fstat(lock->fd, &st) < 0)
        return -errno;
    if (st.st_nlink == 0) {
        (void)close(CNIF_TAKE_FD(lock->fd));
        return -EAGAIN;
    }
    return 0;
}

int cnif_lock_acquire(struct cnif_lock *lock, int dir_fd, const char *path, int wait_ms,
                      struct cnif_err *reterr)
{
    struct timespec deadline = cnif_lock_deadline(wait_ms);
    int r = cnif_lock_enter(lock, cnif_hash(path, strlen(path), 0), &deadline);

    if (r < 0)
        return report_held(dir_fd, path, wait_ms, reterr);
    do
        r = lock_file(lock, dir_fd, &deadline);
    while (r == -EAGAIN);
    if (r == 0)
        return 0;
    cnif_lock_release(lock);
    if (r == -ETIMEDOUT)
        return report_held(dir_fd, path, wait_ms, reterr);
    return cnif_err_errno(reterr, -r, "lock %s/" LOCK_NAME, path);
}
