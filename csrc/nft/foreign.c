/*
 * What other implementations leave behind for an attachment, and how to remove
 * it without their programs: masquerade rules with a comment, anti-spoofing
 * chains, and chains that iptables-nft made.
 */
#include "nft/hunt.h"

#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

static const struct cnif_nft_table masq_table = {NFPROTO_INET, "cni_plugins_masquerade"};
static const struct cnif_nft_table spoof_table = {NFPROTO_BRIDGE, "nat"};

#define MASQ_CHAIN  "masq_checks"
#define POSTROUTING "POSTROUTING"

int cnif_foreign_masq_gc(struct cnif_nlsock *sock, const char *prefix, const char *const *keep,
                         size_t n_keep, struct cnif_err *reterr)
{
    struct cnif_hunt hunt = {.prefix = prefix, .keep = keep, .n_keep = n_keep};

    return cnif_hunt_rules(sock, &masq_table, MASQ_CHAIN, &hunt, reterr);
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
    cnif_nft_chain_get(&buf, &cnif_iptables_nat[0], chain);
    cnif_nft_chain_get(&buf, &cnif_iptables_nat[1], chain);
    cnif_nft_chain_get(&buf, &spoof_table, names->port);
    cnif_nft_chain_get(&buf, &spoof_table, names->mac);
    return cnif_nft_probe(sock, &buf, chain, &genid, ret_has, reterr);
}

int cnif_foreign_find(struct cnif_nlsock *sock, const struct cnif_foreign *foreign,
                      unsigned *ret_found, struct cnif_err *reterr)
{
    struct cnif_hunt hunt = {.prefix = foreign->masq_prefix};
    struct spoof_names names;
    uint64_t has;
    int r;

    name_spoof(&names, foreign->spoof_id ? foreign->spoof_id : "");
    r = find(sock, foreign, &names, &has, reterr);
    if (r == 0 && foreign->masq_prefix && has & HAS_MASQ)
        r = cnif_hunt_find(sock, &masq_table, MASQ_CHAIN, &hunt, reterr);
    if (r < 0)
        return r;
    *ret_found = (hunt.count ? CNIF_FOREIGN_MASQ : 0) |
                 (has & HAS_IPTABLES ? CNIF_FOREIGN_IPTABLES : 0) |
                 (has & HAS_IP6TABLES ? CNIF_FOREIGN_IP6TABLES : 0) |
                 (has & HAS_SPOOF ? CNIF_FOREIGN_SPOOF : 0);
    return 0;
}

int cnif_iptables_gc(struct cnif_nlsock *sock, const char *prefix, const char *const *keep,
                     size_t n_keep, struct cnif_err *reterr)
{
    struct cnif_hunt hunt = {.prefix = prefix, .keep = keep, .n_keep = n_keep};
    int r = cnif_hunt_stale(sock, &cnif_iptables_nat[0], POSTROUTING, &hunt, reterr);

    return r < 0 ? r : cnif_hunt_stale(sock, &cnif_iptables_nat[1], POSTROUTING, &hunt, reterr);
}

int cnif_foreign_delete(struct cnif_nlsock *sock, const struct cnif_foreign *foreign,
                        struct cnif_err *reterr)
{
    struct spoof_names names;
    struct cnif_hunt hunt = {.prefix = foreign->masq_prefix};
    uint64_t has;
    int r;

    name_spoof(&names, foreign->spoof_id ? foreign->spoof_id : "");
    r = find(sock, foreign, &names, &has, reterr);
    if (r == 0 && foreign->masq_prefix && has & HAS_MASQ)
        r = cnif_hunt_rules(sock, &masq_table, MASQ_CHAIN, &hunt, reterr);
    if (r == 0 && foreign->iptables_chain && has & HAS_IPTABLES)
        r = cnif_hunt_chain(sock, &cnif_iptables_nat[0], POSTROUTING, foreign->iptables_chain,
                            reterr);
    if (r == 0 && foreign->iptables_chain && has & HAS_IP6TABLES)
        r = cnif_hunt_chain(sock, &cnif_iptables_nat[1], POSTROUTING, foreign->iptables_chain,
                            reterr);
    if (r == 0 && foreign->spoof_id && has & HAS_SPOOF) {
        const char *chains[] = {names.port, names.mac};
        struct cnif_hunt jump = {.jump = names.port};

        r = cnif_hunt_chains(sock, &spoof_table, "PREROUTING", &jump, chains, 2, reterr);
    }
    return r;
}
