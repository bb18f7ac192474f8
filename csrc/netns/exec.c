/*
 * Become another program in a network namespace, for good: what "ip netns exec"
 * does.  Files under /sys/class/net show the namespace that sysfs was mounted
 * in, so the program gets a mount namespace with a sysfs of its own.
 */
#include "base/err.h"
#include "netns/netns.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mount.h>
#include <unistd.h>

static int own_sysfs(struct cnif_err *reterr)
{
    if (unshare(CLONE_NEWNS) < 0)
        return cnif_err_errno(reterr, errno, "create mount namespace");
    /* What is mounted here must not appear elsewhere. */
    if (mount("", "/", "none", MS_SLAVE | MS_REC, NULL) < 0)
        return cnif_err_errno(reterr, errno, "keep mounts to the program");
    if (mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return cnif_err_errno(reterr, errno, "mount /sys");
    return 0;
}

int cnif_netns_exec(int netns_fd, const char *const *argv, struct cnif_err *reterr)
{
    int r;

    if (setns(netns_fd, CLONE_NEWNET) < 0)
        return cnif_err_errno(reterr, errno, "enter network namespace");
    r = own_sysfs(reterr);
    if (r < 0)
        return r;
    /* Ignored signals would stay so; Python ignores these. */
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGXFSZ, SIG_DFL);
    (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
    return cnif_err_errno(reterr, errno, "execute %s", argv[0]);
}
