/*
 * Removing the ports of an attachment, and finding whose are there.
 *
 * Whoever knows the ports needs one look and one batch.  Otherwise everything is
 * found by its comment, at the cost of reading all ports there are; but only
 * where there is an attachment of the owner.
 */
#include "nft/hostport.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/grow.h"
#include "nft/change.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define GROUPS_MAX 4

/* The first look is at the attachment, then come those at ports, group by group. */
struct work {
    char owner[CNIF_OWNER_MAX];
    const struct cnif_hostports *had; /* NULL: unknown */
    struct cnif_nft_look *looks;
    size_t count;
    bool unknown; /* there is something of the owner that was not looked for */
    struct cnif_hostport_entry *removed;
    size_t n_removed;
    size_t room;
    struct cnif_err *reterr;
};

static int keep_removed(struct work *work, const char *set, const uint8_t *key, const uint8_t *data)
{
    struct cnif_hostport_entry entry;

    if (!cnif_hostport_parse(set, key, data, &entry))
        return 0;
    if (cnif_grow(&work->removed, &work->room, work->n_removed, sizeof(entry)) < 0)
        return -ENOMEM;
    (void)snprintf(entry.owner, sizeof(entry.owner), "%s", work->owner);
    work->removed[work->n_removed++] = entry;
    return 0;
}

static bool is_owners(const struct work *work, const struct cnif_nft_look *look)
{
    struct cnif_hostport_record record;

    if (!look->found)
        return false;
    if (strcmp(look->set, CNIF_HOSTPORT_ATTACHMENTS) != 0)
        return strcmp(look->comment, work->owner) == 0;
    return cnif_hostport_record_parse(look->comment, &record) &&
           strcmp(record.owner, work->owner) == 0;
}

/* The group of a family and kind, with the sources for `pod` as its attachment's record has them.
 */
static void init_group(struct cnif_hostport_group *group, const struct work *work, int number,
                       const struct cnif_hostport_record *record, const struct cnif_ip *pod)
{
    static const uint8_t families[] = {AF_INET, AF_INET6};

    cnif_hostport_group_init(group, families[number / 2], number % 2, work->had->scopes[number / 2],
                             record ? record->bit : -1, pod);
}

static int work_init(struct work *work, const struct cnif_hostports *had,
                     const struct cnif_owner *owner, struct cnif_err *reterr)
{
    size_t n_ports = had ? had->n_ports : 0;
    uint8_t key[CNIF_NFT_KEY_MAX] = {0};
    size_t i;
    int g;

    memset(work, 0, sizeof(*work));
    cnif_owner_text(owner, work->owner);
    work->had = had;
    work->reterr = reterr;
    work->looks = calloc(1 + GROUPS_MAX * n_ports, sizeof(*work->looks));
    if (!work->looks)
        return cnif_err_errno(reterr, ENOMEM, "look up host ports of %s", work->owner);
    cnif_hostport_attachment(work->owner, key);
    cnif_hostport_look(&work->looks[work->count++], CNIF_HOSTPORT_ATTACHMENTS, key,
                       CNIF_IFNAME_MAX);
    for (g = 0; n_ports && g < GROUPS_MAX; g++) {
        struct cnif_hostport_group group;

        init_group(&group, work, g, NULL, NULL);
        for (i = 0; i < n_ports; i++) {
            if (!cnif_hostport_in_group(&group, &had->ports[i]))
                continue;
            cnif_hostport_look(&work->looks[work->count++], group.map, key,
                               cnif_hostport_key(&group, &had->ports[i], key));
        }
    }
    return 0;
}

static void work_done(struct work *work)
{
    free(work->looks);
    free(work->removed);
}

/* Delete the owner's ports among the looks that are at a group's map, from its sets as well. */
static int write_group(struct cnif_nlbuf *buf, struct work *work, int number,
                       const struct cnif_hostport_record *record)
{
    struct cnif_hostport_group group;
    struct cnif_hostport_list list = {.buf = buf, .verb = CNIF_NFT_DELETE};
    size_t first = work->n_removed;
    size_t s;
    size_t i;

    init_group(&group, work, number, NULL, NULL);
    list.set = group.map;
    for (i = 1; i < work->count; i++) {
        const struct cnif_nft_look *look = &work->looks[i];
        struct cnif_nft_element element = {.key = look->key, .key_size = look->key_size};

        if (strcmp(look->set, group.map) != 0 || !is_owners(work, look))
            continue;
        cnif_hostport_list_put(&list, &element);
        if (keep_removed(work, look->set, look->key, look->data) < 0)
            return -ENOMEM;
    }
    cnif_hostport_list_end(&list);
    if (first == work->n_removed)
        return 0;
    work->removed[first].pod.prefix = record->prefixes[number / 2];
    init_group(&group, work, number, record, &work->removed[first].pod);
    for (s = 0; s < group.n_sources; s++) {
        list.set = group.sources[s].set;
        for (i = first; i < work->n_removed; i++) {
            uint8_t key[CNIF_NFT_KEY_MAX];
            struct cnif_nft_element element = {.key = key};

            element.key_size =
                cnif_hostport_source_key(&group, &group.sources[s], &work->removed[i].port, key);
            cnif_hostport_list_put(&list, &element);
        }
        cnif_hostport_list_end(&list);
    }
    return 0;
}

