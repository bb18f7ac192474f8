#include "attach/endpoint.h"

#include "attach/watch.h"
#include "base/err.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"
#include "netns/netns.h"
#include "rtnl/addr.h"
#include "rtnl/link.h"
#include "rtnl/route.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#define REQUEST_SIZE   8192
#define MESSAGE_MAX    128 /* of those below */
#define DAD_TIMEOUT_MS 5000

static uint32_t address_flags(const struct cnif_endpoint *endpoint, const struct cnif_ip *ip)
{
    return ip->family == AF_INET6 && !endpoint->wait_dad ? IFA_F_NODAD : 0;
}

/* The requests for one endpoint: one transaction, or more where a configuration lists many. */
struct batch {
    struct cnif_nlsock *sock;
    const char *ifname;
    struct cnif_err *reterr;
    struct cnif_link link; /* as it is once it is up */
    struct cnif_nlbuf buf;
    int result; /* of the first transaction that failed */
};

static void flush(struct batch *batch)
{
    batch->result = cnif_nlsock_talk(batch->sock, &batch->buf, batch->ifname, cnif_link_reply,
                                     &batch->link, NULL, batch->reterr);
    cnif_nlbuf_reset(&batch->buf);
}

/* Where the next message goes; NULL once a transaction has failed. */
static struct cnif_nlbuf *next(struct batch *batch)
{
    const struct cnif_nlbuf *buf = &batch->buf;

    if (buf->count == CNIF_NLBUF_MESSAGES || buf->size - buf->used < MESSAGE_MAX)
        flush(batch);
    return batch->result == 0 ? &batch->buf : NULL;
}

/* Addresses before the link is up, routes after. */
static void send_all(struct batch *batch, const struct cnif_endpoint *endpoint, int32_t index)
{
    struct cnif_nlbuf *buf;
    size_t i;

    for (i = 0; i < endpoint->n_addresses && (buf = next(batch)); i++)
        cnif_addr_put_add(buf, index, &endpoint->addresses[i],
                          address_flags(endpoint, &endpoint->addresses[i]));
    if (endpoint->up && (buf = next(batch))) {
        cnif_link_begin_change(buf, index, IFF_UP, IFF_UP, "set up link");
        cnif_nlmsg_end(buf);
    }
    /* The question makes the kernel settle the carrier state before it answers. */
    if ((buf = next(batch)))
        cnif_link_put_get(buf, NULL, index);
    for (i = 0; i < endpoint->n_routes && (buf = next(batch)); i++) {
        struct cnif_route route = endpoint->routes[i];

        route.oif = index;
        cnif_route_put_add(buf, &route, false);
    }
    if (batch->result == 0)
        flush(batch);
}

/* How many of the addresses duplicate address detection is still about. */
struct dad {
    int32_t index;
    size_t pending;
    bool failed;
};

static int dad_seen(const struct nlmsghdr *nlh, void *arg)
{
    struct cnif_address address;
    struct dad *dad = arg;

    if (nlh->nlmsg_type != RTM_NEWADDR || !cnif_addr_parse(nlh, &address) ||
        address.index != dad->index || address.ip.family != AF_INET6 ||
        address.scope != RT_SCOPE_UNIVERSE)
        return 0;
    if (address.flags & IFA_F_DADFAILED)
        dad->failed = true;
    else if (address.flags & IFA_F_TENTATIVE)
        return 0;
    return dad->failed || --dad->pending == 0;
}

static int wait_dad(struct cnif_nlsock *watch, const struct cnif_endpoint *endpoint, int32_t index,
                    struct cnif_err *reterr)
{
    struct dad dad = {.index = index};
    size_t i;
    int r;

    for (i = 0; i < endpoint->n_addresses; i++)
        dad.pending += endpoint->addresses[i].family == AF_INET6;
    if (!dad.pending)
        return 0;
    r = cnif_watch_until(watch, -1, cnif_deadline(DAD_TIMEOUT_MS), dad_seen, &dad, reterr);
    if (r < 0)
        return r;
    if (dad.failed)
        return cnif_err_errno(reterr, EADDRINUSE, "duplicate address detection on %s",
                              endpoint->ifname);
    if (r == 0)
        return cnif_err_errno(reterr, ETIMEDOUT, "duplicate address detection on %s",
                              endpoint->ifname);
    return 0;
}

/* In the container: give the link its name, its sysctls; a socket to go on with. */
static int enter_and_prepare(const struct cnif_endpoint *endpoint, int32_t index, bool rename,
                             struct cnif_nlsock **ret, struct cnif_err *reterr)
{
    struct cnif_nlsock *sock;
    int r = endpoint->wait_dad ? cnif_watch_open(-1, RTNLGRP_IPV6_IFADDR, &sock, reterr)
                               : cnif_nlsock_open(NETLINK_ROUTE, -1, &sock, reterr);

    if (r < 0)
        return r;
    if (rename) {
        struct cnif_link_change change = {.name = endpoint->ifname, .master = -1, .netns_fd = -1};

        r = cnif_link_change(sock, index, &change, reterr);
    }
    if (r == 0)
        r = cnif_sysctl_write(-1, endpoint->sysctls, endpoint->n_sysctls, reterr);
    if (r < 0)
        cnif_nlsock_close(sock);
    else
        *ret = sock;
    return r;
}

int cnif_endpoint_configure(const struct cnif_endpoint *endpoint, int32_t index, bool rename,
                            struct cnif_link *ret, struct cnif_err *reterr)
{
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    struct batch batch = {.ifname = endpoint->ifname, .reterr = reterr};
    struct cnif_netns_visit visit;
    int r = cnif_netns_enter(&visit, endpoint->netns_fd, reterr);

    if (r < 0)
        return r;
    r = enter_and_prepare(endpoint, index, rename, &batch.sock, reterr);
    cnif_netns_leave(&visit);
    if (r < 0)
        return r;
    cnif_nlbuf_init(&batch.buf, data, sizeof(data));
    send_all(&batch, endpoint, index);
    r = batch.result;
    if (r == 0 && endpoint->wait_dad)
        r = wait_dad(batch.sock, endpoint, index, reterr);
    cnif_nlsock_close(batch.sock);
    if (r == 0)
        *ret = batch.link;
    return r;
}
