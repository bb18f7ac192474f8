#include "rtnl/kept.h"

#include "netlink/nlparse.h"
#include "rtnl/addr.h"
#include "rtnl/route.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define TYPE(n) (UINT64_C(1) << (n))

/* Times and the like are no part of a route, where it comes from (RTA_IIF) is said of cached ones.
 */
#define ROUTE_TYPES                                                                                \
    (TYPE(RTA_DST) | TYPE(RTA_SRC) | TYPE(RTA_OIF) | TYPE(RTA_GATEWAY) | TYPE(RTA_PRIORITY) |      \
     TYPE(RTA_PREFSRC) | TYPE(RTA_METRICS) | TYPE(RTA_FLOW) | TYPE(RTA_VIA) | TYPE(RTA_PREF) |     \
     TYPE(RTA_ENCAP_TYPE) | TYPE(RTA_ENCAP))
/* What was asked for; the other flags tell how far an address has come. */
#define ADDRESS_FLAGS                                                                              \
    (uint32_t)(IFA_F_NODAD | IFA_F_OPTIMISTIC | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR |         \
               IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN)
#define ADDRESS_TYPES                                                                              \
    (TYPE(IFA_ADDRESS) | TYPE(IFA_LOCAL) | TYPE(IFA_BROADCAST) | TYPE(IFA_CACHEINFO) |             \
     TYPE(IFA_RT_PRIORITY))

void cnif_kept_take(const struct nlmsghdr *nlh, size_t header_size, uint64_t types,
                    struct cnif_kept *ret)
{
    const struct nlattr *attrs[CNIF_KEPT_TYPES];
    const void *header = cnif_nlmsg_header(nlh, header_size);
    size_t used = header_size;
    unsigned type;

    memset(ret, 0, sizeof(*ret));
    if (!header)
        return;
    memcpy(ret->bytes, header, header_size);
    cnif_nlattr_parse(nlh, header_size, attrs, CNIF_KEPT_TYPES - 1);
    for (type = 0; type < CNIF_KEPT_TYPES; type++) {
        const struct nlattr *attr = attrs[type];
        size_t size = attr ? attr->nla_len : 0;

        if (!size || !(types >> type & 1))
            continue;
        if (CNIF_NLA_ALIGN(size) > sizeof(ret->bytes) - used)
            return;
        memcpy(ret->bytes + used, attr, size);
        used += CNIF_NLA_ALIGN(size);
    }
    ret->size = (uint32_t)used;
}

void *cnif_kept_begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, size_t header_size,
                      const struct cnif_kept *kept, const char *step)
{
    void *header = cnif_nlmsg_begin(buf, type, flags | NLM_F_ACK, header_size, step);
    uint8_t *attributes;

    if (kept->size < header_size || kept->size > sizeof(kept->bytes)) {
        buf->overflow = true;
        return header;
    }
    memcpy(header, kept->bytes, header_size);
    attributes = cnif_nlbuf_reserve(buf, kept->size - header_size);
    if (!buf->overflow)
        memcpy(attributes, kept->bytes + header_size, kept->size - header_size);
    return header;
}

static void put_route(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags,
                      const struct cnif_kept_route *kept, uint32_t table, const char *step)
{
    struct rtmsg *rtm = cnif_kept_begin(buf, type, flags, sizeof(*rtm), &kept->kept, step);

    rtm->rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
    cnif_nlmsg_about(buf, &kept->route.dst);
    if (table >= 256)
        cnif_nlattr_put_u32(buf, RTA_TABLE, table);
    cnif_nlmsg_end(buf);
}

void cnif_kept_route_put_add(struct cnif_nlbuf *buf, const struct cnif_kept_route *kept,
                             uint32_t table, bool replace)
{
    uint16_t flags = (uint16_t)(NLM_F_CREATE | (replace ? NLM_F_REPLACE : 0));

    put_route(buf, RTM_NEWROUTE, flags, kept, table, "copy route to");
}

void cnif_kept_route_put_delete(struct cnif_nlbuf *buf, const struct cnif_kept_route *kept,
                                uint32_t table)
{
    put_route(buf, RTM_DELROUTE, 0, kept, table, "delete route from");
}

bool cnif_kept_route_parse(const struct nlmsghdr *nlh, struct cnif_kept_route *ret)
{
    struct rtmsg *rtm;

    if (!cnif_route_parse(nlh, &ret->route))
        return false;
    cnif_kept_take(nlh, sizeof(*rtm), ROUTE_TYPES, &ret->kept);
    /* The rest is the state of a nexthop. */
    rtm = (struct rtmsg *)(void *)ret->kept.bytes;
    rtm->rtm_flags &= RTNH_F_ONLINK;
    return true;
}

void cnif_kept_address_put_add(struct cnif_nlbuf *buf, const struct cnif_kept_address *kept,
                               uint32_t flags)
{
    struct ifaddrmsg *ifa = cnif_kept_begin(buf, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
                                            sizeof(*ifa), &kept->kept, "restore address of");

    ifa->ifa_flags = 0;
    cnif_nlmsg_about(buf, &kept->address.ip);
    cnif_nlattr_put_u32(buf, IFA_FLAGS, (kept->address.flags & ADDRESS_FLAGS) | flags);
    cnif_nlmsg_end(buf);
}

bool cnif_kept_address_parse(const struct nlmsghdr *nlh, struct cnif_kept_address *ret)
{
    if (!cnif_addr_parse(nlh, &ret->address))
        return false;
    cnif_kept_take(nlh, sizeof(struct ifaddrmsg), ADDRESS_TYPES, &ret->kept);
    return true;
}
