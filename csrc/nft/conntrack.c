/*
 * Connection tracking by ctnetlink, which speaks through the socket of nf_tables.
 *
 *   | nfgenmsg family | TUPLE_ORIG [ IP [dst] PROTO [num dport] ]
 *                     | TUPLE_REPLY [ IP [src] PROTO [num sport] ]
 *                     | FILTER [ ORIG_FLAGS REPLY_FLAGS ]     # what of the tuples counts
 *
 * Since Linux 6.11 the kernel deletes what a filter describes, which takes 0.1 ms
 * with its usual quarter of a million of buckets.  Older kernels say EINVAL to such an
 * incomplete tuple; there the table is dumped, for 9 ms, and entries are deleted one by
 * one.  So it is for IPv6, where the kernel's filter takes all addresses but the one
 * that it is given (seen in 6.18).
 */
#include "nft/conntrack.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/grow.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#define DUMP_ATTEMPTS 16
#define AT_ONCE       32 /* requests in one send */
#define REQUEST_MAX   ((size_t)256)
#define FILTERS_MAX   64 /* more of them cost more than a dump */

/* Attributes that the headers of older kernels lack, and the bits in them. */
#define CTA_FILTER_NEW        25
#define CTA_FILTER_ORIG_NEW   1
#define CTA_FILTER_REPLY_NEW  2
#define FILTER_IP_SRC         (1U << 0)
#define FILTER_IP_DST         (1U << 1)
#define FILTER_PROTO_NUM      (1U << 3)
#define FILTER_PROTO_SRC_PORT (1U << 4)
#define FILTER_PROTO_DST_PORT (1U << 5)

static size_t address_size(uint8_t family)
{
    return family == AF_INET ? 4 : 16;
}

static void begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, uint8_t family,
                  const char *step)
{
    struct nfgenmsg *header = cnif_nlmsg_begin(buf, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type),
                                               flags, sizeof(*header), step);

    header->nfgen_family = family;
    header->version = NFNETLINK_V0;
}

static void put_ip(struct cnif_nlbuf *buf, uint16_t v4, uint16_t v6, const struct cnif_ip *ip)
{
    size_t nest = cnif_nlattr_nest(buf, CTA_TUPLE_IP);

    cnif_nlattr_put(buf, ip->family == AF_INET ? v4 : v6, ip->bytes, address_size(ip->family));
    cnif_nlattr_nest_end(buf, nest);
}

static void put_proto(struct cnif_nlbuf *buf, uint8_t protocol, uint16_t type, uint16_t port)
{
    size_t nest = cnif_nlattr_nest(buf, CTA_TUPLE_PROTO);

    cnif_nlattr_put_u8(buf, CTA_PROTO_NUM, protocol);
    cnif_nlattr_put_u16(buf, type, htons(port));
    cnif_nlattr_nest_end(buf, nest);
}

/* Delete what a flow describes. */
static void put_forget(struct cnif_nlbuf *buf, const struct cnif_flow *flow)
{
    uint32_t orig = FILTER_PROTO_NUM | FILTER_PROTO_DST_PORT;
    uint32_t reply = 0;
    size_t nest;

    begin(buf, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, flow->family, "forget connections to");
    nest = cnif_nlattr_nest(buf, CTA_TUPLE_ORIG);
    if (flow->to.family) {
        put_ip(buf, CTA_IP_V4_DST, CTA_IP_V6_DST, &flow->to);
        orig |= FILTER_IP_DST;
    }
    put_proto(buf, flow->protocol, CTA_PROTO_DST_PORT, flow->port);
    cnif_nlattr_nest_end(buf, nest);
    if (flow->led.family) {
        nest = cnif_nlattr_nest(buf, CTA_TUPLE_REPLY);
        put_ip(buf, CTA_IP_V4_SRC, CTA_IP_V6_SRC, &flow->led);
        put_proto(buf, flow->protocol, CTA_PROTO_SRC_PORT, flow->led_port);
        cnif_nlattr_nest_end(buf, nest);
        reply = FILTER_IP_SRC | FILTER_PROTO_NUM | FILTER_PROTO_SRC_PORT;
    }
    nest = cnif_nlattr_nest(buf, CTA_FILTER_NEW);
    cnif_nlattr_put_u32(buf, CTA_FILTER_ORIG_NEW, orig);
    if (reply)
        cnif_nlattr_put_u32(buf, CTA_FILTER_REPLY_NEW, reply);
    cnif_nlattr_nest_end(buf, nest);
    cnif_nlmsg_end(buf);
}

static int forget_by_filter(struct cnif_nlsock *sock, const struct cnif_flow *flows, size_t count,
                            struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[REQUEST_MAX * AT_ONCE];
    struct cnif_nlbuf buf;
    size_t done;
    size_t i;
    int r = 0;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (done = 0; done < count && r == 0; done = i) {
        cnif_nlbuf_reset(&buf);
        for (i = done; i < count && i - done < AT_ONCE; i++) {
            if (flows[i].family == AF_INET)
                put_forget(&buf, &flows[i]);
        }
        if (!buf.count)
            continue;
        r = cnif_nlsock_talk(sock, &buf, "host ports", NULL, NULL, NULL, reterr);
        if (r == -ENOENT)
            r = 0; /* there is none */
    }
    return r;
}

