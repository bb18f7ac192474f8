/*
 * A macvlan in a container, said in fewer words than cnif_attach_link takes.
 */
#ifndef CNIF_TESTS_ATTACH_MACVLAN_H
#define CNIF_TESTS_ATTACH_MACVLAN_H

#include "cnifast.h"

struct macvlan_host {
    int32_t parent;
    bool parent_in_container;
    uint32_t mode;
    uint32_t bcqueuelen;
};

static inline int attach_macvlan_link(struct cnif_nlsock *host, const struct macvlan_host *macvlan,
                                      const struct cnif_endpoint *endpoint, enum cnif_linger linger,
                                      struct cnif_attached *ret, struct cnif_err *reterr)
{
    struct cnif_link_spec spec = {
        .kind = "macvlan",
        .parent = macvlan->parent,
        .macvlan = {.mode = macvlan->mode, .bcqueuelen = macvlan->bcqueuelen},
        .peer = {.netns_fd = -1},
    };

    return cnif_attach_link(macvlan->parent_in_container ? NULL : host, &spec, endpoint, linger,
                            ret, reterr);
}

#endif
