/*
 * Link kinds: what IFLA_INFO_DATA says of each, one small file per kind.
 *
 * A kind writes what a new link shall be and reads what an existing one is;
 * nobody else looks into its data.
 */
#ifndef CNIF_RTNL_KIND_H
#define CNIF_RTNL_KIND_H

#include "cnifast.h"
#include "netlink/nlbuf.h"

struct nlattr;

struct cnif_link_kind {
    const char *name;
    /* Inside an open IFLA_INFO_DATA; NULL if there is nothing to say. */
    void (*put)(struct cnif_nlbuf *buf, const struct cnif_link_spec *spec);
    /* From IFLA_INFO_DATA; NULL if nothing is of interest. */
    void (*parse)(const struct nlattr *data, struct cnif_link *link);
};

extern const struct cnif_link_kind cnif_kind_bridge;
extern const struct cnif_link_kind cnif_kind_ipvlan;
extern const struct cnif_link_kind cnif_kind_macvlan;
extern const struct cnif_link_kind cnif_kind_tun;
extern const struct cnif_link_kind cnif_kind_veth;
extern const struct cnif_link_kind cnif_kind_vlan;
extern const struct cnif_link_kind cnif_kind_vrf;

/* The kind of that name, or NULL for one that has no data we know of. */
const struct cnif_link_kind *cnif_link_kind_find(const char *name);

#endif
