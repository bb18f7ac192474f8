/*
 * Handing out addresses: one from each set, all or none, in one hold.
 *
 * Within a set the search starts behind the address handed out last and goes
 * through the ranges in their order, round to that address again.  The files
 * decide: an address is ours when its file could be made.
 */
#include "ipam/held.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

struct allocation {
    struct cnif_store *store;
    struct cnif_key key, bare; /* of the owner, and in the older form */
    const struct cnif_ipam_range *ranges;
    size_t n_ranges;
    struct cnif_ipam_list held; /* what the owner has from before */
    bool held_known;
    struct cnif_ipam_refusal refusal;
    struct cnif_ipam_grant *grants; /* one per set, `n` of them made */
    uint32_t n;
    struct cnif_last *lasts; /* one per set */
};

/* A part of a range to search, both ends included. */
struct span {
    uint32_t range;
    struct cnif_num first, last;
};

#define STALE 1 /* the index is wrong: rebuild it and try again */

static bool within(const struct cnif_num *num, const struct cnif_ipam_range *range)
{
    struct cnif_num first = cnif_num_from(&range->first), last = cnif_num_from(&range->last);

    return num->family == first.family && num->value >= first.value && num->value <= last.value;
}

/* The index of the set's first range, and of the one behind its last. */
static void set_bounds(const struct allocation *a, uint32_t set, uint32_t *ret_from,
                       uint32_t *ret_end)
{
    uint32_t from = 0, end;

    while (from < a->n_ranges && a->ranges[from].set < set)
        from++;
    for (end = from; end < a->n_ranges && a->ranges[end].set == set; end++)
        ;
    *ret_from = from;
    *ret_end = end;
}

/* The set's range that holds `num`, or its end. */
static uint32_t range_of(const struct allocation *a, uint32_t set, const struct cnif_num *num)
{
    uint32_t i, end;

    set_bounds(a, set, &i, &end);
    while (i < end && !within(num, &a->ranges[i]))
        i++;
    return i;
}

static void refuse(struct allocation *a, int reason, uint32_t set, const struct cnif_num *num)
{
    a->refusal.reason = reason;
    a->refusal.set = set;
    cnif_num_to(num, &a->refusal.addr);
}

/* Make the file; STALE when the index did not know of it. */
static int take(struct allocation *a, uint32_t range, const struct cnif_num *num,
                struct cnif_err *reterr)
{
    struct cnif_store *store = a->store;
    struct cnif_ipam_grant *grant = &a->grants[a->n];
    int r;

    cnif_num_to(num, &grant->addr);
    grant->range = range;
    r = cnif_file_publish(store->dir_fd, grant->addr.text, &a->key);
    if (r == -EEXIST)
        return cnif_index_taken(&store->index, num) || store->rebuilt ? -EEXIST : STALE;
    if (r < 0)
        return cnif_err_errno(reterr, -r, "reserve %s in %s", grant->addr.text, store->path);
    a->n++;
    cnif_index_insert(&store->index, cnif_key_hash(&a->key), num);
    return 0;
}

static int take_requested(struct allocation *a, uint32_t set, const struct cnif_num *num,
                          struct cnif_err *reterr)
{
    uint32_t range = range_of(a, set, num);
    int r;

    if (range == a->n_ranges || a->ranges[range].set != set)
        return cnif_err_set(reterr, EINVAL, "requested address is not in range set %u", set);
    r = take(a, range, num, reterr);
    if (r != -EEXIST)
        return r;
    refuse(a, CNIF_IPAM_TAKEN, set, num);
    return cnif_err_set(reterr, EADDRINUSE, "requested address %s is taken", a->refusal.addr.text);
}

/* The first address of the span that could be taken; -EADDRNOTAVAIL if there is none. */
static int take_from_span(struct allocation *a, struct span span, struct cnif_err *reterr)
{
    struct cnif_num gateway = cnif_num_from(&a->ranges[span.range].gateway);
    struct cnif_num num;

    while (cnif_index_next_free(&a->store->index, &span.first, &span.last, &num)) {
        if (!cnif_num_equal(&num, &gateway)) {
            int r = take(a, span.range, &num, reterr);

            if (r != -EEXIST)
                return r;
        }
        if (num.value == span.last.value)
            break;
        span.first = num;
        span.first.value++;
    }
    return a->store->index.broken ? STALE : -EADDRNOTAVAIL;
}

static int take_next(struct allocation *a, uint32_t set, struct cnif_err *reterr)
{
    uint32_t from, end, start;
    const struct cnif_num *last = &a->lasts[set].num;
    bool resume;
    int r = -EADDRNOTAVAIL;

    set_bounds(a, set, &from, &end);
    start = from;
    resume = cnif_last_read(&a->lasts[set], a->store->dir_fd, set);
    if (resume) {
        uint32_t range = range_of(a, set, last);

        resume = range < end;
        if (resume)
            start = range;
    }
    /* The range of the last address is visited twice: behind it first, up to it at the end. */
    for (uint32_t i = 0; r == -EADDRNOTAVAIL && i < end - from + resume; i++) {
        uint32_t range = from + (start - from + i) % (end - from);
        struct span span = {range, cnif_num_from(&a->ranges[range].first),
                            cnif_num_from(&a->ranges[range].last)};

        if (resume && i == 0) {
            if (last->value == span.last.value)
                continue;
            span.first.value = last->value + 1;
        } else if (resume && i == end - from) {
            span.last = *last;
        }
        r = take_from_span(a, span, reterr);
    }
    return r;
}

