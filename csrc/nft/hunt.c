#include "nft/hunt.h"

#include "nft/batch.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

#define ATTEMPTS 20

const struct cnif_nft_table cnif_iptables_nat[2] = {{NFPROTO_IPV4, "nat"}, {NFPROTO_IPV6, "nat"}};

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_meant(const struct cnif_hunt *hunt, const struct cnif_nft_seen_rule *rule)
{
    size_t i;

    if (!hunt->prefix)
        return strcmp(rule->jump, hunt->jump) == 0;
    if (hunt->whole)
        return strcmp(rule->comment, hunt->prefix) == 0;
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
    struct cnif_hunt *hunt = arg;
    size_t i;

    if (hunt->count == CNIF_HUNT_MAX || !is_meant(hunt, rule))
        return 0;
    /* A dump that was started over reports a rule again. */
    for (i = 0; i < hunt->count; i++) {
        if (hunt->handles[i] == rule->handle)
            return 0;
    }
    hunt->handles[hunt->count++] = rule->handle;
    return 0;
}

int cnif_hunt_find(struct cnif_nlsock *sock, const struct cnif_nft_table *table, const char *base,
                   struct cnif_hunt *hunt, struct cnif_err *reterr)
{
    hunt->count = 0;
    return cnif_nft_each_rule(sock, table, base, keep_handle, hunt, reterr);
}

/* Delete the rules meant from `base`, then the chains, all in one batch. */
static int remove_some(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                       const char *base, struct cnif_hunt *hunt, const char *const *chains,
                       size_t n_chains, struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[8192];
    struct cnif_nlbuf buf;
    size_t i;
    int r = cnif_hunt_find(sock, table, base, hunt, reterr);

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

int cnif_hunt_rules(struct cnif_nlsock *sock, const struct cnif_nft_table *table, const char *base,
                    struct cnif_hunt *hunt, struct cnif_err *reterr)
{
    unsigned attempt;
    int r = -ENOENT;

    for (attempt = 0; attempt < ATTEMPTS && (r == -ENOENT || hunt->count == CNIF_HUNT_MAX);
         attempt++)
        r = remove_some(sock, table, base, hunt, NULL, 0, reterr);
    return r;
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

int cnif_hunt_chains(struct cnif_nlsock *sock, const struct cnif_nft_table *table, const char *base,
                     struct cnif_hunt *hunt, const char **chains, size_t n_chains,
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

int cnif_hunt_chain(struct cnif_nlsock *sock, const struct cnif_nft_table *table, const char *base,
                    const char *chain, struct cnif_err *reterr)
{
    struct cnif_hunt hunt = {.jump = chain};
    const char *chains[] = {chain};

    return cnif_hunt_chains(sock, table, base, &hunt, chains, 1, reterr);
}

/* Chains that stale rules lead to. */
struct stale {
    const struct cnif_hunt *which;
    char chains[CNIF_HUNT_MAX][CNIF_NFT_NAME_MAX];
    size_t count;
};

static int keep_chain(const struct cnif_nft_seen_rule *rule, void *arg)
{
    struct stale *stale = arg;
    size_t i;

    if (stale->count == CNIF_HUNT_MAX || !begins_with(rule->jump, "CNI-") ||
        !is_meant(stale->which, rule))
        return 0;
    for (i = 0; i < stale->count; i++) {
        if (strcmp(stale->chains[i], rule->jump) == 0)
            return 0;
    }
    (void)snprintf(stale->chains[stale->count++], CNIF_NFT_NAME_MAX, "%s", rule->jump);
    return 0;
}

int cnif_hunt_stale(struct cnif_nlsock *sock, const struct cnif_nft_table *table, const char *base,
                    const struct cnif_hunt *which, struct cnif_err *reterr)
{
    struct stale stale = {.which = which};
    size_t i;
    int r;

    do {
        stale.count = 0;
        r = cnif_nft_each_rule(sock, table, base, keep_chain, &stale, reterr);
        for (i = 0; i < stale.count && r == 0; i++)
            r = cnif_hunt_chain(sock, table, base, stale.chains[i], reterr);
    } while (r == 0 && stale.count);
    return r;
}
