#include "base/cleanup.h"
#include "base/err.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"
#include "rtnl/addr.h"
#include "rtnl/filter.h"
#include "rtnl/kept.h"
#include "rtnl/link.h"
#include "rtnl/route.h"
#include "rtnl/rule.h"

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* A table that changes faster than it can be read is given up on after so many starts. */
#define DUMP_ATTEMPTS 32

/* A growing array of whatever a dump yields, and the filter where the kernel has none. */
struct sink {
    uint8_t *items;
    size_t item_size;
    size_t count;
    size_t room;
    int32_t index;
    uint32_t table;
    const char *kind;
    bool (*parse)(const struct nlmsghdr *nlh, void *item);
    bool (*wanted)(const struct sink *sink, const void *item);
};

static int collect(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    struct sink *sink = arg;
    void *item;

    (void)index;
    if (sink->count == sink->room) {
        size_t room = sink->room ? sink->room * 2 : 16;
        uint8_t *grown = reallocarray(sink->items, room, sink->item_size);

        if (!grown)
            return -ENOMEM;
        sink->items = grown;
        sink->room = room;
    }
    item = sink->items + sink->count * sink->item_size;
    if (sink->parse(nlh, item) && sink->wanted(sink, item))
        sink->count++;
    return 0;
}

static int run(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
               struct sink *sink, struct cnif_err *reterr)
{
    int attempt, r = 0;

    for (attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
        sink->count = 0;
        r = cnif_nlsock_dump(sock, buf, object, collect, sink, reterr);
        if (r != -EAGAIN)
            break;
    }
    if (r < 0) {
        free(sink->items);
        return r;
    }
    return 0;
}

static bool parse_link(const struct nlmsghdr *nlh, void *item)
{
    return cnif_link_parse(nlh, item);
}

static bool parse_address(const struct nlmsghdr *nlh, void *item)
{
    return cnif_addr_parse(nlh, item);
}

static bool parse_route(const struct nlmsghdr *nlh, void *item)
{
    return cnif_route_parse(nlh, item);
}

static bool parse_filter(const struct nlmsghdr *nlh, void *item)
{
    return cnif_filter_parse(nlh, item);
}

static bool parse_kept_route(const struct nlmsghdr *nlh, void *item)
{
    return cnif_kept_route_parse(nlh, item);
}

static bool parse_kept_address(const struct nlmsghdr *nlh, void *item)
{
    return cnif_kept_address_parse(nlh, item);
}

static bool parse_rule(const struct nlmsghdr *nlh, void *item)
{
    return cnif_rule_parse(nlh, item);
}

/* Of a kind it has no driver for the kernel returns all links. */
static bool link_wanted(const struct sink *sink, const void *item)
{
    const struct cnif_link *link = item;

    return (!sink->index || sink->index == link->master) &&
           (!sink->kind || strcmp(sink->kind, link->kind) == 0);
}

/* Kernels without strict checking ignore the index of an address dump. */
static bool address_wanted(const struct sink *sink, const void *item)
{
    const struct cnif_address *address = item;

    return !sink->index || sink->index == address->index;
}

/*
 * The IPv6 side filters by table and device only when both are given.  A route
 * that is kept begins with what it is, and so does an address.
 */
static bool route_wanted(const struct sink *sink, const void *item)
{
    const struct cnif_route *route = item;

    return (!sink->index || sink->index == route->oif) &&
           (!sink->table || sink->table == route->table);
}

/* The kernel knows whose filters are asked for; rules are nobody's. */
static bool any_wanted(const struct sink *sink, const void *item)
{
    (void)sink;
    (void)item;
    return true;
}

int cnif_link_dump(struct cnif_nlsock *sock, int32_t master, const char *kind,
                   struct cnif_link **ret_links, size_t *ret_count, struct cnif_err *reterr)
{
    struct sink sink = {.item_size = sizeof(struct cnif_link),
                        .index = master,
                        .kind = kind,
                        .parse = parse_link,
                        .wanted = link_wanted};
    uint8_t data[256] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    (void)cnif_nlmsg_begin(&buf, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg), "dump");
    cnif_nlattr_put_u32(&buf, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    if (master)
        cnif_nlattr_put_u32(&buf, IFLA_MASTER, (uint32_t)master);
    if (kind) {
        size_t info = cnif_nlattr_nest(&buf, IFLA_LINKINFO);

        cnif_nlattr_put_str(&buf, IFLA_INFO_KIND, kind);
        cnif_nlattr_nest_end(&buf, info);
    }
    cnif_nlmsg_end(&buf);
    r = run(sock, &buf, "links", &sink, reterr);
    if (r == 0) {
        *ret_links = (struct cnif_link *)(void *)sink.items;
        *ret_count = sink.count;
    }
    return r;
}

static int dump_addresses(struct cnif_nlsock *sock, uint8_t family, struct sink *sink,
                          struct cnif_err *reterr)
{
    uint8_t data[64] __attribute__((aligned(4)));
    struct ifaddrmsg *ifa;
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    ifa = cnif_nlmsg_begin(&buf, RTM_GETADDR, NLM_F_DUMP, sizeof(*ifa), "dump");
    ifa->ifa_family = family;
    ifa->ifa_index = (uint32_t)sink->index;
    cnif_nlmsg_end(&buf);
    return run(sock, &buf, "addresses", sink, reterr);
}

int cnif_addr_dump(struct cnif_nlsock *sock, int32_t index, uint8_t family,
                   struct cnif_address **ret_addresses, size_t *ret_count, struct cnif_err *reterr)
{
    struct sink sink = {.item_size = sizeof(struct cnif_address),
                        .index = index,
                        .parse = parse_address,
                        .wanted = address_wanted};
    int r = dump_addresses(sock, family, &sink, reterr);

