/*
 * The fixed part of masquerading: what is made once per prefix length, per
 * subnet, and per network and subnet, so that a pod is one element of one set.
 *
 *   table inet cnifast {
 *       map subnets4-16 { type ipv4_addr : verdict
 *                         elements = { 10.1.0.0 : jump masq-10.1.0.0-16 } }
 *       set pods-NETWORK-10.1.0.0-16 { type ipv4_addr
 *                         elements = { 10.1.0.5 comment "CONTAINER eth0 NETWORK" } }
 *       chain postrouting {
 *           type nat hook postrouting priority srcnat; policy accept;
 *           ip daddr 224.0.0.0/4 return
 *           ip6 daddr ff00::/8 return
 *           ip saddr & 255.255.0.0 vmap @subnets4-16       # one per prefix length
 *       }
 *       chain masq-10.1.0.0-16 {
 *           ip daddr 10.1.0.0/16 return
 *           ip saddr @pods-NETWORK-10.1.0.0-16 masquerade  # one per network
 *       }
 *   }
 *
 * So a packet costs one lookup per prefix length in use, however many networks
 * and pods there are, and networks that use the same addresses do not get in
 * each other's way.  Pods are not elements of a verdict map with jumps: the
 * kernel validates all of such a map again with every element that is added.
 *
 * An address that is its own subnet (/32, /128) shares one chain without the
 * first rule with all others of that kind, lest each pod has its own chain.
 */
#ifndef CNIF_NFT_SUBNET_H
#define CNIF_NFT_SUBNET_H

#include "nft/family.h"
#include "nft/look.h"
#include "nft/owner.h"

/* "inet cnifast" */
extern const struct cnif_nft_table cnif_masq_table;

#define CNIF_SUBNET_TEXT_MAX 56

/* What the objects of a subnet are called, and what their rules compare. */
struct cnif_subnet {
    const struct cnif_nft_family *family;
    uint8_t base[16];
    uint8_t mask[16]; /* zero for an address that is its own subnet */
    bool host;
    char text[CNIF_SUBNET_TEXT_MAX];      /* "10.1.0.0-16" */
    char map[16];                         /* "subnets4-16" */
    char chain[CNIF_SUBNET_TEXT_MAX + 8]; /* "masq-10.1.0.0-16" */
    char set[CNIF_OWNER_NAME_MAX + CNIF_SUBNET_TEXT_MAX + 8];
};

/* -EAFNOSUPPORT for an address of no known family, -EINVAL for an impossible prefix length. */
int cnif_subnet_init(struct cnif_subnet *subnet, const char *network, const struct cnif_ip *ip,
                     struct cnif_err *reterr);

/* Bytes of an address of that family; 0: neither IPv4 nor IPv6. */
size_t cnif_subnet_key_size(uint8_t family);

/* What begins the names of all sets of a network. */
void cnif_subnet_prefix(const char *network, char *prefix, size_t size);
/* The prefix length in the name of a set that begins with `prefix`; -1: it is another network's. */
int cnif_subnet_of_set(const char *set, const char *prefix);

/*
 * Make what of the fixed part is missing, all in one batch.  Several callers
 * may do so at once.
 */
int cnif_subnet_ensure(struct cnif_nlsock *sock, const struct cnif_subnet *subnet,
                       struct cnif_err *reterr);

/* -ENOENT if a chain of the fixed part has lost its rules. */
int cnif_subnet_check(struct cnif_nlsock *sock, const struct cnif_subnet *subnet,
                      struct cnif_err *reterr);

#endif
