/*
 * The older packet filter, x_tables: is there a chain of a given name in its
 * nat tables, and which rules lead to it?  Read only; changing it is the
 * business of iptables-restore, which holds its lock.
 *
 * A table is one block of entries.  A chain begins with an entry whose target
 * is called ERROR and carries the chain's name; a jump is a verdict that is
 * the offset of the chain's first rule.
 *
 *   | rules of the hooks ... | ERROR "CNI-abc" | rule | rule | return | ERROR "ERROR" |
 *                                                ^ the verdict of a jump to CNI-abc
 *
 * Asking for a table makes the kernel create it, so the list of tables is read
 * first.
 */
#include "netns/xtables.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "netns/netns.h"

#include <fcntl.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ATTEMPTS 5

/* The two protocols differ in their entries and in the numbers of their options. */
struct protocol {
    int family;
    int level;
    int get_info;
    int get_entries;
    const char *names;
    size_t entry_size;
    size_t target_offset; /* of the member that tells where the target is */
    size_t next_offset;
    size_t source;
    size_t source_mask;
    size_t address_size;
};

static const struct protocol protocols[] = {
    {AF_INET, IPPROTO_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES,
     "/proc/thread-self/net/ip_tables_names", sizeof(struct ipt_entry),
     offsetof(struct ipt_entry, target_offset), offsetof(struct ipt_entry, next_offset),
     offsetof(struct ipt_entry, ip.src), offsetof(struct ipt_entry, ip.smsk), 4},
    {AF_INET6, IPPROTO_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES,
     "/proc/thread-self/net/ip6_tables_names", sizeof(struct ip6t_entry),
     offsetof(struct ip6t_entry, target_offset), offsetof(struct ip6t_entry, next_offset),
     offsetof(struct ip6t_entry, ipv6.src), offsetof(struct ip6t_entry, ipv6.smsk), 16},
};

/* Both protocols have these in the same form. */
_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "one getinfo");
_Static_assert(offsetof(struct ipt_getinfo, size) == offsetof(struct ip6t_getinfo, size),
               "one getinfo");
_Static_assert(offsetof(struct ipt_get_entries, entrytable) ==
                   offsetof(struct ip6t_get_entries, entrytable),
               "one get_entries");

static uint16_t read_u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* An entry that is all there, with a target that is all there. */
static bool entry_is_whole(const struct protocol *protocol, const uint8_t *table, size_t size,
                           size_t at)
{
    size_t target;
    size_t next;

    if (at > size || size - at < protocol->entry_size)
        return false;
    target = read_u16(table + at + protocol->target_offset);
    next = read_u16(table + at + protocol->next_offset);
    return target >= protocol->entry_size && next <= size - at && target <= next &&
           next - target >= sizeof(struct xt_entry_target);
}

static bool target_is(const uint8_t *target, size_t size, const char *name, size_t needs)
{
    struct xt_entry_target head;

    if (size < needs)
        return false;
    memcpy(&head, target, sizeof(head));
    head.u.user.name[sizeof(head.u.user.name) - 1] = '\0';
    return strcmp(head.u.user.name, name) == 0;
}

/* The offset of the first rule of a chain; 0 if there is no such chain. */
static size_t find_chain(const struct protocol *protocol, const uint8_t *table, size_t size,
                         const char *chain)
{
    size_t at;

    for (at = 0; entry_is_whole(protocol, table, size, at);
         at += read_u16(table + at + protocol->next_offset)) {
        size_t offset = read_u16(table + at + protocol->target_offset);
        size_t next = read_u16(table + at + protocol->next_offset);
        struct xt_error_target error;

        if (!target_is(table + at + offset, next - offset, XT_ERROR_TARGET, sizeof(error)))
            continue;
        memcpy(&error, table + at + offset, sizeof(error));
        error.errorname[sizeof(error.errorname) - 1] = '\0';
        if (strcmp(error.errorname, chain) == 0)
            return at + next;
    }
    return 0;
}

/* The text of an entry's comment match; "" if it has none. */
static void read_comment(const struct protocol *protocol, const uint8_t *entry, char *comment)
{
    size_t end = read_u16(entry + protocol->target_offset);
    size_t at = protocol->entry_size;
    struct xt_entry_match match;

    comment[0] = '\0';
    while (end - at >= sizeof(match)) {
        memcpy(&match, entry + at, sizeof(match));
        match.u.user.name[sizeof(match.u.user.name) - 1] = '\0';
        if (match.u.match_size < sizeof(match) || match.u.match_size > end - at)
            return;
        if (strcmp(match.u.user.name, "comment") == 0) {
            size_t n = match.u.match_size - sizeof(match);

            if (n >= CNIF_LEGACY_COMMENT_MAX)
                n = CNIF_LEGACY_COMMENT_MAX - 1;
            memcpy(comment, entry + at + sizeof(match), n);
            comment[n] = '\0';
            return;
        }
        at += match.u.match_size;
    }
}