static int write_known(struct cnif_nlbuf *buf, uint32_t genid, void *arg)
{
    struct work *work = arg;
    struct cnif_hostport_record record;
    unsigned owned = 0;
    size_t i;
    int r = 0;
    int g;

    work->n_removed = 0;
    for (i = 1; i < work->count; i++)
        owned += is_owners(work, &work->looks[i]);
    work->unknown = owned > 0;
    if (!is_owners(work, &work->looks[0]))
        return 0;
    (void)cnif_hostport_record_parse(work->looks[0].comment, &record);
    work->unknown = record.n_ports != owned;
    if (work->unknown)
        return 0;
    cnif_nft_batch_begin(buf, genid);
    for (g = 0; g < GROUPS_MAX && r == 0; g++)
        r = write_group(buf, work, g, &record);
    cnif_nft_element_delete(buf, &cnif_hostport_table, CNIF_HOSTPORT_ATTACHMENTS,
                            work->looks[0].key, work->looks[0].key_size);
    return r < 0 ? cnif_err_errno(work->reterr, ENOMEM, "unmap host ports of %s", work->owner)
                 : CNIF_NFT_TIED;
}

static struct cnif_nft_change describe(const struct work *work, struct cnif_nft_look *looks,
                                       size_t count)
{
    struct cnif_nft_change change = {
        &cnif_hostport_table, looks, count, "unmap host ports of", work->owner,
    };

    return change;
}

/* Delete what was looked at if it is all there is. */
static int delete_known(struct cnif_nlsock *sock, struct work *work, struct cnif_err *reterr)
{
    /* Each port is in a map, and in a set for each of its sources. */
    size_t size = cnif_hostport_batch_size((1 + CNIF_HOSTPORT_SOURCES) * work->count);
    cnif_cleanup_free void *data = malloc(size);
    struct cnif_nft_change change = describe(work, work->looks, work->count);
    struct cnif_nlbuf buf;
    int r;

    if (!data)
        return cnif_err_errno(reterr, ENOMEM, "unmap host ports of %s", work->owner);
    cnif_nlbuf_init(&buf, data, size);
    r = cnif_nft_change(sock, &change, &buf, write_known, work, reterr);
    /* Somebody has removed an element by hand, or changes come faster than all can be seen. */
    if (r == -ENOENT || r == -EAGAIN) {
        work->unknown = true;
        return 0;
    }
    return r;
}

/* The elements that a dump has found, all of the owner. */
struct sweep {
    struct work *work;
    const char *set;
    struct cnif_nft_look *looks;
    size_t count;
    size_t room;
};

static int keep_element(const struct cnif_nft_seen_element *element, void *arg)
{
    struct sweep *sweep = arg;

    if (strcmp(element->comment, sweep->work->owner) != 0)
        return 0;
    if (cnif_grow(&sweep->looks, &sweep->room, sweep->count, sizeof(*sweep->looks)) < 0)
        return -ENOMEM;
    cnif_hostport_look(&sweep->looks[sweep->count++], sweep->set, element->key, element->key_size);
    return keep_removed(sweep->work, sweep->set, element->key, element->data);
}

/* Names of the sets of the table. */
struct names {
    char (*names)[CNIF_NFT_NAME_MAX];
    size_t count;
    size_t room;
};

static int keep_name(const char *name, uint32_t key_size, void *arg)
{
    struct names *names = arg;

    (void)key_size;
    if (strcmp(name, CNIF_HOSTPORT_ATTACHMENTS) == 0)
        return 0;
    if (cnif_grow(&names->names, &names->room, names->count, sizeof(*names->names)) < 0)
        return -ENOMEM;
    (void)snprintf(names->names[names->count++], CNIF_NFT_NAME_MAX, "%s", name);
    return 0;
}

/* A dump that was started over reports an element again. */
static bool is_repeated(const struct cnif_nft_look *looks, size_t i)
{
    size_t before;

    for (before = 0; before < i; before++) {
        if (strcmp(looks[before].set, looks[i].set) == 0 &&
            memcmp(looks[before].key, looks[i].key, sizeof(looks[i].key)) == 0)
            return true;
    }
    return false;
}

