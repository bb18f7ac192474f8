/*
 * The table that nft/firewall.h shows: its sets, and its rules, which are made with them.
 */
#ifndef CNIF_NFT_FIREWALL_TABLE_H
#define CNIF_NFT_FIREWALL_TABLE_H

#include "nft/family.h"
#include "nft/look.h"

#define CNIF_FIREWALL_SET_MAX 32
/* Stands for a means in the names of the sets that remember handles, see nft/xtfilter.h. */
#define CNIF_FIREWALL_KEPT "kept"

#define CNIF_FIREWALL_FORWARD "forward"
#define CNIF_FIREWALL_RULES   6 /* in that chain */

extern const struct cnif_nft_table cnif_firewall_table; /* "inet cnifast-firewall" */
/* What a policy is made of. */
extern const struct cnif_nft_set cnif_firewall_bridges;
extern const struct cnif_nft_set cnif_firewall_same_bridge;
extern const struct cnif_nft_set cnif_firewall_isolated;

/* A look for the record of an address. */
void cnif_firewall_look(struct cnif_nft_look *look, const char *means, const struct cnif_ip *ip,
                        const struct cnif_nft_family *family);

/* The set of the records of a family. */
void cnif_firewall_set(char name[CNIF_FIREWALL_SET_MAX], const char *means,
                       const struct cnif_nft_family *family);

/* Write the table and the sets of the means; with rules, those for what they let through, too. */
void cnif_firewall_table_write(struct cnif_nlbuf *buf, const char *means, bool rules);

#endif
