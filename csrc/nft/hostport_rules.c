/*
 * The fixed part: what is made once per node, per prefix length and per mark.
 */
#include "nft/hostport.h"

#include "base/err.h"
#include "nft/batch.h"
#include "nft/expr.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define PREROUTING "prerouting"
#define OUTPUT     "output"

/* NF_IP_PRI_NAT_DST and NF_IP_PRI_NAT_SRC are where iptables and kube-proxy are. */
#define PRIORITY_DNAT (-100 + 10)
#define PRIORITY_SNAT (100 - 10)

#define L4_DPORT 2U /* offset in the headers of TCP, UDP and SCTP alike */

static uint32_t word(uint32_t index)
{
    return NFT_REG32_00 + index;
}

/* "[ip daddr .] meta l4proto . th dport" into the words from `first` on. */
static void load_key(struct cnif_nlbuf *buf, const struct cnif_hostport_group *group,
                     uint32_t first)
{
    const struct cnif_nft_family *family = group->family;

    if (group->specific) {
        cnif_nft_expr_payload(buf, NFT_PAYLOAD_NETWORK_HEADER, family->daddr, family->size,
                              word(first));
        first += family->size / 4;
    }
    cnif_nft_expr_meta(buf, NFT_META_L4PROTO, word(first));
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_TRANSPORT_HEADER, L4_DPORT, 2, word(first + 1));
}

/* "meta nfproto ipv4 counter dnat ip to [ip daddr .] meta l4proto . th dport map @MAP" */
static void add_dnat_rule(struct cnif_nlbuf *buf, const struct cnif_hostport_group *group)
{
    size_t rule = cnif_nft_rule_begin(buf, &cnif_hostport_table, group->chain);

    cnif_nft_expr_family(buf, group->family);
    cnif_nft_expr_counter(buf);
    load_key(buf, group, 0);
    cnif_nft_expr_map(buf, group->map, word(0), word(0));
    cnif_nft_expr_dnat(buf, group->family->proto, word(0), word(group->family->size / 4));
    cnif_nft_rule_end(buf, rule, NULL);
}

/* "ip saddr & MASK . [ip daddr .] meta l4proto . th dport @SET meta mark set meta mark | BIT" */
static void add_mark_rule(struct cnif_nlbuf *buf, const struct cnif_hostport_group *group,
                          const struct cnif_hostport_source *source)
{
    const struct cnif_nft_family *family = group->family;
    uint32_t bits = UINT32_C(1) << group->bit;
    uint32_t mask = ~bits;
    size_t rule = cnif_nft_rule_begin_first(buf, &cnif_hostport_table, group->chain);

    cnif_nft_expr_family(buf, family);
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_NETWORK_HEADER, family->saddr, family->size, word(0));
    cnif_nft_expr_mask(buf, source->mask, family->size, word(0));
    load_key(buf, group, family->size / 4);
    cnif_nft_expr_lookup(buf, source->set, word(0));
    cnif_nft_expr_meta(buf, NFT_META_MARK, NFT_REG_1);
    cnif_nft_expr_bits(buf, &mask, &bits, sizeof(bits), NFT_REG_1);
    cnif_nft_expr_meta_set(buf, NFT_META_MARK, NFT_REG_1);
    cnif_nft_rule_end(buf, rule, NULL);
}

static void add_jump_rule(struct cnif_nlbuf *buf, const struct cnif_hostport_group *group)
{
    size_t rule = group->specific
                      ? cnif_nft_rule_begin_first(buf, &cnif_hostport_table, group->local)
                      : cnif_nft_rule_begin(buf, &cnif_hostport_table, group->local);

    cnif_nft_expr_verdict(buf, NFT_JUMP, group->chain);
    cnif_nft_rule_end(buf, rule, NULL);
}

/* "meta nfproto ipv4 fib daddr type local jump local4" */
static void add_local_rule(struct cnif_nlbuf *buf, const struct cnif_hostport_group *group,
                           const char *base)
{
    uint32_t type = RTN_LOCAL;
    size_t rule = cnif_nft_rule_begin(buf, &cnif_hostport_table, base);

    cnif_nft_expr_family(buf, group->family);
    cnif_nft_expr_fib_daddr_type(buf, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, &type, sizeof(type), NFT_REG_1);
    cnif_nft_expr_verdict(buf, NFT_JUMP, group->local);
    cnif_nft_rule_end(buf, rule, NULL);
}

/* "meta mark & BIT == BIT masquerade", in a base chain of its own. */
static void add_masquerade(struct cnif_nlbuf *buf, const struct cnif_hostport_group *group)
{
    static const struct cnif_nft_hook hook = {"nat", NF_INET_POST_ROUTING, PRIORITY_SNAT};
    uint32_t bits = UINT32_C(1) << group->bit;
    size_t rule;

    cnif_nft_chain_add(buf, &cnif_hostport_table, group->masquerade, &hook);
    rule = cnif_nft_rule_begin(buf, &cnif_hostport_table, group->masquerade);
    cnif_nft_expr_meta(buf, NFT_META_MARK, NFT_REG_1);
    cnif_nft_expr_mask(buf, &bits, sizeof(bits), NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, &bits, sizeof(bits), NFT_REG_1);
    cnif_nft_expr_masq(buf);
    cnif_nft_rule_end(buf, rule, NULL);
}

