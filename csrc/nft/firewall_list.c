#include "nft/firewall.h"
#include "nft/firewall_table.h"

#include "base/err.h"
#include "nft/pods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cnif_firewall_list(struct cnif_nlsock *sock, const char *means, const struct cnif_owner *owner,
                       struct cnif_masq_entry **ret_entries, size_t *ret_count,
                       struct cnif_err *reterr)
{
    char text[CNIF_OWNER_MAX];
    struct cnif_pod_list list = {.owner = owner ? text : NULL};
    size_t i;
    int r = 0;

    if (owner)
        cnif_owner_text(owner, text);
    for (i = 0; i < 2 && r == 0; i++) {
        char name[CNIF_FIREWALL_SET_MAX];

        cnif_firewall_set(name, means, &cnif_nft_families[i]);
        list.family = cnif_nft_families[i].family;
        r = cnif_nft_each_element(sock, &cnif_firewall_table, name, cnif_pod_list_keep, &list,
                                  reterr);
    }
    if (r < 0) {
        free(list.entries);
        return r;
    }
    *ret_entries = list.entries;
    *ret_count = list.count;
    return 0;
}

static int find_one(struct cnif_nlsock *sock, const char *const *means, size_t n_means,
                    const struct cnif_ip *ip, struct cnif_masq_entry *entries,
                    struct cnif_err *reterr)
{
    const struct cnif_nft_family *family = cnif_nft_family_find(ip->family);
    struct cnif_nft_look looks[CNIF_NFT_LOOK_MAX];
    uint32_t genid;
    size_t i;
    int r;

    if (!family || n_means > CNIF_NFT_LOOK_MAX)
        return cnif_err_set(reterr, EINVAL, "look up who is let through: no such address");
    for (i = 0; i < n_means; i++)
        cnif_firewall_look(&looks[i], means[i], ip, family);
    r = cnif_nft_look(sock, &cnif_firewall_table, looks, n_means, cnif_firewall_table.name, &genid,
                      reterr);
    for (i = 0; i < n_means && r == 0; i++) {
        memset(&entries[i], 0, sizeof(entries[i]));
        entries[i].ip = *ip;
        if (looks[i].found)
            memcpy(entries[i].owner, looks[i].comment, sizeof(entries[i].owner) - 1);
    }
    return r;
}

int cnif_firewall_find(struct cnif_nlsock *sock, const char *const *means, size_t n_means,
                       const struct cnif_ip *ips, size_t count, struct cnif_masq_entry *entries,
                       struct cnif_err *reterr)
{
    size_t i;
    int r = 0;

    for (i = 0; i < count && r == 0; i++)
        r = find_one(sock, means, n_means, &ips[i], entries + i * n_means, reterr);
    return r;
}
