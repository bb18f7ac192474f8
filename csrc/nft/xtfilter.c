#include "nft/xtfilter.h"

#include "base/err.h"
#include "nft/look.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE   "FORWARD"
#define ACCEPT "CNI-FORWARD"
#define STAGE1 "CNI-ISOLATION-STAGE-1"
#define STAGE2 "CNI-ISOLATION-STAGE-2"

#define SAID          "CNI firewall plugin rules"
#define SAID_ADMIN    "CNI firewall plugin admin overrides"
#define SAID_POLICIES SAID " (ingressPolicy: same-bridge|isolated)"
#define SAID_SAME     SAID " (ingressPolicy: same-bridge)"
#define SAID_ISOLATED SAID " (ingressPolicy: isolated)"

static struct cnif_nft_table table_of(const struct cnif_nft_family *family)
{
    return (struct cnif_nft_table){family->proto, "filter"};
}

static struct cnif_xt_rule *place(struct cnif_xt_filter *filter, const char *chain, bool first)
{
    struct cnif_xt_place *at = &filter->places[filter->count++];

    *at = (struct cnif_xt_place){.chain = chain, .first = first, .keeper = -1};
    return &at->rule;
}

/* The rule that was placed last is remembered. */
static void keep(struct cnif_xt_filter *filter, int keeper)
{
    filter->places[filter->count - 1].keeper = keeper;
}

static void place_accept(struct cnif_xt_filter *filter, const char *admin,
                         const struct cnif_ip *ips, size_t count)
{
    size_t i;

    *place(filter, BASE, true) =
        (struct cnif_xt_rule){.comment = SAID, .code = NFT_JUMP, .chain = ACCEPT};
    keep(filter, 0);
    *place(filter, ACCEPT, true) =
        (struct cnif_xt_rule){.comment = SAID_ADMIN, .code = NFT_JUMP, .chain = admin};
    keep(filter, 1);
    for (i = 0; i < count; i++) {
        if (ips[i].family != filter->family->family)
            continue;
        *place(filter, ACCEPT, false) =
            (struct cnif_xt_rule){.to = ips[i].bytes, .tracked = true, .code = NF_ACCEPT};
        *place(filter, ACCEPT, false) =
            (struct cnif_xt_rule){.from = ips[i].bytes, .code = NF_ACCEPT};
    }
}

static void place_policy(struct cnif_xt_filter *filter, const char *bridge, bool isolated)
{
    const char *said = isolated ? SAID_ISOLATED : SAID_SAME;

    *place(filter, BASE, true) =
        (struct cnif_xt_rule){.comment = SAID_POLICIES, .code = NFT_JUMP, .chain = STAGE1};
    keep(filter, 2);
    *place(filter, STAGE1, true) = (struct cnif_xt_rule){.iif = bridge,
                                                         .oif = bridge,
                                                         .not_oif = true,
                                                         .comment = said,
                                                         .code = NFT_JUMP,
                                                         .chain = STAGE2};
    if (isolated)
        *place(filter, STAGE1, true) =
            (struct cnif_xt_rule){.iif = bridge, .oif = bridge, .comment = said, .code = NF_DROP};
    *place(filter, STAGE1, false) =
        (struct cnif_xt_rule){.comment = SAID_POLICIES, .code = NFT_RETURN};
    *place(filter, STAGE2, true) =
        (struct cnif_xt_rule){.oif = bridge, .comment = SAID_POLICIES, .code = NF_DROP};
    *place(filter, STAGE2, false) =
        (struct cnif_xt_rule){.comment = SAID_POLICIES, .code = NFT_RETURN};
}

void cnif_xt_filter_init(struct cnif_xt_filter *filter, const struct cnif_nft_family *family,
                         const struct cnif_firewall *firewall, const struct cnif_ip *ips,
                         size_t count)
{
    *filter = (struct cnif_xt_filter){.family = family, .firewall = firewall};
    if (firewall->admin)
        place_accept(filter, firewall->admin, ips, count);
    if (firewall->bridge)
        place_policy(filter, firewall->bridge, firewall->isolated);
}

/* A chain that is being read. */
struct reading {
    struct cnif_xt_filter *filter;
    const char *chain;
};

