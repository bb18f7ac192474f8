/*
 * A macvlan attachment: the link is made in the container's namespace, on top
 * of a device of the host's or of the container's own.
 */
#include "attach/endpoint.h"
#include "base/err.h"
#include "netlink/nlsock.h"
#include "rtnl/link.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

static struct cnif_link_spec describe(const struct cnif_macvlan_host *macvlan,
                                      const struct cnif_endpoint *endpoint, const char *name)
{
    struct cnif_link_spec spec = {
        .kind = "macvlan",
        .name = name,
        .mtu = endpoint->mtu,
        .parent = macvlan->parent,
        .netns_fd = macvlan->parent_in_container ? -1 : endpoint->netns_fd,
        .has_mac = endpoint->has_mac,
        .macvlan = {.mode = macvlan->mode, .bcqueuelen = macvlan->bcqueuelen},
        .peer = {.netns_fd = -1},
    };

    memcpy(spec.mac, endpoint->mac, sizeof(spec.mac));
    return spec;
}

/*
 * The kernel looks the name up in the namespace of the socket first, so that a
 * host with an eth0 of its own refuses to make one elsewhere: then the link
 * gets a name that nobody else has, and its own one later.
 */
static int create(struct cnif_nlsock *sock, const struct cnif_macvlan_host *macvlan,
                  const struct cnif_endpoint *endpoint, char *ret_name, bool *ret_refused,
                  struct cnif_err *reterr)
{
    struct cnif_link_spec spec = describe(macvlan, endpoint, endpoint->ifname);
    struct cnif_link taken;
    int r = cnif_link_create(sock, &spec, NULL, ret_refused, reterr);

    (void)snprintf(ret_name, CNIF_IFNAME_MAX, "%s", endpoint->ifname);
    if (r != -EEXIST || macvlan->parent_in_container ||
        cnif_link_get(sock, endpoint->ifname, 0, &taken, NULL) < 0)
        return r;
    (void)snprintf(ret_name, CNIF_IFNAME_MAX, "mv%08x%05x", (unsigned)sock->portid,
                   (unsigned)sock->seq & 0xfffff);
    spec = describe(macvlan, endpoint, ret_name);
    return cnif_link_create(sock, &spec, NULL, ret_refused, reterr);
}

static int configure(const struct cnif_endpoint *endpoint, struct cnif_nlsock *inside,
                     const char *name, struct cnif_attached *ret, struct cnif_err *reterr)
{
    struct cnif_link link;
    int r = cnif_link_get(inside, name, 0, &link, reterr);

    if (r == 0)
        r = cnif_endpoint_configure(endpoint, link.index, strcmp(name, endpoint->ifname) != 0,
                                    &link, reterr);
    if (r < 0)
        return r;
    *ret = (struct cnif_attached){.index = link.index};
    memcpy(ret->mac, link.mac, sizeof(ret->mac));
    return 0;
}

int cnif_attach_macvlan(struct cnif_nlsock *host, const struct cnif_macvlan_host *macvlan,
                        const struct cnif_endpoint *endpoint, enum cnif_linger linger,
                        struct cnif_attached *ret, struct cnif_err *reterr)
{
    char name[CNIF_IFNAME_MAX];
    struct cnif_nlsock *inside;
    bool refused, found = false;
    int r = cnif_nlsock_open(NETLINK_ROUTE, endpoint->netns_fd, &inside, reterr);

    if (r < 0)
        return r;
    r = create(macvlan->parent_in_container ? inside : host, macvlan, endpoint, name, &refused,
               reterr);
    if (r == 0)
        r = configure(endpoint, inside, name, ret, reterr);
    if (r < 0 && !refused) {
        /* Whichever of the two names it had got to. */
        (void)cnif_detach(endpoint->netns_fd, name, NULL, linger, &found, NULL);
        if (!found && strcmp(name, endpoint->ifname) != 0)
            (void)cnif_detach(endpoint->netns_fd, endpoint->ifname, NULL, linger, &found, NULL);
    }
    cnif_nlsock_close(inside);
    return r;
}
