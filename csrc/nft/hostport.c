/*
 * Adding and checking the ports of an attachment: all that they consist of is
 * looked at in one go, and added in one batch.
 */
#include "nft/hostport_plan.h"

#include "base/cleanup.h"
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* An addition, and who is in its way. */
struct work {
    struct cnif_hostport_plan plan;
    struct cnif_hostport_entry *rival;
    struct cnif_err *reterr;
};

/* The elements of a group's ports in its map, or in the set of a source. */
static void write_ports(struct cnif_nlbuf *buf, const struct cnif_hostport_plan *plan,
                        const struct cnif_hostport_group *group,
                        const struct cnif_hostport_source *source)
{
    const struct cnif_ip *pod = cnif_hostport_pod(plan, group);
    struct cnif_hostport_list list = {
        .buf = buf,
        .verb = source ? CNIF_NFT_ADD : CNIF_NFT_CREATE,
        .set = source ? source->set : group->map,
    };
    size_t i;

    for (i = 0; i < plan->want->n_ports; i++) {
        const struct cnif_hostport *port = &plan->want->ports[i];
        uint8_t key[CNIF_NFT_KEY_MAX];
        uint8_t data[CNIF_NFT_DATA_MAX];
        struct cnif_nft_element element = {.key = key, .comment = plan->owner};

        if (!cnif_hostport_in_group(group, port))
            continue;
        if (source) {
            element.key_size = cnif_hostport_source_key(group, source, port, key);
        } else {
            element.key_size = cnif_hostport_key(group, port, key);
            element.data = data;
            element.data_size = cnif_hostport_data(group, pod, port->container_port, data);
        }
        cnif_hostport_list_put(&list, &element);
    }
    cnif_hostport_list_end(&list);
}

static void write_attachment(struct cnif_nlbuf *buf, const struct cnif_hostport_plan *plan)
{
    char link[CNIF_IFNAME_MAX] = {0};
    struct cnif_nft_element element = {.key = plan->looks[0].key,
                                       .key_size = plan->looks[0].key_size,
                                       .data = link,
                                       .data_size = sizeof(link),
                                       .comment = plan->comment};

    (void)snprintf(link, sizeof(link), "%s", plan->want->link);
    cnif_nft_element_add(buf, &cnif_hostport_table, CNIF_HOSTPORT_ATTACHMENTS, &element);
}

static struct cnif_nft_change describe(const struct cnif_hostport_plan *plan)
{
    struct cnif_nft_change change = {
        &cnif_hostport_table, plan->looks, plan->n_items + 1, "map host ports of", plan->owner,
    };

    return change;
}

/* Note that somebody has what is wanted. */
static int taken(struct work *work, const struct cnif_nft_look *look)
{
    struct cnif_hostport_entry *rival = work->rival;

    if (!cnif_hostport_parse(look->set, look->key, look->data, rival)) {
        struct cnif_hostport_record record = {.owner = ""};

        memset(rival, 0, sizeof(*rival));
        (void)cnif_hostport_record_parse(look->comment, &record);
        (void)snprintf(rival->owner, sizeof(rival->owner), "%s", record.owner);
        return cnif_err_set(work->reterr, EADDRINUSE, "the place of %s is taken by %s",
                            work->plan.owner, rival->owner);
    }
    (void)snprintf(rival->owner, sizeof(rival->owner), "%.*s", CNIF_OWNER_MAX - 1, look->comment);
    return cnif_err_set(work->reterr, EADDRINUSE, "host port %u/%s is taken by %s",
                        rival->port.host_port, cnif_hostport_protocol(rival->port.protocol),
                        rival->owner);
}

/* -EALREADY: the owner has ports; -EADDRINUSE: somebody else does; -ENOENT: a set is missing. */
static int judge(struct work *work)
{
    struct cnif_hostport_record record;
    bool missing = !work->plan.looks[0].set_found;
    size_t i;

    if (work->plan.looks[0].found) {
        bool ours = cnif_hostport_record_parse(work->plan.looks[0].comment, &record) &&
                    strcmp(record.owner, work->plan.owner) == 0;

        return ours ? -EALREADY : taken(work, &work->plan.looks[0]);
    }
    for (i = 0; i < work->plan.n_items; i++) {
        const struct cnif_nft_look *look = &work->plan.looks[i + 1];

        missing |= !look->set_found;
        if (look->found && strcmp(look->comment, work->plan.owner) == 0)
            return -EALREADY;
        if (look->found && !work->plan.items[i].source)
            return taken(work, look);
    }
    return missing ? -ENOENT : 0;
}

static int write_add(struct cnif_nlbuf *buf, uint32_t genid, void *arg)
{
    struct work *work = arg;
    size_t s;
    size_t i;
    int r = judge(work);

    (void)genid;
    if (r < 0)
        return r;
    cnif_nft_batch_begin(buf, 0);
    write_attachment(buf, &work->plan);
    for (i = 0; i < work->plan.n_groups; i++) {
        const struct cnif_hostport_group *group = &work->plan.groups[i];

        write_ports(buf, &work->plan, group, NULL);
        for (s = 0; s < group->n_sources; s++)
            write_ports(buf, &work->plan, group, &group->sources[s]);
    }
    return CNIF_NFT_LOOSE;
}

static int ensure_groups(struct cnif_nlsock *sock, const struct work *work, struct cnif_err *reterr)
{
    size_t i;
    int r = 0;

    for (i = 0; i < work->plan.n_groups && r == 0; i++)
        r = cnif_hostport_ensure(sock, &work->plan.groups[i], reterr);
    return r;
}

