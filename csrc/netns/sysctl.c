#include "netns/netns.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>

/* So many namespaces a proc instance may have seen before it is replaced. */
#define PROC_USES 32

/*
 * A proc instance of our own.  /proc/sys/net shows the namespace of the thread
 * that opens a file in it, and what it showed to each namespace stays cached
 * under the same name: finding a file in the instance that everybody uses takes
 * time in proportion to the namespaces alive, milliseconds on a full node.  A
 * fresh instance has seen none.
 */
static struct {
    pthread_mutex_t lock;
    int fd;
    unsigned uses;
    bool refused; /* we may not make one: /proc has to do */
} proc = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

/* By number: C libraries have functions for these calls since glibc 2.36 only. */
static int make_proc(void)
{
    cnif_cleanup_close int context = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);

    if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC,
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

/* A descriptor of the instance's root, the caller's to close; -1: use /proc. */
static int open_proc(void)
{
    int old = -1, fd;

    (void)pthread_mutex_lock(&proc.lock);
    if (!proc.refused && (proc.fd < 0 || ++proc.uses > PROC_USES)) {
        old = proc.fd;
        proc.fd = make_proc();
        proc.uses = 0;
        proc.refused = proc.fd < 0;
    }
    fd = proc.fd < 0 ? -1 : fcntl(proc.fd, F_DUPFD_CLOEXEC, 3);
    (void)pthread_mutex_unlock(&proc.lock);
    cnif_closep(&old);
    return fd;
}

static int open_sysctl(int proc_fd, const char *path, int flags, struct cnif_err *reterr)
{
    char full[160];
    int n = snprintf(full, sizeof(full), proc_fd < 0 ? "/proc/sys/%s" : "sys/%s", path);
    int fd;

    if (n < 0 || (size_t)n >= sizeof(full))
        return cnif_err_errno(reterr, ENAMETOOLONG, "open sysctl %s", path);
    fd = openat(proc_fd < 0 ? AT_FDCWD : proc_fd, full, flags | O_CLOEXEC);
    return fd < 0 ? cnif_err_errno(reterr, errno, "open sysctl %s", path) : fd;
}

static int read_here(int fd, const char *path, char *value, size_t size, struct cnif_err *reterr)
{
    ssize_t n = pread(fd, value, size - 1, 0);

    if (n < 0)
        return cnif_err_errno(reterr, errno, "read sysctl %s", path);
    value[n] = '\0';
    value[strcspn(value, "\n")] = '\0';
    return 0;
}

static int write_here(int proc_fd, const struct cnif_sysctl *sysctl, struct cnif_err *reterr)
{
    cnif_cleanup_close int fd = open_sysctl(proc_fd, sysctl->path, O_RDWR, reterr);
    char value[64];
    int r;

    if (fd < 0)
        return fd;
    r = read_here(fd, sysctl->path, value, sizeof(value), reterr);
    if (r < 0 || strcmp(value, sysctl->value) == 0)
        return r;
    r = cnif_fault("write sysctl");
    if (r)
        return cnif_err_errno(reterr, r, "write %s to sysctl %s", sysctl->value, sysctl->path);
    if (pwrite(fd, sysctl->value, strlen(sysctl->value), 0) < 0)
        return cnif_err_errno(reterr, errno, "write %s to sysctl %s", sysctl->value, sysctl->path);
    return 0;
}

int cnif_sysctl_write(int netns_fd, const struct cnif_sysctl *sysctls, size_t count,
                      struct cnif_err *reterr)
{
    cnif_cleanup_close int proc_fd = -1;
    struct cnif_netns_visit visit;
    size_t i;
    int r;

    if (!count)
        return 0;
    r = cnif_netns_enter(&visit, netns_fd, reterr);
    if (r < 0)
        return r;
    proc_fd = open_proc();
    for (i = 0; r == 0 && i < count; i++) {
        struct cnif_err err;

        r = write_here(proc_fd, &sysctls[i], &err);
        if (r < 0 && sysctls[i].optional)
            r = 0;
        else if (r < 0 && reterr)
            *reterr = err;
    }
    cnif_netns_leave(&visit);
    return r;
}

