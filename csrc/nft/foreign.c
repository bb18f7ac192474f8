/*
 * What other implementations leave behind for an attachment, and how to remove
 * it without their programs: masquerade rules with a comment, anti-spoofing
 * chains, and chains that iptables-nft made.
 *
 * Rules are deleted by handle.  A handle is never given twice, so a rule that
 * somebody else deletes meanwhile is noticed (ENOENT) and nothing else is hit.
 */
#include "nft/look.h"

#include "base/err.h"
#include "nft/batch.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

#define ATTEMPTS  20
#define RULES_MAX 32 /* deleted in one batch */

static const struct cnif_nft_table masq_table = {NFPROTO_INET, "cni_plugins_masquerade"};
static const struct cnif_nft_table spoof_table = {NFPROTO_BRIDGE, "nat"};
static const struct cnif_nft_table iptables_tables[] = {{NFPROTO_IPV4, "nat"},
                                                        {NFPROTO_IPV6, "nat"}};

#define MASQ_CHAIN "masq_checks"

/* Which rules of a chain are meant, and those found. */
struct hunt {
    const char *prefix; /* of the comment; NULL: by jump */
    const char *jump;
    const char *const *keep; /* prefixes of comments to spare */
    size_t n_keep;
    uint64_t handles[RULES_MAX];
    size_t count;
};

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_meant(const struct hunt *hunt, const struct cnif_nft_seen_rule *rule)
{
    size_t i;

    if (!hunt->prefix)
        return strcmp(rule->jump, hunt->jump) == 0;
    if (!begins_with(rule->comment, hunt->prefix))
        return false;
    for (i = 0; i < hunt->n_keep; i++) {
        if (begins_with(rule->comment, hunt->keep[i]))
            return false;
    }
    return true;
}

static int keep_handle(const struct cnif_nft_seen_rule *rule, void *arg)
{
    struct hunt *hunt = arg;
    size_t i;

    if (hunt->count == RULES_MAX || !is_meant(hunt, rule))
        return 0;
    /* A dump that was started over reports a rule again. */
    for (i = 0; i < hunt->count; i++) {
        if (hunt->handles[i] == rule->handle)
            return 0;
    }
    hunt->handles[hunt->count++] = rule->handle;
    return 0;
}

/* Delete the rules meant from `base`, then the chains, all in one batch. */
static int remove_some(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                       const char *base, struct hunt *hunt, const char *const *chains,
                       size_t n_chains, struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[8192];
    struct cnif_nlbuf buf;
    size_t i;
    int r;

    hunt->count = 0;
    r = cnif_nft_each_rule(sock, table, base, keep_handle, hunt, reterr);
    if (r < 0 || (!hunt->count && !n_chains))
        return r;
    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_batch_begin(&buf, 0);
    for (i = 0; i < hunt->count; i++)
        cnif_nft_rule_delete(&buf, table, base, hunt->handles[i]);
    for (i = 0; i < n_chains; i++)
        cnif_nft_rule_delete(&buf, table, chains[i], 0);
    for (i = 0; i < n_chains; i++)
        cnif_nft_chain_delete(&buf, table, chains[i]);
    return cnif_nft_batch_commit(sock, &buf, base, reterr);
}

/* The chains of `chains` that are there, in place. */
static int find_chains(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                       const char **chains, size_t *n_chains, struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[2048];
    struct cnif_nlbuf buf;
    uint32_t genid;
    uint64_t found;
    size_t there = 0;
    size_t i;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_gen_get(&buf);
    for (i = 0; i < *n_chains; i++)
        cnif_nft_chain_get(&buf, table, chains[i]);
    r = cnif_nft_probe(sock, &buf, chains[0], &genid, &found, reterr);
    if (r < 0)
        return r;
    for (i = 0; i < *n_chains; i++) {
        if (found & UINT64_C(2) << i)
            chains[there++] = chains[i];
    }
    *n_chains = there;
    return 0;
}

/* Rules that lead to the chains, and the chains, in whatever state they are left. */
static int remove_chains(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                         const char *base, struct hunt *hunt, const char **chains, size_t n_chains,
                         struct cnif_err *reterr)
{
    unsigned attempt;
    int r = -ENOENT;

    for (attempt = 0; attempt < ATTEMPTS && r == -ENOENT; attempt++) {
        r = find_chains(sock, table, chains, &n_chains, reterr);
        if (r < 0 || !n_chains)
            return r;
        r = remove_some(sock, table, base, hunt, chains, n_chains, reterr);
    }
    return r;
}

static int delete_masq(struct cnif_nlsock *sock, struct hunt *hunt, struct cnif_err *reterr)
{
    unsigned attempt;
    int r = -ENOENT;

    for (attempt = 0; attempt < ATTEMPTS && (r == -ENOENT || hunt->count == RULES_MAX); attempt++)
        r = remove_some(sock, &masq_table, MASQ_CHAIN, hunt, NULL, 0, reterr);
    return r;
}

int cnif_foreign_masq_gc(struct cnif_nlsock *sock, const char *prefix, const char *const *keep,
                         size_t n_keep, struct cnif_err *reterr)
{
    struct hunt hunt = {.prefix = prefix, .keep = keep, .n_keep = n_keep};

    return delete_masq(sock, &hunt, reterr);
}

/* The bits of a probe, in the order of its requests. */
#define HAS_MASQ      (UINT64_C(1) << 1)
#define HAS_IPTABLES  (UINT64_C(1) << 2)
#define HAS_IP6TABLES (UINT64_C(1) << 3)
#define HAS_SPOOF     (UINT64_C(3) << 4)

