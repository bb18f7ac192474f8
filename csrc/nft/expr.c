#include "nft/expr.h"

#include <linux/netfilter/nf_tables_compat.h>
#include <string.h>

/* Where an open expression is closed again. */
struct expr {
    size_t item;
    size_t data;
};

static struct expr expr_open(struct cnif_nlbuf *buf, const char *name)
{
    struct expr expr;

    expr.item = cnif_nlattr_nest(buf, NFTA_LIST_ELEM);
    cnif_nlattr_put_str(buf, NFTA_EXPR_NAME, name);
    expr.data = cnif_nlattr_nest(buf, NFTA_EXPR_DATA);
    return expr;
}

static void expr_close(struct cnif_nlbuf *buf, struct expr expr)
{
    cnif_nlattr_nest_end(buf, expr.data);
    cnif_nlattr_nest_end(buf, expr.item);
}

static void put_value(struct cnif_nlbuf *buf, uint16_t type, const void *value, size_t size)
{
    size_t nest = cnif_nlattr_nest(buf, type);

    cnif_nlattr_put(buf, NFTA_DATA_VALUE, value, size);
    cnif_nlattr_nest_end(buf, nest);
}

void cnif_nft_expr_meta(struct cnif_nlbuf *buf, uint32_t key, uint32_t dreg)
{
    struct expr expr = expr_open(buf, "meta");

    cnif_nlattr_put_be32(buf, NFTA_META_DREG, dreg);
    cnif_nlattr_put_be32(buf, NFTA_META_KEY, key);
    expr_close(buf, expr);
}

void cnif_nft_expr_meta_set(struct cnif_nlbuf *buf, uint32_t key, uint32_t sreg)
{
    struct expr expr = expr_open(buf, "meta");

    cnif_nlattr_put_be32(buf, NFTA_META_KEY, key);
    cnif_nlattr_put_be32(buf, NFTA_META_SREG, sreg);
    expr_close(buf, expr);
}

void cnif_nft_expr_payload(struct cnif_nlbuf *buf, uint32_t base, uint32_t offset, uint32_t size,
                           uint32_t dreg)
{
    struct expr expr = expr_open(buf, "payload");

    cnif_nlattr_put_be32(buf, NFTA_PAYLOAD_DREG, dreg);
    cnif_nlattr_put_be32(buf, NFTA_PAYLOAD_BASE, base);
    cnif_nlattr_put_be32(buf, NFTA_PAYLOAD_OFFSET, offset);
    cnif_nlattr_put_be32(buf, NFTA_PAYLOAD_LEN, size);
    expr_close(buf, expr);
}

void cnif_nft_expr_bits(struct cnif_nlbuf *buf, const void *mask, const void *bits, uint32_t size,
                        uint32_t reg)
{
    struct expr expr = expr_open(buf, "bitwise");

    cnif_nlattr_put_be32(buf, NFTA_BITWISE_SREG, reg);
    cnif_nlattr_put_be32(buf, NFTA_BITWISE_DREG, reg);
    cnif_nlattr_put_be32(buf, NFTA_BITWISE_LEN, size);
    put_value(buf, NFTA_BITWISE_MASK, mask, size);
    put_value(buf, NFTA_BITWISE_XOR, bits, size);
    expr_close(buf, expr);
}

void cnif_nft_expr_mask(struct cnif_nlbuf *buf, const void *mask, uint32_t size, uint32_t reg)
{
    static const uint8_t zero[16];

    cnif_nft_expr_bits(buf, mask, zero, size, reg);
}

void cnif_nft_expr_cmp(struct cnif_nlbuf *buf, uint32_t op, const void *value, size_t size,
                       uint32_t sreg)
{
    struct expr expr = expr_open(buf, "cmp");

    cnif_nlattr_put_be32(buf, NFTA_CMP_SREG, sreg);
    cnif_nlattr_put_be32(buf, NFTA_CMP_OP, op);
    put_value(buf, NFTA_CMP_DATA, value, size);
    expr_close(buf, expr);
}

