/*
 * The expressions a rule consists of, one function each, written between
 * cnif_nft_rule_begin and cnif_nft_rule_end.  A rule is a small program: an
 * expression loads a register or compares one, and the first that does not
 * match ends the rule.
 *
 * Registers are the 16-byte ones, NFT_REG_1 to NFT_REG_4; a value longer than
 * 16 bytes goes on in the next.  The parts of a concatenation stand in registers of
 * 4 bytes, NFT_REG32_00 (which is NFT_REG_1) and those behind it.  Each function is annotated with
 * the words that `nft list` prints for it.
 */
#ifndef CNIF_NFT_EXPR_H
#define CNIF_NFT_EXPR_H

#include "netlink/nlbuf.h"

#include <linux/netfilter/nf_tables.h>

/* "iifname", "meta nfproto", ...: key is an NFT_META_* value. */
void cnif_nft_expr_meta(struct cnif_nlbuf *buf, uint32_t key, uint32_t dreg);

/* "meta mark set ..." */
void cnif_nft_expr_meta_set(struct cnif_nlbuf *buf, uint32_t key, uint32_t sreg);

/* "ip saddr", "ether saddr", ...: `size` bytes at `offset` of a header (NFT_PAYLOAD_*). */
void cnif_nft_expr_payload(struct cnif_nlbuf *buf, uint32_t base, uint32_t offset, uint32_t size,
                           uint32_t dreg);

/* "& mask" */
void cnif_nft_expr_mask(struct cnif_nlbuf *buf, const void *mask, uint32_t size, uint32_t reg);

/* "& mask | bits": `bits` are taken from what is outside the mask. */
void cnif_nft_expr_bits(struct cnif_nlbuf *buf, const void *mask, const void *bits, uint32_t size,
                        uint32_t reg);

/* "== value" and the like: op is an NFT_CMP_* value. */
void cnif_nft_expr_cmp(struct cnif_nlbuf *buf, uint32_t op, const void *value, size_t size,
                       uint32_t sreg);

/* "@set" */
void cnif_nft_expr_lookup(struct cnif_nlbuf *buf, const char *set, uint32_t sreg);

/* "map @map", "vmap @map" where dreg is NFT_REG_VERDICT */
void cnif_nft_expr_map(struct cnif_nlbuf *buf, const char *map, uint32_t sreg, uint32_t dreg);

/* "fib daddr type" */
void cnif_nft_expr_fib_daddr_type(struct cnif_nlbuf *buf, uint32_t dreg);

/* "ct state established,related" and the like: bits are 1 << a state (NF_CT_STATE_BIT). */
void cnif_nft_expr_ct_state(struct cnif_nlbuf *buf, uint32_t bits);

/* A match of iptables' own, which `nft` prints as "xt match". */
void cnif_nft_expr_match(struct cnif_nlbuf *buf, const char *name, uint32_t revision,
                         const void *info, size_t size);

/* "counter" */
void cnif_nft_expr_counter(struct cnif_nlbuf *buf);

/* "accept", "drop", "return", "jump chain": code is an NF_* or NFT_* verdict. */
void cnif_nft_expr_verdict(struct cnif_nlbuf *buf, int32_t code, const char *chain);

/* "masquerade" */
void cnif_nft_expr_masq(struct cnif_nlbuf *buf);

/* "dnat ip to address . port": family is NFPROTO_IPV4 or NFPROTO_IPV6. */
void cnif_nft_expr_dnat(struct cnif_nlbuf *buf, uint32_t family, uint32_t address_reg,
                        uint32_t port_reg);

/* The attributes of a verdict, for rules and for elements of verdict maps. */
void cnif_nft_put_verdict(struct cnif_nlbuf *buf, uint16_t type, int32_t code, const char *chain);

#endif
