#include "rtnl/kind.h"

#include "netlink/nlparse.h"

#include <linux/if_link.h>

static void put(struct cnif_nlbuf *buf, const struct cnif_link_spec *spec)
{
    cnif_nlattr_put_u16(buf, IFLA_VLAN_ID, spec->vlan_id);
}

static void parse(const struct nlattr *data, struct cnif_link *link)
{
    const struct nlattr *attrs[IFLA_VLAN_ID + 1];

    cnif_nlattr_parse_nested(data, attrs, IFLA_VLAN_ID);
    link->vlan_id = cnif_nlattr_u16(attrs[IFLA_VLAN_ID], 0);
}

const struct cnif_link_kind cnif_kind_vlan = {.name = "vlan", .put = put, .parse = parse};