static void read_jump(const struct protocol *protocol, const uint8_t *entry,
                      struct cnif_legacy_jump *jump)
{
    unsigned bits = 0;
    size_t i;

    memset(jump, 0, sizeof(*jump));
    jump->source.family = (uint8_t)protocol->family;
    memcpy(jump->source.bytes, entry + protocol->source, protocol->address_size);
    for (i = 0; i < protocol->address_size; i++)
        bits += (unsigned)__builtin_popcount(entry[protocol->source_mask + i]);
    jump->source.prefix = (uint8_t)bits;
    read_comment(protocol, entry, jump->comment);
}

bool cnif_legacy_parse(int family, const uint8_t *table, size_t size, const char *chain,
                       struct cnif_legacy_jump *jumps, size_t room, size_t *count)
{
    const struct protocol *protocol = &protocols[family == AF_INET6];
    size_t start = find_chain(protocol, table, size, chain);
    size_t at;

    if (!start)
        return false;
    for (at = 0; entry_is_whole(protocol, table, size, at) && *count < room;
         at += read_u16(table + at + protocol->next_offset)) {
        size_t offset = read_u16(table + at + protocol->target_offset);
        size_t next = read_u16(table + at + protocol->next_offset);
        struct xt_standard_target standard;

        if (!target_is(table + at + offset, next - offset, XT_STANDARD_TARGET, sizeof(standard)))
            continue;
        memcpy(&standard, table + at + offset, sizeof(standard));
        if (standard.verdict > 0 && (size_t)standard.verdict == start)
            read_jump(protocol, table + at, &jumps[(*count)++]);
    }
    return true;
}

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_stale(const char *comment, const char *prefix, const char *const *keep,
                     size_t n_keep)
{
    size_t i;

    if (!begins_with(comment, prefix))
        return false;
    for (i = 0; i < n_keep; i++) {
        if (begins_with(comment, keep[i]))
            return false;
    }
    return true;
}

/* The name of the chain whose first rule is at `start`. */
static bool name_chain(const struct protocol *protocol, const uint8_t *table, size_t size,
                       size_t start, char *name, size_t room)
{
    size_t at;
    size_t next;

    for (at = 0; entry_is_whole(protocol, table, size, at); at += next) {
        size_t offset = read_u16(table + at + protocol->target_offset);
        struct xt_error_target error;

        next = read_u16(table + at + protocol->next_offset);
        if (at + next != start)
            continue;
        if (!target_is(table + at + offset, next - offset, XT_ERROR_TARGET, sizeof(error)))
            return false;
        memcpy(&error, table + at + offset, sizeof(error));
        error.errorname[sizeof(error.errorname) - 1] = '\0';
        (void)snprintf(name, room, "%s", error.errorname);
        return true;
    }
    return false;
}

bool cnif_legacy_parse_stale(int family, const uint8_t *table, size_t size, const char *prefix,
                             const char *const *keep, size_t n_keep, char *chain, size_t room)
{
    const struct protocol *protocol = &protocols[family == AF_INET6];
    size_t at;

    for (at = 0; entry_is_whole(protocol, table, size, at);
         at += read_u16(table + at + protocol->next_offset)) {
        size_t offset = read_u16(table + at + protocol->target_offset);
        size_t next = read_u16(table + at + protocol->next_offset);
        struct xt_standard_target standard;
        char comment[CNIF_LEGACY_COMMENT_MAX];

        if (!target_is(table + at + offset, next - offset, XT_STANDARD_TARGET, sizeof(standard)))
            continue;
        memcpy(&standard, table + at + offset, sizeof(standard));
        read_comment(protocol, table + at, comment);
        if (standard.verdict > 0 && is_stale(comment, prefix, keep, n_keep) &&
            name_chain(protocol, table, size, (size_t)standard.verdict, chain, room) &&
            begins_with(chain, "CNI-"))
            return true;
    }
    return false;
}

