#include "rtnl/route.h"

#include "netlink/nlparse.h"
#include "netlink/nlsock.h"
#include "rtnl/addr.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <string.h>

static void put_metrics(struct cnif_nlbuf *buf, const struct cnif_route *route)
{
    size_t nest;

    if (!route->mtu && !route->advmss)
        return;
    nest = cnif_nlattr_nest(buf, RTA_METRICS);
    if (route->mtu)
        cnif_nlattr_put_u32(buf, RTAX_MTU, route->mtu);
    if (route->advmss)
        cnif_nlattr_put_u32(buf, RTAX_ADVMSS, route->advmss);
    cnif_nlattr_nest_end(buf, nest);
}

static void put(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags,
                const struct cnif_route *route, const char *step)
{
    struct rtmsg *rtm = cnif_nlmsg_begin(buf, type, flags | NLM_F_ACK, sizeof(*rtm), step);
    size_t size = cnif_ip_size(route->dst.family);
    uint32_t table = route->table ? route->table : RT_TABLE_MAIN;

    rtm->rtm_family = route->dst.family;
    rtm->rtm_dst_len = route->dst.prefix;
    rtm->rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
    rtm->rtm_protocol = route->protocol;
    rtm->rtm_scope = route->scope >= 0 ? (uint8_t)route->scope : RT_SCOPE_UNIVERSE;
    rtm->rtm_type = route->type;
    rtm->rtm_flags = route->onlink ? RTNH_F_ONLINK : 0;
    cnif_nlmsg_about(buf, &route->dst);
    if (route->dst.prefix)
        cnif_nlattr_put(buf, RTA_DST, route->dst.bytes, size);
    if (route->gateway.family)
        cnif_nlattr_put(buf, RTA_GATEWAY, route->gateway.bytes, size);
    if (route->oif)
        cnif_nlattr_put_u32(buf, RTA_OIF, (uint32_t)route->oif);
    if (route->priority)
        cnif_nlattr_put_u32(buf, RTA_PRIORITY, route->priority);
    if (table >= 256)
        cnif_nlattr_put_u32(buf, RTA_TABLE, table);
    if (route->source.family)
        cnif_nlattr_put(buf, RTA_PREFSRC, route->source.bytes, size);
    put_metrics(buf, route);
    cnif_nlmsg_end(buf);
}

static void put_new(struct cnif_nlbuf *buf, const struct cnif_route *route, uint16_t flags)
{
    struct cnif_route full = *route;

    if (!full.type)
        full.type = RTN_UNICAST;
    if (!full.protocol)
        full.protocol = RTPROT_BOOT;
    put(buf, RTM_NEWROUTE, (uint16_t)(NLM_F_CREATE | flags), &full, "add route to");
}

void cnif_route_put_add(struct cnif_nlbuf *buf, const struct cnif_route *route, bool exclusive)
{
    put_new(buf, route, exclusive ? NLM_F_EXCL : 0);
}

void cnif_route_put_delete(struct cnif_nlbuf *buf, const struct cnif_route *route)
{
    put(buf, RTM_DELROUTE, 0, route, "delete route from");
}

void cnif_route_put_get(struct cnif_nlbuf *buf, const struct cnif_ip *ip)
{
    struct rtmsg *rtm = cnif_nlmsg_begin(buf, RTM_GETROUTE, 0, sizeof(*rtm), "find route to");
    size_t size = cnif_ip_size(ip->family);

    rtm->rtm_family = ip->family;
    rtm->rtm_dst_len = (uint8_t)(size * 8);
    cnif_nlattr_put(buf, RTA_DST, ip->bytes, size);
    cnif_nlmsg_end(buf);
}

