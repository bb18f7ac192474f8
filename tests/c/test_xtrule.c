/*
 * Rules of iptables-nft: what is written is read again as that rule and as no other one, and a
 * rule that says more, or the same about something else, is none of ours.
 */
#include "nft/xtrule.h"
#include "check.h"
#include "netlink/nlparse.h"
#include "nft/expr.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

static const struct cnif_nft_table table = {NFPROTO_IPV4, "filter"};
static const uint8_t one[16] = {10, 1, 0, 5};
static const uint8_t other[16] = {10, 1, 0, 6};

static const struct cnif_xt_rule rules[] = {
    {.to = one, .tracked = true, .code = NF_ACCEPT},
    {.to = other, .tracked = true, .code = NF_ACCEPT},
    {.to = one, .code = NF_ACCEPT},
    {.from = one, .code = NF_ACCEPT},
    {.from = one, .code = NF_DROP},
    {.from = one, .to = one, .code = NF_ACCEPT},
    {.comment = "a comment", .code = NFT_JUMP, .chain = "CNI-ADMIN"},
    {.comment = "a comment", .code = NFT_JUMP, .chain = "CNI-FORWARD"},
    {.comment = "a comment", .code = NFT_GOTO, .chain = "CNI-FORWARD"},
    {.comment = "a comment and more", .code = NFT_JUMP, .chain = "CNI-FORWARD"},
    {.code = NFT_JUMP, .chain = "CNI-FORWARD"},
    {.iif = "cni0", .oif = "cni0", .comment = "x", .code = NF_DROP},
    {.iif = "cni0", .oif = "cni0", .not_oif = true, .comment = "x", .code = NF_DROP},
    {.iif = "cni0", .comment = "x", .code = NF_DROP},
    {.oif = "cni0", .comment = "x", .code = NF_DROP},
    {.oif = "cni01", .comment = "x", .code = NF_DROP},
    {.oif = "a-name-of-15-ch", .comment = "x", .code = NF_DROP},
    {.comment = "x", .code = NF_DROP},
    {.comment = "x", .code = NFT_RETURN},
};

#define COUNT (sizeof(rules) / sizeof(rules[0]))

/* A rule as the kernel reports it, begun or ended. */
struct reported {
    _Alignas(8) uint8_t data[2048];
    struct cnif_nlbuf buf;
    size_t rule;
};

static void begin(struct reported *reported)
{
    cnif_nlbuf_init(&reported->buf, reported->data, sizeof(reported->data));
    reported->rule = cnif_nft_rule_begin(&reported->buf, &table, "CNI-FORWARD");
}

static void end(struct reported *reported, struct cnif_xt_seen *seen,
                const struct cnif_nft_family *family)
{
    const struct nlattr *attrs[NFTA_RULE_MAX + 1];

    cnif_nft_rule_end(&reported->buf, reported->rule, NULL);
    CHECK(!reported->buf.overflow);
    cnif_nlattr_parse(cnif_nlmsg_first(reported->data, reported->buf.used), sizeof(struct nfgenmsg),
                      attrs, NFTA_RULE_MAX);
    cnif_xt_rule_read(seen, family, attrs[NFTA_RULE_EXPRESSIONS]);
}

/* Each rule is itself and no other one, in either family. */
static void test_rules(void)
{
    size_t family;
    size_t i;
    size_t j;

    for (family = 0; family < 2; family++) {
        for (i = 0; i < COUNT; i++) {
            struct reported reported;
            struct cnif_xt_seen seen;

            begin(&reported);
            cnif_xt_rule_put(&reported.buf, &cnif_nft_families[family], &rules[i]);
            end(&reported, &seen, &cnif_nft_families[family]);
            for (j = 0; j < COUNT; j++)
                CHECK(cnif_xt_rule_is(&seen, &rules[j]) == (i == j));
        }
    }
}

static void put_set(struct cnif_nlbuf *buf)
{
    cnif_nft_expr_lookup(buf, "set", NFT_REG_1);
}

static void put_mark(struct cnif_nlbuf *buf)
{
    static const uint32_t mark = 1;

    cnif_nft_expr_meta(buf, NFT_META_MARK, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, &mark, sizeof(mark), NFT_REG_1);
}

