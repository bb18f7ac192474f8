/*
 * Which pods of a network are masqueraded: the sets that belong to it, found by
 * their names, and the elements in them.
 */
#ifndef CNIF_NFT_PODS_H
#define CNIF_NFT_PODS_H

#include "nft/look.h"
#include "nft/owner.h"

/* The sets of a network; the arrays are released by cnif_pods_done. */
struct cnif_pod_sets {
    char prefix[CNIF_OWNER_NAME_MAX + 8]; /* of their names */
    char (*names)[CNIF_NFT_NAME_MAX];
    uint32_t *sizes; /* of their keys */
    size_t count;
};

int cnif_pods_find(struct cnif_nlsock *sock, const char *network, struct cnif_pod_sets *sets,
                   struct cnif_err *reterr);
void cnif_pods_done(struct cnif_pod_sets *sets);

/* The elements found in dumps; the entries are the caller's to free, also after a failure. */
struct cnif_pod_list {
    const char *owner; /* whose; NULL: everybody's */
    uint8_t family;    /* of the set that is being read */
    uint8_t prefix;
    struct cnif_masq_entry *entries;
    size_t count;
    size_t room;
};

/* Append an element, if it is the owner's, to a struct cnif_pod_list. */
int cnif_pod_list_keep(const struct cnif_nft_seen_element *element, void *arg);

int cnif_pods_list(struct cnif_nlsock *sock, const struct cnif_pod_sets *sets,
                   struct cnif_pod_list *list, struct cnif_err *reterr);

#endif
