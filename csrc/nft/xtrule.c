#include "nft/xtrule.h"

#include "netlink/nlparse.h"
#include "nft/expr.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_conntrack.h>
#include <stdio.h>
#include <string.h>

#define CONNTRACK_REVISION 3
#define STATES             (XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED) | XT_CONNTRACK_STATE_BIT(IP_CT_RELATED))

static void put_address(struct cnif_nlbuf *buf, const struct cnif_nft_family *family,
                        uint32_t offset, const uint8_t *address)
{
    if (!address)
        return;
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_NETWORK_HEADER, offset, family->size, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, address, family->size, NFT_REG_1);
}

static void put_link(struct cnif_nlbuf *buf, uint32_t key, uint32_t op, const char *name)
{
    if (!name)
        return;
    cnif_nft_expr_meta(buf, key, NFT_REG_1);
    cnif_nft_expr_cmp(buf, op, name, strlen(name) + 1, NFT_REG_1);
}

void cnif_xt_rule_put(struct cnif_nlbuf *buf, const struct cnif_nft_family *family,
                      const struct cnif_xt_rule *rule)
{
    put_link(buf, NFT_META_IIFNAME, NFT_CMP_EQ, rule->iif);
    put_link(buf, NFT_META_OIFNAME, rule->not_oif ? NFT_CMP_NEQ : NFT_CMP_EQ, rule->oif);
    put_address(buf, family, family->saddr, rule->from);
    put_address(buf, family, family->daddr, rule->to);
    if (rule->tracked) {
        struct xt_conntrack_mtinfo3 info = {.match_flags = XT_CONNTRACK_STATE,
                                            .state_mask = STATES};

        cnif_nft_expr_match(buf, "conntrack", CONNTRACK_REVISION, &info, sizeof(info));
    }
    if (rule->comment) {
        struct xt_comment_info info = {{0}};

        (void)snprintf(info.comment, sizeof(info.comment), "%s", rule->comment);
        cnif_nft_expr_match(buf, "comment", 0, &info, sizeof(info));
    }
    cnif_nft_expr_counter(buf);
    cnif_nft_expr_verdict(buf, rule->code, rule->chain);
}

static uint32_t be32(const struct nlattr *nla, uint32_t absent)
{
    return nla ? ntohl(cnif_nlattr_u32(nla, 0)) : absent;
}

static void see_payload(struct cnif_xt_seen *seen, const struct nlattr *data)
{
    const struct nlattr *attrs[NFTA_PAYLOAD_MAX + 1];
    uint32_t offset;

    cnif_nlattr_parse_nested(data, attrs, NFTA_PAYLOAD_MAX);
    offset = be32(attrs[NFTA_PAYLOAD_OFFSET], 0);
    if (be32(attrs[NFTA_PAYLOAD_BASE], 0) != NFT_PAYLOAD_NETWORK_HEADER ||
        be32(attrs[NFTA_PAYLOAD_LEN], 0) != seen->family->size ||
        (offset != seen->family->saddr && offset != seen->family->daddr))
        seen->other = true;
    seen->offset = offset;
    seen->meta = UINT32_MAX;
}

static void see_meta(struct cnif_xt_seen *seen, const struct nlattr *data)
{
    const struct nlattr *attrs[NFTA_META_MAX + 1];

    cnif_nlattr_parse_nested(data, attrs, NFTA_META_MAX);
    seen->meta = be32(attrs[NFTA_META_KEY], UINT32_MAX);
    seen->offset = 0;
    if (seen->meta != NFT_META_IIFNAME && seen->meta != NFT_META_OIFNAME)
        seen->other = true;
}

/* A name that is compared with its end; without, it is one that others begin with. */
static bool take_name(char to[CNIF_IFNAME_MAX], const uint8_t *value, size_t size)
{
    if (!size || size > CNIF_IFNAME_MAX || value[size - 1])
        return false;
    memset(to, 0, CNIF_IFNAME_MAX);
    memcpy(to, value, size);
    return true;
}

static void see_cmp(struct cnif_xt_seen *seen, const struct nlattr *data)
{
    const struct nlattr *attrs[NFTA_CMP_MAX + 1];
    const struct nlattr *value[NFTA_DATA_MAX + 1];
    uint8_t bytes[16] = {0};
    uint32_t op;
    size_t size;

    cnif_nlattr_parse_nested(data, attrs, NFTA_CMP_MAX);
    cnif_nlattr_parse_nested(attrs[NFTA_CMP_DATA], value, NFTA_DATA_MAX);
    size = cnif_nlattr_copy(value[NFTA_DATA_VALUE], bytes, sizeof(bytes));
    op = be32(attrs[NFTA_CMP_OP], UINT32_MAX);
    if (seen->offset && op == NFT_CMP_EQ && size == seen->family->size) {
        bool from = seen->offset == seen->family->saddr;

        memcpy(from ? seen->from : seen->to, bytes, size);
        *(from ? &seen->has_from : &seen->has_to) = true;
    } else if (seen->meta == NFT_META_IIFNAME && op == NFT_CMP_EQ &&
               take_name(seen->iif, bytes, size)) {
        return;
    } else if (seen->meta == NFT_META_OIFNAME && (op == NFT_CMP_EQ || op == NFT_CMP_NEQ) &&
               take_name(seen->oif, bytes, size)) {
        seen->not_oif = op == NFT_CMP_NEQ;
    } else {
        seen->other = true;
    }
}

