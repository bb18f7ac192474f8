#include "attach/routed.h"

#include "attach/watch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "netlink/nlsock.h"
#include "rtnl/addr.h"
#include "rtnl/link.h"
#include "rtnl/route.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define REQUEST_SIZE      4096
#define SETTLE_TIMEOUT_MS 5000

static size_t count_ipv6(const struct cnif_veth_host *veth)
{
    size_t count = 0, i;

    for (i = 0; i < veth->n_addresses; i++)
        count += veth->addresses[i].family == AF_INET6;
    return count;
}

/* `sock` knows in which namespace that is. */
static int watch_addresses(const struct cnif_nlsock *sock, const struct cnif_veth_host *veth,
                           struct cnif_nlsock **ret, struct cnif_err *reterr)
{
    cnif_cleanup_close int netns = ioctl(sock->fd, SIOCGSKNS);

    if (netns < 0)
        return cnif_err_errno(reterr, errno, "find network namespace of %s", veth->name);
    return cnif_watch_open(netns, RTNLGRP_IPV6_IFADDR, ret, reterr);
}

/* One transaction: more addresses than fit in it are refused before anything is done. */
int cnif_routed_configure(struct cnif_nlsock *sock, const struct cnif_veth_host *veth,
                          int32_t index, struct cnif_nlsock **ret_watch, struct cnif_err *reterr)
{
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;
    size_t i;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (i = 0; i < veth->n_addresses; i++)
        cnif_addr_put_add(&buf, index, &veth->addresses[i],
                          veth->addresses[i].family == AF_INET6 ? IFA_F_NODAD : 0);
    cnif_link_begin_change(&buf, index, IFF_UP, IFF_UP, "set up");
    cnif_nlmsg_end(&buf);
    for (i = 0; i < veth->n_routes; i++) {
        struct cnif_route route = veth->routes[i];

        route.oif = index;
        cnif_route_put_replace(&buf, &route);
    }
    *ret_watch = NULL;
    if (count_ipv6(veth)) {
        int r = watch_addresses(sock, veth, ret_watch, reterr);

        if (r < 0)
            return r;
    }
    return cnif_nlsock_talk(sock, &buf, veth->name, NULL, NULL, NULL, reterr);
}

/* How many of the addresses are still to be announced. */
struct awaited {
    const struct cnif_veth_host *veth;
    int32_t index;
    size_t left;
};

static int announced(const struct nlmsghdr *nlh, void *arg)
{
    struct awaited *awaited = arg;
    const struct cnif_veth_host *veth = awaited->veth;
    struct cnif_address address;
    size_t i;

    if (nlh->nlmsg_type != RTM_NEWADDR || !cnif_addr_parse(nlh, &address) ||
        address.index != awaited->index)
        return 0;
    for (i = 0; i < veth->n_addresses; i++) {
        if (memcmp(&veth->addresses[i], &address.ip, sizeof(address.ip)) == 0)
            return --awaited->left == 0 ? CNIF_WATCH_SEEN : 0;
    }
    return 0;
}

int cnif_routed_settle(struct cnif_nlsock *watch, const struct cnif_veth_host *veth, int32_t index,
                       struct cnif_err *reterr)
{
    struct awaited awaited = {.veth = veth, .index = index, .left = count_ipv6(veth)};
    int r =
        cnif_watch_until(watch, -1, cnif_deadline(SETTLE_TIMEOUT_MS), announced, &awaited, reterr);

    if (r == 0)
        r = cnif_err_set(reterr, ETIMEDOUT, "addresses of %s are not in use after %d ms",
                         veth->name, SETTLE_TIMEOUT_MS);
    return r < 0 ? r : 0; /* an announcement that was lost in a flood was made */
}