static void put_network(struct cnif_nlbuf *buf)
{
    static const uint8_t mask[4] = {255, 255};

    cnif_nft_expr_payload(buf, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG_1);
    cnif_nft_expr_mask(buf, mask, 4, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, one, 4, NFT_REG_1);
}

static void put_short_network(struct cnif_nlbuf *buf)
{
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_NETWORK_HEADER, 12, 2, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, one, 2, NFT_REG_1);
}

static void put_not_address(struct cnif_nlbuf *buf)
{
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_NEQ, one, 4, NFT_REG_1);
}

static void put_port(struct cnif_nlbuf *buf)
{
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_TRANSPORT_HEADER, 12, 4, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, one, 4, NFT_REG_1);
}

static void put_names(struct cnif_nlbuf *buf) /* "cni+" */
{
    cnif_nft_expr_meta(buf, NFT_META_IIFNAME, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, "cni", 3, NFT_REG_1);
}

static void put_not_iif(struct cnif_nlbuf *buf)
{
    cnif_nft_expr_meta(buf, NFT_META_IIFNAME, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_NEQ, "cni0", 5, NFT_REG_1);
}

static void put_states(struct cnif_nlbuf *buf)
{
    struct xt_conntrack_mtinfo3 info = {.match_flags = XT_CONNTRACK_STATE, .state_mask = 2};

    cnif_nft_expr_match(buf, "conntrack", 3, &info, sizeof(info));
}

static void put_old_conntrack(struct cnif_nlbuf *buf)
{
    struct xt_conntrack_mtinfo3 info = {.match_flags = XT_CONNTRACK_STATE, .state_mask = 6};

    cnif_nft_expr_match(buf, "conntrack", 2, &info, sizeof(info));
}

static void put_cut_conntrack(struct cnif_nlbuf *buf)
{
    struct xt_conntrack_mtinfo3 info = {.match_flags = XT_CONNTRACK_STATE, .state_mask = 6};

    cnif_nft_expr_match(buf, "conntrack", 3, &info, sizeof(info) - 8);
}

static void put_match(struct cnif_nlbuf *buf)
{
    cnif_nft_expr_match(buf, "multiport", 1, one, sizeof(one));
}

/* What says more than a rule of ours is none, whatever else it says. */
static void test_others(void)
{
    static void (*const puts[])(struct cnif_nlbuf * buf) = {
        put_set,   put_mark,    put_network, put_short_network, put_not_address,   put_port,
        put_names, put_not_iif, put_states,  put_old_conntrack, put_cut_conntrack, put_match};
    size_t i;
    size_t j;
    size_t k;

    for (i = 0; i < sizeof(puts) / sizeof(puts[0]); i++) {
        for (j = 0; j < COUNT; j++) {
            struct reported reported;
            struct cnif_xt_seen seen;

            begin(&reported);
            puts[i](&reported.buf);
            cnif_xt_rule_put(&reported.buf, &cnif_nft_families[0], &rules[j]);
            end(&reported, &seen, &cnif_nft_families[0]);
            for (k = 0; k < COUNT; k++)
                CHECK(!cnif_xt_rule_is(&seen, &rules[k]));
        }
    }
}

/* A rule without expressions, or without a verdict, is none of ours. */
static void test_nothing(void)
{
    struct reported reported;
    struct cnif_xt_seen seen;
    size_t i;

    for (i = 0; i < COUNT; i++) {
        begin(&reported);
        end(&reported, &seen, &cnif_nft_families[0]);
        CHECK(!cnif_xt_rule_is(&seen, &rules[i]));
        cnif_xt_rule_read(&seen, &cnif_nft_families[1], NULL);
        CHECK(!cnif_xt_rule_is(&seen, &rules[i]));
        begin(&reported);
        cnif_nft_expr_counter(&reported.buf);
        end(&reported, &seen, &cnif_nft_families[0]);
        CHECK(!cnif_xt_rule_is(&seen, &rules[i]));
    }
}

int main(void)
{
    test_rules();
    test_others();
    test_nothing();
    return check_failures != 0;
}