static int mark_found(const struct cnif_nft_seen_rule *rule, void *arg)
{
    const struct reading *reading = arg;
    struct cnif_xt_filter *filter = reading->filter;
    struct cnif_xt_seen seen;
    size_t i;

    cnif_xt_rule_read(&seen, filter->family, rule->expressions);
    for (i = 0; i < filter->count; i++) {
        struct cnif_xt_place *at = &filter->places[i];

        if (!at->found && strcmp(at->chain, reading->chain) == 0 &&
            cnif_xt_rule_is(&seen, &at->rule)) {
            at->found = true;
            at->handle = rule->handle;
            return 0;
        }
    }
    return 0;
}

static bool is_fixed(const struct cnif_xt_place *at)
{
    return !at->rule.from && !at->rule.to;
}

/* Whether a chain has to be read: something of it has not been seen. */
static bool is_asked(const struct cnif_xt_filter *filter, const char *chain, bool addresses)
{
    size_t i;

    for (i = 0; i < filter->count; i++) {
        const struct cnif_xt_place *at = &filter->places[i];

        if (!at->found && (addresses || is_fixed(at)) && strcmp(at->chain, chain) == 0)
            return true;
    }
    return false;
}

int cnif_xt_filter_look(struct cnif_nlsock *sock, struct cnif_xt_filter *filter, bool addresses,
                        struct cnif_err *reterr)
{
    static const char *const chains[] = {BASE, ACCEPT, STAGE1, STAGE2};
    const struct cnif_nft_table table = table_of(filter->family);
    size_t i;
    int r = 0;

    for (i = 0; i < sizeof(chains) / sizeof(chains[0]) && r == 0; i++) {
        struct reading reading = {filter, chains[i]};

        if (is_asked(filter, chains[i], addresses))
            r = cnif_nft_each_rule(sock, &table, chains[i], mark_found, &reading, reterr);
    }
    filter->complete = true;
    for (i = 0; i < filter->count; i++)
        filter->complete &= filter->places[i].found || !is_fixed(&filter->places[i]);
    return r;
}

static void read_kept(const char *kept, uint64_t handles[CNIF_XT_KEPT])
{
    size_t i;

    for (i = 0; i < CNIF_XT_KEPT; i++) {
        char *end;

        handles[i] = strtoull(kept, &end, 10);
        kept = end;
    }
}

/* Rules that are got by their handles, in the order of the requests. */
struct recall {
    const struct cnif_nft_family *family;
    struct cnif_xt_place *asked[CNIF_XT_KEPT];
    uint64_t handles[CNIF_XT_KEPT];
};

static int recalled(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    struct recall *recall = arg;
    struct cnif_nft_seen_rule rule;
    struct cnif_xt_seen seen;

    if (index >= CNIF_XT_KEPT || !recall->asked[index] || !cnif_nft_rule_parse(nlh, &rule))
        return 0;
    cnif_xt_rule_read(&seen, recall->family, rule.expressions);
    if (rule.handle == recall->handles[index] &&
        cnif_xt_rule_is(&seen, &recall->asked[index]->rule)) {
        recall->asked[index]->found = true;
        recall->asked[index]->handle = rule.handle;
    }
    return 0;
}

int cnif_xt_filter_recall(struct cnif_nlsock *sock, struct cnif_xt_filter *filter, const char *kept,
                          struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[1024];
    const struct cnif_nft_table table = table_of(filter->family);
    struct recall recall = {.family = filter->family};
    uint64_t handles[CNIF_XT_KEPT];
    struct cnif_nlbuf buf;
    size_t i;
    int r;

    read_kept(kept, handles);
    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (i = 0; i < filter->count; i++) {
        struct cnif_xt_place *at = &filter->places[i];

        if (at->keeper < 0 || !handles[at->keeper])
            continue;
        recall.asked[buf.count] = at;
        recall.handles[buf.count] = handles[at->keeper];
        cnif_nft_rule_get(&buf, &table, at->chain, handles[at->keeper]);
    }
    if (!buf.count)
        return 0;
    r = cnif_nlsock_talk(sock, &buf, table.name, recalled, &recall, NULL, reterr);
    return r == -ENOENT ? 0 : r; /* it will be looked for */
}

void cnif_xt_filter_remember(const struct cnif_xt_filter *filter, const char *kept,
                             char text[CNIF_XT_KEPT_MAX])
{
    uint64_t handles[CNIF_XT_KEPT];
    size_t i;

    read_kept(kept, handles);
    for (i = 0; i < filter->count; i++) {
        const struct cnif_xt_place *at = &filter->places[i];

        if (at->keeper >= 0 && at->handle)
            handles[at->keeper] = at->handle;
    }
    (void)snprintf(text, CNIF_XT_KEPT_MAX, "%" PRIu64 " %" PRIu64 " %" PRIu64, handles[0],
                   handles[1], handles[2]);
}

