#include "rtnl/kind.h"

#include "netlink/nlparse.h"

#include <linux/if_link.h>

static int64_t id(const struct nlattr *attr)
{
    return attr ? (int64_t)cnif_nlattr_u32(attr, UINT32_MAX) : -1;
}

/* Taps are made by csrc/netns/tap.c; the kernel only tells what they are. */
static void parse(const struct nlattr *data, struct cnif_link *link)
{
    const struct nlattr *attrs[IFLA_TUN_MULTI_QUEUE + 1];

    cnif_nlattr_parse_nested(data, attrs, IFLA_TUN_MULTI_QUEUE);
    link->tap_owner = id(attrs[IFLA_TUN_OWNER]);
    link->tap_group = id(attrs[IFLA_TUN_GROUP]);
    link->tap_multi_queue = cnif_nlattr_u8(attrs[IFLA_TUN_MULTI_QUEUE], 0) != 0;
}

const struct cnif_link_kind cnif_kind_tun = {.name = "tun", .parse = parse};
