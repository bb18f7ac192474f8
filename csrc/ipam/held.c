#include "ipam/held.h"

#include "base/cleanup.h"

#include <stdlib.h>

int cnif_list_append(struct cnif_ipam_list *list, const struct cnif_num *num)
{
    /* Room is doubled whenever the count has reached a power of two. */
    if (!(list->n & (list->n - 1))) {
        size_t room = list->n ? list->n * 2 : 1;
        struct cnif_ipam_addr *addrs = reallocarray(list->addrs, room, sizeof(*addrs));

        if (!addrs)
            return -ENOMEM;
        list->addrs = addrs;
    }
    cnif_num_to(num, &list->addrs[list->n++]);
    return 0;
}

void cnif_ipam_list_free(struct cnif_ipam_list *list)
{
    cnif_freep(&list->addrs);
    list->n = 0;
}

static int collect(void *arg, const struct cnif_index_entry *entry)
{
    return cnif_list_append(arg, &entry->num);
}

/*
 * Keep of list[from..] what the files confirm; 1: the index was wrong about
 * one.  After a rebuild only a collision of hashes can be.
 */
static int verify(struct cnif_store *store, const struct cnif_key *key, struct cnif_ipam_list *list,
                  size_t from, struct cnif_err *reterr)
{
    size_t kept = from;

    for (size_t i = from; i < list->n; i++) {
        struct cnif_key found;
        int r = cnif_file_read(store->dir_fd, list->addrs[i].text, &found);

        if (r == 0 && cnif_key_equal(&found, key)) {
            list->addrs[kept++] = list->addrs[i];
            continue;
        }
        if (r < 0 && r != -ENOENT && r != -EBADMSG)
            return cnif_err_errno(reterr, -r, "read %s/%s", store->path, list->addrs[i].text);
        if (!store->rebuilt)
            return 1;
    }
    list->n = kept;
    return 0;
}

int cnif_held_find(struct cnif_store *store, const struct cnif_key *key,
                   struct cnif_ipam_list *list, struct cnif_err *reterr)
{
    uint64_t owner = cnif_key_hash(key);
    size_t from = list->n;

    for (;;) {
        int r = 0;

        list->n = from;
        if (cnif_index_visit(&store->index, true, owner, collect, list) < 0)
            return cnif_err_errno(reterr, ENOMEM, "addresses of one owner in %s", store->path);
        if (!store->index.broken)
            r = verify(store, key, list, from, reterr);
        if (r <= 0 && !store->index.broken)
            return r;
        r = cnif_store_rebuild(store, reterr);
        if (r < 0)
            return r;
    }
}