/* Chains that are there already stay as they are. */
static void write_chains(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                         const struct cnif_firewall *firewall)
{
    static const struct cnif_nft_hook hook = {"filter", NF_INET_FORWARD, 0};

    cnif_nft_table_add(buf, table);
    cnif_nft_chain_add(buf, table, BASE, &hook);
    if (firewall->admin) {
        cnif_nft_chain_add(buf, table, firewall->admin, NULL);
        cnif_nft_chain_add(buf, table, ACCEPT, NULL);
    }
    if (firewall->bridge) {
        cnif_nft_chain_add(buf, table, STAGE1, NULL);
        cnif_nft_chain_add(buf, table, STAGE2, NULL);
    }
}

void cnif_xt_filter_write(struct cnif_nlbuf *buf, const struct cnif_xt_filter *filter)
{
    const struct cnif_nft_table table = table_of(filter->family);
    size_t i;

    if (!filter->complete)
        write_chains(buf, &table, filter->firewall);
    for (i = 0; i < filter->count; i++) {
        const struct cnif_xt_place *at = &filter->places[i];
        size_t rule;

        if (at->found)
            continue;
        rule = at->first ? cnif_nft_rule_begin_first(buf, &table, at->chain)
                         : cnif_nft_rule_begin(buf, &table, at->chain);
        cnif_xt_rule_put(buf, filter->family, &at->rule);
        cnif_nft_rule_end(buf, rule, NULL);
    }
}

int cnif_xt_filter_require(const struct cnif_xt_filter *filter, struct cnif_err *reterr)
{
    size_t i;

    for (i = 0; i < filter->count; i++) {
        const struct cnif_xt_place *at = &filter->places[i];
        const uint8_t *address = at->rule.from ? at->rule.from : at->rule.to;
        char text[INET6_ADDRSTRLEN];

        if (at->found)
            continue;
        if (!address)
            return cnif_err_set(reterr, ENOENT, "IPv%c: chain %s of iptables lacks a rule \"%s\"",
                                filter->family->digit, at->chain, at->rule.comment);
        (void)inet_ntop(filter->family->family, address, text, sizeof(text));
        return cnif_err_set(reterr, ENOENT, "chain %s of iptables lacks a rule for %s", at->chain,
                            text);
    }
    return 0;
}

/* The rules that are to be removed. */
struct doomed {
    const struct cnif_xt_filter *filter;
    uint64_t handles[CNIF_XT_HANDLES];
    size_t count;
};

static int keep_handle(const struct cnif_nft_seen_rule *rule, void *arg)
{
    struct doomed *doomed = arg;
    const struct cnif_xt_filter *filter = doomed->filter;
    struct cnif_xt_seen seen;
    size_t i;

    for (i = 0; i < doomed->count; i++) {
        if (doomed->handles[i] == rule->handle)
            return 0; /* a dump that was started over reports a rule again */
    }
    cnif_xt_rule_read(&seen, filter->family, rule->expressions);
    for (i = 0; i < filter->count && doomed->count < CNIF_XT_HANDLES; i++) {
        const struct cnif_xt_place *at = &filter->places[i];

        if (!is_fixed(at) && cnif_xt_rule_is(&seen, &at->rule)) {
            doomed->handles[doomed->count++] = rule->handle;
            return 0;
        }
    }
    return 0;
}

int cnif_xt_filter_remove(struct cnif_nlsock *sock, struct cnif_nlbuf *buf,
                          const struct cnif_xt_filter *filter, bool *ret_more,
                          struct cnif_err *reterr)
{
    const struct cnif_nft_table table = table_of(filter->family);
    struct doomed doomed = {.filter = filter};
    size_t i;
    int r = cnif_nft_each_rule(sock, &table, ACCEPT, keep_handle, &doomed, reterr);

    if (r < 0)
        return r;
    for (i = 0; i < doomed.count; i++)
        cnif_nft_rule_delete(buf, &table, ACCEPT, doomed.handles[i]);
    *ret_more |= doomed.count == CNIF_XT_HANDLES;
    return 0;
}
