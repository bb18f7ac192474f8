/*
 * The host's end of a veth pair: a port of a bridge, or what routed.c makes of it.
 */
#include "attach/veth.h"

#include "attach/detach.h"
#include "attach/watch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"
#include "netns/netns.h"
#include "rtnl/link.h"
#include "rtnl/port.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define UP_TIMEOUT_MS 5000

static int clear_vlans(struct cnif_nlsock *sock, int32_t index, struct cnif_err *reterr)
{
    uint8_t bits[512];
    uint16_t vid;
    int r = cnif_port_vlans(sock, index, bits, reterr);

    for (vid = 1; r == 0 && vid < 4095; vid++) {
        if (bits[vid / 8] & (1U << (vid % 8)))
            r = cnif_port_vlan(sock, index, false, vid, vid, false, reterr);
    }
    return r;
}

static int set_vlans(struct cnif_nlsock *sock, const struct cnif_veth_host *veth, int32_t index,
                     struct cnif_err *reterr)
{
    size_t i;
    int r = 0;

    if (!veth->keep_default_vlan)
        r = clear_vlans(sock, index, reterr);
    if (r == 0 && veth->vlan)
        r = cnif_port_vlan(sock, index, true, veth->vlan, veth->vlan, true, reterr);
    for (i = 0; r == 0 && i < veth->n_trunk; i++)
        r = cnif_port_vlan(sock, index, true, veth->trunk[i].first, veth->trunk[i].last, false,
                           reterr);
    /* A trunk without a VLAN of its own keeps 1 as the native one. */
    if (r == 0 && !veth->vlan)
        r = cnif_port_vlan(sock, index, true, 1, 1, true, reterr);
    return r;
}

/*
 * The routes of the host's end are nobody's business: no router advertisement
 * may add any.
 */
static int refuse_ra(const struct cnif_nlsock *sock, const struct cnif_veth_host *veth, bool here,
                     struct cnif_err *reterr)
{
    char path[64];
    struct cnif_sysctl sysctl = {.path = path, .value = "0", .optional = true};
    bool known = here || cnif_netns_is_settled();
    cnif_cleanup_close int netns = known ? -1 : ioctl(sock->fd, SIOCGSKNS);

    if (!known && netns < 0)
        return cnif_err_errno(reterr, errno, "find network namespace of %s", veth->name);
    (void)snprintf(path, sizeof(path), "net/ipv6/conf/%s/accept_ra", veth->name);
    return cnif_sysctl_write(known ? veth->netns_fd : netns, &sysctl, 1, reterr);
}

/*
 * The kernel takes an alias only for a link that exists.  A bridge's port has
 * no use for an IPv6 address of its own: to give it none saves both its making
 * and its removal, with all that is announced of it.
 */