    if (r == 0) {
        *ret_addresses = (struct cnif_address *)(void *)sink.items;
        *ret_count = sink.count;
    }
    return r;
}

int cnif_kept_address_dump(struct cnif_nlsock *sock, int32_t index, uint8_t family,
                           struct cnif_kept_address **ret_addresses, size_t *ret_count,
                           struct cnif_err *reterr)
{
    struct sink sink = {.item_size = sizeof(struct cnif_kept_address),
                        .index = index,
                        .parse = parse_kept_address,
                        .wanted = address_wanted};
    int r = dump_addresses(sock, family, &sink, reterr);

    if (r == 0) {
        *ret_addresses = (struct cnif_kept_address *)(void *)sink.items;
        *ret_count = sink.count;
    }
    return r;
}

int cnif_addr_find(struct cnif_nlsock *sock, int32_t index, const struct cnif_ip *ip,
                   bool *ret_found, struct cnif_err *reterr)
{
    cnif_cleanup_free struct cnif_address *addresses = NULL;
    size_t count, i;
    int r = cnif_addr_dump(sock, index, ip->family, &addresses, &count, reterr);

    if (r < 0)
        return r;
    for (i = 0; i < count; i++) {
        if (memcmp(&addresses[i].ip, ip, sizeof(*ip)) == 0)
            break;
    }
    *ret_found = i < count;
    return 0;
}

static int dump_routes(struct cnif_nlsock *sock, uint8_t family, struct sink *sink,
                       struct cnif_err *reterr)
{
    uint8_t data[64] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;
    struct rtmsg *rtm;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    rtm = cnif_nlmsg_begin(&buf, RTM_GETROUTE, NLM_F_DUMP, sizeof(*rtm), "dump");
    rtm->rtm_family = family;
    if (sink->table)
        cnif_nlattr_put_u32(&buf, RTA_TABLE, sink->table);
    if (sink->index)
        cnif_nlattr_put_u32(&buf, RTA_OIF, (uint32_t)sink->index);
    cnif_nlmsg_end(&buf);
    r = run(sock, &buf, "routes", sink, reterr);
    if (r == -ENOENT) { /* a table nobody has used yet */
        sink->items = NULL;
        sink->count = 0;
        r = 0;
    }
    return r;
}

int cnif_route_dump(struct cnif_nlsock *sock, int32_t oif, uint8_t family, uint32_t table,
                    struct cnif_route **ret_routes, size_t *ret_count, struct cnif_err *reterr)
{
    struct sink sink = {.item_size = sizeof(struct cnif_route),
                        .index = oif,
                        .table = table,
                        .parse = parse_route,
                        .wanted = route_wanted};
    int r = dump_routes(sock, family, &sink, reterr);

    if (r == 0) {
        *ret_routes = (struct cnif_route *)(void *)sink.items;
        *ret_count = sink.count;
    }
    return r;
}

int cnif_kept_route_dump(struct cnif_nlsock *sock, int32_t oif, uint8_t family, uint32_t table,
                         struct cnif_kept_route **ret_routes, size_t *ret_count,
                         struct cnif_err *reterr)
{
    struct sink sink = {.item_size = sizeof(struct cnif_kept_route),
                        .index = oif,
                        .table = table,
                        .parse = parse_kept_route,
                        .wanted = route_wanted};
    int r = dump_routes(sock, family, &sink, reterr);

    if (r == 0) {
        *ret_routes = (struct cnif_kept_route *)(void *)sink.items;
        *ret_count = sink.count;
    }
    return r;
}

int cnif_rule_dump(struct cnif_nlsock *sock, uint8_t family, struct cnif_rule **ret_rules,
                   size_t *ret_count, struct cnif_err *reterr)
{
    struct sink sink = {
        .item_size = sizeof(struct cnif_rule), .parse = parse_rule, .wanted = any_wanted};
    uint8_t data[64] __attribute__((aligned(4)));
    struct fib_rule_hdr *frh;
    struct cnif_nlbuf buf;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    frh = cnif_nlmsg_begin(&buf, RTM_GETRULE, NLM_F_DUMP, sizeof(*frh), "dump");
    frh->family = family;
    cnif_nlmsg_end(&buf);
    r = run(sock, &buf, "rules", &sink, reterr);
    if (r == 0) {
        *ret_rules = (struct cnif_rule *)(void *)sink.items;
        *ret_count = sink.count;
    }
    return r;
}

int cnif_filter_dump(struct cnif_nlsock *sock, int32_t index, uint32_t parent, const char *object,
                     struct cnif_filter **ret_filters, size_t *ret_count, struct cnif_err *reterr)
{
    struct sink sink = {
        .item_size = sizeof(struct cnif_filter), .parse = parse_filter, .wanted = any_wanted};
    uint8_t data[64] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;
    struct tcmsg *tcm;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    tcm = cnif_nlmsg_begin(&buf, RTM_GETTFILTER, NLM_F_DUMP, sizeof(*tcm), "dump filters of");
    tcm->tcm_ifindex = index;
    tcm->tcm_parent = parent;
    cnif_nlmsg_end(&buf);
    r = run(sock, &buf, object, &sink, reterr);
    if (r == 0) {
        *ret_filters = (struct cnif_filter *)(void *)sink.items;
        *ret_count = sink.count;
    }
    return r;
}

void cnif_free(void *array)
{
    free(array);
}