/* "cni-br-iface-ID" and "cni-br-iface-ID-mac"; empty where no chain can have such a name. */
struct spoof_names {
    char port[CNIF_NFT_NAME_MAX];
    char mac[CNIF_NFT_NAME_MAX];
};

static void name_spoof(struct spoof_names *names, const char *id)
{
    size_t size = strlen(id) + sizeof("cni-br-iface--mac");

    names->port[0] = names->mac[0] = '\0';
    if (size > sizeof(names->mac))
        return;
    (void)snprintf(names->port, sizeof(names->port), "cni-br-iface-%s", id);
    (void)snprintf(names->mac, sizeof(names->mac), "cni-br-iface-%s-mac", id);
}

static int find(struct cnif_nlsock *sock, const struct cnif_foreign *foreign,
                const struct spoof_names *names, uint64_t *ret_has, struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[4096];
    const char *chain = foreign->iptables_chain ? foreign->iptables_chain : "";
    struct cnif_nlbuf buf;
    uint32_t genid;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_gen_get(&buf);
    cnif_nft_chain_get(&buf, &masq_table, MASQ_CHAIN);
    cnif_nft_chain_get(&buf, &iptables_tables[0], chain);
    cnif_nft_chain_get(&buf, &iptables_tables[1], chain);
    cnif_nft_chain_get(&buf, &spoof_table, names->port);
    cnif_nft_chain_get(&buf, &spoof_table, names->mac);
    return cnif_nft_probe(sock, &buf, chain, &genid, ret_has, reterr);
}

int cnif_foreign_find(struct cnif_nlsock *sock, const struct cnif_foreign *foreign,
                      unsigned *ret_found, struct cnif_err *reterr)
{
    struct hunt hunt = {.prefix = foreign->masq_prefix};
    struct spoof_names names;
    uint64_t has;
    int r;

    name_spoof(&names, foreign->spoof_id ? foreign->spoof_id : "");
    r = find(sock, foreign, &names, &has, reterr);
    if (r == 0 && foreign->masq_prefix && has & HAS_MASQ)
        r = cnif_nft_each_rule(sock, &masq_table, MASQ_CHAIN, keep_handle, &hunt, reterr);
    if (r < 0)
        return r;
    *ret_found = (hunt.count ? CNIF_FOREIGN_MASQ : 0) |
                 (has & HAS_IPTABLES ? CNIF_FOREIGN_IPTABLES : 0) |
                 (has & HAS_IP6TABLES ? CNIF_FOREIGN_IP6TABLES : 0) |
                 (has & HAS_SPOOF ? CNIF_FOREIGN_SPOOF : 0);
    return 0;
}

static int delete_iptables(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                           const char *chain, struct cnif_err *reterr)
{
    struct hunt hunt = {.jump = chain};
    const char *chains[] = {chain};

    return remove_chains(sock, table, "POSTROUTING", &hunt, chains, 1, reterr);
}

/* Chains that stale rules lead to. */
struct stale {
    struct hunt hunt; /* for its prefixes */
    char chains[RULES_MAX][CNIF_NFT_NAME_MAX];
    size_t count;
};

static int keep_chain(const struct cnif_nft_seen_rule *rule, void *arg)
{
    struct stale *stale = arg;
    size_t i;

    if (stale->count == RULES_MAX || !begins_with(rule->jump, "CNI-") ||
        !is_meant(&stale->hunt, rule))
        return 0;
    for (i = 0; i < stale->count; i++) {
        if (strcmp(stale->chains[i], rule->jump) == 0)
            return 0;
    }
    (void)snprintf(stale->chains[stale->count++], CNIF_NFT_NAME_MAX, "%s", rule->jump);
    return 0;
}

static int collect_iptables(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                            struct stale *stale, struct cnif_err *reterr)
{
    size_t i;
    int r;

    do {
        stale->count = 0;
        r = cnif_nft_each_rule(sock, table, "POSTROUTING", keep_chain, stale, reterr);
        for (i = 0; i < stale->count && r == 0; i++)
            r = delete_iptables(sock, table, stale->chains[i], reterr);
    } while (r == 0 && stale->count);
    return r;
}

int cnif_iptables_gc(struct cnif_nlsock *sock, const char *prefix, const char *const *keep,
                     size_t n_keep, struct cnif_err *reterr)
{
    struct stale stale = {.hunt = {.prefix = prefix, .keep = keep, .n_keep = n_keep}};
    int r = collect_iptables(sock, &iptables_tables[0], &stale, reterr);

    return r < 0 ? r : collect_iptables(sock, &iptables_tables[1], &stale, reterr);
}

int cnif_foreign_delete(struct cnif_nlsock *sock, const struct cnif_foreign *foreign,
                        struct cnif_err *reterr)
{
    struct spoof_names names;
    struct hunt hunt = {.prefix = foreign->masq_prefix};
    uint64_t has;
    int r;

    name_spoof(&names, foreign->spoof_id ? foreign->spoof_id : "");
    r = find(sock, foreign, &names, &has, reterr);
    if (r == 0 && foreign->masq_prefix && has & HAS_MASQ)
        r = delete_masq(sock, &hunt, reterr);
    if (r == 0 && foreign->iptables_chain && has & HAS_IPTABLES)
        r = delete_iptables(sock, &iptables_tables[0], foreign->iptables_chain, reterr);
    if (r == 0 && foreign->iptables_chain && has & HAS_IP6TABLES)
        r = delete_iptables(sock, &iptables_tables[1], foreign->iptables_chain, reterr);
    if (r == 0 && foreign->spoof_id && has & HAS_SPOOF) {
        const char *chains[] = {names.port, names.mac};
        struct hunt jump = {.jump = names.port};

        r = remove_chains(sock, &spoof_table, "PREROUTING", &jump, chains, 2, reterr);
    }
    return r;
}
