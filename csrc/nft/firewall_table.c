#include "nft/firewall_table.h"

#include "nft/expr.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <stdio.h>
#include <string.h>

#define ISOLATION "isolation"
#define ADMIN     "admin"
#define OWN_MEANS "nftables"

const struct cnif_nft_table cnif_firewall_table = {NFPROTO_INET, "cnifast-firewall"};
const struct cnif_nft_set cnif_firewall_bridges = {.name = "bridges",
                                                   .key_type = CNIF_NFT_TYPE_IFNAME,
                                                   .key_size = CNIF_IFNAME_MAX,
                                                   .host_order = true};
const struct cnif_nft_set cnif_firewall_same_bridge = {
    .name = "same-bridge",
    .key_type = CNIF_NFT_TYPE_CONCAT(CNIF_NFT_TYPE_IFNAME, CNIF_NFT_TYPE_IFNAME),
    .key_size = 2 * CNIF_IFNAME_MAX};
const struct cnif_nft_set cnif_firewall_isolated = {
    .name = "isolated",
    .key_type = CNIF_NFT_TYPE_CONCAT(CNIF_NFT_TYPE_IFNAME, CNIF_NFT_TYPE_IFNAME),
    .key_size = 2 * CNIF_IFNAME_MAX};

void cnif_firewall_set(char name[CNIF_FIREWALL_SET_MAX], const char *means,
                       const struct cnif_nft_family *family)
{
    (void)snprintf(name, CNIF_FIREWALL_SET_MAX, "%.24s%c", means, family->digit);
}

void cnif_firewall_look(struct cnif_nft_look *look, const char *means, const struct cnif_ip *ip,
                        const struct cnif_nft_family *family)
{
    memset(look, 0, sizeof(*look));
    cnif_firewall_set(look->set, means, family);
    look->key_size = family->size;
    memcpy(look->key, ip->bytes, family->size);
}

static void put_pair(struct cnif_nlbuf *buf, const struct cnif_nft_set *set, int32_t code)
{
    size_t rule = cnif_nft_rule_begin(buf, &cnif_firewall_table, ISOLATION);

    cnif_nft_expr_meta(buf, NFT_META_IIFNAME, NFT_REG_1);
    cnif_nft_expr_meta(buf, NFT_META_OIFNAME, NFT_REG_2);
    cnif_nft_expr_lookup(buf, set->name, NFT_REG_1);
    cnif_nft_expr_verdict(buf, code, NULL);
    cnif_nft_rule_end(buf, rule, NULL);
}

static void put_jump(struct cnif_nlbuf *buf, const char *chain)
{
    size_t rule = cnif_nft_rule_begin(buf, &cnif_firewall_table, CNIF_FIREWALL_FORWARD);

    cnif_nft_expr_verdict(buf, NFT_JUMP, chain);
    cnif_nft_rule_end(buf, rule, NULL);
}

/* "ip daddr @nftables4 ct state established,related accept", "ip saddr @nftables4 accept" */
static void put_accept(struct cnif_nlbuf *buf, const struct cnif_nft_family *family, bool answers)
{
    char set[CNIF_FIREWALL_SET_MAX];
    size_t rule = cnif_nft_rule_begin(buf, &cnif_firewall_table, CNIF_FIREWALL_FORWARD);

    cnif_firewall_set(set, OWN_MEANS, family);
    cnif_nft_expr_family(buf, family);
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_NETWORK_HEADER, answers ? family->daddr : family->saddr,
                          family->size, NFT_REG_1);
    cnif_nft_expr_lookup(buf, set, NFT_REG_1);
    if (answers)
        cnif_nft_expr_ct_state(buf,
                               NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
    cnif_nft_expr_verdict(buf, NF_ACCEPT, NULL);
    cnif_nft_rule_end(buf, rule, NULL);
}

static void write_rules(struct cnif_nlbuf *buf)
{
    static const struct cnif_nft_hook hook = {"filter", NF_INET_FORWARD, 0};
    size_t rule;
    size_t i;

    cnif_nft_set_add(buf, &cnif_firewall_table, &cnif_firewall_bridges);
    cnif_nft_set_add(buf, &cnif_firewall_table, &cnif_firewall_same_bridge);
    cnif_nft_set_add(buf, &cnif_firewall_table, &cnif_firewall_isolated);
    cnif_nft_chain_add(buf, &cnif_firewall_table, ADMIN, NULL);
    cnif_nft_chain_add(buf, &cnif_firewall_table, ISOLATION, NULL);
    cnif_nft_chain_add(buf, &cnif_firewall_table, CNIF_FIREWALL_FORWARD, &hook);
    put_pair(buf, &cnif_firewall_isolated, NF_DROP);
    put_pair(buf, &cnif_firewall_same_bridge, NFT_RETURN);
    rule = cnif_nft_rule_begin(buf, &cnif_firewall_table, ISOLATION);
    cnif_nft_expr_meta(buf, NFT_META_IIFNAME, NFT_REG_1);
    cnif_nft_expr_lookup(buf, cnif_firewall_bridges.name, NFT_REG_1);
    cnif_nft_expr_meta(buf, NFT_META_OIFNAME, NFT_REG_1);
    cnif_nft_expr_lookup(buf, cnif_firewall_bridges.name, NFT_REG_1);
    cnif_nft_expr_verdict(buf, NF_DROP, NULL);
    cnif_nft_rule_end(buf, rule, NULL);
    put_jump(buf, ISOLATION);
    put_jump(buf, ADMIN);
    for (i = 0; i < 2; i++) {
        put_accept(buf, &cnif_nft_families[i], true);
        put_accept(buf, &cnif_nft_families[i], false);
    }
}

static void write_sets(struct cnif_nlbuf *buf, const char *means)
{
    char name[CNIF_FIREWALL_SET_MAX];
    size_t i;

    for (i = 0; i < 2; i++) {
        const struct cnif_nft_family *family = &cnif_nft_families[i];
        struct cnif_nft_set set = {
            .name = name, .key_type = family->key_type, .key_size = family->size};

        cnif_firewall_set(name, means, family);
        cnif_nft_set_add(buf, &cnif_firewall_table, &set);
    }
}

void cnif_firewall_table_write(struct cnif_nlbuf *buf, const char *means, bool rules)
{
    cnif_nft_table_add(buf, &cnif_firewall_table);
    write_sets(buf, means);
    if (rules)
        write_rules(buf);
    else
        write_sets(buf, CNIF_FIREWALL_KEPT);
}
