/*
 * A base chain whose rules are all known beforehand: they are there as a whole, or made
 * anew as a whole.  A rule is known by its comment, which says all that it depends on.
 */
#ifndef CNIF_NFT_FIXED_H
#define CNIF_NFT_FIXED_H

#include "netlink/nlsock.h"
#include "nft/object.h"

#define CNIF_NFT_FIXED_MAX 16 /* rules */

struct cnif_nft_fixed {
    const struct cnif_nft_table *table;
    const char *chain;
    struct cnif_nft_hook hook;
    size_t count;
    char comments[CNIF_NFT_FIXED_MAX][CNIF_NFT_COMMENT_MAX];
};

/* Write the expressions of a rule by its index. */
typedef void (*cnif_nft_fixed_write)(struct cnif_nlbuf *buf, size_t index, const void *arg);

/*
 * Have the chain consist of these rules, in one look if it does already.  Without
 * rules a chain that is there is emptied and one that is not is not made.
 */
int cnif_nft_fixed_set(struct cnif_nlsock *sock, const struct cnif_nft_fixed *fixed,
                       cnif_nft_fixed_write write, const void *arg, struct cnif_err *reterr);

#endif
