/*
 * Finding and releasing addresses, and saying how many are left.
 */
#include "ipam/held.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define NOTHING_THERE 1

/* Open an existing network; NOTHING_THERE when there is none, and so nothing to find. */
static int open_existing(struct cnif_store *store, const struct cnif_ipam_dir *dir,
                         struct cnif_err *reterr)
{
    int r = cnif_store_open(store, dir, false, reterr);

    return r == -ENOENT ? NOTHING_THERE : r;
}

/* What the owner has; only where that is nothing, what is in the older form. */
static int find(struct cnif_store *store, const struct cnif_ipam_owner *owner,
                struct cnif_key *ret_key, struct cnif_ipam_list *list, struct cnif_err *reterr)
{
    int r = cnif_key_make(ret_key, owner->container_id, owner->ifname);

    if (r < 0)
        return cnif_err_errno(reterr, -r, "container ID and interface name");
    r = cnif_held_find(store, ret_key, list, reterr);
    if (r < 0 || list->n || !store->index.header.bare)
        return r;
    r = cnif_key_make(ret_key, owner->container_id, NULL);
    return r < 0 ? r : cnif_held_find(store, ret_key, list, reterr);
}

static int release_one(struct cnif_store *store, const struct cnif_ipam_addr *addr, uint64_t owner,
                       struct cnif_err *reterr)
{
    struct cnif_num num = cnif_num_from(addr);
    int r = cnif_file_remove(store->dir_fd, addr->text);

    if (r < 0 && r != -ENOENT)
        return cnif_err_errno(reterr, -r, "release %s in %s", addr->text, store->path);
    cnif_index_remove(&store->index, owner, &num);
    return 0;
}

int cnif_ipam_release(const struct cnif_ipam_dir *dir, const struct cnif_ipam_owner *owner,
                      struct cnif_ipam_list *ret_released, struct cnif_err *reterr)
{
    struct cnif_ipam_list list = {.n = 0};
    struct cnif_store store;
    struct cnif_key key;
    int r = open_existing(&store, dir, reterr);

    if (r == 0) {
        r = find(&store, owner, &key, &list, reterr);
        for (size_t i = 0; r == 0 && i < list.n; i++)
            r = release_one(&store, &list.addrs[i], cnif_key_hash(&key), reterr);
        cnif_store_commit(&store);
        cnif_store_close(&store);
    }
    if (r < 0) {
        cnif_ipam_list_free(&list);
        return r;
    }
    *ret_released = list;
    return 0;
}

int cnif_ipam_lookup(const struct cnif_ipam_dir *dir, const struct cnif_ipam_owner *owner,
                     struct cnif_ipam_list *ret_held, struct cnif_err *reterr)
{
    struct cnif_ipam_list list = {.n = 0};
    struct cnif_store store;
    struct cnif_key key;
    int r = open_existing(&store, dir, reterr);

    if (r == 0) {
        r = find(&store, owner, &key, &list, reterr);
        cnif_store_commit(&store);
        cnif_store_close(&store);
    }
    if (r < 0) {
        cnif_ipam_list_free(&list);
        return r;
    }
    *ret_held = list;
    return 0;
}

/* ---- garbage collection ---- */

struct gc {
    uint64_t *valid; /* sorted hashes of the owners to keep, in both forms */
    size_t n_valid;
    struct cnif_ipam_list stale;
};

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool is_valid(const struct gc *gc, uint64_t owner)
{
    return gc->n_valid && bsearch(&owner, gc->valid, gc->n_valid, sizeof(owner), compare_hashes);
}

static int collect_stale(void *arg, const struct cnif_index_entry *entry)
{
    struct gc *gc = arg;

    return is_valid(gc, entry->owner) ? 0 : cnif_list_append(&gc->stale, &entry->num);
}

static int hash_valid(struct gc *gc, const struct cnif_ipam_owner *valid, size_t n_valid,
                      struct cnif_err *reterr)
{
    gc->valid = calloc(n_valid ? n_valid * 2 : 1, sizeof(*gc->valid));
    if (!gc->valid)
        return cnif_err_errno(reterr, ENOMEM, "list of %zu valid attachments", n_valid);
    for (size_t i = 0; i < n_valid; i++) {
        struct cnif_key key;

        for (int with_ifname = 0; with_ifname < 2; with_ifname++) {
            if (cnif_key_make(&key, valid[i].container_id, with_ifname ? valid[i].ifname : NULL) <
                0)
                return cnif_err_errno(reterr, ENAMETOOLONG, "valid attachment %zu", i);
            gc->valid[gc->n_valid++] = cnif_key_hash(&key);
        }
    }
    qsort(gc->valid, gc->n_valid, sizeof(*gc->valid), compare_hashes);
    return 0;
}