static void see_match(struct cnif_xt_seen *seen, const struct nlattr *data)
{
    const struct nlattr *attrs[NFTA_MATCH_MAX + 1];
    char name[sizeof("conntrack") + 1];

    cnif_nlattr_parse_nested(data, attrs, NFTA_MATCH_MAX);
    (void)cnif_nlattr_str(attrs[NFTA_MATCH_NAME], name, sizeof(name));
    if (strcmp(name, "comment") == 0) {
        (void)cnif_nlattr_str(attrs[NFTA_MATCH_INFO], seen->comment, sizeof(seen->comment));
    } else if (strcmp(name, "conntrack") == 0 &&
               be32(attrs[NFTA_MATCH_REV], 0) == CONNTRACK_REVISION) {
        struct xt_conntrack_mtinfo3 info;

        seen->tracked =
            cnif_nlattr_copy(attrs[NFTA_MATCH_INFO], &info, sizeof(info)) == sizeof(info) &&
            info.match_flags == XT_CONNTRACK_STATE && !info.invert_flags &&
            info.state_mask == STATES;
        seen->other |= !seen->tracked;
    } else {
        seen->other = true;
    }
}

static void see_verdict(struct cnif_xt_seen *seen, const struct nlattr *data)
{
    const struct nlattr *attrs[NFTA_IMMEDIATE_MAX + 1];
    const struct nlattr *value[NFTA_DATA_MAX + 1];
    const struct nlattr *verdict[NFTA_VERDICT_MAX + 1];

    cnif_nlattr_parse_nested(data, attrs, NFTA_IMMEDIATE_MAX);
    cnif_nlattr_parse_nested(attrs[NFTA_IMMEDIATE_DATA], value, NFTA_DATA_MAX);
    cnif_nlattr_parse_nested(value[NFTA_DATA_VERDICT], verdict, NFTA_VERDICT_MAX);
    if (!verdict[NFTA_VERDICT_CODE])
        seen->other = true;
    seen->code = (int32_t)be32(verdict[NFTA_VERDICT_CODE], 0);
    (void)cnif_nlattr_str(verdict[NFTA_VERDICT_CHAIN], seen->chain, sizeof(seen->chain));
}

static void see_nothing(struct cnif_xt_seen *seen, const struct nlattr *data)
{
    (void)seen;
    (void)data;
}

static void see(struct cnif_xt_seen *seen, const struct nlattr *item)
{
    static const struct {
        const char *name;
        void (*see)(struct cnif_xt_seen *seen, const struct nlattr *data);
    } kinds[] = {{"payload", see_payload}, {"meta", see_meta},         {"cmp", see_cmp},
                 {"match", see_match},     {"immediate", see_verdict}, {"counter", see_nothing}};
    const struct nlattr *expr[NFTA_EXPR_MAX + 1];
    char name[sizeof("immediate") + 1];
    size_t i;

    cnif_nlattr_parse_nested(item, expr, NFTA_EXPR_MAX);
    (void)cnif_nlattr_str(expr[NFTA_EXPR_NAME], name, sizeof(name));
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            kinds[i].see(seen, expr[NFTA_EXPR_DATA]);
            return;
        }
    }
    seen->other = true;
}

static bool same_address(bool has, const uint8_t *seen, const uint8_t *wanted, uint32_t size)
{
    return has ? wanted && memcmp(seen, wanted, size) == 0 : !wanted;
}

static bool same_text(const char *seen, const char *wanted)
{
    return strcmp(seen, wanted ? wanted : "") == 0;
}

void cnif_xt_rule_read(struct cnif_xt_seen *seen, const struct cnif_nft_family *family,
                       const struct nlattr *expressions)
{
    const struct nlattr *item = expressions ? cnif_nlattr_each(expressions, NULL) : NULL;

    memset(seen, 0, sizeof(*seen));
    seen->family = family;
    seen->meta = UINT32_MAX;
    seen->other = !item;
    for (; item && !seen->other; item = cnif_nlattr_each(expressions, item))
        see(seen, item);
}

bool cnif_xt_rule_is(const struct cnif_xt_seen *seen, const struct cnif_xt_rule *rule)
{
    uint32_t size = seen->family->size;

    return !seen->other && same_address(seen->has_from, seen->from, rule->from, size) &&
           same_address(seen->has_to, seen->to, rule->to, size) && seen->tracked == rule->tracked &&
           same_text(seen->iif, rule->iif) && same_text(seen->oif, rule->oif) &&
           seen->not_oif == rule->not_oif && same_text(seen->comment, rule->comment) &&
           seen->code == rule->code && same_text(seen->chain, rule->chain);
}
