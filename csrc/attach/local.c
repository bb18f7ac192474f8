/*
 * An IPv6 address is there at once, but the kernel takes packets for it only
 * from when a worker of its own has made the local route, even if there is no
 * duplicate address detection: on a busy node some milliseconds later.
 */
#include "attach/local.h"

#include "attach/watch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"
#include "rtnl/route.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#define LOCAL_TIMEOUT_MS 10000

struct query {
    struct cnif_nlsock *sock;
    const struct cnif_ip *ip;
    const char *text;
};

static int type_reply(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    const struct rtmsg *rtm = cnif_nlmsg_header(nlh, sizeof(*rtm));
    unsigned char *type = arg;

    (void)index;
    if (nlh->nlmsg_type != RTM_NEWROUTE || !rtm)
        return -EBADMSG;
    *type = rtm->rtm_type;
    return 0;
}

/* 1 if the kernel takes packets for the address, 0 if not yet. */
static int is_local(void *arg, struct cnif_err *reterr)
{
    const struct query *query = arg;
    uint8_t data[128] __attribute__((aligned(4)));
    unsigned char type = RTN_UNSPEC;
    struct cnif_nlbuf buf;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_route_put_get(&buf, query->ip);
    r = cnif_nlsock_talk(query->sock, &buf, query->text, type_reply, &type, NULL, reterr);
    if (r == -ENETUNREACH || r == -EHOSTUNREACH || r == -EACCES || r == -EINVAL)
        return 0; /* no route, or one that refuses */
    return r < 0 ? r : type == RTN_LOCAL;
}

static int wait_local(struct query *query, struct cnif_err *reterr)
{
    const struct cnif_awaited awaited = {.look = is_local, .arg = query};
    cnif_cleanup_close int netns = ioctl(query->sock->fd, SIOCGSKNS);
    struct cnif_nlsock *watch;
    int r;

    if (netns < 0)
        return cnif_err_errno(reterr, errno, "find the network namespace of %s", query->text);
    r = cnif_watch_open(netns, RTNLGRP_IPV6_ROUTE, &watch, reterr);
    if (r < 0)
        return r;
    r = cnif_watch_wait(watch, LOCAL_TIMEOUT_MS, &awaited, reterr);
    cnif_nlsock_close(watch);
    if (r == 0)
        return cnif_err_set(reterr, ETIMEDOUT, "address %s is not in use after %d ms", query->text,
                            LOCAL_TIMEOUT_MS);
    return r < 0 ? r : 0;
}

int cnif_addr_settle(struct cnif_nlsock *sock, const struct cnif_ip *ip, struct cnif_err *reterr)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct query query = {.sock = sock, .ip = ip, .text = text};
    int r;

    if (ip->family != AF_INET6)
        return 0;
    (void)inet_ntop(AF_INET6, ip->bytes, text, sizeof(text));
    r = is_local(&query, reterr);
    return r == 0 ? wait_local(&query, reterr) : r < 0 ? r : 0;
}

int cnif_local_settle(struct cnif_nlsock *sock, const struct cnif_ip *ips, size_t count,
                      struct cnif_err *reterr)
{
    size_t i;
    int r = 0;

    for (i = 0; i < count && r == 0; i++)
        r = cnif_addr_settle(sock, &ips[i], reterr);
    return r;
}