static bool read_tuple(const struct nlattr *nest, struct cnif_ct_tuple *tuple)
{
    const struct nlattr *parts[CTA_TUPLE_MAX + 1];
    const struct nlattr *ip[CTA_IP_MAX + 1];
    const struct nlattr *proto[CTA_PROTO_MAX + 1];
    uint8_t family;
    size_t size;

    cnif_nlattr_parse_nested(nest, parts, CTA_TUPLE_MAX);
    cnif_nlattr_parse_nested(parts[CTA_TUPLE_IP], ip, CTA_IP_MAX);
    cnif_nlattr_parse_nested(parts[CTA_TUPLE_PROTO], proto, CTA_PROTO_MAX);
    memset(tuple, 0, sizeof(*tuple));
    family = ip[CTA_IP_V4_SRC] ? AF_INET : AF_INET6;
    size = address_size(family);
    tuple->src.family = tuple->dst.family = family;
    if (cnif_nlattr_copy(ip[family == AF_INET ? CTA_IP_V4_SRC : CTA_IP_V6_SRC], tuple->src.bytes,
                         size) != size ||
        cnif_nlattr_copy(ip[family == AF_INET ? CTA_IP_V4_DST : CTA_IP_V6_DST], tuple->dst.bytes,
                         size) != size)
        return false;
    tuple->protocol = cnif_nlattr_u8(proto[CTA_PROTO_NUM], 0);
    tuple->sport = ntohs(cnif_nlattr_u16(proto[CTA_PROTO_SRC_PORT], 0));
    tuple->dport = ntohs(cnif_nlattr_u16(proto[CTA_PROTO_DST_PORT], 0));
    return true;
}

bool cnif_ct_parse(const struct nlmsghdr *nlh, struct cnif_ct_entry *entry)
{
    const struct nlattr *attrs[CTA_MAX + 1];

    if (nlh->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW))
        return false;
    cnif_nlattr_parse(nlh, sizeof(struct nfgenmsg), attrs, CTA_MAX);
    if (!read_tuple(attrs[CTA_TUPLE_ORIG], &entry->orig) ||
        !read_tuple(attrs[CTA_TUPLE_REPLY], &entry->reply))
        return false;
    entry->has_zone = attrs[CTA_ZONE] != NULL;
    entry->zone = cnif_nlattr_u16(attrs[CTA_ZONE], 0);
    entry->id = cnif_nlattr_u32(attrs[CTA_ID], 0);
    return true;
}

struct search {
    const struct cnif_flow *flows;
    size_t n_flows;
    struct cnif_ct_entry *entries;
    size_t count;
    size_t room;
};

static bool same_address(const struct cnif_ip *wanted, const struct cnif_ip *seen)
{
    return !wanted->family || (wanted->family == seen->family &&
                               memcmp(wanted->bytes, seen->bytes, address_size(seen->family)) == 0);
}

static bool is_meant(const struct cnif_flow *flow, const struct cnif_ct_entry *entry)
{
    return flow->protocol == entry->orig.protocol && flow->family == entry->orig.src.family &&
           flow->port == entry->orig.dport && same_address(&flow->to, &entry->orig.dst) &&
           same_address(&flow->led, &entry->reply.src) &&
           (!flow->led_port || flow->led_port == entry->reply.sport);
}

static int keep_entry(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    struct search *search = arg;
    struct cnif_ct_entry entry;
    size_t i;

    (void)index;
    if (!cnif_ct_parse(nlh, &entry))
        return 0;
    for (i = 0; i < search->n_flows && !is_meant(&search->flows[i], &entry);)
        i++;
    if (i == search->n_flows)
        return 0;
    if (cnif_grow(&search->entries, &search->room, search->count, sizeof(entry)) < 0)
        return -ENOMEM;
    search->entries[search->count++] = entry;
    return 0;
}

/* Delete the very entry. */
static void put_delete(struct cnif_nlbuf *buf, const struct cnif_ct_entry *entry)
{
    const struct cnif_ct_tuple *orig = &entry->orig;
    bool v4 = orig->src.family == AF_INET;
    size_t size = address_size(orig->src.family);
    size_t tuple;
    size_t nest;

    begin(buf, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, orig->src.family, "forget a connection to");
    tuple = cnif_nlattr_nest(buf, CTA_TUPLE_ORIG);
    nest = cnif_nlattr_nest(buf, CTA_TUPLE_IP);
    cnif_nlattr_put(buf, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, orig->src.bytes, size);
    cnif_nlattr_put(buf, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, orig->dst.bytes, size);
    cnif_nlattr_nest_end(buf, nest);
    nest = cnif_nlattr_nest(buf, CTA_TUPLE_PROTO);
    cnif_nlattr_put_u8(buf, CTA_PROTO_NUM, orig->protocol);
    cnif_nlattr_put_u16(buf, CTA_PROTO_SRC_PORT, htons(orig->sport));
    cnif_nlattr_put_u16(buf, CTA_PROTO_DST_PORT, htons(orig->dport));
    cnif_nlattr_nest_end(buf, nest);
    cnif_nlattr_nest_end(buf, tuple);
    if (entry->has_zone)
        cnif_nlattr_put_u16(buf, CTA_ZONE, entry->zone);
    if (entry->id)
        cnif_nlattr_put_u32(buf, CTA_ID, entry->id);
    cnif_nlmsg_end(buf);
}

