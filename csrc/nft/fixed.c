#include "nft/fixed.h"

#include "nft/batch.h"
#include "nft/look.h"

#include <string.h>

struct seen {
    const struct cnif_nft_fixed *fixed;
    size_t count;
    bool differs;
};

static int compare(const struct cnif_nft_seen_rule *rule, void *arg)
{
    struct seen *seen = arg;
    const struct cnif_nft_fixed *fixed = seen->fixed;

    if (seen->count >= fixed->count || strcmp(rule->comment, fixed->comments[seen->count]) != 0)
        seen->differs = true;
    seen->count++;
    return 0;
}

int cnif_nft_fixed_set(struct cnif_nlsock *sock, const struct cnif_nft_fixed *fixed,
                       cnif_nft_fixed_write write, const void *arg, struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[1024 * (CNIF_NFT_FIXED_MAX + 1)];
    struct seen seen = {.fixed = fixed};
    struct cnif_nlbuf buf;
    size_t i;
    int r = cnif_nft_each_rule(sock, fixed->table, fixed->chain, compare, &seen, reterr);

    if (r < 0 || (!seen.differs && seen.count == fixed->count))
        return r;
    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_batch_begin(&buf, 0);
    cnif_nft_table_add(&buf, fixed->table);
    cnif_nft_chain_add(&buf, fixed->table, fixed->chain, &fixed->hook);
    cnif_nft_rule_delete(&buf, fixed->table, fixed->chain, 0);
    for (i = 0; i < fixed->count; i++) {
        size_t rule = cnif_nft_rule_begin(&buf, fixed->table, fixed->chain);

        write(&buf, i, arg);
        cnif_nft_rule_end(&buf, rule, fixed->comments[i]);
    }
    return cnif_nft_batch_commit(sock, &buf, fixed->chain, reterr);
}
