/*
 * What the tests of the store share: a directory of their own, short ways to
 * call the operations, and a look at the files.
 */
#ifndef CNIF_TESTS_IPAM_FIXTURE_H
#define CNIF_TESTS_IPAM_FIXTURE_H

#include "check.h"
#include "cnifast.h"
#include "ipam/index.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NETWORK "net"

static char data_dir[64];
static char net_dir[80];
static char index_path[128];
static struct cnif_ipam_dir dir = {.data_dir = data_dir, .network = NETWORK, .lock_wait_ms = 10000};
static struct cnif_err err;
static struct cnif_ipam_refusal refusal;

static inline struct cnif_ipam_addr addr(const char *text)
{
    struct cnif_ipam_addr a = {.family = strchr(text, ':') ? 6 : 4};

    CHECK(inet_pton(a.family == 6 ? AF_INET6 : AF_INET, text, a.bytes) == 1);
    return a;
}

static inline struct cnif_ipam_range range(uint32_t set, const char *first, const char *last,
                                           const char *gateway)
{
    return (struct cnif_ipam_range){
        .set = set, .first = addr(first), .last = addr(last), .gateway = addr(gateway)};
}

static inline void remove_all(const char *path)
{
    DIR *d = opendir(path);
    const struct dirent *entry;

    while (d && (entry = readdir(d))) {
        char inner[512];

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name) >= (int)sizeof(inner))
            abort();
        if (unlink(inner) < 0 && (errno == EISDIR || errno == EPERM))
            remove_all(inner);
    }
    if (d)
        (void)closedir(d);
    (void)rmdir(path);
}

static inline void start(void)
{
    (void)snprintf(data_dir, sizeof(data_dir), "/tmp/cnifast-store-XXXXXX");
    CHECK(mkdtemp(data_dir) != NULL);
    (void)snprintf(net_dir, sizeof(net_dir), "%s/" NETWORK, data_dir);
    (void)snprintf(index_path, sizeof(index_path), "%s/.cnifast/" NETWORK ".index", data_dir);
}

static inline void finish(void)
{
    remove_all(data_dir);
}

/* Allocate from `n_ranges` ranges; the grants, or the negative errno in *ret. */
static inline int allocate(const char *id, const struct cnif_ipam_range *ranges, size_t n_ranges,
                           const char *requested, struct cnif_ipam_grant *grants)
{
    struct cnif_ipam_owner owner = {id, "eth0"};
    struct cnif_ipam_addr wanted[8] = {{.family = 0}};

    if (requested)
        wanted[0] = addr(requested);
    memset(&err, 0, sizeof(err));
    return cnif_ipam_allocate(&dir, &owner, ranges, n_ranges, wanted, ranges[n_ranges - 1].set + 1u,
                              grants, &refusal, &err);
}

/* The address that was handed out, or "" where none was. */
static inline const char *take(const char *id, const struct cnif_ipam_range *one)
{
    static struct cnif_ipam_grant grant;

    return allocate(id, one, 1, NULL, &grant) == 0 ? grant.addr.text : "";
}

static inline size_t release(const char *id)
{
    struct cnif_ipam_owner owner = {id, "eth0"};
    struct cnif_ipam_list list = {.n = 0};
    size_t n;

    CHECK(cnif_ipam_release(&dir, &owner, &list, &err) == 0);
    n = list.n;
    cnif_ipam_list_free(&list);
    return n;
}

/* The first address that the owner has, or "". */
static inline const char *lookup(const char *id)
{
    static char text[CNIF_IPAM_TEXT_MAX];
    struct cnif_ipam_owner owner = {id, "eth0"};
    struct cnif_ipam_list list = {.n = 0};

    CHECK(cnif_ipam_lookup(&dir, &owner, &list, &err) == 0);
    (void)snprintf(text, sizeof(text), "%s", list.n ? list.addrs[0].text : "");
    cnif_ipam_list_free(&list);
    return text;
}

static inline void write_file(const char *path, const void *data, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CHECK(fd >= 0 && write(fd, data, n) == (ssize_t)n);
    (void)close(fd);
}

static inline void put_address(const char *name, const char *content)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", net_dir, name);
    write_file(path, content, strlen(content));
}

static inline size_t read_file(const char *path, void *data, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, data, size);

    if (fd >= 0)
        (void)close(fd);
    return n < 0 ? 0 : (size_t)n;
}

static inline bool has_file(const char *name)
{
    char path[256];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/%s", net_dir, name);
    return stat(path, &st) == 0;
}

/*
 * Make the index fit the directory as it is now, whatever the index says: as if
 * the directory had been changed without a trace in its times.
 */
static inline void forge_stamp(void)
{
    static struct cnif_index_header header;
    struct stat st;
    int fd = open(index_path, O_RDWR);

    CHECK(fd >= 0 && pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header));
    CHECK(stat(net_dir, &st) == 0);
    header.stamp = cnif_stamp_from(&st);
    cnif_block_seal((struct cnif_block *)&header, 0);
    CHECK(pwrite(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header));
    (void)close(fd);
}

static inline void remove_file(const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", net_dir, name);
    CHECK(unlink(path) == 0);
}

/* How many address files there are; -1 if one of them is empty. */
static inline int count_addresses(void)
{
    DIR *d = opendir(net_dir);
    const struct dirent *entry;
    int n = 0;

    while (d && n >= 0 && (entry = readdir(d))) {
        char path[512];
        struct stat st;
        uint8_t bytes[16];

        if (inet_pton(AF_INET, entry->d_name, bytes) != 1 &&
            inet_pton(AF_INET6, entry->d_name, bytes) != 1)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", net_dir, entry->d_name);
        n = stat(path, &st) == 0 && st.st_size == 0 ? -1 : n + 1;
    }
    if (d)
        (void)closedir(d);
    return n;
}

#endif