static int refuse_duplicate(struct allocation *a, uint32_t set, struct cnif_err *reterr)
{
    for (size_t i = 0; i < a->held.n; i++) {
        struct cnif_num num = cnif_num_from(&a->held.addrs[i]);
        uint32_t range = range_of(a, set, &num);

        if (range == a->n_ranges || a->ranges[range].set != set)
            continue;
        refuse(a, CNIF_IPAM_DUPLICATE, set, &num);
        return cnif_err_set(reterr, EALREADY, "%s was handed out to the same owner before",
                            a->refusal.addr.text);
    }
    return 0;
}

static int find_held(struct allocation *a, struct cnif_err *reterr)
{
    int r;

    if (a->held_known)
        return 0;
    a->held_known = true;
    a->held.n = 0;
    r = cnif_held_find(a->store, &a->key, &a->held, reterr);
    return r < 0 || !a->store->index.header.bare
               ? r
               : cnif_held_find(a->store, &a->bare, &a->held, reterr);
}

static int allocate_set(struct allocation *a, uint32_t set, const struct cnif_ipam_addr *requested,
                        struct cnif_err *reterr)
{
    struct cnif_num num = cnif_num_from(requested);
    int r;

    for (;;) {
        r = num.family ? 0 : find_held(a, reterr);
        if (r == 0 && !num.family)
            r = refuse_duplicate(a, set, reterr);
        if (r == 0)
            r = num.family ? take_requested(a, set, &num, reterr) : take_next(a, set, reterr);
        if (r == -EADDRNOTAVAIL && !a->store->rebuilt) {
            /* Before anybody is told so, the files are asked. */
            r = cnif_store_audit(a->store, reterr);
            if (r == 0)
                r = a->store->rebuilt ? STALE : -EADDRNOTAVAIL;
        } else if (r == STALE) {
            r = cnif_store_rebuild(a->store, reterr);
            if (r == 0)
                r = STALE;
        }
        if (r == -EADDRNOTAVAIL) {
            refuse(a, CNIF_IPAM_EXHAUSTED, set, &(struct cnif_num){.family = 0});
            return cnif_err_set(reterr, EADDRNOTAVAIL, "no address is left in range set %u", set);
        }
        if (r != STALE)
            return r;
        a->held_known = false;
    }
}

static void undo(struct allocation *a)
{
    while (a->n > 0) {
        const struct cnif_ipam_addr *addr = &a->grants[--a->n].addr;
        struct cnif_num num = cnif_num_from(addr);

        if (cnif_file_remove(a->store->dir_fd, addr->text) == 0)
            cnif_index_remove(&a->store->index, cnif_key_hash(&a->key), &num);
    }
}

static int allocate_all(struct allocation *a, const struct cnif_ipam_addr *requested,
                        uint32_t n_sets, struct cnif_err *reterr)
{
    int r = 0;

    for (uint32_t set = 0; r == 0 && set < n_sets; set++)
        r = allocate_set(a, set, &requested[set], reterr);
    for (uint32_t set = 0; r == 0 && set < n_sets; set++) {
        r = cnif_last_write(&a->lasts[set], a->store->dir_fd, set, a->grants[set].addr.text);
        if (r < 0)
            r = cnif_err_errno(reterr, -r, "record the last reserved address in %s",
                               a->store->path);
    }
    if (r < 0)
        undo(a);
    return r;
}

static int check_sets(const struct cnif_ipam_range *ranges, size_t n_ranges, size_t n_sets,
                      struct cnif_err *reterr)
{
    uint32_t next = 0;

    for (size_t i = 0; i < n_ranges; i++) {
        if (ranges[i].set != next && ranges[i].set + 1 != next)
            break;
        next = ranges[i].set + 1;
        if (i + 1 == n_ranges && next == n_sets)
            return 0;
    }
    return cnif_err_set(reterr, EINVAL, "range sets are not numbered from 0 to %zu", n_sets);
}

int cnif_ipam_allocate(const struct cnif_ipam_dir *dir, const struct cnif_ipam_owner *owner,
                       const struct cnif_ipam_range *ranges, size_t n_ranges,
                       const struct cnif_ipam_addr *requested, size_t n_sets,
                       struct cnif_ipam_grant *ret_grants, struct cnif_ipam_refusal *reterr_refusal,
                       struct cnif_err *reterr)
{
    cnif_cleanup_free struct cnif_ipam_grant *grants = NULL;
    cnif_cleanup_free struct cnif_last *lasts = NULL;
    struct allocation a = {.ranges = ranges, .n_ranges = n_ranges};
    struct cnif_store store;
    int r = check_sets(ranges, n_ranges, n_sets, reterr);

    if (r < 0)
        return r;
    r = cnif_key_make(&a.key, owner->container_id, owner->ifname);
    if (r == 0)
        r = cnif_key_make(&a.bare, owner->container_id, NULL);
    if (r < 0)
        return cnif_err_errno(reterr, -r, "container ID and interface name");
    grants = calloc(n_sets, sizeof(*grants));
    lasts = calloc(n_sets, sizeof(*lasts));
    if (!grants || !lasts)
        return cnif_err_errno(reterr, ENOMEM, "addresses for %zu range sets", n_sets);
    for (size_t set = 0; set < n_sets; set++)
        lasts[set].fd = -1;
    r = cnif_store_open(&store, dir, true, reterr);
    if (r < 0)
        return r;
    a.store = &store;
    a.grants = grants;
    a.lasts = lasts;
    r = allocate_all(&a, requested, (uint32_t)n_sets, reterr);
    for (size_t set = 0; set < n_sets; set++)
        cnif_closep(&lasts[set].fd);
    cnif_store_commit(&store);
    cnif_store_close(&store);
    cnif_ipam_list_free(&a.held);
    if (r == 0)
        memcpy(ret_grants, grants, n_sets * sizeof(*grants));
    else if (reterr_refusal)
        *reterr_refusal = a.refusal;
    return r;
}
