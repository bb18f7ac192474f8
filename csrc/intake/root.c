/*
 * Whether another process sees the files that this one sees.
 *
 * What tells a root directory from those of others the plugin binary says of
 * its own (shim/forward.c): where it is ours all paths lead to the same files.
 * Otherwise each path is followed from both roots.
 */
#include "intake/intake.h"

#include "base/cleanup.h"
#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Numbers of mounts are given again, but not while a process has the mount as its root. */
int cnif_root_id(uint64_t *ret_mount, uint64_t *ret_inode, struct cnif_err *reterr)
{
    struct statx root;

    if (statx(AT_FDCWD, "/", 0, STATX_INO | STATX_MNT_ID, &root) < 0)
        return cnif_err_errno(reterr, errno, "identify the root directory");
    *ret_mount = root.stx_mnt_id << 32 | (uint64_t)root.stx_dev_major << 20 | root.stx_dev_minor;
    *ret_inode = root.stx_ino;
    return 0;
}

static int follow(int root, const char *path, uint64_t how)
{
    struct open_how open_how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | how};

    return (int)syscall(SYS_openat2, root, path, &open_how, sizeof(open_how));
}

bool cnif_path_is_same(int32_t pid, const char *path)
{
    cnif_cleanup_close int root = -1, here = -1, there = -1;
    char name[32];
    struct stat mine, theirs;

    (void)snprintf(name, sizeof(name), "/proc/%d/root", pid);
    here = follow(AT_FDCWD, path, 0);
    if (here < 0)
        return false;
    root = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return false;
    there = follow(root, path, RESOLVE_IN_ROOT);
    return there >= 0 && fstat(here, &mine) == 0 && fstat(there, &theirs) == 0 &&
           mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino;
}
