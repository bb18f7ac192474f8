#include "rtnl/link.h"

#include "base/err.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"
#include "rtnl/kind.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* Link-scoped questions and answers stay below this. */
#define REQUEST_SIZE 1024

void cnif_link_put_get(struct cnif_nlbuf *buf, const char *name, int32_t index)
{
    struct ifinfomsg *ifi = cnif_nlmsg_begin(buf, RTM_GETLINK, 0, sizeof(*ifi), "get link");

    ifi->ifi_index = index;
    if (name)
        cnif_nlattr_put_str(buf, IFLA_IFNAME, name);
    cnif_nlattr_put_u32(buf, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    cnif_nlmsg_end(buf);
}

/*
 * Left to itself the kernel gives each end a queue per possible CPU and then
 * takes all but one away again, with an expedited RCU grace period for each direction.
 */
void cnif_link_put_single_queue(struct cnif_nlbuf *buf)
{
    cnif_nlattr_put_u32(buf, IFLA_NUM_TX_QUEUES, 1);
    cnif_nlattr_put_u32(buf, IFLA_NUM_RX_QUEUES, 1);
}

static void put_info(struct cnif_nlbuf *buf, const struct cnif_link_spec *spec)
{
    const struct cnif_link_kind *kind = cnif_link_kind_find(spec->kind);
    size_t info = cnif_nlattr_nest(buf, IFLA_LINKINFO);

    cnif_nlattr_put_str(buf, IFLA_INFO_KIND, spec->kind);
    if (kind && kind->put) {
        size_t data = cnif_nlattr_nest(buf, IFLA_INFO_DATA);

        kind->put(buf, spec);
        cnif_nlattr_nest_end(buf, data);
    }
    cnif_nlattr_nest_end(buf, info);
}

void cnif_link_put_add(struct cnif_nlbuf *buf, const struct cnif_link_spec *spec, uint16_t flags)
{
    struct ifinfomsg *ifi =
        cnif_nlmsg_begin(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK | flags,
                         sizeof(*ifi), "create link");

    if (spec->up) {
        ifi->ifi_flags = IFF_UP;
        ifi->ifi_change = IFF_UP;
    }
    if (spec->name)
        cnif_nlattr_put_str(buf, IFLA_IFNAME, spec->name);
    if (spec->has_mac)
        cnif_nlattr_put(buf, IFLA_ADDRESS, spec->mac, sizeof(spec->mac));
    if (spec->mtu)
        cnif_nlattr_put_u32(buf, IFLA_MTU, spec->mtu);
    if (spec->has_txqlen)
        cnif_nlattr_put_u32(buf, IFLA_TXQLEN, spec->txqlen);
    if (spec->master)
        cnif_nlattr_put_u32(buf, IFLA_MASTER, (uint32_t)spec->master);
    if (spec->parent)
        cnif_nlattr_put_u32(buf, IFLA_LINK, (uint32_t)spec->parent);
    if (spec->netns_fd >= 0)
        cnif_nlattr_put_u32(buf, IFLA_NET_NS_FD, (uint32_t)spec->netns_fd);
    if (spec->single_queue)
        cnif_link_put_single_queue(buf);
    put_info(buf, spec);
    cnif_nlmsg_end(buf);
}

void cnif_link_begin_change(struct cnif_nlbuf *buf, int32_t index, uint32_t flags, uint32_t mask,
                            const char *step)
{
    struct ifinfomsg *ifi = cnif_nlmsg_begin(buf, RTM_NEWLINK, NLM_F_ACK, sizeof(*ifi), step);

    ifi->ifi_index = index;
    ifi->ifi_flags = flags & mask;
    ifi->ifi_change = mask;
}

void cnif_link_put_delete(struct cnif_nlbuf *buf, int32_t index)
{
    struct ifinfomsg *ifi =
        cnif_nlmsg_begin(buf, RTM_DELLINK, NLM_F_ACK, sizeof(*ifi), "delete link");

    ifi->ifi_index = index;
    cnif_nlmsg_end(buf);
}

static void parse_port(const struct nlattr *data, struct cnif_link *link)
{
    const struct nlattr *attrs[IFLA_BRPORT_ISOLATED + 1];

    cnif_nlattr_parse_nested(data, attrs, IFLA_BRPORT_ISOLATED);
    link->is_port = true;
    link->hairpin = cnif_nlattr_u8(attrs[IFLA_BRPORT_MODE], 0) != 0;
    link->isolated = cnif_nlattr_u8(attrs[IFLA_BRPORT_ISOLATED], 0) != 0;
}

static void parse_info(const struct nlattr *info, struct cnif_link *link)
{
    const struct nlattr *attrs[IFLA_INFO_SLAVE_DATA + 1];
    const struct cnif_link_kind *kind;
    char slave[CNIF_IFNAME_MAX];

    cnif_nlattr_parse_nested(info, attrs, IFLA_INFO_SLAVE_DATA);
    (void)cnif_nlattr_str(attrs[IFLA_INFO_KIND], link->kind, sizeof(link->kind));
    kind = cnif_link_kind_find(link->kind);
    if (kind && kind->parse && attrs[IFLA_INFO_DATA])
        kind->parse(attrs[IFLA_INFO_DATA], link);
    if (cnif_nlattr_str(attrs[IFLA_INFO_SLAVE_KIND], slave, sizeof(slave)) &&
        strcmp(slave, "bridge") == 0)
        parse_port(attrs[IFLA_INFO_SLAVE_DATA], link);
}

bool cnif_link_parse(const struct nlmsghdr *nlh, struct cnif_link *ret)
{
    const struct nlattr *attrs[IFLA_LINK_NETNSID + 1];
    const struct ifinfomsg *ifi;

    if (nlh->nlmsg_type != RTM_NEWLINK && nlh->nlmsg_type != RTM_DELLINK)
        return false;
    ifi = cnif_nlmsg_header(nlh, sizeof(*ifi));
    if (!ifi)
        return false;
    cnif_nlattr_parse(nlh, sizeof(*ifi), attrs, IFLA_LINK_NETNSID);
    memset(ret, 0, sizeof(*ret));
    ret->tap_owner = ret->tap_group = -1;
    ret->index = ifi->ifi_index;
    ret->flags = ifi->ifi_flags;
    ret->type = ifi->ifi_type;
    ret->master = (int32_t)cnif_nlattr_u32(attrs[IFLA_MASTER], 0);
    ret->parent = (int32_t)cnif_nlattr_u32(attrs[IFLA_LINK], 0);
    ret->parent_netnsid = (int32_t)cnif_nlattr_u32(attrs[IFLA_LINK_NETNSID], (uint32_t)-1);
    ret->mtu = cnif_nlattr_u32(attrs[IFLA_MTU], 0);
    ret->txqlen = cnif_nlattr_u32(attrs[IFLA_TXQLEN], 0);
    ret->group = cnif_nlattr_u32(attrs[IFLA_GROUP], 0);
    ret->promiscuity = cnif_nlattr_u32(attrs[IFLA_PROMISCUITY], 0);
    ret->operstate = cnif_nlattr_u8(attrs[IFLA_OPERSTATE], 0);
    ret->mac_len = (uint8_t)cnif_nlattr_copy(attrs[IFLA_ADDRESS], ret->mac, sizeof(ret->mac));
    (void)cnif_nlattr_str(attrs[IFLA_IFNAME], ret->name, sizeof(ret->name));
    (void)cnif_nlattr_str(attrs[IFLA_IFALIAS], ret->alias, sizeof(ret->alias));
    if (attrs[IFLA_LINKINFO])
        parse_info(attrs[IFLA_LINKINFO], ret);
    return true;
}

int cnif_link_reply(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    (void)index;
    return cnif_link_parse(nlh, arg) ? 0 : -EBADMSG;
}

/* "eth0" or "index 7", for messages. */
static const char *describe(const char *name, int32_t index, char *text, size_t size)
{
    if (name)
        return name;
    (void)snprintf(text, size, "index %d", index);
    return text;
}

int cnif_link_get(struct cnif_nlsock *sock, const char *name, int32_t index, struct cnif_link *ret,
                  struct cnif_err *reterr)
{
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    struct cnif_link link = {0};
    struct cnif_nlbuf buf;
    char text[24];
    int r;

    if (name && (!*name || strlen(name) >= CNIF_IFNAME_MAX))
        return cnif_err_errno(reterr, ENODEV, "get link %s", name);
    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_link_put_get(&buf, name, name ? 0 : index);
    r = cnif_nlsock_talk(sock, &buf, describe(name, index, text, sizeof(text)), cnif_link_reply,
                         &link, NULL, reterr);
    if (r == 0)
        *ret = link;
    return r;
}

/* `ret_echo`, unless NULL, is what the kernel makes of it; before Linux 6.2 there is no echo. */
static int request_link(struct cnif_nlsock *sock, const struct cnif_link_spec *spec,
                        struct cnif_link *ret_echo, unsigned *ret_failed, struct cnif_err *reterr)
{
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_link_put_add(&buf, spec, ret_echo ? NLM_F_ECHO : 0);
    return cnif_nlsock_talk(sock, &buf, spec->name ? spec->name : spec->kind,
                            ret_echo ? cnif_link_reply : NULL, ret_echo, ret_failed, reterr);
}

int cnif_link_create(struct cnif_nlsock *sock, const struct cnif_link_spec *spec,
                     struct cnif_link *ret, bool *ret_refused, struct cnif_err *reterr)
{
    struct cnif_link link = {0};
    unsigned failed = UINT_MAX;
    int r = request_link(sock, spec, ret ? &link : NULL, &failed, reterr);

    *ret_refused = r < 0 && failed != UINT_MAX;
    if (r == 0 && ret && !link.index)
        r = cnif_link_get(sock, spec->name, 0, &link, reterr);
    if (r == 0 && ret)
        *ret = link;
    return r;
}

int cnif_link_add(struct cnif_nlsock *sock, const struct cnif_link_spec *spec, int32_t *ret_index,
                  struct cnif_err *reterr)
{
    bool here = ret_index && spec->netns_fd < 0; /* of a link elsewhere nothing is heard */
    struct cnif_link link = {0};
    int r = request_link(sock, spec, here ? &link : NULL, NULL, reterr);

    if (r < 0 || !ret_index)
        return r;
    /* It may have another name by now. */
    if (here && !link.index && spec->name) {
        r = cnif_link_get(sock, spec->name, 0, &link, reterr);
        if (r < 0 && r != -ENODEV)
            return r;
    }
    *ret_index = link.index;
    return 0;
}

int cnif_link_change(struct cnif_nlsock *sock, int32_t index, const struct cnif_link_change *change,
                     struct cnif_err *reterr)
{
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;
    char text[24];

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_link_begin_change(&buf, index, change->flags, change->flags_mask, "change link");
    if (change->name)
        cnif_nlattr_put_str(&buf, IFLA_IFNAME, change->name);
    if (change->alias)
        cnif_nlattr_put(&buf, IFLA_IFALIAS, change->alias, strlen(change->alias));
    if (change->mtu)
        cnif_nlattr_put_u32(&buf, IFLA_MTU, change->mtu);
    if (change->master >= 0)
        cnif_nlattr_put_u32(&buf, IFLA_MASTER, (uint32_t)change->master);
    if (change->netns_fd >= 0)
        cnif_nlattr_put_u32(&buf, IFLA_NET_NS_FD, (uint32_t)change->netns_fd);
    if (change->has_mac)
        cnif_nlattr_put(&buf, IFLA_ADDRESS, change->mac, sizeof(change->mac));
    if (change->has_txqlen)
        cnif_nlattr_put_u32(&buf, IFLA_TXQLEN, change->txqlen);
    cnif_nlmsg_end(&buf);
    return cnif_nlsock_talk(sock, &buf, describe(NULL, index, text, sizeof(text)), NULL, NULL, NULL,
                            reterr);
}

int cnif_link_delete(struct cnif_nlsock *sock, int32_t index, struct cnif_err *reterr)
{
    uint8_t data[64] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;
    char text[24];

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_link_put_delete(&buf, index);
    return cnif_nlsock_talk(sock, &buf, describe(NULL, index, text, sizeof(text)), NULL, NULL, NULL,
                            reterr);
}