/* Whether the nat table of a protocol exists in this thread's namespace. */
static bool has_nat(const struct protocol *protocol)
{
    char names[256];
    cnif_cleanup_close int fd = open(protocol->names, O_RDONLY | O_CLOEXEC);
    char *name;
    char *rest;
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, names, sizeof(names) - 1);
    if (n <= 0)
        return false;
    names[n] = '\0';
    for (name = strtok_r(names, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
        if (strcmp(name, "nat") == 0)
            return true;
    }
    return false;
}

/* The entries of the nat table; -EAGAIN if it changed its size between two questions. */
static int read_table(const struct protocol *protocol, struct ipt_get_entries **ret,
                      struct cnif_err *reterr)
{
    cnif_cleanup_close int fd = socket(protocol->family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    cnif_cleanup_free struct ipt_get_entries *entries = NULL;
    struct ipt_getinfo info = {.name = "nat"};
    socklen_t len = sizeof(info);

    if (fd < 0)
        return cnif_err_errno(reterr, errno, "open raw socket");
    if (getsockopt(fd, protocol->level, protocol->get_info, &info, &len) < 0)
        return cnif_err_errno(reterr, errno, "read size of legacy nat table");
    len = (socklen_t)(sizeof(*entries) + info.size);
    entries = calloc(1, len);
    if (!entries)
        return cnif_err_errno(reterr, ENOMEM, "read legacy nat table");
    memcpy(entries->name, "nat", sizeof("nat"));
    entries->size = info.size;
    if (getsockopt(fd, protocol->level, protocol->get_entries, entries, &len) < 0)
        return cnif_err_errno(reterr, errno, "read legacy nat table");
    *ret = CNIF_TAKE_PTR(entries);
    return 0;
}

/* The table, or NULL where it does not exist. */
static int open_table(const struct protocol *protocol, struct ipt_get_entries **ret,
                      struct cnif_err *reterr)
{
    unsigned attempt;
    int r = -EAGAIN;

    *ret = NULL;
    if (!has_nat(protocol))
        return 0;
    for (attempt = 0; attempt < ATTEMPTS && r == -EAGAIN; attempt++)
        r = read_table(protocol, ret, reterr);
    return r;
}

static int find_in(const struct protocol *protocol, const char *chain,
                   struct cnif_legacy_jump *jumps, size_t room, size_t *count, bool *found,
                   struct cnif_err *reterr)
{
    cnif_cleanup_free struct ipt_get_entries *entries = NULL;
    int r = open_table(protocol, &entries, reterr);

    if (r == 0 && entries)
        *found = cnif_legacy_parse(protocol->family, (const uint8_t *)entries->entrytable,
                                   entries->size, chain, jumps, room, count);
    return r;
}

int cnif_legacy_find(int netns_fd, const char *chain, struct cnif_legacy_jump *jumps, size_t room,
                     size_t *ret_count, unsigned *ret_found, struct cnif_err *reterr)
{
    struct cnif_netns_visit visit;
    bool found[2] = {false, false};
    size_t count = 0;
    size_t i;
    int r = cnif_netns_enter(&visit, netns_fd, reterr);

    for (i = 0; i < 2 && r == 0; i++)
        r = find_in(&protocols[i], chain, jumps, room, &count, &found[i], reterr);
    cnif_netns_leave(&visit);
    if (r < 0)
        return r;
    *ret_count = count;
    *ret_found = (found[0] ? 1U : 0U) | (found[1] ? 2U : 0U);
    return 0;
}

static int find_stale_in(const struct protocol *protocol, const char *prefix,
                         const char *const *keep, size_t n_keep, char *chain, size_t room,
                         bool *found, struct cnif_err *reterr)
{
    cnif_cleanup_free struct ipt_get_entries *entries = NULL;
    int r = open_table(protocol, &entries, reterr);

    if (r == 0 && entries)
        *found = cnif_legacy_parse_stale(protocol->family, (const uint8_t *)entries->entrytable,
                                         entries->size, prefix, keep, n_keep, chain, room);
    return r;
}

int cnif_legacy_find_stale(int netns_fd, const char *prefix, const char *const *keep, size_t n_keep,
                           char *chain, size_t room, bool *ret_found, struct cnif_err *reterr)
{
    struct cnif_netns_visit visit;
    bool found = false;
    size_t i;
    int r = cnif_netns_enter(&visit, netns_fd, reterr);

    for (i = 0; i < 2 && r == 0 && !found; i++)
        r = find_stale_in(&protocols[i], prefix, keep, n_keep, chain, room, &found, reterr);
    cnif_netns_leave(&visit);
    if (r == 0)
        *ret_found = found;
    return r;
}
