#include "netns/netns.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"

#include <fcntl.h>
#include <string.h>

/* /proc/sys/net shows the namespace of the thread that opens a file in it. */
static int open_sysctl(const char *path, int flags, struct cnif_err *reterr)
{
    char full[160];
    int n = snprintf(full, sizeof(full), "/proc/sys/%s", path);
    int fd;

    if (n < 0 || (size_t)n >= sizeof(full))
        return cnif_err_errno(reterr, ENAMETOOLONG, "open sysctl %s", path);
    fd = open(full, flags | O_CLOEXEC);
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

static int write_here(const struct cnif_sysctl *sysctl, struct cnif_err *reterr)
{
    cnif_cleanup_close int fd = open_sysctl(sysctl->path, O_RDWR, reterr);
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
    struct cnif_netns_visit visit;
    int r = cnif_netns_enter(&visit, netns_fd, reterr);
    size_t i;

    if (r < 0)
        return r;
    for (i = 0; r == 0 && i < count; i++) {
        struct cnif_err err;

        r = write_here(&sysctls[i], &err);
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
    cnif_cleanup_close int fd = -1;
    struct cnif_netns_visit visit;
    int r = cnif_netns_enter(&visit, netns_fd, reterr);

    if (r < 0)
        return r;
    fd = open_sysctl(path, O_RDONLY, reterr);
    r = fd < 0 ? fd : read_here(fd, path, value, size, reterr);
    cnif_netns_leave(&visit);
    return r;
}
