#include "ipam/files.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "ipam/hash.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>

#define KEY_SEED    UINT64_C(0x6f776e6572)
#define TEMP_PREFIX ".cnifast-"
#define LAST_FORMAT "last_reserved_ip.%u"

/* ---- keys ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void trim(struct cnif_key *key)
{
    size_t from = 0;

    while (key->n && is_space(key->text[key->n - 1]))
        key->n--;
    while (from < key->n && is_space(key->text[from]))
        from++;
    key->n -= from;
    if (from)
        memmove(key->text, key->text + from, key->n);
}

int cnif_key_make(struct cnif_key *ret, const char *container_id, const char *ifname)
{
    size_t n = strlen(container_id), m = ifname ? strlen(ifname) : 0;

    if (n + m + 2 > sizeof(ret->text))
        return -ENAMETOOLONG;
    memcpy(ret->text, container_id, n);
    ret->n = n;
    trim(ret);
    if (ifname) {
        memcpy(ret->text + ret->n, "\r\n", 2);
        memcpy(ret->text + ret->n + 2, ifname, m);
        ret->n += 2 + m;
    }
    return 0;
}

bool cnif_key_equal(const struct cnif_key *a, const struct cnif_key *b)
{
    return a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}

uint64_t cnif_key_hash(const struct cnif_key *key)
{
    return cnif_hash(key->text, key->n, KEY_SEED);
}

bool cnif_key_garbage(const struct cnif_key *key)
{
    for (size_t i = 0; i < key->n; i++) {
        unsigned char c = (unsigned char)key->text[i];

        if ((c < ' ' || c == 0x7f) && c != '\r' && c != '\n' && c != '\t')
            return true;
    }
    return key->n == 0;
}

bool cnif_key_bare(const struct cnif_key *key)
{
    return !memchr(key->text, '\n', key->n);
}

/* ---- address files ---- */

int cnif_file_read(int dir_fd, const char *name, struct cnif_key *ret)
{
    cnif_cleanup_close int fd = -1;
    ssize_t n;

    fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES || errno == ELOOP || errno == ENXIO ? -EBADMSG : -errno;
    n = read(fd, ret->text, sizeof(ret->text));
    if (n < 0)
        return errno == EISDIR || errno == EAGAIN ? -EBADMSG : -errno;
    ret->n = n < (ssize_t)sizeof(ret->text) ? (size_t)n : 0; /* too long for any owner: garbage */
    trim(ret);
    return 0;
}

static int write_content(int fd, const struct cnif_key *key)
{
    int code = cnif_fault("write an address file");
    ssize_t n;

    if (code)
        return -code;
    n = write(fd, key->text, key->n);
    if (n < 0)
        return -errno;
    return (size_t)n == key->n ? 0 : -ENOSPC;
}

static int link_unnamed(int fd, int dir_fd, const char *name)
{
    char path[64];
    int code = cnif_fault("link an address file");

    if (code)
        return -code;
    /* The direct way is for the privileged (and for all since Linux 6.10); the others have /proc.
     */
    if (linkat(fd, "", dir_fd, name, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, dir_fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* Where the filesystem has no unnamed files: a temporary name, then a rename that replaces nothing.
 */
static int publish_renamed(int dir_fd, const char *name, const struct cnif_key *key)
{
    static atomic_uint serial;
    cnif_cleanup_close int fd = -1;
    char temp[64];
    int r = -cnif_fault("open a temporary file");

    if (r < 0)
        return r;
    (void)snprintf(temp, sizeof(temp), TEMP_PREFIX "%d-%u", (int)getpid(),
                   atomic_fetch_add(&serial, 1));
    fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? -EBUSY : -errno;
    r = write_content(fd, key);
    if (r == 0)
        r = -cnif_fault("rename an address file");
    if (r == 0 && renameat2(dir_fd, temp, dir_fd, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (r == 0)
        r = -errno;
    if (r == -EINVAL || r == -ENOSYS)
        r = linkat(dir_fd, temp, dir_fd, name, 0) < 0 ? -errno : 0;
    (void)unlinkat(dir_fd, temp, 0);
    return r;
}

int cnif_file_publish(int dir_fd, const char *name, const struct cnif_key *key)
{
    cnif_cleanup_close int fd = -1;
    int r = -cnif_fault("open an unnamed file");

    if (r == 0) {
        fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0)
            r = -errno;
    }
    if (r == -EOPNOTSUPP || r == -EISDIR)
        return publish_renamed(dir_fd, name, key);
    if (r == 0)
        r = write_content(fd, key);
    return r < 0 ? r : link_unnamed(fd, dir_fd, name);
}

int cnif_file_remove(int dir_fd, const char *name)
{
    int code = cnif_fault("remove an address file");

    if (code)
        return -code;
    return unlinkat(dir_fd, name, 0) < 0 ? -errno : 0;
}

static void closedirp(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

int cnif_files_scan(int dir_fd,
                    int (*visit)(void *arg, const char *name, const struct cnif_num *num),
                    void *arg)
{
    cnif_cleanup_close int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    __attribute__((cleanup(closedirp))) DIR *dir = NULL;

    if (fd < 0)
        return -errno;
    dir = fdopendir(fd);
    if (!dir)
        return -errno;
    fd = -1;
    for (;;) {
        const struct dirent *entry;
        struct cnif_num num;
        int r;

        errno = 0;
        entry = readdir(dir);
        if (!entry)
            return -errno;
        if (strncmp(entry->d_name, TEMP_PREFIX, sizeof(TEMP_PREFIX) - 1) == 0)
            (void)unlinkat(dir_fd, entry->d_name, 0);
        if (!cnif_num_parse(entry->d_name, &num))
            continue;
        r = visit(arg, entry->d_name, &num);
        if (r)
            return r;
    }
}

/* ---- the address handed out last ---- */

static int open_last(int dir_fd, uint32_t set, int flags)
{
    char name[32];

    (void)snprintf(name, sizeof(name), LAST_FORMAT, set);
    return openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
}

bool cnif_last_read(struct cnif_last *last, int dir_fd, uint32_t set)
{
    char text[64];
    ssize_t n;

    if (last->fd < 0)
        last->fd = open_last(dir_fd, set, 0);
    n = last->fd < 0 ? -1 : pread(last->fd, text, sizeof(text) - 1, 0);
    if (n <= 0)
        return false;
    last->n = (size_t)n;
    text[n] = '\0';
    return cnif_num_parse(text, &last->num);
}

/*
 * Overwritten in place and cut to length, because truncating first makes some
 * filesystems write the new content to disk at once.
 */
int cnif_last_write(struct cnif_last *last, int dir_fd, uint32_t set, const char *text)
{
    size_t n = strlen(text);
    ssize_t put;
    int code = cnif_fault("write the last reserved address");

    if (code)
        return -code;
    if (last->fd < 0) {
        last->fd = open_last(dir_fd, set, O_CREAT);
        last->n = sizeof(((struct cnif_ipam_addr *)0)->text); /* unknown: cut it to length */
    }
    put = last->fd < 0 ? -1 : pwrite(last->fd, text, n, 0);
    if (put < 0)
        return -errno;
    if (put != (ssize_t)n)
        return -ENOSPC;
    return last->n > n && ftruncate(last->fd, (off_t)n) < 0 ? -errno : 0;
}
