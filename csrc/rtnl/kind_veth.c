#include "rtnl/kind.h"

#include "rtnl/link.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

/*
 * The peer is described whole, so that it appears in its namespace under its
 * final name.  It must not carry IFF_UP: the kernel would open it before the
 * pair is joined, fail with ENOTCONN and roll everything back.
 */
static void put(struct cnif_nlbuf *buf, const struct cnif_link_spec *spec)
{
    size_t nest = cnif_nlattr_nest(buf, VETH_INFO_PEER);

    (void)cnif_nlbuf_reserve(buf, sizeof(struct ifinfomsg));
    if (spec->peer.name)
        cnif_nlattr_put_str(buf, IFLA_IFNAME, spec->peer.name);
    if (spec->peer.has_mac)
        cnif_nlattr_put(buf, IFLA_ADDRESS, spec->peer.mac, sizeof(spec->peer.mac));
    if (spec->peer.mtu)
        cnif_nlattr_put_u32(buf, IFLA_MTU, spec->peer.mtu);
    if (spec->peer.netns_fd >= 0)
        cnif_nlattr_put_u32(buf, IFLA_NET_NS_FD, (uint32_t)spec->peer.netns_fd);
    if (spec->single_queue)
        cnif_link_put_single_queue(buf);
    cnif_nlattr_nest_end(buf, nest);
}

const struct cnif_link_kind cnif_kind_veth = {.name = "veth", .put = put};
