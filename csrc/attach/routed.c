#include "attach/routed.h"

#include "attach/watch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "netlink/nlsock.h"
#include "rtnl/addr.h"
#include "rtnl/kept.h"
#include "rtnl/link.h"
#include "rtnl/route.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/ipv6_route.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define REQUEST_SIZE      8192
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

static uint32_t priority(const struct cnif_route *route)
{
    return route->priority ? route->priority : IP6_RT_PRIO_USER;
}

static bool is_rival(const struct cnif_route *other, const struct cnif_route *route)
{
    return other->oif != route->oif && other->priority == priority(route) &&
           memcmp(&other->dst, &route->dst, sizeof(other->dst)) == 0;
}

/* A copy names one way out, and no more than can be kept. */
static bool can_be_made_again(const struct cnif_kept_route *kept)
{
    return kept->route.oif && kept->kept.size;
}

/*
 * The route, message 0, is there already where it is listed twice; another that
 * is gone, with its link or without, is in nobody's way.
 */
static bool is_settled(int r, unsigned failed)
{
    return failed == 0 ? r == -EEXIST : r == -ESRCH || r == -ENODEV || r == -ENETDOWN;
}

/*
 * Add an IPv6 route of which the kernel has said that there are others to the
 * same destination, and make these anew, so that it is the first.  In one
 * transaction: there is always one of them, and their order stays.
 */
static int outrank(struct cnif_nlsock *sock, const char *name, const struct cnif_route *route,
                   struct cnif_err *reterr)
{
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    cnif_cleanup_free struct cnif_kept_route *routes = NULL;
    struct cnif_nlbuf buf;
    unsigned failed = 0;
    size_t count, i;
    int r = cnif_kept_route_dump(sock, 0, AF_INET6, RT_TABLE_MAIN, &routes, &count, reterr);

    if (r < 0)
        return r;
    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_route_put_add(&buf, route, false);
    for (i = 0; i < count; i++) {
        if (!is_rival(&routes[i].route, route))
            continue;
        if (!can_be_made_again(&routes[i]))
            return cnif_err_errno(reterr, EEXIST, "put another route behind that to %s", name);
        cnif_kept_route_put_delete(&buf, &routes[i], RT_TABLE_MAIN);
        cnif_kept_route_put_add(&buf, &routes[i], RT_TABLE_MAIN, false);
    }
    r = cnif_nlsock_talk(sock, &buf, name, NULL, NULL, &failed, reterr);
    return r == 0 || is_settled(r, failed) ? 0 : r;
}

/*
 * A route to where another leads goes before it, and never takes its place: when
 * this link goes, be it by an undo, the other is in force again.  IPv4 has the
 * newest first by itself, IPv6 the oldest.
 */
static void put_routes(struct cnif_nlbuf *buf, const struct cnif_veth_host *veth, int32_t index)
{
    size_t i;

    for (i = 0; i < veth->n_routes; i++) {
        struct cnif_route route = veth->routes[i];

        route.oif = index;
        cnif_route_put_add(buf, &route, route.dst.family == AF_INET6);
    }
}

/* Those that the kernel has refused because there are others; `first` is where routes begin. */
static int outrank_others(struct cnif_nlsock *sock, const struct cnif_veth_host *veth,
                          int32_t index, uint64_t refused, unsigned first, struct cnif_err *reterr)
{
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < veth->n_routes; i++) {
        struct cnif_route route = veth->routes[i];

        route.oif = index;
        if (refused >> (first + i) & 1)
            r = outrank(sock, veth->name, &route, reterr);
    }
    return r;
}

/* One transaction: more addresses than fit in it are refused before anything is done. */
int cnif_routed_configure(struct cnif_nlsock *sock, const struct cnif_veth_host *veth,
                          int32_t index, struct cnif_nlsock **ret_watch, struct cnif_err *reterr)
{
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;
    unsigned first, failed = 0;
    size_t i;
    int r = 0;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (i = 0; i < veth->n_addresses; i++)
        cnif_addr_put_add(&buf, index, &veth->addresses[i],
                          veth->addresses[i].family == AF_INET6 ? IFA_F_NODAD : 0);
    cnif_link_begin_change(&buf, index, IFF_UP, IFF_UP, "set up");
    cnif_nlmsg_end(&buf);
    first = buf.count;
    put_routes(&buf, veth, index);
    *ret_watch = NULL;
    if (count_ipv6(veth))
        r = watch_addresses(sock, veth, ret_watch, reterr);
    if (r < 0)
        return r;
    r = cnif_nlsock_talk(sock, &buf, veth->name, NULL, NULL, &failed, reterr);
    return r == -EEXIST && failed >= first
               ? outrank_others(sock, veth, index, buf.refused, first, reterr)
               : r;
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
