/*
 * The wire form of a filter:
 *
 *   | nlmsghdr | tcmsg: device, parent, priority and protocol | TCA_KIND |
 *   | TCA_OPTIONS [ class, selector with its keys, actions [ 1 [ kind, options [ parms ] ] ] ] |
 */
#include "rtnl/filter.h"

#include "netlink/nlparse.h"
#include "rtnl/addr.h"
#include "rtnl/qdisc.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <string.h>
#include <sys/socket.h>

#define WORD sizeof(uint32_t)

/* Where source and destination stand in the two headers. */
#define IPV4_SOURCE      12
#define IPV4_DESTINATION 16
#define IPV6_SOURCE      8
#define IPV6_DESTINATION 24

/* Filters of one priority are of one protocol. */
#define PRIORITY_ALL  1
#define PRIORITY_IPV6 15
#define PRIORITY_IPV4 16

void cnif_filter_redirect(struct cnif_filter *ret, int32_t index)
{
    /* One key that has no bits to compare. */
    *ret = (struct cnif_filter){
        .protocol = ETH_P_ALL, .priority = PRIORITY_ALL, .redirect = index, .n_keys = 1};
}

static void set_mask(uint8_t *mask, size_t size, unsigned prefix)
{
    size_t i;

    for (i = 0; i < size; i++, prefix -= prefix < 8 ? prefix : 8)
        mask[i] = (uint8_t)(0xff00U >> (prefix < 8 ? prefix : 8));
}

void cnif_filter_subnet(struct cnif_filter *ret, const struct cnif_ip *subnet, bool from,
                        uint32_t class)
{
    bool v4 = subnet->family == AF_INET;
    size_t size = cnif_ip_size(subnet->family), at;
    struct cnif_filter filter = {.protocol = v4 ? ETH_P_IP : ETH_P_IPV6,
                                 .priority = v4 ? PRIORITY_IPV4 : PRIORITY_IPV6,
                                 .class = class};
    int32_t offset =
        v4 ? (from ? IPV4_SOURCE : IPV4_DESTINATION) : (from ? IPV6_SOURCE : IPV6_DESTINATION);
    uint8_t mask[sizeof(subnet->bytes)];

    set_mask(mask, size, subnet->prefix);
    for (at = 0; at < size && mask[at]; at += WORD) {
        struct cnif_filter_key *key = &filter.keys[filter.n_keys++];
        size_t i;

        key->offset = offset + (int32_t)at;
        for (i = 0; i < WORD; i++) {
            key->mask[i] = mask[at + i];
            key->value[i] = subnet->bytes[at + i] & mask[at + i];
        }
    }
    if (!filter.n_keys)
        filter.n_keys = 1;
    *ret = filter;
}

static void put_selector(struct cnif_nlbuf *buf, const struct cnif_filter *filter)
{
    struct tc_u32_sel head = {.flags = TC_U32_TERMINAL, .nkeys = (unsigned char)filter->n_keys};
    uint8_t selector[sizeof(head) + CNIF_FILTER_KEYS * sizeof(struct tc_u32_key)];
    size_t size = sizeof(head);
    unsigned i;

    memcpy(selector, &head, sizeof(head));
    for (i = 0; i < filter->n_keys; i++) {
        struct tc_u32_key key = {.off = filter->keys[i].offset};

        memcpy(&key.mask, filter->keys[i].mask, sizeof(key.mask));
        memcpy(&key.val, filter->keys[i].value, sizeof(key.val));
        memcpy(selector + size, &key, sizeof(key));
        size += sizeof(key);
    }
    cnif_nlattr_put(buf, TCA_U32_SEL, selector, size);
}

static void put_redirect(struct cnif_nlbuf *buf, int32_t index)
{
    struct tc_mirred parms = {
        .action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)index};
    size_t actions = cnif_nlattr_nest(buf, TCA_U32_ACT);
    size_t first = cnif_nlattr_nest(buf, 1);
    size_t options;

    cnif_nlattr_put_str(buf, TCA_ACT_KIND, "mirred");
    options = cnif_nlattr_nest(buf, TCA_ACT_OPTIONS);
    cnif_nlattr_put(buf, TCA_MIRRED_PARMS, &parms, sizeof(parms));
    cnif_nlattr_nest_end(buf, options);
    cnif_nlattr_nest_end(buf, first);
    cnif_nlattr_nest_end(buf, actions);
}