/* Release what the file itself says is nobody's of the valid ones. */
static int release_stale(struct cnif_store *store, struct gc *gc, struct cnif_ipam_list *released,
                         struct cnif_err *reterr)
{
    for (size_t i = 0; i < gc->stale.n; i++) {
        const struct cnif_ipam_addr *addr = &gc->stale.addrs[i];
        struct cnif_num num = cnif_num_from(addr);
        struct cnif_key key;
        int r = cnif_file_read(store->dir_fd, addr->text, &key);

        if (r < 0 || is_valid(gc, cnif_key_hash(&key)))
            continue;
        r = release_one(store, addr, cnif_key_hash(&key), reterr);
        if (r == 0)
            r = cnif_list_append(released, &num);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Always from the files themselves: what the index has lost is what has to be found here. */
int cnif_ipam_gc(const struct cnif_ipam_dir *dir, const struct cnif_ipam_owner *valid,
                 size_t n_valid, struct cnif_ipam_list *ret_released, struct cnif_err *reterr)
{
    struct cnif_ipam_list released = {.n = 0};
    struct gc gc = {.n_valid = 0};
    struct cnif_store store;
    int r = open_existing(&store, dir, reterr);

    if (r == 0) {
        r = hash_valid(&gc, valid, n_valid, reterr);
        if (r == 0)
            r = store.rebuilt ? 0 : cnif_store_rebuild(&store, reterr);
        if (r == 0 && cnif_index_visit(&store.index, false, 0, collect_stale, &gc) < 0)
            r = cnif_err_errno(reterr, ENOMEM, "addresses to release in %s", store.path);
        if (r == 0)
            r = release_stale(&store, &gc, &released, reterr);
        cnif_store_commit(&store);
        cnif_store_close(&store);
    }
    free(gc.valid);
    cnif_ipam_list_free(&gc.stale);
    if (r < 0) {
        cnif_ipam_list_free(&released);
        return r;
    }
    *ret_released = released;
    return 0;
}

/* ---- usage ---- */

static uint64_t saturating_add(uint64_t a, cnif_u128 b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + (uint64_t)b;
}

static void add_range(struct cnif_index *index, const struct cnif_ipam_range *range,
                      struct cnif_ipam_usage *usage)
{
    struct cnif_num first = cnif_num_from(&range->first), last = cnif_num_from(&range->last);
    struct cnif_num gateway = cnif_num_from(&range->gateway);
    bool gateway_within = gateway.family == first.family && gateway.value >= first.value &&
                          gateway.value <= last.value;

    usage->capacity =
        saturating_add(usage->capacity, last.value - first.value + (gateway_within ? 0 : 1));
    if (!index)
        return;
    usage->taken += cnif_index_count(index, &first, &last);
    if (gateway_within && cnif_index_taken(index, &gateway))
        usage->taken--;
}

static bool any_full(const struct cnif_ipam_usage *usage, size_t n_sets)
{
    for (size_t set = 0; set < n_sets; set++) {
        if (usage[set].taken >= usage[set].capacity)
            return true;
    }
    return false;
}

static void measure(struct cnif_index *index, const struct cnif_ipam_range *ranges, size_t n_ranges,
                    struct cnif_ipam_usage *usage, size_t n_sets)
{
    memset(usage, 0, n_sets * sizeof(*usage));
    for (size_t i = 0; i < n_ranges; i++) {
        if (ranges[i].set < n_sets)
            add_range(index, &ranges[i], &usage[ranges[i].set]);
    }
}

int cnif_ipam_usage(const struct cnif_ipam_dir *dir, const struct cnif_ipam_range *ranges,
                    size_t n_ranges, size_t n_sets, struct cnif_ipam_usage *ret_usage,
                    struct cnif_err *reterr)
{
    cnif_cleanup_free struct cnif_ipam_usage *usage = calloc(n_sets + 1, sizeof(*usage));
    struct cnif_store store;
    int r;

    if (!usage)
        return cnif_err_errno(reterr, ENOMEM, "usage of %zu range sets", n_sets);
    r = open_existing(&store, dir, reterr);
    if (r < 0)
        return r;
    measure(r == 0 ? &store.index : NULL, ranges, n_ranges, usage, n_sets);
    if (r == 0) {
        /* A set that seems full, or an index that broke: the files are asked. */
        if (store.index.broken || any_full(usage, n_sets))
            r = cnif_store_audit(&store, reterr);
        if (r == 0)
            measure(&store.index, ranges, n_ranges, usage, n_sets);
        cnif_store_commit(&store);
        cnif_store_close(&store);
    }
    if (r < 0)
        return r;
    memcpy(ret_usage, usage, n_sets * sizeof(*usage));
    return 0;
}
