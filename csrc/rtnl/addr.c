#include "rtnl/addr.h"

#include "netlink/nlparse.h"
#include "netlink/nlsock.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

size_t cnif_ip_size(uint8_t family)
{
    return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

/* What ipcalc calls the broadcast address; links with /31 and /32 have none. */
static bool broadcast(const struct cnif_ip *ip, uint8_t *to)
{
    unsigned bit;

    if (ip->family != AF_INET || ip->prefix >= 31)
        return false;
    memcpy(to, ip->bytes, 4);
    for (bit = ip->prefix; bit < 32; bit++)
        to[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
    return true;
}

static struct ifaddrmsg *begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, int32_t index,
                               const struct cnif_ip *ip, const char *step)
{
    struct ifaddrmsg *ifa = cnif_nlmsg_begin(buf, type, flags | NLM_F_ACK, sizeof(*ifa), step);

    ifa->ifa_family = ip->family;
    ifa->ifa_prefixlen = ip->prefix;
    ifa->ifa_index = (uint32_t)index;
    cnif_nlmsg_about(buf, ip);
    cnif_nlattr_put(buf, IFA_LOCAL, ip->bytes, cnif_ip_size(ip->family));
    cnif_nlattr_put(buf, IFA_ADDRESS, ip->bytes, cnif_ip_size(ip->family));
    return ifa;
}

void cnif_addr_put_add(struct cnif_nlbuf *buf, int32_t index, const struct cnif_ip *ip,
                       uint32_t flags)
{
    uint8_t brd[4];

    begin(buf, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, ip, "add address to");
    if (broadcast(ip, brd))
        cnif_nlattr_put(buf, IFA_BROADCAST, brd, sizeof(brd));
    if (flags)
        cnif_nlattr_put_u32(buf, IFA_FLAGS, flags);
    cnif_nlmsg_end(buf);
}

bool cnif_addr_parse(const struct nlmsghdr *nlh, struct cnif_address *ret)
{
    const struct nlattr *attrs[IFA_FLAGS + 1];
    const struct ifaddrmsg *ifa;
    const struct nlattr *address;
    size_t size;

    if (nlh->nlmsg_type != RTM_NEWADDR && nlh->nlmsg_type != RTM_DELADDR)
        return false;
    ifa = cnif_nlmsg_header(nlh, sizeof(*ifa));
    if (!ifa)
        return false;
    size = cnif_ip_size(ifa->ifa_family);
    cnif_nlattr_parse(nlh, sizeof(*ifa), attrs, IFA_FLAGS);
    address = attrs[IFA_LOCAL] ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS];
    if (!size || !address || cnif_nlattr_size(address) < size)
        return false;
    memset(ret, 0, sizeof(*ret));
    ret->index = (int32_t)ifa->ifa_index;
    ret->scope = ifa->ifa_scope;
    ret->flags = cnif_nlattr_u32(attrs[IFA_FLAGS], ifa->ifa_flags);
    ret->ip.family = ifa->ifa_family;
    ret->ip.prefix = ifa->ifa_prefixlen;
    (void)cnif_nlattr_copy(address, ret->ip.bytes, size);
    return true;
}

static int talk(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, int32_t index,
                struct cnif_err *reterr)
{
    char object[32];

    (void)snprintf(object, sizeof(object), "link with index %d", index);
    return cnif_nlsock_talk(sock, buf, object, NULL, NULL, NULL, reterr);
}

int cnif_addr_add(struct cnif_nlsock *sock, int32_t index, const struct cnif_ip *ip, uint32_t flags,
                  struct cnif_err *reterr)
{
    uint8_t data[128] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_addr_put_add(&buf, index, ip, flags);
    return talk(sock, &buf, index, reterr);
}

int cnif_addr_delete(struct cnif_nlsock *sock, int32_t index, const struct cnif_ip *ip,
                     struct cnif_err *reterr)
{
    uint8_t data[128] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    begin(&buf, RTM_DELADDR, 0, index, ip, "delete address from");
    cnif_nlmsg_end(&buf);
    return talk(sock, &buf, index, reterr);
}
