#include "nft/object.h"

#include "netlink/nlparse.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#define UDATA_COMMENT 0

static bool is_message(const struct nlmsghdr *nlh, unsigned type)
{
    return nlh->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | type);
}

/* The comment among the (type, length, value) triples of user data; "" if there is none. */
static void read_comment(const struct nlattr *nla, char *comment, size_t size)
{
    const uint8_t *at;
    size_t left;

    comment[0] = '\0';
    if (!nla)
        return;
    at = cnif_nlattr_data(nla);
    left = cnif_nlattr_size(nla);
    while (left >= 2 && (size_t)at[1] + 2 <= left) {
        if (at[0] == UDATA_COMMENT) {
            size_t n = strnlen((const char *)at + 2, at[1]);

            if (n >= size)
                n = size - 1;
            memcpy(comment, at + 2, n);
            comment[n] = '\0';
            return;
        }
        left -= (size_t)at[1] + 2;
        at += (size_t)at[1] + 2;
    }
}

uint32_t cnif_nft_gen_parse(const struct nlmsghdr *nlh)
{
    const struct nlattr *attrs[NFTA_GEN_MAX + 1];

    if (!is_message(nlh, NFT_MSG_NEWGEN))
        return 0;
    cnif_nlattr_parse(nlh, sizeof(struct nfgenmsg), attrs, NFTA_GEN_MAX);
    return ntohl(cnif_nlattr_u32(attrs[NFTA_GEN_ID], 0));
}

bool cnif_nft_set_parse(const struct nlmsghdr *nlh, char *name, size_t size, uint32_t *key_size)
{
    const struct nlattr *attrs[NFTA_SET_MAX + 1];

    if (!is_message(nlh, NFT_MSG_NEWSET))
        return false;
    cnif_nlattr_parse(nlh, sizeof(struct nfgenmsg), attrs, NFTA_SET_MAX);
    *key_size = ntohl(cnif_nlattr_u32(attrs[NFTA_SET_KEY_LEN], 0));
    return cnif_nlattr_str(attrs[NFTA_SET_NAME], name, size);
}

static bool read_element(const struct nlattr *item, struct cnif_nft_seen_element *element)
{
    const struct nlattr *attrs[NFTA_SET_ELEM_MAX + 1];
    const struct nlattr *key[NFTA_DATA_MAX + 1];
    const struct nlattr *data[NFTA_DATA_MAX + 1];

    cnif_nlattr_parse_nested(item, attrs, NFTA_SET_ELEM_MAX);
    cnif_nlattr_parse_nested(attrs[NFTA_SET_ELEM_KEY], key, NFTA_DATA_MAX);
    cnif_nlattr_parse_nested(attrs[NFTA_SET_ELEM_DATA], data, NFTA_DATA_MAX);
    memset(element->key, 0, sizeof(element->key));
    memset(element->data, 0, sizeof(element->data));
    (void)cnif_nlattr_copy(data[NFTA_DATA_VALUE], element->data, sizeof(element->data));
    element->key_size = cnif_nlattr_copy(key[NFTA_DATA_VALUE], element->key, sizeof(element->key));
    read_comment(attrs[NFTA_SET_ELEM_USERDATA], element->comment, sizeof(element->comment));
    return element->key_size > 0;
}

int cnif_nft_element_parse(const struct nlmsghdr *nlh, cnif_nft_element_seen seen, void *arg)
{
    const struct nlattr *attrs[NFTA_SET_ELEM_LIST_MAX + 1];
    const struct nlattr *list;
    const struct nlattr *item;
    int r = 0;

    if (!is_message(nlh, NFT_MSG_NEWSETELEM))
        return 0;
    cnif_nlattr_parse(nlh, sizeof(struct nfgenmsg), attrs, NFTA_SET_ELEM_LIST_MAX);
    list = attrs[NFTA_SET_ELEM_LIST_ELEMENTS];
    if (!list)
        return 0;
    for (item = cnif_nlattr_each(list, NULL); item && r == 0; item = cnif_nlattr_each(list, item)) {
        struct cnif_nft_seen_element element;

        if (read_element(item, &element))
            r = seen(&element, arg);
    }
    return r;
}

/* Where an immediate verdict leads. */
static void read_jump(const struct nlattr *data, char *jump, size_t size)
{
    const struct nlattr *immediate[NFTA_IMMEDIATE_MAX + 1];
    const struct nlattr *value[NFTA_DATA_MAX + 1];
    const struct nlattr *verdict[NFTA_VERDICT_MAX + 1];

    cnif_nlattr_parse_nested(data, immediate, NFTA_IMMEDIATE_MAX);
    cnif_nlattr_parse_nested(immediate[NFTA_IMMEDIATE_DATA], value, NFTA_DATA_MAX);
    cnif_nlattr_parse_nested(value[NFTA_DATA_VERDICT], verdict, NFTA_VERDICT_MAX);
    (void)cnif_nlattr_str(verdict[NFTA_VERDICT_CHAIN], jump, size);
}

/* The text of a comment match, which is how iptables-nft keeps comments. */
static void read_match(const struct nlattr *data, char *comment, size_t size)
{
    const struct nlattr *match[NFTA_MATCH_MAX + 1];
    char name[sizeof("comment") + 1];

    cnif_nlattr_parse_nested(data, match, NFTA_MATCH_MAX);
    if (cnif_nlattr_str(match[NFTA_MATCH_NAME], name, sizeof(name)) && strcmp(name, "comment") == 0)
        (void)cnif_nlattr_str(match[NFTA_MATCH_INFO], comment, size);
}

static void read_expression(const struct nlattr *item, struct cnif_nft_seen_rule *rule)
{
    const struct nlattr *expr[NFTA_EXPR_MAX + 1];
    char name[sizeof("immediate") + 1];

    cnif_nlattr_parse_nested(item, expr, NFTA_EXPR_MAX);
    if (!cnif_nlattr_str(expr[NFTA_EXPR_NAME], name, sizeof(name)))
        return;
    if (strcmp(name, "immediate") == 0)
        read_jump(expr[NFTA_EXPR_DATA], rule->jump, sizeof(rule->jump));
    else if (strcmp(name, "match") == 0 && !rule->comment[0])
        read_match(expr[NFTA_EXPR_DATA], rule->comment, sizeof(rule->comment));
}

bool cnif_nft_rule_parse(const struct nlmsghdr *nlh, struct cnif_nft_seen_rule *rule)
{
    const struct nlattr *attrs[NFTA_RULE_MAX + 1];
    const struct nlattr *item;
    uint64_t handle = 0;

    if (!is_message(nlh, NFT_MSG_NEWRULE))
        return false;
    cnif_nlattr_parse(nlh, sizeof(struct nfgenmsg), attrs, NFTA_RULE_MAX);
    if (cnif_nlattr_copy(attrs[NFTA_RULE_HANDLE], &handle, sizeof(handle)) != sizeof(handle))
        return false;
    rule->handle = be64toh(handle);
    rule->jump[0] = '\0';
    read_comment(attrs[NFTA_RULE_USERDATA], rule->comment, sizeof(rule->comment));
    rule->expressions = attrs[NFTA_RULE_EXPRESSIONS];
    if (!attrs[NFTA_RULE_EXPRESSIONS])
        return true;
    for (item = cnif_nlattr_each(attrs[NFTA_RULE_EXPRESSIONS], NULL); item;
         item = cnif_nlattr_each(attrs[NFTA_RULE_EXPRESSIONS], item))
        read_expression(item, rule);
    return true;
}
