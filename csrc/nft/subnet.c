#include "nft/subnet.h"

#include "base/err.h"
#include "nft/batch.h"
#include "nft/expr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POSTROUTING     "postrouting"
#define PRIORITY_SRCNAT 100

const struct cnif_nft_table cnif_masq_table = {NFPROTO_INET, "cnifast"};

size_t cnif_subnet_key_size(uint8_t family)
{
    const struct cnif_nft_family *found = cnif_nft_family_find(family);

    return found ? found->size : 0;
}

/* "10.1.0.0-16", "fd00.1..-64"; names of nf_tables objects have no colons. */
static void write_text(struct cnif_subnet *subnet, unsigned prefix)
{
    char base[INET6_ADDRSTRLEN];
    char *at;

    if (subnet->host) {
        (void)snprintf(subnet->text, sizeof(subnet->text), "hosts%c-%u", subnet->family->digit,
                       prefix);
        return;
    }
    (void)inet_ntop(subnet->family->family, subnet->base, base, sizeof(base));
    for (at = base; *at; at++) {
        if (*at == ':')
            *at = '.';
    }
    (void)snprintf(subnet->text, sizeof(subnet->text), "%s-%u", base, prefix);
}

void cnif_subnet_prefix(const char *network, char *prefix, size_t size)
{
    char name[CNIF_OWNER_NAME_MAX];

    cnif_owner_name(network, name);
    (void)snprintf(prefix, size, "pods-%s-", name);
}

int cnif_subnet_of_set(const char *set, const char *prefix)
{
    size_t size = strlen(prefix);
    const char *dash;

    if (strncmp(set, prefix, size) != 0)
        return -1;
    /* BASE-LENGTH, without another dash: that would be a network of a longer name. */
    dash = strchr(set + size, '-');
    if (!dash || strchr(dash + 1, '-'))
        return -1;
    return atoi(dash + 1);
}

int cnif_subnet_init(struct cnif_subnet *subnet, const char *network, const struct cnif_ip *ip,
                     struct cnif_err *reterr)
{
    const struct cnif_nft_family *family = cnif_nft_family_find(ip->family);
    char prefix[CNIF_OWNER_NAME_MAX + 8];
    uint32_t i;

    if (!family)
        return cnif_err_set(reterr, EAFNOSUPPORT, "address of unknown family %u", ip->family);
    if (ip->prefix < 1 || ip->prefix > family->size * 8)
        return cnif_err_set(reterr, EINVAL, "impossible prefix length %u", ip->prefix);
    memset(subnet, 0, sizeof(*subnet));
    subnet->family = family;
    subnet->host = ip->prefix == family->size * 8;
    if (!subnet->host)
        cnif_nft_family_mask(family, ip->prefix, subnet->mask);
    for (i = 0; i < family->size; i++)
        subnet->base[i] = ip->bytes[i] & subnet->mask[i];
    write_text(subnet, ip->prefix);
    cnif_subnet_prefix(network, prefix, sizeof(prefix));
    (void)snprintf(subnet->map, sizeof(subnet->map), "subnets%c-%u", family->digit, ip->prefix);
    (void)snprintf(subnet->chain, sizeof(subnet->chain), "masq-%s", subnet->text);
    (void)snprintf(subnet->set, sizeof(subnet->set), "%s%s", prefix, subnet->text);
    return 0;
}

/* "ip saddr", "ip6 daddr" */
static void match_address(struct cnif_nlbuf *buf, const struct cnif_nft_family *family,
                          uint32_t offset)
{
    cnif_nft_expr_family(buf, family);
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_NETWORK_HEADER, offset, family->size, NFT_REG_1);
}

/* "ip daddr BASE/PREFIX return" */
static void add_return_rule(struct cnif_nlbuf *buf, const char *chain,
                            const struct cnif_nft_family *family, const uint8_t *base,
                            const uint8_t *mask)
{
    size_t rule = cnif_nft_rule_begin(buf, &cnif_masq_table, chain);

    match_address(buf, family, family->daddr);
    cnif_nft_expr_mask(buf, mask, family->size, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, base, family->size, NFT_REG_1);
    cnif_nft_expr_verdict(buf, NFT_RETURN, NULL);
    cnif_nft_rule_end(buf, rule, NULL);
}

/* The table and its base chain, which leaves multicast alone. */
static void add_base(struct cnif_nlbuf *buf)
{
    static const struct cnif_nft_hook hook = {"nat", NF_INET_POST_ROUTING, PRIORITY_SRCNAT};
    static const uint8_t multicast4[4] = {0xe0};
    static const uint8_t mask4[4] = {0xf0};
    static const uint8_t multicast6[16] = {0xff};

    cnif_nft_table_add(buf, &cnif_masq_table);
    cnif_nft_chain_add(buf, &cnif_masq_table, POSTROUTING, &hook);
    add_return_rule(buf, POSTROUTING, &cnif_nft_families[0], multicast4, mask4);
    add_return_rule(buf, POSTROUTING, &cnif_nft_families[1], multicast6, multicast6);
}