static int remove_former(struct cnif_nlsock *sock, const struct cnif_hostports *want,
                         const struct cnif_owner *owner, struct cnif_err *reterr)
{
    struct cnif_hostport_entry *removed = NULL;
    size_t count;
    int r = cnif_hostport_delete(sock, want, owner, &removed, &count, reterr);

    free(removed);
    return r;
}

/* By which link the attachment of the port in the way is seen to live. */
static int look_at_rival(struct cnif_nlsock *sock, struct cnif_hostport_entry *rival,
                         struct cnif_err *reterr)
{
    struct cnif_hostport_record record;
    struct cnif_nft_look look;
    uint8_t key[CNIF_IFNAME_MAX];
    uint32_t genid;
    int r;

    cnif_hostport_attachment(rival->owner, key);
    cnif_hostport_look(&look, CNIF_HOSTPORT_ATTACHMENTS, key, sizeof(key));
    r = cnif_nft_look(sock, &cnif_hostport_table, &look, 1, rival->owner, &genid, reterr);
    if (r < 0)
        return r;
    if (look.found && cnif_hostport_record_parse(look.comment, &record) &&
        strcmp(record.owner, rival->owner) == 0)
        memcpy(rival->link, look.data, sizeof(rival->link) - 1);
    return 0;
}

static int add(struct cnif_nlsock *sock, struct work *work, const struct cnif_owner *owner,
               struct cnif_err *reterr)
{
    size_t size = cnif_hostport_batch_size(work->plan.n_elements);
    cnif_cleanup_free void *data = malloc(size);
    struct cnif_nft_change change = describe(&work->plan);
    struct cnif_nlbuf buf;
    unsigned attempt;
    int r = -ENOENT;

    if (!data)
        return cnif_err_errno(reterr, ENOMEM, "map host ports of %s", work->plan.owner);
    cnif_nlbuf_init(&buf, data, size);
    /* Once each is enough, unless somebody removes the rules in between. */
    for (attempt = 0; attempt < 6 && (r == -ENOENT || r == -EALREADY); attempt++) {
        r = cnif_nft_change(sock, &change, &buf, write_add, work, reterr);
        if (r == -ENOENT) {
            r = ensure_groups(sock, work, reterr);
            r = r < 0 ? r : -ENOENT;
        } else if (r == -EALREADY) {
            r = remove_former(sock, work->plan.want, owner, reterr);
            r = r < 0 ? r : -EALREADY;
        }
    }
    if (r == -ENOENT || r == -EALREADY)
        return cnif_err_errno(reterr, -r, "map host ports of %s", work->plan.owner);
    return r;
}

int cnif_hostport_add(struct cnif_nlsock *sock, const struct cnif_hostports *want,
                      const struct cnif_owner *owner, struct cnif_hostport_entry *ret_rival,
                      struct cnif_err *reterr)
{
    struct cnif_hostport_entry rival = {0};
    struct work work = {.rival = &rival, .reterr = reterr};
    int r = cnif_hostport_plan_init(&work.plan, want, owner, false, reterr);

    if (r == 0 && work.plan.n_items)
        r = add(sock, &work, owner, reterr);
    if (r == -EADDRINUSE) {
        int also = look_at_rival(sock, &rival, NULL);

        if (also < 0)
            r = cnif_err_errno(reterr, -also, "look up the link of %s", rival.owner);
        else
            *ret_rival = rival;
    }
    cnif_hostport_plan_done(&work.plan);
    return r;
}

/* Whether the element of a look is the very one that an addition makes. */
static bool is_right(const struct cnif_hostport_plan *plan, const struct cnif_hostport_item *item,
                     const struct cnif_nft_look *look)
{
    const struct cnif_hostport_group *group = &plan->groups[item->group];
    uint8_t data[CNIF_NFT_DATA_MAX];
    size_t size;

    if (!look->found || strcmp(look->comment, plan->owner) != 0)
        return false;
    if (item->source)
        return true;
    size = cnif_hostport_data(group, cnif_hostport_pod(plan, group),
                              plan->want->ports[item->port].container_port, data);
    return memcmp(data, look->data, size) == 0;
}

static int check(struct cnif_nlsock *sock, const struct cnif_hostport_plan *plan,
                 struct cnif_err *reterr)
{
    size_t i;
    int r = 0;

    if (!plan->looks[0].found || strcmp(plan->looks[0].comment, plan->comment) != 0)
        return cnif_err_set(reterr, ENOENT, "%s has no host ports, or others", plan->owner);
    for (i = 0; i < plan->n_items; i++) {
        const struct cnif_hostport_item *item = &plan->items[i];
        const struct cnif_hostport *port = &plan->want->ports[item->port];

        if (!is_right(plan, item, &plan->looks[i + 1]))
            return cnif_err_set(reterr, ENOENT, "host port %u/%s %s %s", port->host_port,
                                cnif_hostport_protocol(port->protocol),
                                item->source ? "is not masqueraded for" : "does not lead to",
                                plan->owner);
    }
    for (i = 0; i < plan->n_groups && r == 0; i++)
        r = cnif_hostport_check_rules(sock, &plan->groups[i], reterr);
    return r;
}

int cnif_hostport_check(struct cnif_nlsock *sock, const struct cnif_hostports *want,
                        const struct cnif_owner *owner, struct cnif_err *reterr)
{
    struct cnif_hostport_plan plan;
    uint32_t genid;
    int r = cnif_hostport_plan_init(&plan, want, owner, true, reterr);

    if (r == 0 && plan.n_items)
        r = cnif_nft_look(sock, &cnif_hostport_table, plan.looks, plan.n_items + 1, plan.owner,
                          &genid, reterr);
    if (r == 0 && plan.n_items)
        r = check(sock, &plan, reterr);
    cnif_hostport_plan_done(&plan);
    return r;
}