static void add_base(struct cnif_nlbuf *buf)
{
    static const struct cnif_nft_hook prerouting = {"nat", NF_INET_PRE_ROUTING, PRIORITY_DNAT};
    static const struct cnif_nft_hook output = {"nat", NF_INET_LOCAL_OUT, PRIORITY_DNAT};
    static const struct cnif_nft_set attachments = {.name = CNIF_HOSTPORT_ATTACHMENTS,
                                                    .key_type = CNIF_NFT_TYPE_IFNAME,
                                                    .key_size = CNIF_IFNAME_MAX,
                                                    .data_type = CNIF_NFT_TYPE_IFNAME,
                                                    .data_size = CNIF_IFNAME_MAX,
                                                    .host_order = true};

    cnif_nft_table_add(buf, &cnif_hostport_table);
    cnif_nft_chain_add(buf, &cnif_hostport_table, PREROUTING, &prerouting);
    cnif_nft_chain_add(buf, &cnif_hostport_table, OUTPUT, &output);
    cnif_nft_set_add(buf, &cnif_hostport_table, &attachments);
}

/* Type and size of "[ip saddr .] [ip daddr .] meta l4proto . th dport" as the key of a set. */
static void describe_key(const struct cnif_hostport_group *group, bool has_source,
                         struct cnif_nft_set *set)
{
    unsigned addresses = (group->specific ? 1U : 0U) + (has_source ? 1U : 0U);
    unsigned part;

    set->key_type = CNIF_NFT_TYPE_CONCAT(CNIF_NFT_TYPE_PROTO, CNIF_NFT_TYPE_PORT);
    set->key_size = 8 + addresses * group->family->size;
    for (part = 2; part < 2 + addresses; part++)
        set->key_type |= group->family->key_type << (CNIF_NFT_TYPE_BITS * part);
}

static void add_map(struct cnif_nlbuf *buf, const struct cnif_hostport_group *group)
{
    struct cnif_nft_set map = {
        .name = group->map,
        .data_type = CNIF_NFT_TYPE_CONCAT(group->family->key_type, CNIF_NFT_TYPE_PORT),
        .data_size = group->family->size + 4};

    describe_key(group, false, &map);
    cnif_nft_set_add(buf, &cnif_hostport_table, &map);
    cnif_nft_chain_add(buf, &cnif_hostport_table, group->chain, NULL);
    add_dnat_rule(buf, group);
    add_jump_rule(buf, group);
}

static void add_source(struct cnif_nlbuf *buf, const struct cnif_hostport_group *group,
                       const struct cnif_hostport_source *source)
{
    struct cnif_nft_set set = {.name = source->set};

    describe_key(group, true, &set);
    cnif_nft_set_add(buf, &cnif_hostport_table, &set);
    add_mark_rule(buf, group, source);
}

/* Bits in what a probe has found; message 0 is the generation. */
#define HAS_BASE       (UINT64_C(1) << 1)
#define HAS_LOCAL      (UINT64_C(1) << 2)
#define HAS_MAP        (UINT64_C(1) << 3)
#define HAS_MASQUERADE (UINT64_C(1) << 4)
#define HAS_SOURCE(i)  (UINT64_C(1) << (5 + (i)))

static int probe(struct cnif_nlsock *sock, struct cnif_nlbuf *buf,
                 const struct cnif_hostport_group *group, uint32_t *ret_genid, uint64_t *ret_has,
                 struct cnif_err *reterr)
{
    size_t i;

    cnif_nlbuf_reset(buf);
    cnif_nft_gen_get(buf);
    cnif_nft_chain_get(buf, &cnif_hostport_table, PREROUTING);
    cnif_nft_chain_get(buf, &cnif_hostport_table, group->local);
    cnif_nft_set_get(buf, &cnif_hostport_table, group->map);
    cnif_nft_chain_get(buf, &cnif_hostport_table, group->masquerade);
    for (i = 0; i < group->n_sources; i++)
        cnif_nft_set_get(buf, &cnif_hostport_table, group->sources[i].set);
    return cnif_nft_probe(sock, buf, group->map, ret_genid, ret_has, reterr);
}

/* Whether a source before it has the same set: two sources with one prefix length. */
static bool set_is_shared(const struct cnif_hostport_group *group, size_t i)
{
    return i > 0 && strcmp(group->sources[i].set, group->sources[i - 1].set) == 0;
}

