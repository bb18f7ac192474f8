#include "rtnl/kind.h"

#include "netlink/nlparse.h"

#include <linux/if_link.h>

/* The kernel's own choice is layer 3, so the mode is always said. */
static void put(struct cnif_nlbuf *buf, const struct cnif_link_spec *spec)
{
    cnif_nlattr_put_u16(buf, IFLA_IPVLAN_MODE, spec->ipvlan_mode);
}

static void parse(const struct nlattr *data, struct cnif_link *link)
{
    const struct nlattr *attrs[IFLA_IPVLAN_MODE + 1];

    cnif_nlattr_parse_nested(data, attrs, IFLA_IPVLAN_MODE);
    link->ipvlan_mode = cnif_nlattr_u16(attrs[IFLA_IPVLAN_MODE], 0);
}

const struct cnif_link_kind cnif_kind_ipvlan = {.name = "ipvlan", .put = put, .parse = parse};
