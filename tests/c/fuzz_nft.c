/*
 * Answers of nf_tables and tables of legacy iptables, damaged: nothing outside of them is read,
 * and what is made of them is terminated and within its bounds.
 *
 * The first byte of an input chooses what is damaged; the rest are pairs of place and value.
 */
#include "netlink/nlparse.h"
#include "netns/xtables.h"
#include "nft/batch.h"
#include "nft/conntrack.h"
#include "nft/expr.h"
#include "nft/hostport.h"
#include "nft/object.h"
#include "nft/xtrule.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct cnif_nft_table table = {NFPROTO_INET, "cnifast"};

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* What a map of host ports makes of any element, and of any comment. */
static void read_hostport(const struct cnif_nft_seen_element *element)
{
    static const char *const sets[] = {"hostports4", "hostips4-x", "hostports6", "hostips6"};
    struct cnif_hostport_entry entry;
    struct cnif_hostport_record record;
    size_t i;

    for (i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        require(cnif_hostport_parse(sets[i], element->key, element->data, &entry));
        require(entry.pod.family == (i < 2 ? AF_INET : AF_INET6));
    }
    if (cnif_hostport_record_parse(element->comment, &record)) {
        require(record.bit >= -1 && record.bit < 32 && record.prefixes[0] <= 32 &&
                record.prefixes[1] <= 128);
        require(record.owner > element->comment &&
                record.owner <= element->comment + strlen(element->comment));
    }
}

static int element_seen(const struct cnif_nft_seen_element *element, void *arg)
{
    (void)arg;
    require(element->key_size > 0 && element->key_size <= sizeof(element->key));
    require(memchr(element->comment, '\0', sizeof(element->comment)) != NULL);
    read_hostport(element);
    return 0;
}

/* What iptables' rules are read from, in either family. */
static void read_xtrule(const struct nlattr *expressions)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        struct cnif_xt_rule rule = {.tracked = true};
        struct cnif_xt_seen seen;

        cnif_xt_rule_read(&seen, &cnif_nft_families[i], expressions);
        require(memchr(seen.iif, '\0', sizeof(seen.iif)) != NULL);
        require(memchr(seen.oif, '\0', sizeof(seen.oif)) != NULL);
        require(memchr(seen.comment, '\0', sizeof(seen.comment)) != NULL);
        require(memchr(seen.chain, '\0', sizeof(seen.chain)) != NULL);
        (void)cnif_xt_rule_is(&seen, &rule);
    }
}

/* Give a datagram to everyone who reads answers. */
static void read_datagram(const void *bytes, size_t size)
{
    const struct nlmsghdr *nlh;

    for (nlh = cnif_nlmsg_first(bytes, size); nlh;
         nlh = cnif_nlmsg_next(nlh, (const uint8_t *)bytes + size)) {
        struct cnif_nft_seen_rule rule;
        struct cnif_ct_entry flow;
        char name[32];
        uint32_t key_size;

        (void)cnif_nft_gen_parse(nlh);
        if (cnif_ct_parse(nlh, &flow))
            require(flow.orig.src.family == AF_INET || flow.orig.src.family == AF_INET6);
        (void)cnif_nft_element_parse(nlh, element_seen, NULL);
        if (cnif_nft_set_parse(nlh, name, sizeof(name), &key_size))
            require(memchr(name, '\0', sizeof(name)) != NULL);
        if (cnif_nft_rule_parse(nlh, &rule)) {
            require(memchr(rule.comment, '\0', sizeof(rule.comment)) != NULL);
            require(memchr(rule.jump, '\0', sizeof(rule.jump)) != NULL);
            read_xtrule(rule.expressions);
        }
    }
}

/* One direction of a connection. */
static void write_tuple(struct cnif_nlbuf *buf, uint16_t type)
{
    size_t tuple = cnif_nlattr_nest(buf, type);
    size_t nest = cnif_nlattr_nest(buf, CTA_TUPLE_IP);

    cnif_nlattr_put_u32(buf, CTA_IP_V4_SRC, 1);
    cnif_nlattr_put_u32(buf, CTA_IP_V4_DST, 2);
    cnif_nlattr_nest_end(buf, nest);
    nest = cnif_nlattr_nest(buf, CTA_TUPLE_PROTO);
    cnif_nlattr_put_u8(buf, CTA_PROTO_NUM, 17);
    cnif_nlattr_put_u16(buf, CTA_PROTO_DST_PORT, 53);
    cnif_nlattr_nest_end(buf, nest);
    cnif_nlattr_nest_end(buf, tuple);
}

static void write_flow(struct cnif_nlbuf *buf)
{
    (void)cnif_nlmsg_begin(buf, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, 0,
                           sizeof(struct nfgenmsg), "connection");
    write_tuple(buf, CTA_TUPLE_ORIG);
    write_tuple(buf, CTA_TUPLE_REPLY);
    cnif_nlattr_put_u32(buf, CTA_ID, 1);
    cnif_nlmsg_end(buf);
}

