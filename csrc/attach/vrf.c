/*
 * Ports of a VRF: a link that changes its master loses routes, and IPv6
 * addresses unless they are told to stay; it gets them again in the VRF's table.
 */
#include "attach/watch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "cnifast_routing.h"
#include "netlink/nlsock.h"
#include "rtnl/kept.h"
#include "rtnl/link.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define REQUEST_SIZE 16384
#define MESSAGE_MAX  (CNIF_KEPT_MAX + 64)
#define TIMEOUT_MS   5000

/* What a link has before it moves. */
struct move {
    struct cnif_nlsock *sock;
    const struct cnif_vrf_port *port;
    struct cnif_kept_address *addresses;
    size_t n_addresses;
    struct cnif_kept_route *routes;
    size_t n_routes;
};

/* Global ones alone: the kernel makes those of the link again. */
static int keep_addresses(struct move *move, struct cnif_err *reterr)
{
    size_t count, i, n = 0;
    int r = cnif_kept_address_dump(move->sock, move->port->index, AF_INET6, &move->addresses,
                                   &count, reterr);

    if (r < 0)
        return r;
    for (i = 0; i < count; i++) {
        if (move->addresses[i].address.scope == RT_SCOPE_UNIVERSE)
            move->addresses[n++] = move->addresses[i];
    }
    move->n_addresses = n;
    return 0;
}

/* Neither what the kernel makes of addresses nor what is on the link itself, as the reference. */
static int keep_routes(struct move *move, struct cnif_err *reterr)
{
    size_t count, i, n = 0;
    int r = cnif_kept_route_dump(move->sock, move->port->index, 0, RT_TABLE_MAIN, &move->routes,
                                 &count, reterr);

    if (r < 0)
        return r;
    for (i = 0; i < count; i++) {
        const struct cnif_route *route = &move->routes[i].route;

        if (route->scope != RT_SCOPE_UNIVERSE || route->protocol == RTPROT_KERNEL)
            continue;
        if (!move->routes[i].kept.size)
            return cnif_err_errno(reterr, EMSGSIZE, "keep route of %s", move->port->name);
        move->routes[n++] = move->routes[i];
    }
    move->n_routes = n;
    return 0;
}

static void put_master(struct cnif_nlbuf *buf, const struct cnif_vrf_port *port, int32_t master)
{
    cnif_link_begin_change(buf, port->index, 0, 0, "set master of");
    cnif_nlattr_put_u32(buf, IFLA_MASTER, (uint32_t)master);
    cnif_nlmsg_end(buf);
}

static bool is_there(const struct cnif_ip *ip, const struct cnif_address *present, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (memcmp(ip, &present[i].ip, sizeof(*ip)) == 0)
            return true;
    }
    return false;
}

/* An address that was valid needs no second detection of duplicates. */
static uint32_t flags_of(const struct cnif_address *address)
{
    return address->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) ? 0 : IFA_F_NODAD;
}

static int restore_addresses(struct move *move, size_t *ret_lost, struct cnif_err *reterr)
{
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    cnif_cleanup_free struct cnif_address *present = NULL;
    struct cnif_nlbuf buf;
    size_t count, i, lost = 0;
    int r = cnif_addr_dump(move->sock, move->port->index, AF_INET6, &present, &count, reterr);

    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (i = 0; r == 0 && i < move->n_addresses; i++) {
        struct cnif_kept_address *address = &move->addresses[i];

        if (is_there(&address->address.ip, present, count))
            continue;
        cnif_kept_address_put_add(&buf, address, flags_of(&address->address));
        /* What is lost comes first, for who waits for it. */
        if (i != lost) {
            struct cnif_kept_address other = move->addresses[lost];

            move->addresses[lost] = *address;
            *address = other;
        }
        lost++;
        if (buf.count == CNIF_NLBUF_MESSAGES || buf.size - buf.used < MESSAGE_MAX) {
            r = cnif_nlsock_talk(move->sock, &buf, move->port->name, NULL, NULL, NULL, reterr);
            cnif_nlbuf_reset(&buf);
        }
    }
    if (r == 0 && (buf.count || buf.overflow))
        r = cnif_nlsock_talk(move->sock, &buf, move->port->name, NULL, NULL, NULL, reterr);
    if (r == 0)
        *ret_lost = lost;
    return r;
}

struct restored {
    struct move *move;
    size_t lost;
};

