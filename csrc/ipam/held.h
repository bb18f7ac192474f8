/*
 * What an owner has, verified against the files, and lists of addresses.
 */
#ifndef CNIF_IPAM_HELD_H
#define CNIF_IPAM_HELD_H

#include "ipam/store.h"

/* Append one; -ENOMEM. */
int cnif_list_append(struct cnif_ipam_list *list, const struct cnif_num *num);

/*
 * All addresses whose file names exactly this owner, appended to *list.  A file
 * that does not say what the index says makes the index be rebuilt, once.
 */
int cnif_held_find(struct cnif_store *store, const struct cnif_key *key,
                   struct cnif_ipam_list *list, struct cnif_err *reterr);

#endif
