/*
 * Finding and removing rules that others made, by what they say or where they jump to,
 * and the chains that they lead to.
 *
 * Rules are deleted by handle.  A handle is never given twice, so a rule that
 * somebody else deletes meanwhile is noticed (ENOENT) and nothing else is hit.
 */
#ifndef CNIF_NFT_HUNT_H
#define CNIF_NFT_HUNT_H

#include "nft/look.h"

#define CNIF_HUNT_MAX 32 /* rules deleted in one batch */

/* The nat tables of iptables-nft: IPv4, IPv6. */
extern const struct cnif_nft_table cnif_iptables_nat[2];

/* Which rules of a chain are meant, and those found. */
struct cnif_hunt {
    const char *prefix; /* of the comment; NULL: by jump */
    bool whole;         /* the prefix is all of the comment */
    const char *jump;
    const char *const *keep; /* prefixes of comments to spare */
    size_t n_keep;
    uint64_t handles[CNIF_HUNT_MAX];
    size_t count;
};

/* Find rules of `base`, up to CNIF_HUNT_MAX. */
int cnif_hunt_find(struct cnif_nlsock *sock, const struct cnif_nft_table *table, const char *base,
                   struct cnif_hunt *hunt, struct cnif_err *reterr);
/* Remove rules of `base`. */
int cnif_hunt_rules(struct cnif_nlsock *sock, const struct cnif_nft_table *table, const char *base,
                    struct cnif_hunt *hunt, struct cnif_err *reterr);
/* Remove rules of `base` and then `chains`, in whatever state they are left; `chains` is changed.
 */
int cnif_hunt_chains(struct cnif_nlsock *sock, const struct cnif_nft_table *table, const char *base,
                     struct cnif_hunt *hunt, const char **chains, size_t n_chains,
                     struct cnif_err *reterr);
/* The same for one chain and the rules of `base` that jump to it. */
int cnif_hunt_chain(struct cnif_nlsock *sock, const struct cnif_nft_table *table, const char *base,
                    const char *chain, struct cnif_err *reterr);
/* The same for each chain CNI-... that a rule of `base` with a comment that is meant jumps to. */
int cnif_hunt_stale(struct cnif_nlsock *sock, const struct cnif_nft_table *table, const char *base,
                    const struct cnif_hunt *which, struct cnif_err *reterr);

#endif
