#include "nft/pods.h"

#include "base/grow.h"
#include "nft/subnet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int keep_set(const char *name, uint32_t key_size, void *arg)
{
    struct cnif_pod_sets *sets = arg;
    char(*names)[CNIF_NFT_NAME_MAX];
    uint32_t *sizes;
    size_t i;

    if (cnif_subnet_of_set(name, sets->prefix) < 0)
        return 0;
    for (i = 0; i < sets->count; i++) {
        if (strcmp(sets->names[i], name) == 0)
            return 0;
    }
    names = realloc(sets->names, (sets->count + 1) * sizeof(*names));
    if (!names)
        return -ENOMEM;
    sets->names = names;
    sizes = realloc(sets->sizes, (sets->count + 1) * sizeof(*sizes));
    if (!sizes)
        return -ENOMEM;
    sets->sizes = sizes;
    (void)snprintf(names[sets->count], CNIF_NFT_NAME_MAX, "%s", name);
    sizes[sets->count++] = key_size;
    return 0;
}

void cnif_pods_done(struct cnif_pod_sets *sets)
{
    free(sets->names);
    free(sets->sizes);
}

int cnif_pods_find(struct cnif_nlsock *sock, const char *network, struct cnif_pod_sets *sets,
                   struct cnif_err *reterr)
{
    cnif_subnet_prefix(network, sets->prefix, sizeof(sets->prefix));
    return cnif_nft_each_set(sock, &cnif_masq_table, keep_set, sets, reterr);
}

int cnif_pod_list_keep(const struct cnif_nft_seen_element *element, void *arg)
{
    struct cnif_pod_list *list = arg;
    struct cnif_masq_entry *entry;

    if (list->owner && strcmp(list->owner, element->comment) != 0)
        return 0;
    if (cnif_grow(&list->entries, &list->room, list->count, sizeof(*list->entries)) < 0)
        return -ENOMEM;
    entry = &list->entries[list->count++];
    memset(entry, 0, sizeof(*entry));
    entry->ip.family = list->family;
    entry->ip.prefix = list->prefix;
    memcpy(entry->ip.bytes, element->key, sizeof(entry->ip.bytes));
    memcpy(entry->owner, element->comment, sizeof(entry->owner) - 1);
    return 0;
}

int cnif_pods_list(struct cnif_nlsock *sock, const struct cnif_pod_sets *sets,
                   struct cnif_pod_list *list, struct cnif_err *reterr)
{
    size_t i;
    int r = 0;

    for (i = 0; i < sets->count && r == 0; i++) {
        int prefix = cnif_subnet_of_set(sets->names[i], sets->prefix);

        list->family = sets->sizes[i] == 4 ? AF_INET : AF_INET6;
        list->prefix = (uint8_t)prefix;
        r = cnif_nft_each_element(sock, &cnif_masq_table, sets->names[i], cnif_pod_list_keep, list,
                                  reterr);
    }
    return r;
}

int cnif_masq_list(struct cnif_nlsock *sock, const char *network,
                   struct cnif_masq_entry **ret_entries, size_t *ret_count, struct cnif_err *reterr)
{
    struct cnif_pod_sets sets = {0};
    struct cnif_pod_list list = {0};
    int r = cnif_pods_find(sock, network, &sets, reterr);

    if (r == 0)
        r = cnif_pods_list(sock, &sets, &list, reterr);
    cnif_pods_done(&sets);
    if (r < 0) {
        free(list.entries);
        return r;
    }
    *ret_entries = list.entries;
    *ret_count = list.count;
    return 0;
}
