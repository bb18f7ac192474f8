/*
 * What the pods of a cluster's node have in common.
 *
 *   table inet cnifast {
 *       chain cluster {
 *           type nat hook postrouting priority srcnat; policy accept;
 *           oifname != "lo" ip saddr 10.244.1.0/24 ip daddr != 10.244.1.0/24
 *               ip daddr != 10.0.0.0/8 masquerade
 *       }
 *   }
 *   table bridge cnifast {
 *       chain repeats {
 *           type filter hook output priority 200; policy accept;
 *           oifname "veth*" ether saddr 02:00:00:00:00:01 ip saddr 10.244.1.1 accept
 *           oifname "veth*" ether saddr 02:00:00:00:00:01 ip saddr 10.244.1.0/24 drop
 *       }
 *   }
 *
 * Repeats: a promiscuous bridge hands to the host what it forwards from port to
 * port as well, and where bridged packets pass the rules for routed ones, the host
 * routes those whose destination a rule has changed, back to where they have been
 * already.  The second one comes from the bridge's own MAC, but from a pod's address.
 */
#include "nft/family.h"
#include "nft/fixed.h"

#include "base/err.h"
#include "nft/expr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>
#include <stdio.h>
#include <string.h>

#define PRIORITY_SRCNAT 100
#define MAC_SIZE        6
#define MAC_OFFSET      6  /* of the source in the Ethernet header */
#define PROTO_OFFSET    12 /* of what the Ethernet frame carries */

static const struct cnif_nft_table routed = {NFPROTO_INET, "cnifast"};
static const struct cnif_nft_table bridged = {NFPROTO_BRIDGE, "cnifast"};

/* A subnet of one family, ready to be compared with. */
struct subnet {
    const struct cnif_nft_family *family;
    uint8_t base[16];
    uint8_t mask[16];
    char text[INET6_ADDRSTRLEN + 4];
};

static int subnet_init(struct subnet *subnet, const struct cnif_ip *ip, struct cnif_err *reterr)
{
    const struct cnif_nft_family *family = cnif_nft_family_find(ip->family);
    char base[INET6_ADDRSTRLEN];
    uint32_t i;

    if (!family)
        return cnif_err_set(reterr, EAFNOSUPPORT, "subnet of unknown family %u", ip->family);
    if (ip->prefix > family->size * 8)
        return cnif_err_set(reterr, EINVAL, "impossible prefix length %u", ip->prefix);
    memset(subnet, 0, sizeof(*subnet));
    subnet->family = family;
    cnif_nft_family_mask(family, ip->prefix, subnet->mask);
    for (i = 0; i < family->size; i++)
        subnet->base[i] = ip->bytes[i] & subnet->mask[i];
    (void)inet_ntop(family->family, subnet->base, base, sizeof(base));
    (void)snprintf(subnet->text, sizeof(subnet->text), "%s/%u", base, ip->prefix);
    return 0;
}

/* "ip saddr SUBNET", "ip daddr != SUBNET"; the family has been compared. */
static void match_subnet(struct cnif_nlbuf *buf, const struct subnet *subnet, uint32_t offset,
                         uint32_t op)
{
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_NETWORK_HEADER, offset, subnet->family->size, NFT_REG_1);
    cnif_nft_expr_mask(buf, subnet->mask, subnet->family->size, NFT_REG_1);
    cnif_nft_expr_cmp(buf, op, subnet->base, subnet->family->size, NFT_REG_1);
}

/* ---- masquerading ---- */

struct leaving {
    struct subnet pods;
    struct subnet cluster;
};

static void write_leaving(struct cnif_nlbuf *buf, size_t index, const void *arg)
{
    static const char lo[] = "lo";
    const struct leaving *leaving = (const struct leaving *)arg + index;
    const struct cnif_nft_family *family = leaving->pods.family;

    cnif_nft_expr_meta(buf, NFT_META_OIFNAME, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_NEQ, lo, sizeof(lo), NFT_REG_1);
    cnif_nft_expr_family(buf, family);
    match_subnet(buf, &leaving->pods, family->saddr, NFT_CMP_EQ);
    match_subnet(buf, &leaving->pods, family->daddr, NFT_CMP_NEQ);
    match_subnet(buf, &leaving->cluster, family->daddr, NFT_CMP_NEQ);
    cnif_nft_expr_masq(buf);
}

