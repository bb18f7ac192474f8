#include "rtnl/kind.h"

#include "netlink/nlparse.h"

#include <linux/if_link.h>

static void put(struct cnif_nlbuf *buf, const struct cnif_link_spec *spec)
{
    cnif_nlattr_put_u32(buf, IFLA_VRF_TABLE, spec->vrf_table);
}

static void parse(const struct nlattr *data, struct cnif_link *link)
{
    const struct nlattr *attrs[IFLA_VRF_TABLE + 1];

    cnif_nlattr_parse_nested(data, attrs, IFLA_VRF_TABLE);
    link->vrf_table = cnif_nlattr_u32(attrs[IFLA_VRF_TABLE], 0);
}

const struct cnif_link_kind cnif_kind_vrf = {.name = "vrf", .put = put, .parse = parse};
