/*
 * A link that is in the container from its beginning: made in the container's
 * namespace, on top of a device of the host's or of the container's own, or of
 * none.
 */
#include "attach/detach.h"
#include "attach/endpoint.h"
#include "attach/local.h"
#include "base/err.h"
#include "netlink/nlsock.h"
#include "rtnl/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct cnif_link_spec describe(const struct cnif_link_spec *wanted, bool from_host,
                                      const struct cnif_endpoint *endpoint, const char *name)
{
    struct cnif_link_spec spec = *wanted;

    spec.name = name;
    spec.mtu = endpoint->mtu;
    spec.netns_fd = from_host ? endpoint->netns_fd : -1;
    spec.has_mac = endpoint->has_mac;
    memcpy(spec.mac, endpoint->mac, sizeof(spec.mac));
    return spec;
}

/*
 * The kernel looks the name up in the namespace of the socket first, so that a
 * host with an eth0 of its own refuses to make one elsewhere: then the link
 * gets a name that nobody else has, and its own one later.
 */
static int create(struct cnif_nlsock *sock, bool from_host, const struct cnif_link_spec *wanted,
                  const struct cnif_endpoint *endpoint, char *ret_name, bool *ret_refused,
                  struct cnif_err *reterr)
{
    struct cnif_link_spec spec = describe(wanted, from_host, endpoint, endpoint->ifname);
    struct cnif_err again;
    int r = cnif_link_create(sock, &spec, NULL, ret_refused, reterr);

    (void)snprintf(ret_name, CNIF_IFNAME_MAX, "%s", endpoint->ifname);
    if (r != -EEXIST || !from_host)
        return r;
    (void)snprintf(ret_name, CNIF_IFNAME_MAX, "mv%08x%05x", (unsigned)sock->portid,
                   (unsigned)sock->seq & 0xfffff);
    spec = describe(wanted, from_host, endpoint, ret_name);
    r = cnif_link_create(sock, &spec, NULL, ret_refused, &again);
    /* Where it is not the name that is taken, the first answer says what is. */
    if (r < 0 && r != -EEXIST && reterr)
        *reterr = again;
    return r;
}

static int configure(const struct cnif_endpoint *endpoint, struct cnif_inside *inside,
                     const char *name, struct cnif_link *found, struct cnif_attached *ret,
                     struct cnif_err *reterr)
{
    struct cnif_link link;
    int r = cnif_link_get(inside->sock, name, 0, found, reterr);

    if (r == 0)
        r = cnif_inside_configure(inside, endpoint, found->index,
                                  strcmp(name, endpoint->ifname) != 0, &link, reterr);
    if (r == 0 && endpoint->up)
        r = cnif_local_settle(inside->sock, endpoint->addresses, endpoint->n_addresses, reterr);
    if (r < 0)
        return r;
    *ret = (struct cnif_attached){.index = link.index};
    memcpy(ret->mac, link.mac, sizeof(ret->mac));
    return 0;
}

/* Nothing had the name in the container before. */
static int attach(struct cnif_nlsock *host, struct cnif_inside *inside,
                  const struct cnif_link_spec *spec, const struct cnif_endpoint *endpoint,
                  enum cnif_linger linger, struct cnif_attached *ret, struct cnif_err *reterr)
{
    struct cnif_nlsock *sock = inside->sock;
    struct cnif_link made = {0};
    char name[CNIF_IFNAME_MAX];
    bool refused;
    int r = create(host ? host : sock, host != NULL, spec, endpoint, name, &refused, reterr);

    if (r == 0)
        r = configure(endpoint, inside, name, &made, ret, reterr);
    if (r < 0 && !refused && (made.index || cnif_link_get(sock, name, 0, &made, NULL) == 0)) {
        cnif_netns_leave(&inside->visit);
        cnif_undo_link(endpoint->netns_fd, sock, &made, linger);
    }
    return r;
}

int cnif_attach_link(struct cnif_nlsock *host, const struct cnif_link_spec *spec,
                     const struct cnif_endpoint *endpoint, enum cnif_linger linger,
                     struct cnif_attached *ret, struct cnif_err *reterr)
{
    struct cnif_inside inside;
    struct cnif_link taken;
    struct cnif_err err;
    int r = cnif_inside_enter(endpoint, &inside, reterr);

    if (r < 0)
        return r;
    /* Known beforehand, so that a link that is there after a lost answer is ours to undo. */
    r = cnif_link_get(inside.sock, endpoint->ifname, 0, &taken, &err);
    if (r == 0)
        r = cnif_err_errno(&err, EEXIST, "create link %s", endpoint->ifname);
    else if (r == -ENODEV)
        r = attach(host, &inside, spec, endpoint, linger, ret, &err);
    if (r < 0 && reterr)
        *reterr = err;
    cnif_inside_leave(&inside);
    return r;
}

int cnif_attach_existing(const struct cnif_endpoint *endpoint, struct cnif_attached *ret,
                         struct cnif_err *reterr)
{
    struct cnif_inside inside;
    struct cnif_link found;
    int r = cnif_inside_enter(endpoint, &inside, reterr);

    if (r < 0)
        return r;
    r = configure(endpoint, &inside, endpoint->ifname, &found, ret, reterr);
    cnif_inside_leave(&inside);
    return r;
}