/* The part of the cluster of that family; NULL: nothing of it is to be masqueraded. */
static const struct cnif_ip *find_cluster(const struct cnif_ip *cluster, size_t count,
                                          uint8_t family)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (cluster[i].family == family)
            return cluster[i].prefix ? &cluster[i] : NULL;
    }
    return NULL;
}

int cnif_cluster_masq(struct cnif_nlsock *sock, const struct cnif_ip *pods, size_t n_pods,
                      const struct cnif_ip *cluster, size_t n_cluster, struct cnif_err *reterr)
{
    struct cnif_nft_fixed fixed = {
        &routed, "cluster", {"nat", NF_INET_POST_ROUTING, PRIORITY_SRCNAT}, 0, {{0}}};
    struct leaving leaving[CNIF_NFT_FIXED_MAX];
    size_t i;

    for (i = 0; i < n_pods; i++) {
        const struct cnif_ip *inside = find_cluster(cluster, n_cluster, pods[i].family);
        struct leaving *next = &leaving[fixed.count];
        int r;

        if (!inside)
            continue;
        if (fixed.count == CNIF_NFT_FIXED_MAX)
            return cnif_err_set(reterr, E2BIG, "too many subnets of pods");
        r = subnet_init(&next->pods, &pods[i], reterr);
        if (r == 0)
            r = subnet_init(&next->cluster, inside, reterr);
        if (r < 0)
            return r;
        (void)snprintf(fixed.comments[fixed.count++], CNIF_NFT_COMMENT_MAX,
                       "from %s to outside of %s", next->pods.text, next->cluster.text);
    }
    return cnif_nft_fixed_set(sock, &fixed, write_leaving, leaving, reterr);
}

/* ---- repeats ---- */

struct repeats {
    const uint8_t *mac;
    struct subnet from[CNIF_NFT_FIXED_MAX]; /* a gateway, then the subnet it is in, in turn */
};

static void write_repeat(struct cnif_nlbuf *buf, size_t index, const void *arg)
{
    static const char veth[] = {'v', 'e', 't', 'h'}; /* and whatever comes after */
    const struct repeats *repeats = arg;
    const struct subnet *from = &repeats->from[index];
    uint16_t proto = htons(from->family->family == AF_INET ? ETH_P_IP : ETH_P_IPV6);

    cnif_nft_expr_meta(buf, NFT_META_OIFNAME, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, veth, sizeof(veth), NFT_REG_1);
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_LL_HEADER, MAC_OFFSET, MAC_SIZE, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, repeats->mac, MAC_SIZE, NFT_REG_1);
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_LL_HEADER, PROTO_OFFSET, sizeof(proto), NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, &proto, sizeof(proto), NFT_REG_1);
    match_subnet(buf, from, from->family->saddr, NFT_CMP_EQ);
    cnif_nft_expr_verdict(buf, index % 2 ? NF_DROP : NF_ACCEPT, NULL);
}

int cnif_cluster_guard(struct cnif_nlsock *sock, const uint8_t mac[6],
                       const struct cnif_ip *gateways, size_t count, struct cnif_err *reterr)
{
    struct cnif_nft_fixed fixed = {
        &bridged, "repeats", {"filter", NF_BR_LOCAL_OUT, NF_BR_PRI_FILTER_OTHER}, 2 * count, {{0}}};
    struct repeats repeats = {.mac = mac};
    size_t i;

    if (fixed.count > CNIF_NFT_FIXED_MAX)
        return cnif_err_set(reterr, E2BIG, "too many gateways of pods");
    for (i = 0; i < fixed.count; i++) {
        struct cnif_ip ip = gateways[i / 2];
        int r;

        if (i % 2 == 0)
            ip.prefix = ip.family == AF_INET ? 32 : 128;
        r = subnet_init(&repeats.from[i], &ip, reterr);
        if (r < 0)
            return r;
        (void)snprintf(fixed.comments[i], CNIF_NFT_COMMENT_MAX,
                       "%s from %s by %02x:%02x:%02x:%02x:%02x:%02x", i % 2 ? "repeated" : "routed",
                       repeats.from[i].text, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    }
    return cnif_nft_fixed_set(sock, &fixed, write_repeat, &repeats, reterr);
}
