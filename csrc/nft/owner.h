/*
 * Whom an element belongs to: "CONTAINER IFNAME NETWORK", kept as the comment
 * of the element.
 *
 * The text is for people and is compared as a whole.  It is made the same way
 * each time: a field that is too long for user data, or that has characters a
 * comment cannot carry, is cut and followed by '~' and a hash of the whole.
 * The rules of CNI for names admit neither blanks nor '~', so the three fields
 * can be told apart again.
 */
#ifndef CNIF_NFT_OWNER_H
#define CNIF_NFT_OWNER_H

#include "cnifast.h"

/* A piece of an object's name in nf_tables, at most CNIF_OWNER_NAME_MAX with its NUL. */
#define CNIF_OWNER_NAME_MAX 104
void cnif_owner_name(const char *network, char name[CNIF_OWNER_NAME_MAX]);

/* A number that stands for an owner's text. */
uint64_t cnif_owner_hash(const char *text);

#endif