static int write_sweep(struct cnif_nlbuf *buf, uint32_t genid, void *arg)
{
    const struct sweep *sweep = arg;
    size_t i;

    cnif_nft_batch_begin(buf, genid);
    for (i = 0; i < sweep->count; i++) {
        const struct cnif_nft_look *look = &sweep->looks[i];

        if (is_owners(sweep->work, look) && !is_repeated(sweep->looks, i))
            cnif_nft_element_delete(buf, &cnif_hostport_table, look->set, look->key,
                                    look->key_size);
    }
    return CNIF_NFT_TIED;
}

/* Look at elements again, some at a time, and delete those that still are the owner's. */
static int delete_some(struct cnif_nlsock *sock, struct work *work, struct cnif_nft_look *looks,
                       size_t count, struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[512 * (CNIF_NFT_LOOK_MAX + 1)];
    struct cnif_nlbuf buf;
    int r = 0;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    while (count && r == 0) {
        size_t some = count < CNIF_NFT_LOOK_MAX ? count : CNIF_NFT_LOOK_MAX;
        struct sweep part = {.work = work, .looks = looks, .count = some};
        struct cnif_nft_change change = describe(work, looks, some);

        r = cnif_nft_change(sock, &change, &buf, write_sweep, &part, reterr);
        looks += some;
        count -= some;
    }
    return r;
}

/* Everything that has the owner's name, the attachment last. */
static int delete_owned(struct cnif_nlsock *sock, struct work *work, struct cnif_err *reterr)
{
    struct names names = {0};
    struct sweep sweep = {.work = work};
    size_t i;
    int r = cnif_nft_each_set(sock, &cnif_hostport_table, keep_name, &names, reterr);

    work->n_removed = 0;
    for (i = 0; i < names.count && r == 0; i++) {
        sweep.set = names.names[i];
        r = cnif_nft_each_element(sock, &cnif_hostport_table, sweep.set, keep_element, &sweep,
                                  reterr);
    }
    if (r == 0)
        r = delete_some(sock, work, sweep.looks, sweep.count, reterr);
    if (r == 0)
        r = delete_some(sock, work, &work->looks[0], 1, reterr);
    free(names.names);
    free(sweep.looks);
    return r;
}

int cnif_hostport_delete(struct cnif_nlsock *sock, const struct cnif_hostports *had,
                         const struct cnif_owner *owner, struct cnif_hostport_entry **ret_removed,
                         size_t *ret_count, struct cnif_err *reterr)
{
    struct work work;
    int r = work_init(&work, had, owner, reterr);

    if (r == 0)
        r = delete_known(sock, &work, reterr);
    if (r == 0 && work.unknown)
        r = delete_owned(sock, &work, reterr);
    if (r == 0) {
        *ret_removed = CNIF_TAKE_PTR(work.removed);
        *ret_count = work.n_removed;
    }
    work_done(&work);
    return r;
}

/* What dumps have found. */
struct list {
    const char *set;
    struct cnif_hostport_entry *entries;
    size_t count;
    size_t room;
};

static int keep_entry(const struct cnif_nft_seen_element *element, void *arg)
{
    struct list *list = arg;
    struct cnif_hostport_record record = {.owner = element->comment};
    struct cnif_hostport_entry entry = {0};

    if (strcmp(list->set, CNIF_HOSTPORT_ATTACHMENTS) == 0) {
        if (!cnif_hostport_record_parse(element->comment, &record))
            return 0; /* not one of ours */
        memcpy(entry.link, element->data, sizeof(entry.link) - 1);
    } else if (!cnif_hostport_parse(list->set, element->key, element->data, &entry)) {
        return 0;
    }
    if (cnif_grow(&list->entries, &list->room, list->count, sizeof(entry)) < 0)
        return -ENOMEM;
    (void)snprintf(entry.owner, sizeof(entry.owner), "%s", record.owner);
    list->entries[list->count++] = entry;
    return 0;
}

int cnif_hostport_list(struct cnif_nlsock *sock, struct cnif_hostport_entry **ret_entries,
                       size_t *ret_count, struct cnif_err *reterr)
{
    struct list list = {.set = CNIF_HOSTPORT_ATTACHMENTS};
    struct names names = {0};
    size_t i;
    int r = cnif_nft_each_set(sock, &cnif_hostport_table, keep_name, &names, reterr);

    if (r == 0)
        r = cnif_nft_each_element(sock, &cnif_hostport_table, list.set, keep_entry, &list, reterr);
    for (i = 0; i < names.count && r == 0; i++) {
        list.set = names.names[i];
        r = cnif_nft_each_element(sock, &cnif_hostport_table, list.set, keep_entry, &list, reterr);
    }
    free(names.names);
    if (r < 0) {
        free(list.entries);
        return r;
    }
    *ret_entries = list.entries;
    *ret_count = list.count;
    return 0;
}