int cnif_sysctl_read(int netns_fd, const char *path, char *value, size_t size,
                     struct cnif_err *reterr)
{
    cnif_cleanup_close int fd = -1, proc_fd = -1;
    struct cnif_netns_visit visit;
    int r = cnif_netns_enter(&visit, netns_fd, reterr);

    if (r < 0)
        return r;
    proc_fd = open_proc();
    fd = open_sysctl(proc_fd, path, O_RDONLY, reterr);
    r = fd < 0 ? fd : read_here(fd, path, value, size, reterr);
    cnif_netns_leave(&visit);
    return r;
}

/* With its newline: to write nothing at all would change nothing. */
static void remember(int fd, struct cnif_setting *setting)
{
    ssize_t n = pread(fd, setting->old, sizeof(setting->old), 0);

    setting->has_old = n >= 0 && (size_t)n < sizeof(setting->old);
    if (setting->has_old)
        setting->old[n] = '\0';
}

/* For reading, too, where that is allowed: some sysctls can only be written. */
static int open_setting(int proc_fd, struct cnif_setting *setting, struct cnif_err *reterr)
{
    int fd;

    setting->has_old = false;
    fd = open_sysctl(proc_fd, setting->path, O_RDWR, reterr);
    if (fd == -EACCES)
        return open_sysctl(proc_fd, setting->path, O_WRONLY, reterr);
    if (fd >= 0)
        remember(fd, setting);
    return fd;
}

static int write_value(int fd, const char *path, const char *value, struct cnif_err *reterr)
{
    int code = cnif_fault("write sysctl");

    if (!code && pwrite(fd, value, strlen(value), 0) < 0)
        code = errno;
    return code ? cnif_err_errno(reterr, code, "write %.64s to sysctl %s", value, path) : 0;
}

/* Open all, then write all; on failure those that were written are as before. */
static int write_all(int proc_fd, struct cnif_setting *settings, int *fds, size_t count,
                     struct cnif_err *reterr)
{
    size_t opened, i = 0;
    int r = 0;

    for (opened = 0; opened < count; opened++) {
        fds[opened] = r = open_setting(proc_fd, &settings[opened], reterr);
        if (r < 0)
            break;
    }
    for (; r >= 0 && i < count; i++)
        r = write_value(fds[i], settings[i].path, settings[i].value, reterr);
    while (r < 0 && i--) {
        if (settings[i].has_old)
            (void)write_value(fds[i], settings[i].path, settings[i].old, NULL);
    }
    while (opened--)
        cnif_closep(&fds[opened]);
    return r < 0 ? r : 0;
}

int cnif_settings_write(int netns_fd, struct cnif_setting *settings, size_t count,
                        struct cnif_err *reterr)
{
    cnif_cleanup_free int *fds = NULL;
    cnif_cleanup_close int proc_fd = -1;
    struct cnif_netns_visit visit;
    int r;

    if (!count)
        return 0;
    fds = calloc(count, sizeof(*fds));
    if (!fds)
        return cnif_err_errno(reterr, ENOMEM, "write sysctls");
    r = cnif_netns_enter(&visit, netns_fd, reterr);
    if (r < 0)
        return r;
    proc_fd = open_proc();
    r = write_all(proc_fd, settings, fds, count, reterr);
    cnif_netns_leave(&visit);
    return r;
}

int cnif_settings_restore(int netns_fd, const struct cnif_setting *settings, size_t count,
                          struct cnif_err *reterr)
{
    cnif_cleanup_close int proc_fd = -1;
    struct cnif_netns_visit visit;
    int result = cnif_netns_enter(&visit, netns_fd, reterr);

    if (result < 0)
        return result;
    proc_fd = open_proc();
    while (count--) {
        const struct cnif_setting *setting = &settings[count];
        struct cnif_err *first = result < 0 ? NULL : reterr;
        cnif_cleanup_close int fd = -1;
        int r;

        if (!setting->has_old)
            continue;
        fd = r = open_sysctl(proc_fd, setting->path, O_WRONLY, first);
        if (r >= 0)
            r = write_value(fd, setting->path, setting->old, first);
        if (r < 0 && result == 0)
            result = r;
    }
    cnif_netns_leave(&visit);
    return result;
}
