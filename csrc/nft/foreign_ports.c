/*
 * Host ports that the reference made, in either of its ways: a chain per container in the
 * nat tables of iptables, which the chain for all of them jumps to, or rules in tables
 * of its own whose comment is the container's ID.
 */
#include "nft/hunt.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <string.h>
#include <sys/socket.h>

#define DNAT_CHAIN "CNI-HOSTPORT-DNAT"

static const struct cnif_nft_table tables[] = {{NFPROTO_IPV4, "cni_hostport"},
                                               {NFPROTO_IPV6, "cni_hostport"}};
static const char *const chains[] = {"hostports", "hostip_hostports", "masquerading"};

#define N_CHAINS (sizeof(chains) / sizeof(chains[0]))

/* The bits of a probe, in the order of its requests. */
#define HAS_IPTABLES(i)  (UINT64_C(1) << (1 + (i)))
#define HAS_HOSTPORTS(i) (UINT64_C(1) << (3 + (i)))

static int find(struct cnif_nlsock *sock, const struct cnif_foreign_ports *foreign,
                uint64_t *ret_has, struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[1024];
    struct cnif_nlbuf buf;
    uint32_t genid;
    int i;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_gen_get(&buf);
    for (i = 0; i < 2; i++)
        cnif_nft_chain_get(&buf, &cnif_iptables_nat[i], foreign->iptables_chain);
    for (i = 0; i < 2; i++)
        cnif_nft_chain_get(&buf, &tables[i], chains[0]);
    return cnif_nft_probe(sock, &buf, foreign->iptables_chain, &genid, ret_has, reterr);
}

int cnif_foreign_ports_find(struct cnif_nlsock *sock, const struct cnif_foreign_ports *foreign,
                            unsigned *ret_found, struct cnif_err *reterr)
{
    struct cnif_hunt hunt = {.prefix = foreign->comment, .whole = true};
    uint64_t has;
    unsigned found;
    int i;
    int r = find(sock, foreign, &has, reterr);

    if (r < 0)
        return r;
    found = (has & HAS_IPTABLES(0) ? CNIF_FOREIGN_IPTABLES : 0) |
            (has & HAS_IPTABLES(1) ? CNIF_FOREIGN_IP6TABLES : 0);
    for (i = 0; i < 2 && r == 0; i++) {
        if (has & HAS_HOSTPORTS(i))
            r = cnif_hunt_find(sock, &tables[i], chains[0], &hunt, reterr);
        if (hunt.count)
            found |= CNIF_FOREIGN_MASQ;
    }
    if (r == 0)
        *ret_found = found;
    return r;
}

int cnif_foreign_ports_delete(struct cnif_nlsock *sock, const struct cnif_foreign_ports *foreign,
                              struct cnif_err *reterr)
{
    struct cnif_hunt hunt = {.prefix = foreign->comment, .whole = true};
    uint64_t has;
    size_t c;
    int i;
    int r = find(sock, foreign, &has, reterr);

    for (i = 0; i < 2 && r == 0; i++) {
        if (has & HAS_IPTABLES(i))
            r = cnif_hunt_chain(sock, &cnif_iptables_nat[i], DNAT_CHAIN, foreign->iptables_chain,
                                reterr);
        for (c = 0; has & HAS_HOSTPORTS(i) && c < N_CHAINS && r == 0; c++)
            r = cnif_hunt_rules(sock, &tables[i], chains[c], &hunt, reterr);
    }
    return r;
}

int cnif_iptables_ports_gc(struct cnif_nlsock *sock, const char *prefix, const char *const *keep,
                           size_t n_keep, struct cnif_err *reterr)
{
    struct cnif_hunt hunt = {.prefix = prefix, .keep = keep, .n_keep = n_keep};
    int r = cnif_hunt_stale(sock, &cnif_iptables_nat[0], DNAT_CHAIN, &hunt, reterr);

    return r < 0 ? r : cnif_hunt_stale(sock, &cnif_iptables_nat[1], DNAT_CHAIN, &hunt, reterr);
}

int cnif_iptables_jumps(struct cnif_nlsock *sock, uint8_t family, const char *from, const char *to,
                        unsigned *ret_count, struct cnif_err *reterr)
{
    struct cnif_hunt hunt = {.jump = to};
    int r = cnif_hunt_find(sock, &cnif_iptables_nat[family == AF_INET6], from, &hunt, reterr);

    if (r == 0)
        *ret_count = (unsigned)hunt.count;
    return r;
}
