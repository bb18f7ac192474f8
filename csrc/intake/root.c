/*
 * What tells this process's root directory from those of others, as the plugin
 * binary says it of its own (shim/forward.c): paths lead to the same files then.
 */
#include "intake/intake.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000u /* Linux 6.8 */
#endif

int cnif_root_id(uint64_t *ret_mount, uint64_t *ret_inode, struct cnif_err *reterr)
{
    struct statx root, mnt;

    if (statx(AT_FDCWD, "/", 0, STATX_INO | STATX_MNT_ID_UNIQUE, &root) < 0)
        return cnif_err_errno(reterr, errno, "identify the root directory");
    *ret_inode = root.stx_ino;
    *ret_mount = root.stx_mnt_id;
    if (root.stx_mask & STATX_MNT_ID_UNIQUE)
        return 0;
    /* Numbers of mounts are given again; those of devices and of namespaces that live are not. */
    if (statx(AT_FDCWD, "/proc/self/ns/mnt", 0, STATX_INO, &mnt) < 0)
        return cnif_err_errno(reterr, errno, "identify the mount namespace");
    *ret_mount = (uint64_t)root.stx_dev_major << 52 | (uint64_t)root.stx_dev_minor << 32 |
                 (uint32_t)mnt.stx_ino;
    return 0;
}
