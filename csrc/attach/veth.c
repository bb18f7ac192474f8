/*
 * A veth attachment: the pair in one message, the container's end in one batch.
 */
#include "attach/veth.h"

#include "attach/detach.h"
#include "attach/endpoint.h"
#include "attach/watch.h"
#include "base/err.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"
#include "rtnl/link.h"
#include "rtnl/port.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define UP_TIMEOUT_MS 5000

void cnif_veth_describe(const struct cnif_veth_host *veth, const struct cnif_endpoint *endpoint,
                        struct cnif_link_spec *ret)
{
    *ret = (struct cnif_link_spec){
        .kind = "veth",
        .name = veth->name,
        .mtu = endpoint->mtu,
        .master = veth->bridge,
        .netns_fd = -1,
        .up = true,
        .has_mac = true,
        .single_queue = true,
        .peer = {.name = endpoint->ifname,
                 .mtu = endpoint->mtu,
                 .netns_fd = endpoint->netns_fd,
                 .has_mac = endpoint->has_mac},
    };
    memcpy(ret->mac, veth->mac, sizeof(ret->mac));
    memcpy(ret->peer.mac, endpoint->mac, sizeof(ret->peer.mac));
}

static int clear_vlans(struct cnif_nlsock *host, int32_t index, struct cnif_err *reterr)
{
    uint8_t bits[512];
    uint16_t vid;
    int r = cnif_port_vlans(host, index, bits, reterr);

    for (vid = 1; r == 0 && vid < 4095; vid++) {
        if (bits[vid / 8] & (1U << (vid % 8)))
            r = cnif_port_vlan(host, index, false, vid, vid, false, reterr);
    }
    return r;
}

static int set_vlans(struct cnif_nlsock *host, const struct cnif_veth_host *veth, int32_t index,
                     struct cnif_err *reterr)
{
    size_t i;
    int r = 0;

    if (!veth->vlan && !veth->n_trunk)
        return 0;
    if (!veth->keep_default_vlan)
        r = clear_vlans(host, index, reterr);
    if (r == 0 && veth->vlan)
        r = cnif_port_vlan(host, index, true, veth->vlan, veth->vlan, true, reterr);
    for (i = 0; r == 0 && i < veth->n_trunk; i++)
        r = cnif_port_vlan(host, index, true, veth->trunk[i].first, veth->trunk[i].last, false,
                           reterr);
    /* A trunk without a VLAN of its own keeps 1 as the native one. */
    if (r == 0 && !veth->vlan)
        r = cnif_port_vlan(host, index, true, 1, 1, true, reterr);
    return r;
}

static int configure_port(struct cnif_nlsock *host, const struct cnif_veth_host *veth,
                          int32_t index, struct cnif_err *reterr)
{
    uint8_t data[512] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;
    int r = cnif_sysctl_write(veth->netns_fd, veth->sysctls, veth->n_sysctls, reterr);

    if (r < 0)
        return r;
    /* The kernel takes an alias only for a link that exists. */
    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_link_begin_change(&buf, index, 0, 0, "set alias of");
    cnif_nlattr_put(&buf, IFLA_IFALIAS, veth->alias, strlen(veth->alias));
    cnif_nlmsg_end(&buf);
    if (veth->hairpin || veth->isolated)
        cnif_port_put_set(&buf, index, veth->hairpin, veth->isolated);
    r = cnif_nlsock_talk(host, &buf, veth->name, NULL, NULL, NULL, reterr);
    return r == 0 ? set_vlans(host, veth, index, reterr) : r;
}

/* Two links asked about at once: the port, then its bridge. */
struct ends {
    struct cnif_link port;
    struct cnif_link bridge;
};

static int ends_reply(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    struct ends *ends = arg;

    return cnif_link_reply(nlh, 0, index == 0 ? &ends->port : &ends->bridge);
}

/*
 * Since Linux 6.8 the kernel settles a link's carrier before it answers, so
 * that asking the port and then the bridge is enough to have both forward.
 */
