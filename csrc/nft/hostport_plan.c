#include "nft/hostport_plan.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void cnif_hostport_plan_done(struct cnif_hostport_plan *plan)
{
    free(plan->looks);
    free(plan->items);
}

/* A pod as its sources are to be computed. */
static struct cnif_ip pod_of(const struct cnif_hostports *want, int family)
{
    struct cnif_ip pod = want->pods[family];

    if (want->masq_all)
        pod.prefix = 0;
    return pod;
}

static size_t count_ports(const struct cnif_hostport_plan *plan,
                          const struct cnif_hostport_group *group)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < plan->want->n_ports; i++)
        count += cnif_hostport_in_group(group, &plan->want->ports[i]);
    return count;
}

/* The groups that have ports; how many elements of maps there are. */
static size_t find_groups(struct cnif_hostport_plan *plan)
{
    const struct cnif_hostports *want = plan->want;
    size_t total = 0;
    int i;

    for (i = 0; i < CNIF_HOSTPORT_GROUPS; i++) {
        struct cnif_hostport_group *group = &plan->groups[plan->n_groups];
        struct cnif_ip pod = pod_of(want, i / 2);
        size_t count;

        if (!pod.family)
            continue;
        cnif_hostport_group_init(group, pod.family, i % 2, want->scopes[i / 2], want->mark_bit,
                                 &pod);
        count = count_ports(plan, group);
        total += count;
        plan->n_elements += count * (1 + group->n_sources);
        if (count)
            plan->n_groups++;
    }
    return total;
}

static void add_item(struct cnif_hostport_plan *plan, size_t group, size_t port,
                     const struct cnif_hostport_source *source)
{
    const struct cnif_hostport_group *in = &plan->groups[group];
    const struct cnif_hostport *of = &plan->want->ports[port];
    struct cnif_hostport_item *item = &plan->items[plan->n_items++];
    uint8_t key[CNIF_NFT_KEY_MAX];
    size_t size =
        source ? cnif_hostport_source_key(in, source, of, key) : cnif_hostport_key(in, of, key);

    item->group = group;
    item->port = port;
    item->source = source;
    cnif_hostport_look(&plan->looks[plan->n_items], source ? source->set : in->map, key, size);
}

/* Look at every port, and at what is masqueraded for it; unless `all`, for the first one only. */
static void find_items(struct cnif_hostport_plan *plan, size_t group, bool all)
{
    const struct cnif_hostport_group *in = &plan->groups[group];
    size_t s;
    size_t i;

    for (i = 0; i < plan->want->n_ports; i++) {
        if (cnif_hostport_in_group(in, &plan->want->ports[i]))
            add_item(plan, group, i, NULL);
    }
    for (s = 0; s < in->n_sources; s++) {
        for (i = 0; i < plan->want->n_ports; i++) {
            if (!cnif_hostport_in_group(in, &plan->want->ports[i]))
                continue;
            add_item(plan, group, i, &in->sources[s]);
            if (!all)
                break;
        }
    }
}

int cnif_hostport_plan_init(struct cnif_hostport_plan *plan, const struct cnif_hostports *want,
                            const struct cnif_owner *owner, bool all, struct cnif_err *reterr)
{
    struct cnif_hostport_record record = {.bit = want->mark_bit, .owner = plan->owner};
    uint8_t key[CNIF_IFNAME_MAX];
    size_t i;

    memset(plan, 0, sizeof(*plan));
    plan->want = want;
    cnif_owner_text(owner, plan->owner);
    record.n_ports = (unsigned)find_groups(plan);
    for (i = 0; i < 2; i++)
        record.prefixes[i] = pod_of(want, (int)i).prefix;
    cnif_hostport_record_put(&record, plan->comment);
    plan->items = calloc(plan->n_elements + 1, sizeof(*plan->items));
    plan->looks = calloc(plan->n_elements + 1, sizeof(*plan->looks));
    if (!plan->items || !plan->looks)
        return cnif_err_errno(reterr, ENOMEM, "look up host ports of %s", plan->owner);
    cnif_hostport_attachment(plan->owner, key);
    cnif_hostport_look(&plan->looks[0], CNIF_HOSTPORT_ATTACHMENTS, key, sizeof(key));
    for (i = 0; i < plan->n_groups; i++)
        find_items(plan, i, all);
    return 0;
}

const struct cnif_ip *cnif_hostport_pod(const struct cnif_hostport_plan *plan,
                                        const struct cnif_hostport_group *group)
{
    return &plan->want->pods[group->family->family == AF_INET6];
}