static int keep_count(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    const struct nlattr *attrs[CTA_STATS_GLOBAL_MAX + 1];
    uint32_t *count = arg;

    (void)index;
    cnif_nlattr_parse(nlh, sizeof(struct nfgenmsg), attrs, CTA_STATS_GLOBAL_MAX);
    *count = ntohl(cnif_nlattr_u32(attrs[CTA_STATS_GLOBAL_ENTRIES], UINT32_MAX));
    return 0;
}

/* Whether the namespace has no connections at all, as far as the kernel can tell. */
static bool is_empty(struct cnif_nlsock *sock)
{
    _Alignas(8) uint8_t data[64];
    uint32_t count = UINT32_MAX;
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    begin(&buf, IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC, "count connections to");
    cnif_nlmsg_end(&buf);
    return cnif_nlsock_talk(sock, &buf, "host ports", keep_count, &count, NULL, NULL) == 0 &&
           !count;
}

/* Have the kernel leave out of a dump what has another protocol than all of the flows. */
static void put_protocol(struct cnif_nlbuf *buf, const struct search *search)
{
    size_t tuple;
    size_t nest;
    size_t i;

    for (i = 1; i < search->n_flows; i++) {
        if (search->flows[i].protocol != search->flows[0].protocol)
            return;
    }
    tuple = cnif_nlattr_nest(buf, CTA_TUPLE_ORIG);
    nest = cnif_nlattr_nest(buf, CTA_TUPLE_PROTO);
    cnif_nlattr_put_u8(buf, CTA_PROTO_NUM, search->flows[0].protocol);
    cnif_nlattr_nest_end(buf, nest);
    cnif_nlattr_nest_end(buf, tuple);
    nest = cnif_nlattr_nest(buf, CTA_FILTER_NEW);
    cnif_nlattr_put_u32(buf, CTA_FILTER_ORIG_NEW, FILTER_PROTO_NUM);
    cnif_nlattr_nest_end(buf, nest);
}

static int dump_family(struct cnif_nlsock *sock, uint8_t family, struct search *search,
                       struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[128];
    struct cnif_nlbuf buf;
    unsigned attempt;
    int r = -EAGAIN;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    begin(&buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family, "list connections to");
    put_protocol(&buf, search);
    cnif_nlmsg_end(&buf);
    for (attempt = 0; attempt < DUMP_ATTEMPTS && r == -EAGAIN; attempt++)
        r = cnif_nlsock_dump(sock, &buf, "host ports", keep_entry, search, reterr);
    /* What all the tries together saw has to do. */
    return r == -EAGAIN ? 0 : r;
}

static int forget_by_dump(struct cnif_nlsock *sock, uint8_t family, const struct cnif_flow *flows,
                          size_t count, struct cnif_err *reterr)
{
    struct search search = {.flows = flows, .n_flows = count};
    _Alignas(8) uint8_t data[REQUEST_MAX];
    struct cnif_nlbuf buf;
    size_t i;
    int r;

    if (is_empty(sock))
        return 0;
    r = dump_family(sock, family, &search, reterr);
    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (i = 0; i < search.count && r == 0; i++) {
        cnif_nlbuf_reset(&buf);
        put_delete(&buf, &search.entries[i]);
        r = cnif_nlsock_talk(sock, &buf, "host ports", NULL, NULL, NULL, reterr);
        if (r == -ENOENT)
            r = 0; /* it has ended meanwhile */
    }
    free(search.entries);
    return r;
}

static size_t count_family(const struct cnif_flow *flows, size_t count, uint8_t family)
{
    size_t found = 0;
    size_t i;

    for (i = 0; i < count; i++)
        found += flows[i].family == family;
    return found;
}

int cnif_flow_forget(struct cnif_nlsock *sock, const struct cnif_flow *flows, size_t count,
                     struct cnif_err *reterr)
{
    size_t n_v4 = count_family(flows, count, AF_INET);
    int r = 0;

    if (n_v4)
        r = n_v4 <= FILTERS_MAX ? forget_by_filter(sock, flows, count, reterr) : -EINVAL;
    if (r == -EINVAL)
        r = forget_by_dump(sock, AF_INET, flows, count, reterr);
    if (r == 0 && count_family(flows, count, AF_INET6))
        r = forget_by_dump(sock, AF_INET6, flows, count, reterr);
    /* That is what the kernel says to a subsystem it does not have. */
    return r == -EINVAL || r == -EOPNOTSUPP ? 0 : r;
}