static int ask_ends(struct cnif_nlsock *host, const struct cnif_veth_host *veth, int32_t index,
                    struct ends *ends, struct cnif_err *reterr)
{
    uint8_t data[256] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_link_put_get(&buf, NULL, index);
    cnif_link_put_get(&buf, NULL, veth->bridge);
    return cnif_nlsock_talk(host, &buf, veth->name, ends_reply, ends, NULL, reterr);
}

static int is_up(const struct nlmsghdr *nlh, void *arg)
{
    const struct ends *ends = arg;
    struct cnif_link link;

    return nlh->nlmsg_type == RTM_NEWLINK && cnif_link_parse(nlh, &link) &&
           link.index == ends->port.index && link.operstate == IF_OPER_UP;
}

/* On older kernels the state follows by itself: watch for it, having looked once more. */
static int wait_up(struct cnif_nlsock *host, const struct cnif_veth_host *veth, struct ends *ends,
                   struct cnif_err *reterr)
{
    int64_t deadline = cnif_deadline(UP_TIMEOUT_MS);
    struct cnif_nlsock *watch;
    int r = cnif_watch_open(veth->netns_fd, RTNLGRP_LINK, &watch, reterr);

    if (r < 0)
        return r;
    while ((r = ask_ends(host, veth, ends->port.index, ends, reterr)) == 0 &&
           ends->port.operstate != IF_OPER_UP) {
        r = cnif_watch_until(watch, -1, deadline, is_up, ends, reterr);
        if (r == 0)
            r = cnif_err_set(reterr, ETIMEDOUT, "bridge port %s is not up after %d ms", veth->name,
                             UP_TIMEOUT_MS);
        if (r < 0)
            break;
    }
    cnif_nlsock_close(watch);
    return r;
}

int cnif_veth_configure(struct cnif_nlsock *host, const struct cnif_veth_host *veth,
                        const struct cnif_endpoint *endpoint, const struct cnif_link *port,
                        struct cnif_attached *ret, struct cnif_err *reterr)
{
    struct ends ends = {.port = *port};
    struct cnif_link inside;
    int r = configure_port(host, veth, port->index, reterr);

    if (r == 0)
        r = cnif_endpoint_configure(endpoint, port->parent, false, &inside, reterr);
    if (r == 0)
        r = ask_ends(host, veth, port->index, &ends, reterr);
    if (r == 0 && endpoint->up && ends.port.operstate != IF_OPER_UP)
        r = wait_up(host, veth, &ends, reterr);
    if (r < 0)
        return r;
    *ret = (struct cnif_attached){
        .index = inside.index, .host_index = port->index, .bridge = ends.bridge};
    memcpy(ret->mac, inside.mac, sizeof(ret->mac));
    return 0;
}

void cnif_veth_undo(struct cnif_nlsock *host, const struct cnif_veth_host *veth,
                    struct cnif_link *port, enum cnif_linger linger)
{
    if (!port->index && (cnif_link_get(host, veth->name, 0, port, NULL) < 0 ||
                         memcmp(port->mac, veth->mac, sizeof(veth->mac)) != 0))
        return;
    cnif_undo_link(veth->netns_fd, host, port, linger);
}

int cnif_attach_veth(struct cnif_nlsock *host, const struct cnif_veth_host *veth,
                     const struct cnif_endpoint *endpoint, enum cnif_linger linger,
                     struct cnif_attached *ret, struct cnif_err *reterr)
{
    struct cnif_link port = {0};
    struct cnif_link_spec spec;
    bool refused;
    int r;

    cnif_veth_describe(veth, endpoint, &spec);
    r = cnif_link_create(host, &spec, &port, &refused, reterr);
    if (r == 0)
        r = cnif_veth_configure(host, veth, endpoint, &port, ret, reterr);
    if (r < 0 && !refused)
        cnif_veth_undo(host, veth, &port, linger);
    return r;
}
