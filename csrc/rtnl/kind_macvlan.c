#include "rtnl/kind.h"

#include "netlink/nlparse.h"

#include <linux/if_link.h>

static void put(struct cnif_nlbuf *buf, const struct cnif_link_spec *spec)
{
    if (spec->macvlan.mode)
        cnif_nlattr_put_u32(buf, IFLA_MACVLAN_MODE, spec->macvlan.mode);
    if (spec->macvlan.bcqueuelen)
        cnif_nlattr_put_u32(buf, IFLA_MACVLAN_BC_QUEUE_LEN, spec->macvlan.bcqueuelen);
}

static void parse(const struct nlattr *data, struct cnif_link *link)
{
    const struct nlattr *attrs[IFLA_MACVLAN_BC_QUEUE_LEN + 1];

    cnif_nlattr_parse_nested(data, attrs, IFLA_MACVLAN_BC_QUEUE_LEN);
    link->macvlan_mode = cnif_nlattr_u32(attrs[IFLA_MACVLAN_MODE], 0);
    link->bcqueuelen = cnif_nlattr_u32(attrs[IFLA_MACVLAN_BC_QUEUE_LEN], 0);
}

const struct cnif_link_kind cnif_kind_macvlan = {.name = "macvlan", .put = put, .parse = parse};
