/*
 * Finding the host's end of a pair by the container's.
 *
 * The kernel answers about a link in another namespace that has a number on
 * the host, as one with the other end of a pair has.  That takes half as long
 * as to go there.
 */
#include "base/err.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"
#include "rtnl/link.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <string.h>

static int number_reply(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    const struct nlattr *attrs[NETNSA_NSID + 1];
    int32_t *number = arg;

    (void)index;
    if (nlh->nlmsg_type != RTM_NEWNSID || !cnif_nlmsg_header(nlh, sizeof(struct rtgenmsg)))
        return -EBADMSG;
    cnif_nlattr_parse(nlh, sizeof(struct rtgenmsg), attrs, NETNSA_NSID);
    *number = (int32_t)cnif_nlattr_u32(attrs[NETNSA_NSID], (uint32_t)NETNSA_NSID_NOT_ASSIGNED);
    return 0;
}

static int get_number(struct cnif_nlsock *host, int netns_fd, int32_t *ret, struct cnif_err *reterr)
{
    uint8_t data[64] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    (void)cnif_nlmsg_begin(&buf, RTM_GETNSID, 0, sizeof(struct rtgenmsg), "get number of");
    cnif_nlattr_put_u32(&buf, NETNSA_FD, (uint32_t)netns_fd);
    cnif_nlmsg_end(&buf);
    return cnif_nlsock_talk(host, &buf, "the container's namespace", number_reply, ret, NULL,
                            reterr);
}

static int get_from_afar(struct cnif_nlsock *host, int32_t number, const char *ifname,
                         struct cnif_link *ret, struct cnif_err *reterr)
{
    uint8_t data[128] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    (void)cnif_nlmsg_begin(&buf, RTM_GETLINK, 0, sizeof(struct ifinfomsg), "get link");
    cnif_nlattr_put_str(&buf, IFLA_IFNAME, ifname);
    cnif_nlattr_put_u32(&buf, IFLA_TARGET_NETNSID, (uint32_t)number);
    cnif_nlattr_put_u32(&buf, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    cnif_nlmsg_end(&buf);
    return cnif_nlsock_talk(host, &buf, ifname, cnif_link_reply, ret, NULL, reterr);
}

static int get_inside(int netns_fd, const char *ifname, struct cnif_link *ret,
                      struct cnif_err *reterr)
{
    struct cnif_nlsock *sock;
    int r = cnif_nlsock_open(NETLINK_ROUTE, netns_fd, &sock, reterr);

    if (r < 0)
        return r;
    r = cnif_link_get(sock, ifname, 0, ret, reterr);
    cnif_nlsock_close(sock);
    return r;
}

int cnif_veth_peer(struct cnif_nlsock *host, int netns_fd, const char *ifname,
                   struct cnif_link *ret, struct cnif_err *reterr)
{
    int32_t number = NETNSA_NSID_NOT_ASSIGNED;
    struct cnif_link inside = {0}, peer;
    int r = get_number(host, netns_fd, &number, reterr);

    if (r < 0)
        return r;
    r = number >= 0 ? get_from_afar(host, number, ifname, &inside, reterr)
                    : get_inside(netns_fd, ifname, &inside, reterr);
    if (r < 0) {
        cnif_err_prefix(reterr, "find the container's interface");
        return r;
    }
    if (strcmp(inside.kind, "veth") != 0 || !inside.parent)
        return cnif_err_set(reterr, ENODEV, "container interface %s has no veth peer", ifname);
    r = cnif_link_get(host, NULL, inside.parent, &peer, reterr);
    if (r < 0) {
        cnif_err_prefix(reterr, "find the veth peer of container interface %s", ifname);
        return r;
    }
    /* The same index in the wrong namespace is another link. */
    if (strcmp(peer.kind, "veth") != 0 || peer.parent != inside.index)
        return cnif_err_set(reterr, ENODEV,
                            "veth peer of container interface %s is not in the host's namespace",
                            ifname);
    *ret = peer;
    return 0;
}
