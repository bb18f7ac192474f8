/*
 * Finding the host's end of a pair by the container's.
 */
#include "base/err.h"
#include "netlink/nlsock.h"
#include "rtnl/link.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>

int cnif_veth_peer(struct cnif_nlsock *host, int netns_fd, const char *ifname,
                   struct cnif_link *ret, struct cnif_err *reterr)
{
    struct cnif_link inside, peer;
    struct cnif_nlsock *sock;
    int r = cnif_nlsock_open(NETLINK_ROUTE, netns_fd, &sock, reterr);

    if (r < 0)
        return r;
    r = cnif_link_get(sock, ifname, 0, &inside, reterr);
    cnif_nlsock_close(sock);
    if (r < 0) {
        cnif_err_prefix(reterr, "find the container's interface");
        return r;
    }
    if (strcmp(inside.kind, "veth") != 0 || !inside.parent)
        return cnif_err_set(reterr, ENODEV, "container interface %s has no veth peer", ifname);
    r = cnif_link_get(host, NULL, inside.parent, &peer, reterr);
    if (r < 0) {
        cnif_err_prefix(reterr, "find the veth peer of container interface %s", ifname);
        return r;
    }
    /* The same index in the wrong namespace is another link. */
    if (strcmp(peer.kind, "veth") != 0 || peer.parent != inside.index)
        return cnif_err_set(reterr, ENODEV,
                            "veth peer of container interface %s is not in the host's namespace",
                            ifname);
    *ret = peer;
    return 0;
}