/* "ip saddr & MASK vmap @subnets4-16" */
static void add_dispatch_rule(struct cnif_nlbuf *buf, const struct cnif_subnet *subnet)
{
    size_t rule = cnif_nft_rule_begin(buf, &cnif_masq_table, POSTROUTING);

    match_address(buf, subnet->family, subnet->family->saddr);
    cnif_nft_expr_mask(buf, subnet->mask, subnet->family->size, NFT_REG_1);
    cnif_nft_expr_map(buf, subnet->map, NFT_REG_1, NFT_REG_VERDICT);
    cnif_nft_rule_end(buf, rule, NULL);
}

/* The chain of a subnet, and the way to it. */
static void add_chain(struct cnif_nlbuf *buf, const struct cnif_subnet *subnet)
{
    struct cnif_nft_element way = {
        .key = subnet->base, .key_size = subnet->family->size, .jump = subnet->chain};

    cnif_nft_chain_add(buf, &cnif_masq_table, subnet->chain, NULL);
    if (!subnet->host)
        add_return_rule(buf, subnet->chain, subnet->family, subnet->base, subnet->mask);
    cnif_nft_element_add(buf, &cnif_masq_table, subnet->map, &way);
}

/* "ip saddr @pods-NETWORK-10.1.0.0-16 masquerade" */
static void add_masquerade_rule(struct cnif_nlbuf *buf, const struct cnif_subnet *subnet)
{
    size_t rule = cnif_nft_rule_begin(buf, &cnif_masq_table, subnet->chain);

    match_address(buf, subnet->family, subnet->family->saddr);
    cnif_nft_expr_lookup(buf, subnet->set, NFT_REG_1);
    cnif_nft_expr_masq(buf);
    cnif_nft_rule_end(buf, rule, NULL);
}

/* Bits in what a probe has found; message 0 is the generation. */
#define HAS_BASE  (UINT64_C(1) << 1)
#define HAS_MAP   (UINT64_C(1) << 2)
#define HAS_CHAIN (UINT64_C(1) << 3)
#define HAS_SET   (UINT64_C(1) << 4)

static int probe(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const struct cnif_subnet *subnet,
                 uint32_t *ret_genid, uint64_t *ret_has, struct cnif_err *reterr)
{
    cnif_nlbuf_reset(buf);
    cnif_nft_gen_get(buf);
    cnif_nft_chain_get(buf, &cnif_masq_table, POSTROUTING);
    cnif_nft_set_get(buf, &cnif_masq_table, subnet->map);
    cnif_nft_chain_get(buf, &cnif_masq_table, subnet->chain);
    cnif_nft_set_get(buf, &cnif_masq_table, subnet->set);
    return cnif_nft_probe(sock, buf, subnet->text, ret_genid, ret_has, reterr);
}

static void write_batch(struct cnif_nlbuf *buf, const struct cnif_subnet *subnet, uint32_t genid,
                        uint64_t has)
{
    struct cnif_nft_set map = {.name = subnet->map,
                               .key_type = subnet->family->key_type,
                               .key_size = subnet->family->size,
                               .verdicts = true};
    struct cnif_nft_set pods = {.name = subnet->set,
                                .key_type = subnet->family->key_type,
                                .key_size = subnet->family->size};

    cnif_nlbuf_reset(buf);
    cnif_nft_batch_begin(buf, genid);
    if (!(has & HAS_BASE))
        add_base(buf);
    if (!(has & HAS_MAP))
        cnif_nft_set_add(buf, &cnif_masq_table, &map);
    if (!(has & HAS_BASE) || !(has & HAS_MAP))
        add_dispatch_rule(buf, subnet);
    if (!(has & HAS_CHAIN))
        add_chain(buf, subnet);
    cnif_nft_set_add(buf, &cnif_masq_table, &pods);
    add_masquerade_rule(buf, subnet);
}

int cnif_subnet_ensure(struct cnif_nlsock *sock, const struct cnif_subnet *subnet,
                       struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[8192];
    struct cnif_nlbuf buf;
    unsigned attempt;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (attempt = 0; attempt < CNIF_NFT_ATTEMPTS; attempt++) {
        uint32_t genid;
        uint64_t has;
        int r = probe(sock, &buf, subnet, &genid, &has, reterr);

        if (r < 0 || has & HAS_SET)
            return r;
        write_batch(&buf, subnet, genid, has);
        r = cnif_nft_batch_commit(sock, &buf, subnet->set, reterr);
        if (r != -ERESTART)
            return r;
    }
    return cnif_err_set(reterr, EAGAIN, "add nftables rules for %s: the ruleset keeps changing",
                        subnet->set);
}

int cnif_subnet_check(struct cnif_nlsock *sock, const struct cnif_subnet *subnet,
                      struct cnif_err *reterr)
{
    unsigned base = 0;
    unsigned chain = 0;
    int r = cnif_nft_count_rules(sock, &cnif_masq_table, POSTROUTING, &base, reterr);

    if (r == 0)
        r = cnif_nft_count_rules(sock, &cnif_masq_table, subnet->chain, &chain, reterr);
    if (r < 0)
        return r;
    if (base < 3 || chain < (subnet->host ? 1U : 2U))
        return cnif_err_set(reterr, ENOENT, "nftables rules of %s are gone", subnet->chain);
    return 0;
}