static void write_batch(struct cnif_nlbuf *buf, const struct cnif_hostport_group *group,
                        uint32_t genid, uint64_t has)
{
    size_t i;

    cnif_nlbuf_reset(buf);
    cnif_nft_batch_begin(buf, genid);
    if (!(has & HAS_BASE))
        add_base(buf);
    if (!(has & HAS_LOCAL)) {
        cnif_nft_chain_add(buf, &cnif_hostport_table, group->local, NULL);
        add_local_rule(buf, group, PREROUTING);
        add_local_rule(buf, group, OUTPUT);
    }
    if (!(has & HAS_MAP))
        add_map(buf, group);
    if (group->bit >= 0 && !(has & HAS_MASQUERADE))
        add_masquerade(buf, group);
    for (i = 0; i < group->n_sources; i++) {
        if (!(has & HAS_SOURCE(i)) && !set_is_shared(group, i))
            add_source(buf, group, &group->sources[i]);
    }
}

int cnif_hostport_ensure(struct cnif_nlsock *sock, const struct cnif_hostport_group *group,
                         struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[16384];
    struct cnif_nlbuf buf;
    unsigned attempt;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (attempt = 0; attempt < CNIF_NFT_ATTEMPTS; attempt++) {
        uint32_t genid;
        uint64_t has;
        int r = probe(sock, &buf, group, &genid, &has, reterr);

        if (r < 0)
            return r;
        if (group->scoped && !(has & HAS_LOCAL))
            return cnif_err_set(reterr, ENOENT, "nftables rules that lead to %s are gone",
                                group->local);
        write_batch(&buf, group, genid, has);
        if (buf.count == 1)
            return 0;
        r = cnif_nft_batch_commit(sock, &buf, group->map, reterr);
        if (r != -ERESTART)
            return r;
    }
    return cnif_err_set(reterr, EAGAIN, "add nftables rules for %s: the ruleset keeps changing",
                        group->map);
}

int cnif_hostport_prepare(struct cnif_nlsock *sock, uint8_t family, const char *scope,
                          bool *ret_ready, struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[2048];
    struct cnif_hostport_group group;
    struct cnif_nlbuf buf;
    unsigned attempt;
    int r = -ERESTART;

    if (!cnif_nft_family_find(family))
        return cnif_err_set(reterr, EAFNOSUPPORT, "address of unknown family %u", family);
    cnif_hostport_group_init(&group, family, false, scope, -1, NULL);
    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (attempt = 0; attempt < CNIF_NFT_ATTEMPTS && r == -ERESTART; attempt++) {
        uint32_t genid;
        uint64_t has;

        r = probe(sock, &buf, &group, &genid, &has, reterr);
        if (r < 0)
            return r;
        *ret_ready = has & HAS_LOCAL;
        if (has & HAS_BASE)
            return 0;
        cnif_nlbuf_reset(&buf);
        cnif_nft_batch_begin(&buf, genid);
        add_base(&buf);
        r = cnif_nft_batch_commit(sock, &buf, cnif_hostport_table.name, reterr);
    }
    return r;
}

/* Rules of a chain that jump to another one. */
struct jumps {
    const char *to;
    unsigned count;
};

static int count_jump(const struct cnif_nft_seen_rule *rule, void *arg)
{
    struct jumps *jumps = arg;

    if (strcmp(rule->jump, jumps->to) == 0)
        jumps->count++;
    return 0;
}

static int check_jump(struct cnif_nlsock *sock, const char *from, const char *to,
                      struct cnif_err *reterr)
{
    struct jumps jumps = {.to = to};
    int r = cnif_nft_each_rule(sock, &cnif_hostport_table, from, count_jump, &jumps, reterr);

    if (r == 0 && !jumps.count)
        return cnif_err_set(reterr, ENOENT, "nftables rule that leads from %s to %s is gone", from,
                            to);
    return r;
}

static int check_count(struct cnif_nlsock *sock, const char *chain, unsigned wanted,
                       struct cnif_err *reterr)
{
    unsigned count = 0;
    int r = cnif_nft_count_rules(sock, &cnif_hostport_table, chain, &count, reterr);

    if (r == 0 && count < wanted)
        return cnif_err_set(reterr, ENOENT, "nftables rules of %s are gone", chain);
    return r;
}

int cnif_hostport_check_rules(struct cnif_nlsock *sock, const struct cnif_hostport_group *group,
                              struct cnif_err *reterr)
{
    unsigned wanted = 1;
    size_t i;
    int r = check_jump(sock, PREROUTING, group->local, reterr);

    for (i = 0; i < group->n_sources; i++)
        wanted += !set_is_shared(group, i);
    if (r == 0)
        r = check_jump(sock, OUTPUT, group->local, reterr);
    if (r == 0)
        r = check_jump(sock, group->local, group->chain, reterr);
    if (r == 0)
        r = check_count(sock, group->chain, wanted, reterr);
    if (r == 0 && group->bit >= 0)
        r = check_count(sock, group->masquerade, 1, reterr);
    return r;
}
