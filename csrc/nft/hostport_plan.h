/*
 * What the ports of one attachment come to: the groups they are in, and the looks that tell
 * what is there of them.
 */
#ifndef CNIF_NFT_HOSTPORT_PLAN_H
#define CNIF_NFT_HOSTPORT_PLAN_H

#include "nft/change.h"
#include "nft/hostport.h"

#define CNIF_HOSTPORT_GROUPS 4 /* two families, for any address and for certain ones */

/* What a look is about. */
struct cnif_hostport_item {
    size_t group;
    size_t port;
    const struct cnif_hostport_source *source; /* NULL: where the port leads */
};

/* The first look is at the attachment, looks[i + 1] is about items[i]. */
struct cnif_hostport_plan {
    const struct cnif_hostports *want;
    char owner[CNIF_OWNER_MAX];
    char comment[CNIF_NFT_COMMENT_MAX]; /* of the attachment */
    struct cnif_hostport_group groups[CNIF_HOSTPORT_GROUPS];
    size_t n_groups;
    struct cnif_nft_look *looks;
    struct cnif_hostport_item *items;
    size_t n_items;
    size_t n_elements;
};

/*
 * With `all`, every element is looked at; otherwise every port, and for each set one
 * element.  cnif_hostport_plan_done releases the plan, also after a failure.
 */
int cnif_hostport_plan_init(struct cnif_hostport_plan *plan, const struct cnif_hostports *want,
                            const struct cnif_owner *owner, bool all, struct cnif_err *reterr);
void cnif_hostport_plan_done(struct cnif_hostport_plan *plan);

/* Where a group's ports lead. */
const struct cnif_ip *cnif_hostport_pod(const struct cnif_hostport_plan *plan,
                                        const struct cnif_hostport_group *group);

#endif