/* What a kernel might answer: an element, a set, a rule, a connection. */
static size_t write_answers(uint8_t *bytes, size_t room)
{
    struct cnif_nft_element element = {.key = "abcd",
                                       .key_size = 4,
                                       .data = "10.1.0.5",
                                       .data_size = 8,
                                       .comment = "1/13/16/64 c1 eth0 net"};
    struct cnif_nft_set set = {.name = "pods-net-10.1.0.0-16", .key_type = 7, .key_size = 4};
    static const uint8_t address[16] = {10, 1, 0, 5};
    struct cnif_xt_rule said = {.from = address,
                                .tracked = true,
                                .iif = "cni0",
                                .oif = "cni0",
                                .comment = "two",
                                .code = NFT_JUMP,
                                .chain = "CNI-x"};
    struct cnif_nlbuf buf;
    size_t rule;

    cnif_nlbuf_init(&buf, bytes, room);
    cnif_nft_element_add(&buf, &table, set.name, &element);
    cnif_nft_set_add(&buf, &table, &set);
    rule = cnif_nft_rule_begin(&buf, &table, "chain");
    cnif_nft_expr_lookup(&buf, set.name, NFT_REG_1);
    cnif_nft_expr_verdict(&buf, NFT_JUMP, "CNI-0123456789");
    cnif_nft_rule_end(&buf, rule, "a comment");
    rule = cnif_nft_rule_begin(&buf, &table, "chain");
    cnif_xt_rule_put(&buf, &cnif_nft_families[0], &said);
    cnif_nft_rule_end(&buf, rule, NULL);
    cnif_nft_rule_delete(&buf, &table, "chain", 1);
    write_flow(&buf);
    return buf.used;
}

/* Append an entry of `head` bytes with what follows it; its size. */
static size_t write_entry(uint8_t *bytes, bool ipv6, const void *target, size_t target_size,
                          bool comment)
{
    struct {
        struct xt_entry_match head;
        char text[256];
    } match = {.head = {.u.user = {.match_size = sizeof(match), .name = "comment"}}, .text = "two"};
    size_t head = ipv6 ? sizeof(struct ip6t_entry) : sizeof(struct ipt_entry);
    size_t matches = comment ? sizeof(match) : 0;

    memset(bytes, 0, head);
    if (ipv6) {
        struct ip6t_entry entry = {.target_offset = (uint16_t)(head + matches),
                                   .next_offset = (uint16_t)(head + matches + target_size)};

        memcpy(bytes, &entry, sizeof(entry));
    } else {
        struct ipt_entry entry = {.target_offset = (uint16_t)(head + matches),
                                  .next_offset = (uint16_t)(head + matches + target_size)};

        memcpy(bytes, &entry, sizeof(entry));
    }
    memcpy(bytes + head, &match, matches);
    memcpy(bytes + head + matches, target, target_size);
    return head + matches + target_size;
}

/* A jump, the chain it leads to, and the end. */
static size_t write_table(uint8_t *bytes, bool ipv6)
{
    struct xt_standard_target jump = {.target.u.user.target_size = sizeof(jump)};
    struct xt_error_target chain = {
        .target.u.user = {.target_size = sizeof(chain), .name = XT_ERROR_TARGET},
        .errorname = "CNI-x"};
    size_t size = write_entry(bytes, ipv6, &jump, sizeof(jump), true);
    size_t start = size + write_entry(bytes + size, ipv6, &chain, sizeof(chain), false);

    jump.verdict = (int)start;
    (void)write_entry(bytes, ipv6, &jump, sizeof(jump), true);
    jump.verdict = -1;
    size = start + write_entry(bytes + start, ipv6, &jump, sizeof(jump), false);
    return size + write_entry(bytes + size, ipv6, &chain, sizeof(chain), false);
}

static void read_table(int family, const uint8_t *bytes, size_t size, bool damaged)
{
    struct cnif_legacy_jump jumps[2];
    const char *keep[] = {"three"};
    char chain[32];
    size_t count = 0;
    bool found = cnif_legacy_parse(family, bytes, size, "CNI-x", jumps, 2, &count);
    size_t i;

    require(count <= 2 && (found || !count));
    require(damaged || (found && count == 1 && strcmp(jumps[0].comment, "two") == 0));
    found = cnif_legacy_parse_stale(family, bytes, size, "t", keep, 1, chain, sizeof(chain));
    require(damaged || (found && strcmp(chain, "CNI-x") == 0));
    require(!found || memchr(chain, '\0', sizeof(chain)));
    for (i = 0; i < count; i++)
        require(memchr(jumps[i].comment, '\0', sizeof(jumps[i].comment)) != NULL);
}

/* A copy of just that size, so that reading past its end is noticed. */
static uint8_t *copy(const void *bytes, size_t size)
{
    uint8_t *copied = malloc(size ? size : 1);

    require(copied != NULL);
    memcpy(copied, bytes, size);
    return copied;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(8) uint8_t whole[4096];
    unsigned kind = size ? data[0] % 4 : 0;
    size_t used = kind == 0 ? write_answers(whole, sizeof(whole)) : write_table(whole, kind == 3);
    uint8_t *bytes;
    size_t at;

    if (kind == 1) { /* anything at all */
        bytes = copy(data, size);
        read_datagram(bytes, size);
        free(bytes);
        return 0;
    }
    for (at = 1; at + 3 <= size && at < 60; at += 3)
        whole[(data[at] * (size_t)256 + data[at + 1]) % used] = data[at + 2];
    bytes = copy(whole, used);
    if (kind == 0)
        read_datagram(bytes, used);
    else
        read_table(kind == 3 ? AF_INET6 : AF_INET, bytes, used, size > 3);
    free(bytes);
    return 0;
}