void cnif_filter_put_add(struct cnif_nlbuf *buf, int32_t index, uint32_t parent,
                         const struct cnif_filter *filter, const char *step)
{
    struct tcmsg *tcm = cnif_nlmsg_begin(buf, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
                                         sizeof(*tcm), step);
    size_t nest;

    tcm->tcm_ifindex = index;
    tcm->tcm_parent = parent;
    tcm->tcm_info = TC_H_MAKE((uint32_t)filter->priority << 16, htons(filter->protocol));
    cnif_nlattr_put_str(buf, TCA_KIND, "u32");
    nest = cnif_nlattr_nest(buf, TCA_OPTIONS);
    if (filter->class)
        cnif_nlattr_put_u32(buf, TCA_U32_CLASSID, filter->class);
    put_selector(buf, filter);
    if (filter->redirect)
        put_redirect(buf, filter->redirect);
    cnif_nlattr_nest_end(buf, nest);
    cnif_nlmsg_end(buf);
}

/* The device of the first action that redirects; 0 where there is none. */
static int32_t parse_actions(const struct nlattr *actions)
{
    const struct nlattr *at = NULL;

    while (actions && (at = cnif_nlattr_each(actions, at))) {
        const struct nlattr *attrs[TCA_ACT_OPTIONS + 1], *options[TCA_MIRRED_PARMS + 1];
        struct tc_mirred parms = {0};
        char kind[CNIF_IFNAME_MAX];

        cnif_nlattr_parse_nested(at, attrs, TCA_ACT_OPTIONS);
        if (!cnif_nlattr_str(attrs[TCA_ACT_KIND], kind, sizeof(kind)) ||
            strcmp(kind, "mirred") != 0)
            continue;
        cnif_nlattr_parse_nested(attrs[TCA_ACT_OPTIONS], options, TCA_MIRRED_PARMS);
        (void)cnif_nlattr_copy(options[TCA_MIRRED_PARMS], &parms, sizeof(parms));
        if (parms.eaction == TCA_EGRESS_REDIR)
            return (int32_t)parms.ifindex;
    }
    return 0;
}

static bool parse_selector(const struct nlattr *selector, struct cnif_filter *filter)
{
    const uint8_t *keys;
    struct tc_u32_sel head;
    unsigned i;

    if (cnif_nlattr_copy(selector, &head, sizeof(head)) < sizeof(head) ||
        cnif_nlattr_size(selector) < sizeof(head) + head.nkeys * sizeof(struct tc_u32_key))
        return false;
    keys = (const uint8_t *)cnif_nlattr_data(selector) + sizeof(head);
    filter->n_keys = head.nkeys;
    for (i = 0; i < head.nkeys && i < CNIF_FILTER_KEYS; i++) {
        struct tc_u32_key key;

        memcpy(&key, keys + i * sizeof(key), sizeof(key));
        memcpy(filter->keys[i].mask, &key.mask, sizeof(filter->keys[i].mask));
        memcpy(filter->keys[i].value, &key.val, sizeof(filter->keys[i].value));
        filter->keys[i].offset = key.off;
    }
    return true;
}

bool cnif_filter_parse(const struct nlmsghdr *nlh, struct cnif_filter *ret)
{
    const struct nlattr *options, *attrs[TCA_U32_ACT + 1];
    struct cnif_filter found = {0};
    char kind[CNIF_IFNAME_MAX];
    const struct tcmsg *tcm = cnif_tcmsg_parse(nlh, RTM_NEWTFILTER, &options, kind);

    if (!tcm || strcmp(kind, "u32") != 0)
        return false;
    cnif_nlattr_parse_nested(options, attrs, TCA_U32_ACT);
    if (!parse_selector(attrs[TCA_U32_SEL], &found)) /* a hash table has none */
        return false;
    found.priority = (uint16_t)(tcm->tcm_info >> 16);
    found.protocol = ntohs((uint16_t)tcm->tcm_info);
    found.class = cnif_nlattr_u32(attrs[TCA_U32_CLASSID], 0);
    found.redirect = parse_actions(attrs[TCA_U32_ACT]);
    *ret = found;
    return true;
}

bool cnif_filter_equal(const struct cnif_filter *one, const struct cnif_filter *other)
{
    return one->protocol == other->protocol && one->class == other->class &&
           one->redirect == other->redirect && one->n_keys == other->n_keys &&
           one->n_keys <= CNIF_FILTER_KEYS &&
           memcmp(one->keys, other->keys, one->n_keys * sizeof(one->keys[0])) == 0;
}
