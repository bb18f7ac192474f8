#include "rtnl/kind.h"

#include "netlink/nlparse.h"

#include <linux/if_link.h>

static void put(struct cnif_nlbuf *buf, const struct cnif_link_spec *spec)
{
    if (spec->bridge.vlan_filtering)
        cnif_nlattr_put_u8(buf, IFLA_BR_VLAN_FILTERING, 1);
}

static void parse(const struct nlattr *data, struct cnif_link *link)
{
    const struct nlattr *attrs[IFLA_BR_VLAN_FILTERING + 1];

    cnif_nlattr_parse_nested(data, attrs, IFLA_BR_VLAN_FILTERING);
    link->vlan_filtering = cnif_nlattr_u8(attrs[IFLA_BR_VLAN_FILTERING], 0) != 0;
}

const struct cnif_link_kind cnif_kind_bridge = {.name = "bridge", .put = put, .parse = parse};