void cnif_nft_expr_lookup(struct cnif_nlbuf *buf, const char *set, uint32_t sreg)
{
    struct expr expr = expr_open(buf, "lookup");

    cnif_nlattr_put_str(buf, NFTA_LOOKUP_SET, set);
    cnif_nlattr_put_be32(buf, NFTA_LOOKUP_SREG, sreg);
    expr_close(buf, expr);
}

void cnif_nft_expr_map(struct cnif_nlbuf *buf, const char *map, uint32_t sreg, uint32_t dreg)
{
    struct expr expr = expr_open(buf, "lookup");

    cnif_nlattr_put_str(buf, NFTA_LOOKUP_SET, map);
    cnif_nlattr_put_be32(buf, NFTA_LOOKUP_SREG, sreg);
    cnif_nlattr_put_be32(buf, NFTA_LOOKUP_DREG, dreg);
    expr_close(buf, expr);
}

void cnif_nft_expr_fib_daddr_type(struct cnif_nlbuf *buf, uint32_t dreg)
{
    struct expr expr = expr_open(buf, "fib");

    cnif_nlattr_put_be32(buf, NFTA_FIB_DREG, dreg);
    cnif_nlattr_put_be32(buf, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    cnif_nlattr_put_be32(buf, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
    expr_close(buf, expr);
}

void cnif_nft_expr_ct_state(struct cnif_nlbuf *buf, uint32_t bits)
{
    static const uint32_t none;
    struct expr expr = expr_open(buf, "ct");

    cnif_nlattr_put_be32(buf, NFTA_CT_KEY, NFT_CT_STATE);
    cnif_nlattr_put_be32(buf, NFTA_CT_DREG, NFT_REG_1);
    expr_close(buf, expr);
    cnif_nft_expr_mask(buf, &bits, sizeof(bits), NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_NEQ, &none, sizeof(none), NFT_REG_1);
}

void cnif_nft_expr_match(struct cnif_nlbuf *buf, const char *name, uint32_t revision,
                         const void *info, size_t size)
{
    struct expr expr = expr_open(buf, "match");

    cnif_nlattr_put_str(buf, NFTA_MATCH_NAME, name);
    cnif_nlattr_put_be32(buf, NFTA_MATCH_REV, revision);
    cnif_nlattr_put(buf, NFTA_MATCH_INFO, info, size);
    expr_close(buf, expr);
}

void cnif_nft_expr_counter(struct cnif_nlbuf *buf)
{
    expr_close(buf, expr_open(buf, "counter"));
}

void cnif_nft_put_verdict(struct cnif_nlbuf *buf, uint16_t type, int32_t code, const char *chain)
{
    size_t data = cnif_nlattr_nest(buf, type);
    size_t verdict = cnif_nlattr_nest(buf, NFTA_DATA_VERDICT);

    cnif_nlattr_put_be32(buf, NFTA_VERDICT_CODE, (uint32_t)code);
    if (chain)
        cnif_nlattr_put_str(buf, NFTA_VERDICT_CHAIN, chain);
    cnif_nlattr_nest_end(buf, verdict);
    cnif_nlattr_nest_end(buf, data);
}

void cnif_nft_expr_verdict(struct cnif_nlbuf *buf, int32_t code, const char *chain)
{
    struct expr expr = expr_open(buf, "immediate");

    cnif_nlattr_put_be32(buf, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    cnif_nft_put_verdict(buf, NFTA_IMMEDIATE_DATA, code, chain);
    expr_close(buf, expr);
}

void cnif_nft_expr_masq(struct cnif_nlbuf *buf)
{
    expr_close(buf, expr_open(buf, "masq"));
}

void cnif_nft_expr_dnat(struct cnif_nlbuf *buf, uint32_t family, uint32_t address_reg,
                        uint32_t port_reg)
{
    struct expr expr = expr_open(buf, "nat");

    cnif_nlattr_put_be32(buf, NFTA_NAT_TYPE, NFT_NAT_DNAT);
    cnif_nlattr_put_be32(buf, NFTA_NAT_FAMILY, family);
    cnif_nlattr_put_be32(buf, NFTA_NAT_REG_ADDR_MIN, address_reg);
    cnif_nlattr_put_be32(buf, NFTA_NAT_REG_PROTO_MIN, port_reg);
    expr_close(buf, expr);
}
