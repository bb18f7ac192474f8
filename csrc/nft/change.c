#include "nft/change.h"

#include "base/err.h"

#include <errno.h>

int cnif_nft_change(struct cnif_nlsock *sock, const struct cnif_nft_change *change,
                    struct cnif_nlbuf *buf, cnif_nft_write write, void *arg,
                    struct cnif_err *reterr)
{
    unsigned attempt;

    for (attempt = 0; attempt < CNIF_NFT_ATTEMPTS; attempt++) {
        uint32_t genid;
        int tie;
        int r = cnif_nft_look(sock, change->table, change->looks, change->count, change->object,
                              &genid, reterr);

        if (r < 0)
            return r;
        cnif_nlbuf_reset(buf);
        tie = write(buf, genid, arg);
        if (tie == CNIF_NFT_TIED && !genid)
            continue; /* there is no generation in which all this was seen */
        if (tie < 0 || buf->count <= 1)
            return tie < 0 ? tie : 0;
        r = cnif_nft_batch_commit(sock, buf, change->object, reterr);
        if (r != -ERESTART && (tie == CNIF_NFT_TIED || (r != -EEXIST && r != -ENOENT)))
            return r;
    }
    return cnif_err_set(reterr, EAGAIN, "%s %s: the ruleset keeps changing", change->verb,
                        change->object);
}
