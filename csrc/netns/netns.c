#include "netns/netns.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define OWN_NETNS "/proc/thread-self/ns/net"

/* Where all threads are that are not on a visit; -1: each is where it likes to be. */
static atomic_int settlement = -1;
static _Thread_local bool away;

/* What /proc shows of a thread has to be made first: 8 us, after a pause more. */
static int open_own(int *ret, struct cnif_err *reterr)
{
    *ret = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);
    return *ret < 0 ? cnif_err_errno(reterr, errno, "open own network namespace") : 0;
}

int cnif_netns_settle(struct cnif_err *reterr)
{
    int nowhere = -1, fd, r = open_own(&fd, reterr);

    if (r == 0 && !atomic_compare_exchange_strong(&settlement, &nowhere, fd))
        (void)close(fd);
    return r;
}

bool cnif_netns_is_settled(void)
{
    return settlement >= 0;
}

static int remember_home(struct cnif_netns_visit *visit, struct cnif_err *reterr)
{
    if (settlement < 0 || away)
        return open_own(&visit->home, reterr);
    visit->home = settlement;
    away = true;
    return 0;
}

static void forget_home(struct cnif_netns_visit *visit)
{
    if (visit->home == settlement)
        away = false;
    else
        (void)close(visit->home);
    visit->home = -1;
}

int cnif_netns_enter(struct cnif_netns_visit *visit, int fd, struct cnif_err *reterr)
{
    int r;

    visit->home = -1;
    if (fd < 0)
        return 0;
    r = cnif_fault("enter network namespace");
    if (r)
        return cnif_err_errno(reterr, r, "enter network namespace");
    r = remember_home(visit, reterr);
    if (r < 0)
        return r;
    if (setns(fd, CLONE_NEWNET) < 0) {
        r = cnif_err_errno(reterr, errno, "enter network namespace");
        forget_home(visit);
        return r;
    }
    return 0;
}

void cnif_netns_leave(struct cnif_netns_visit *visit)
{
    if (visit->home < 0)
        return;
    if (setns(visit->home, CLONE_NEWNET) < 0)
        abort();
    forget_home(visit);
}

bool cnif_netns_is(int fd)
{
    struct statfs fs;

    /* What the number means to a file of another kind is not known. */
    return fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC &&
           ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

int cnif_netns_open(const char *path, int *ret_fd, struct cnif_err *reterr)
{
    cnif_cleanup_close int fd = -1;
    struct statfs fs;

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return cnif_err_errno(reterr, errno, "open network namespace %s", path);
    if (fstatfs(fd, &fs) < 0)
        return cnif_err_errno(reterr, errno, "open network namespace %s", path);
    if (fs.f_type != NSFS_MAGIC)
        return cnif_err_set(reterr, EINVAL, "open network namespace %s: not a namespace", path);
    if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
        return cnif_err_set(reterr, EINVAL, "open network namespace %s: another kind of namespace",
                            path);
    *ret_fd = CNIF_TAKE_FD(fd);
    return 0;
}

int cnif_netns_id(int fd, uint64_t *ret_dev, uint64_t *ret_ino, struct cnif_err *reterr)
{
    struct stat st;

    if ((fd < 0 ? stat(OWN_NETNS, &st) : fstat(fd, &st)) < 0)
        return cnif_err_errno(reterr, errno, "identify network namespace");
    *ret_dev = st.st_dev;
    *ret_ino = st.st_ino;
    return 0;
}

/* Bind the namespace this thread is in to `path`, which is made for it. */
static int pin_current(const char *path, struct cnif_err *reterr)
{
    cnif_cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_CREAT | O_EXCL, 0444);

    if (fd < 0)
        return cnif_err_errno(reterr, errno, "create %s", path);
    if (mount(OWN_NETNS, path, NULL, MS_BIND, NULL) < 0) {
        int r = cnif_err_errno(reterr, errno, "mount network namespace on %s", path);

        (void)unlink(path);
        return r;
    }
    return 0;
}

int cnif_netns_create(const char *path, struct cnif_err *reterr)
{
    struct cnif_netns_visit visit;
    int r = remember_home(&visit, reterr);

    if (r < 0)
        return r;
    if (unshare(CLONE_NEWNET) < 0) {
        r = cnif_err_errno(reterr, errno, "create network namespace");
        forget_home(&visit);
        return r;
    }
    r = pin_current(path, reterr);
    cnif_netns_leave(&visit);
    return r;
}

/* A pin whose namespace is mounted on it, or an empty file that one was mounted on. */
static int unpin(const char *path, struct cnif_err *reterr)
{
    struct statfs fs;
    struct stat st;

    if (statfs(path, &fs) < 0 || lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : cnif_err_errno(reterr, errno, "remove %s", path);
    if (fs.f_type == NSFS_MAGIC) {
        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            return cnif_err_errno(reterr, errno, "unmount network namespace %s", path);
    } else if (!S_ISREG(st.st_mode) || st.st_size) {
        return cnif_err_set(reterr, EINVAL, "remove %s: not a namespace", path);
    }
    return 0;
}

int cnif_netns_remove(const char *path, struct cnif_err *reterr)
{
    int r = unpin(path, reterr);

    if (r < 0)
        return r;
    if (unlink(path) < 0 && errno != ENOENT)
        return cnif_err_errno(reterr, errno, "remove %s", path);
    return 0;
}
