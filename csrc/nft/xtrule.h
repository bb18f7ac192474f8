/*
 * Rules of iptables-nft: as that program encodes them, so that it lists and deletes them as
 * its own, and told apart in what the kernel reports.
 */
#ifndef CNIF_NFT_XTRULE_H
#define CNIF_NFT_XTRULE_H

#include "cnifast.h"
#include "nft/family.h"
#include "nft/object.h"

/* What is NULL or false is not looked at; names and addresses are not copied. */
struct cnif_xt_rule {
    const uint8_t *from, *to; /* -s, -d: whole addresses */
    bool tracked;             /* -m conntrack --ctstate RELATED,ESTABLISHED */
    const char *iif, *oif;    /* -i, -o */
    bool not_oif;             /* ! -o */
    const char *comment;      /* -m comment --comment */
    int32_t code;             /* -j: NF_ACCEPT, NF_DROP, NFT_RETURN, NFT_JUMP */
    const char *chain;
};

/* Write the expressions of a rule. */
void cnif_xt_rule_put(struct cnif_nlbuf *buf, const struct cnif_nft_family *family,
                      const struct cnif_xt_rule *rule);

/* What a reported rule says. */
struct cnif_xt_seen {
    const struct cnif_nft_family *family;
    uint32_t meta;   /* the key that the register holds the value of; UINT32_MAX: none */
    uint32_t offset; /* of the address that it holds; 0: none */
    uint8_t from[16], to[16];
    bool has_from, has_to;
    bool tracked;
    char iif[CNIF_IFNAME_MAX], oif[CNIF_IFNAME_MAX];
    bool not_oif;
    char comment[256];
    int32_t code;
    char chain[64];
    bool other; /* and something that no rule of ours says */
};

/* Read the expressions of a rule; NULL: it has none. */
void cnif_xt_rule_read(struct cnif_xt_seen *seen, const struct cnif_nft_family *family,
                       const struct nlattr *expressions);

/* Whether it is that rule and says nothing more. */
bool cnif_xt_rule_is(const struct cnif_xt_seen *seen, const struct cnif_xt_rule *rule);

#endif
