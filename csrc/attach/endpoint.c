#include "attach/endpoint.h"

#include "attach/watch.h"
#include "base/err.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"
#include "rtnl/addr.h"
#include "rtnl/link.h"
#include "rtnl/route.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/ip.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#define REQUEST_SIZE   8192
#define MESSAGE_MAX    128 /* of those below */
#define DAD_TIMEOUT_MS 5000

static uint32_t address_flags(const struct cnif_endpoint *endpoint, const struct cnif_ip *ip)
{
    uint32_t nodad = ip->family == AF_INET6 && !endpoint->wait_dad ? IFA_F_NODAD : 0;

    return endpoint->address_flags | nodad;
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

/* As net/ipv4/conf/NAME/arp_notify does, without a file to find. */
static void put_arp_notify(struct cnif_nlbuf *buf, int32_t index)
{
    size_t spec, inet, conf;

    cnif_link_begin_change(buf, index, 0, 0, "set arp_notify of link");
    spec = cnif_nlattr_nest(buf, IFLA_AF_SPEC);
    inet = cnif_nlattr_nest(buf, AF_INET);
    conf = cnif_nlattr_nest(buf, IFLA_INET_CONF);
    cnif_nlattr_put_u32(buf, IPV4_DEVCONF_ARP_NOTIFY, 1);
    cnif_nlattr_nest_end(buf, conf);
    cnif_nlattr_nest_end(buf, inet);
    cnif_nlattr_nest_end(buf, spec);
    cnif_nlmsg_end(buf);
}

/* Addresses before the link is up, routes after. */
static void send_all(struct batch *batch, const struct cnif_endpoint *endpoint, int32_t index)
{
    struct cnif_nlbuf *buf;
    size_t i;

    if (endpoint->arp_notify && (buf = next(batch)))
        put_arp_notify(buf, index);
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

static bool is_ours(const struct cnif_endpoint *endpoint, const struct cnif_ip *ip)
{
    size_t i;

    for (i = 0; i < endpoint->n_addresses; i++) {
        if (memcmp(&endpoint->addresses[i], ip, sizeof(*ip)) == 0)
            return true;
    }
    return false;
}

struct detection {
    struct cnif_nlsock *sock;
    const struct cnif_endpoint *endpoint;
    int32_t index;
};

/* 1 if duplicate address detection is over for all addresses, 0 if not. */
static int dad_over(void *arg, struct cnif_err *reterr)
{
    const struct detection *dad = arg;
    struct cnif_address *addresses;
    uint32_t seen = 0;
    size_t count, i;
    int r = cnif_addr_dump(dad->sock, dad->index, AF_INET6, &addresses, &count, reterr);

    if (r < 0)
        return r;
    for (i = 0; i < count; i++) {
        if (is_ours(dad->endpoint, &addresses[i].ip))
            seen |= addresses[i].flags;
    }
    cnif_free(addresses);
    if (seen & IFA_F_DADFAILED)
        return cnif_err_errno(reterr, EADDRINUSE, "duplicate address detection on %s",
                              dad->endpoint->ifname);
    return !(seen & IFA_F_TENTATIVE);
}

static int dad_news(const struct nlmsghdr *nlh, void *arg)
{
    const struct detection *dad = arg;
    struct cnif_address address;

    return nlh->nlmsg_type == RTM_NEWADDR && cnif_addr_parse(nlh, &address) &&
           address.index == dad->index &&
           (address.flags & IFA_F_DADFAILED || !(address.flags & IFA_F_TENTATIVE));
}

static int wait_dad(struct cnif_nlsock *sock, struct cnif_nlsock *watch,
                    const struct cnif_endpoint *endpoint, int32_t index, struct cnif_err *reterr)
{
    struct detection dad = {.sock = sock, .endpoint = endpoint, .index = index};
    const struct cnif_awaited awaited = {.look = dad_over, .seen = dad_news, .arg = &dad};
    int r = cnif_watch_wait(watch, DAD_TIMEOUT_MS, &awaited, reterr);

    if (r == 0)
        return cnif_err_errno(reterr, ETIMEDOUT, "duplicate address detection on %s",
                              endpoint->ifname);
    return r < 0 ? r : 0;
}

static int rename_link(struct cnif_nlsock *sock, int32_t index, const char *name,
                       struct cnif_err *reterr)
{
    uint8_t data[128] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_link_begin_change(&buf, index, 0, 0, "rename link to");
    cnif_nlattr_put_str(&buf, IFLA_IFNAME, name);
    cnif_nlmsg_end(&buf);
    return cnif_nlsock_talk(sock, &buf, name, NULL, NULL, NULL, reterr);
}

int cnif_inside_enter(const struct cnif_endpoint *endpoint, struct cnif_inside *ret,
                      struct cnif_err *reterr)
{
    struct cnif_inside inside = {0};
    int r = cnif_netns_enter(&inside.visit, endpoint->netns_fd, reterr);

    if (r < 0)
        return r;
    r = cnif_nlsock_open(NETLINK_ROUTE, -1, &inside.sock, reterr);
    if (r == 0 && endpoint->wait_dad)
        r = cnif_watch_open(-1, RTNLGRP_IPV6_IFADDR, &inside.watch, reterr);
    if (r < 0)
        cnif_inside_leave(&inside);
    else
        *ret = inside;
    return r;
}

void cnif_inside_leave(struct cnif_inside *inside)
{
    cnif_netns_leave(&inside->visit);
    cnif_nlsock_close(inside->sock);
    cnif_nlsock_close(inside->watch);
}

int cnif_inside_configure(struct cnif_inside *inside, const struct cnif_endpoint *endpoint,
                          int32_t index, bool rename, struct cnif_link *ret,
                          struct cnif_err *reterr)
{
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    struct batch batch = {.sock = inside->sock, .ifname = endpoint->ifname, .reterr = reterr};
    int r = rename ? rename_link(inside->sock, index, endpoint->ifname, reterr) : 0;

    if (r == 0)
        r = cnif_sysctl_write(-1, endpoint->sysctls, endpoint->n_sysctls, reterr);
    cnif_netns_leave(&inside->visit);
    if (r < 0)
        return r;
    cnif_nlbuf_init(&batch.buf, data, sizeof(data));
    send_all(&batch, endpoint, index);
    r = batch.result;
    if (r == 0 && endpoint->up && endpoint->wait_dad)
        r = wait_dad(inside->sock, inside->watch, endpoint, index, reterr);
    if (r == 0)
        *ret = batch.link;
    return r;
}
