/*
 * The two families of addresses: where things are in the header of a packet, and
 * what they are called.
 */
#ifndef CNIF_NFT_FAMILY_H
#define CNIF_NFT_FAMILY_H

#include "netlink/nlbuf.h"

struct cnif_nft_family {
    uint8_t family; /* AF_* */
    uint8_t proto;  /* NFPROTO_* */
    char digit;     /* '4', '6' */
    uint32_t key_type;
    uint32_t size; /* of an address */
    uint32_t saddr;
    uint32_t daddr;
};

extern const struct cnif_nft_family cnif_nft_families[2]; /* IPv4, IPv6 */

/* NULL: neither IPv4 nor IPv6. */
const struct cnif_nft_family *cnif_nft_family_find(uint8_t family);

/* The mask of a prefix length; bytes behind the address's own are zero. */
void cnif_nft_family_mask(const struct cnif_nft_family *family, unsigned prefix, uint8_t mask[16]);

/* "meta nfproto ipv4": the rest of the rule is about packets of the family. */
void cnif_nft_expr_family(struct cnif_nlbuf *buf, const struct cnif_nft_family *family);

#endif