static void put_identity(struct cnif_nlbuf *buf, const struct cnif_veth_host *veth, int32_t index,
                         bool ipv6)
{
    cnif_link_begin_change(buf, index, 0, 0, "set alias of");
    cnif_nlattr_put(buf, IFLA_IFALIAS, veth->alias, strlen(veth->alias));
    if (ipv6) {
        size_t spec = cnif_nlattr_nest(buf, IFLA_AF_SPEC);
        size_t inet6 = cnif_nlattr_nest(buf, AF_INET6);

        cnif_nlattr_put_u8(buf, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
        cnif_nlattr_nest_end(buf, inet6);
        cnif_nlattr_nest_end(buf, spec);
    }
    cnif_nlmsg_end(buf);
}

static void put_up(struct cnif_nlbuf *buf, int32_t index)
{
    cnif_link_begin_change(buf, index, IFF_UP, IFF_UP, "set up");
    cnif_nlmsg_end(buf);
}

static int set_options(struct cnif_nlsock *sock, const struct cnif_veth_host *veth, int32_t index,
                       bool up, bool ipv6, struct cnif_err *reterr)
{
    uint8_t data[768] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    put_identity(&buf, veth, index, ipv6);
    if (veth->hairpin || veth->isolated)
        cnif_port_put_set(&buf, index, veth->hairpin, veth->isolated);
    if (up)
        put_up(&buf, index);
    return cnif_nlsock_talk(sock, &buf, veth->name, NULL, NULL, NULL, reterr);
}

static int set_up(struct cnif_nlsock *sock, const struct cnif_veth_host *veth, int32_t index,
                  struct cnif_err *reterr)
{
    uint8_t data[64] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    put_up(&buf, index);
    return cnif_nlsock_talk(sock, &buf, veth->name, NULL, NULL, NULL, reterr);
}

int cnif_veth_configure_port(struct cnif_nlsock *sock, const struct cnif_veth_host *veth, bool here,
                             int32_t index, struct cnif_err *reterr)
{
    bool vlans = veth->vlan || veth->n_trunk;
    int r = refuse_ra(sock, veth, here, reterr);

    if (r == 0 && !veth->bridge) /* the rest is up to cnif_routed_configure */
        return set_options(sock, veth, index, false, false, reterr);
    if (r == 0)
        r = set_options(sock, veth, index, !vlans, true, reterr);
    if (r == -EAFNOSUPPORT) /* a kernel without IPv6 */
        r = set_options(sock, veth, index, !vlans, false, reterr);
    if (r == 0 && vlans) {
        r = set_vlans(sock, veth, index, reterr);
        if (r == 0)
            r = set_up(sock, veth, index, reterr);
    }
    return r;
}

static int ends_reply(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    struct cnif_veth_ends *ends = arg;

    return cnif_link_reply(nlh, 0, index == 0 ? &ends->port : &ends->bridge);
}

/*
 * Since Linux 6.8 the kernel settles a link's carrier before it answers, so
 * that asking the port and then the bridge is enough to have both forward.
 */
static int ask_ends(struct cnif_nlsock *sock, const struct cnif_veth_host *veth, int32_t index,
                    struct cnif_veth_ends *ends, struct cnif_err *reterr)
{
    uint8_t data[256] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_link_put_get(&buf, NULL, index);
    if (veth->bridge)
        cnif_link_put_get(&buf, NULL, veth->bridge);
    return cnif_nlsock_talk(sock, &buf, veth->name, ends_reply, ends, NULL, reterr);
}

struct settling {
    struct cnif_nlsock *sock;
    const struct cnif_veth_host *veth;
    struct cnif_veth_ends *ends;
};

static int is_up(void *arg, struct cnif_err *reterr)
{
    struct settling *port = arg;
    int r = ask_ends(port->sock, port->veth, port->ends->port.index, port->ends, reterr);

    return r < 0 ? r : port->ends->port.operstate == IF_OPER_UP;
}

static int comes_up(const struct nlmsghdr *nlh, void *arg)
{
    const struct settling *port = arg;
    struct cnif_link link;

    return nlh->nlmsg_type == RTM_NEWLINK && cnif_link_parse(nlh, &link) &&
           link.index == port->ends->port.index && link.operstate == IF_OPER_UP;
}

/* On older kernels the state follows by itself: watch for it. */
static int wait_up(struct settling *port, struct cnif_err *reterr)
{
    const struct cnif_awaited awaited = {.look = is_up, .seen = comes_up, .arg = port};
    struct cnif_nlsock *watch;
    int r = cnif_watch_open(port->veth->netns_fd, RTNLGRP_LINK, &watch, reterr);

    if (r < 0)
        return r;
    r = cnif_watch_wait(watch, UP_TIMEOUT_MS, &awaited, reterr);
    cnif_nlsock_close(watch);
    if (r == 0)
        return cnif_err_set(reterr, ETIMEDOUT, "bridge port %s is not up after %d ms",
                            port->veth->name, UP_TIMEOUT_MS);
    return r < 0 ? r : 0;
}

int cnif_veth_settle(struct cnif_nlsock *sock, const struct cnif_veth_host *veth, bool up,
                     struct cnif_veth_ends *ret, struct cnif_err *reterr)
{
    struct settling port = {.sock = sock, .veth = veth, .ends = ret};
    int r = is_up(&port, reterr);

    return r == 0 && up ? wait_up(&port, reterr) : r < 0 ? r : 0;
}

void cnif_veth_undo(struct cnif_nlsock *sock, const struct cnif_veth_host *veth,
                    const uint8_t mac[6], struct cnif_link *port, enum cnif_linger linger)
{
    if (!port->index &&
        (cnif_link_get(sock, veth->name, 0, port, NULL) < 0 || memcmp(port->mac, mac, 6) != 0))
        return;
    cnif_undo_link(veth->netns_fd, sock, port, linger);
}
