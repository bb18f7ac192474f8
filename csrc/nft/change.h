/*
 * Look, then change, until nobody comes in between.
 *
 * What is there is looked at first, because a batch that fails half-way is dear
 * (nft/batch.h).  A batch that depends on what was seen is tied to the generation
 * it was seen in; one that only adds what was missing need not be.
 */
#ifndef CNIF_NFT_CHANGE_H
#define CNIF_NFT_CHANGE_H

#include "nft/batch.h"
#include "nft/look.h"

struct cnif_nft_change {
    const struct cnif_nft_table *table;
    struct cnif_nft_look *looks;
    size_t count;
    const char *verb; /* for messages: "masquerade" */
    const char *object;
};

#define CNIF_NFT_LOOSE 0
#define CNIF_NFT_TIED  1

/*
 * Write the batch that fits what the looks have found: begin it, with the
 * generation if the result is CNIF_NFT_TIED.  No change at all ends the work with
 * success, a negative errno with that.
 */
typedef int (*cnif_nft_write)(struct cnif_nlbuf *buf, uint32_t genid, void *arg);

/*
 * -ENOENT and -EEXIST of a tied batch are final: what was seen is still there, and
 * what was not seen is missing, or in the way.
 */
int cnif_nft_change(struct cnif_nlsock *sock, const struct cnif_nft_change *change,
                    struct cnif_nlbuf *buf, cnif_nft_write write, void *arg,
                    struct cnif_err *reterr);

#endif