bool cnif_route_parse(const struct nlmsghdr *nlh, struct cnif_route *ret)
{
    const struct nlattr *attrs[RTA_TABLE + 1];
    const struct nlattr *metrics[RTAX_ADVMSS + 1];
    const struct rtmsg *rtm;
    size_t size;

    if (nlh->nlmsg_type != RTM_NEWROUTE)
        return false;
    rtm = cnif_nlmsg_header(nlh, sizeof(*rtm));
    if (!rtm)
        return false;
    size = cnif_ip_size(rtm->rtm_family);
    if (!size || (rtm->rtm_flags & RTM_F_CLONED))
        return false;
    cnif_nlattr_parse(nlh, sizeof(*rtm), attrs, RTA_TABLE);
    memset(ret, 0, sizeof(*ret));
    ret->dst.family = rtm->rtm_family;
    ret->dst.prefix = rtm->rtm_dst_len;
    (void)cnif_nlattr_copy(attrs[RTA_DST], ret->dst.bytes, size);
    if (attrs[RTA_GATEWAY]) {
        ret->gateway.family = rtm->rtm_family;
        ret->gateway.prefix = (uint8_t)(size * 8);
        (void)cnif_nlattr_copy(attrs[RTA_GATEWAY], ret->gateway.bytes, size);
    }
    if (attrs[RTA_PREFSRC]) {
        ret->source.family = rtm->rtm_family;
        ret->source.prefix = (uint8_t)(size * 8);
        (void)cnif_nlattr_copy(attrs[RTA_PREFSRC], ret->source.bytes, size);
    }
    ret->oif = (int32_t)cnif_nlattr_u32(attrs[RTA_OIF], 0);
    ret->table = cnif_nlattr_u32(attrs[RTA_TABLE], rtm->rtm_table);
    ret->priority = cnif_nlattr_u32(attrs[RTA_PRIORITY], 0);
    ret->scope = rtm->rtm_scope;
    ret->protocol = rtm->rtm_protocol;
    ret->type = rtm->rtm_type;
    ret->onlink = rtm->rtm_flags & RTNH_F_ONLINK;
    cnif_nlattr_parse_nested(attrs[RTA_METRICS], metrics, RTAX_ADVMSS);
    ret->mtu = cnif_nlattr_u32(metrics[RTAX_MTU], 0);
    ret->advmss = cnif_nlattr_u32(metrics[RTAX_ADVMSS], 0);
    return true;
}

int cnif_route_add(struct cnif_nlsock *sock, const struct cnif_route *route, bool exclusive,
                   struct cnif_err *reterr)
{
    uint8_t data[256] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_route_put_add(&buf, route, exclusive);
    return cnif_nlsock_talk(sock, &buf, "routing table", NULL, NULL, NULL, reterr);
}

int cnif_route_delete(struct cnif_nlsock *sock, const struct cnif_route *route,
                      struct cnif_err *reterr)
{
    uint8_t data[256] __attribute__((aligned(4)));
    struct cnif_route which = *route;
    struct cnif_nlbuf buf;

    if (which.scope < 0)
        which.scope = RT_SCOPE_NOWHERE; /* any */
    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_route_put_delete(&buf, &which);
    return cnif_nlsock_talk(sock, &buf, "routing table", NULL, NULL, NULL, reterr);
}

static int keep_oif(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    const struct nlattr *attrs[RTA_OIF + 1];
    int32_t *oif = arg;

    (void)index;
    if (nlh->nlmsg_type == RTM_NEWROUTE) {
        cnif_nlattr_parse(nlh, sizeof(struct rtmsg), attrs, RTA_OIF);
        *oif = (int32_t)cnif_nlattr_u32(attrs[RTA_OIF], 0);
    }
    return 0;
}

int cnif_route_find(struct cnif_nlsock *sock, const struct cnif_ip *to, int32_t *ret_oif,
                    struct cnif_err *reterr)
{
    uint8_t data[128] __attribute__((aligned(4)));
    char text[INET6_ADDRSTRLEN] = "?";
    struct cnif_nlbuf buf;
    int32_t oif = 0;
    int r;

    (void)inet_ntop(to->family, to->bytes, text, sizeof(text));
    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_route_put_get(&buf, to);
    r = cnif_nlsock_talk(sock, &buf, text, keep_oif, &oif, NULL, reterr);
    if (r < 0)
        return r;
    *ret_oif = oif;
    return 0;
}
