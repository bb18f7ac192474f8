#include "base/cleanup.h"
#include "base/fault.h"
#include "base/flock.h"
#include "cnifast_routing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* An open file of our own: others of the same one would share the lock. */
static int open_again(int netns_fd, struct stat *ret_st, struct cnif_err *reterr)
{
    cnif_cleanup_close int fd = -1;
    char path[48];
    int code = cnif_fault("open namespace to lock");

    if (code)
        return cnif_err_errno(reterr, code, "lock network namespace");
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", netns_fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, ret_st) < 0)
        return cnif_err_errno(reterr, errno, "lock network namespace");
    return CNIF_TAKE_FD(fd);
}

int cnif_netns_lock(int netns_fd, int wait_ms, struct cnif_netns_lock *ret, struct cnif_err *reterr)
{
    struct timespec deadline = cnif_lock_deadline(wait_ms);
    struct cnif_lock lock = CNIF_LOCK_NONE;
    struct stat st;
    int fd = open_again(netns_fd, &st, reterr);
    int r;

    if (fd < 0)
        return fd;
    r = cnif_lock_enter(&lock, st.st_ino, &deadline);
    if (r < 0)
        cnif_closep(&fd);
    else
        r = cnif_lock_take(&lock, fd, &deadline);
    if (r == 0) {
        *ret = (struct cnif_netns_lock){.fd = lock.fd, .slot = lock.slot};
        return 0;
    }
    cnif_lock_release(&lock);
    if (r == -ETIMEDOUT)
        return cnif_lock_held(&st, "network namespace", wait_ms, reterr);
    return cnif_err_errno(reterr, -r, "lock network namespace");
}

void cnif_netns_unlock(struct cnif_netns_lock *lock)
{
    struct cnif_lock held = {.fd = lock->fd, .slot = lock->slot};

    cnif_lock_release(&held);
    *lock = (struct cnif_netns_lock){.fd = -1, .slot = -1};
}