/* 1 when packets to each of the first `lost` addresses are the container's own, else 0. */
static int are_local(void *arg, struct cnif_err *reterr)
{
    const struct restored *restored = arg;
    const struct move *move = restored->move;
    cnif_cleanup_free struct cnif_route *routes = NULL;
    size_t count, i, j;
    int r = cnif_route_dump(move->sock, 0, AF_INET6, move->port->table, &routes, &count, reterr);

    if (r < 0)
        return r;
    for (i = 0; i < restored->lost; i++) {
        for (j = 0; j < count; j++) {
            if (routes[j].type == RTN_LOCAL && routes[j].dst.prefix == 128 &&
                memcmp(routes[j].dst.bytes, move->addresses[i].address.ip.bytes, 16) == 0)
                break;
        }
        if (j == count)
            return 0;
    }
    return 1;
}

/* The kernel makes the routes of new addresses a moment later: look when it says that it has. */
static int wait_local(struct move *move, struct cnif_nlsock *watch, size_t lost,
                      struct cnif_err *reterr)
{
    struct restored restored = {.move = move, .lost = lost};
    const struct cnif_awaited awaited = {.look = are_local, .arg = &restored};
    int r = lost ? cnif_watch_wait(watch, TIMEOUT_MS, &awaited, reterr) : 1;

    if (r == 0)
        return cnif_err_errno(reterr, ETIMEDOUT, "restore addresses of %s", move->port->name);
    return r < 0 ? r : 0;
}

static int copy_routes(struct move *move, bool whole, struct cnif_err *reterr)
{
    cnif_cleanup_free struct cnif_routing_change *changes =
        calloc(move->n_routes + 1, sizeof(*changes));
    size_t pass, i, n = 0;

    if (!changes)
        return cnif_err_errno(reterr, ENOMEM, "restore routes of %s", move->port->name);
    /* Gateways are reached by routes that have none. */
    for (pass = 0; pass < 2; pass++) {
        for (i = 0; i < move->n_routes; i++) {
            if ((move->routes[i].route.gateway.family != 0) == (pass == 1))
                changes[n++] = (struct cnif_routing_change){
                    .step = CNIF_COPY_ROUTE, .kept = &move->routes[i], .table = move->port->table};
        }
    }
    return cnif_routing_change(move->sock, changes, n, whole, reterr);
}

/* As it was, as far as it goes: back from the VRF, with addresses and routes. */
static void undo(struct move *move)
{
    struct cnif_vrf_port back = *move->port;
    struct move home = *move;
    uint8_t data[128] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;
    size_t lost;

    back.table = RT_TABLE_MAIN;
    home.port = &back;
    cnif_nlbuf_init(&buf, data, sizeof(data));
    put_master(&buf, &back, 0);
    (void)cnif_nlsock_talk(move->sock, &buf, back.name, NULL, NULL, NULL, NULL);
    (void)restore_addresses(&home, &lost, NULL);
    (void)copy_routes(&home, false, NULL);
}

static int run(struct move *move, struct cnif_nlsock *watch, struct cnif_err *reterr)
{
    uint8_t data[128] __attribute__((aligned(4)));
    unsigned failed = UINT32_MAX;
    struct cnif_nlbuf buf;
    size_t lost = 0;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    put_master(&buf, move->port, move->port->vrf);
    r = cnif_nlsock_talk(move->sock, &buf, move->port->name, NULL, NULL, &failed, reterr);
    if (failed != UINT32_MAX)
        return r; /* the kernel said no */
    if (r == 0)
        r = restore_addresses(move, &lost, reterr);
    if (r == 0)
        r = wait_local(move, watch, lost, reterr);
    if (r == 0)
        r = copy_routes(move, true, reterr);
    if (r < 0)
        undo(move);
    return r;
}

int cnif_vrf_join(struct cnif_nlsock *sock, int netns_fd, const struct cnif_vrf_port *port,
                  struct cnif_err *reterr)
{
    struct move move = {.sock = sock, .port = port};
    struct cnif_nlsock *watch = NULL;
    int r = keep_addresses(&move, reterr);

    if (r == 0)
        r = keep_routes(&move, reterr);
    if (r == 0 && move.n_addresses)
        r = cnif_watch_open(netns_fd, RTNLGRP_IPV6_ROUTE, &watch, reterr);
    if (r == 0)
        r = run(&move, watch, reterr);
    cnif_nlsock_close(watch);
    free(move.addresses);
    free(move.routes);
    return r;
}
