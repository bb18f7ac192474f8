#include "rtnl/port.h"

#include "base/err.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define VLAN_BITS_SIZE 512
#define OBJECT_SIZE    40

/* A port that so many dumps pass over is none. */
#define DUMP_ATTEMPTS 32

static struct ifinfomsg *begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, int32_t index,
                               const char *step)
{
    struct ifinfomsg *ifi = cnif_nlmsg_begin(buf, type, flags, sizeof(*ifi), step);

    ifi->ifi_family = AF_BRIDGE;
    ifi->ifi_index = index;
    return ifi;
}

static void name_port(int32_t index, char object[OBJECT_SIZE])
{
    (void)snprintf(object, OBJECT_SIZE, "bridge port with index %d", index);
}

static int talk(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, int32_t index,
                struct cnif_err *reterr)
{
    char object[OBJECT_SIZE];

    name_port(index, object);
    return cnif_nlsock_talk(sock, buf, object, NULL, NULL, NULL, reterr);
}

void cnif_port_put_set(struct cnif_nlbuf *buf, int32_t index, int hairpin, int isolated)
{
    size_t nest;

    begin(buf, RTM_SETLINK, NLM_F_ACK, index, "set options of");
    nest = cnif_nlattr_nest(buf, IFLA_PROTINFO);
    if (hairpin >= 0)
        cnif_nlattr_put_u8(buf, IFLA_BRPORT_MODE, (uint8_t)hairpin);
    if (isolated >= 0)
        cnif_nlattr_put_u8(buf, IFLA_BRPORT_ISOLATED, (uint8_t)isolated);
    cnif_nlattr_nest_end(buf, nest);
    cnif_nlmsg_end(buf);
}

int cnif_port_set(struct cnif_nlsock *sock, int32_t index, int hairpin, int isolated,
                  struct cnif_err *reterr)
{
    uint8_t data[128] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_port_put_set(&buf, index, hairpin, isolated);
    return talk(sock, &buf, index, reterr);
}

static void put_vlan(struct cnif_nlbuf *buf, uint16_t vid, unsigned flags)
{
    struct bridge_vlan_info info = {.flags = (uint16_t)flags, .vid = vid};

    cnif_nlattr_put(buf, IFLA_BRIDGE_VLAN_INFO, &info, sizeof(info));
}

int cnif_port_vlan(struct cnif_nlsock *sock, int32_t index, bool add, uint16_t first, uint16_t last,
                   bool pvid_untagged, struct cnif_err *reterr)
{
    uint8_t data[128] __attribute__((aligned(4)));
    unsigned flags = pvid_untagged ? BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED : 0;
    struct cnif_nlbuf buf;
    size_t nest;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    begin(&buf, add ? RTM_SETLINK : RTM_DELLINK, NLM_F_ACK, index,
          add ? "add VLAN to" : "remove VLAN from");
    nest = cnif_nlattr_nest(&buf, IFLA_AF_SPEC);
    if (first == last) {
        put_vlan(&buf, first, flags);
    } else {
        put_vlan(&buf, first, flags | BRIDGE_VLAN_INFO_RANGE_BEGIN);
        put_vlan(&buf, last, flags | BRIDGE_VLAN_INFO_RANGE_END);
    }
    cnif_nlattr_nest_end(&buf, nest);
    cnif_nlmsg_end(&buf);
    return talk(sock, &buf, index, reterr);
}

struct vlans {
    int32_t index;
    bool seen; /* the port, be it without VLANs */
    uint8_t *bits;
};

static void set_range(uint8_t *bits, unsigned first, unsigned last)
{
    for (; first <= last && first / 8 < VLAN_BITS_SIZE; first++)
        bits[first / 8] |= (uint8_t)(1U << (first % 8));
}

static int vlans_reply(const struct nlmsghdr *nlh, unsigned message, void *arg)
{
    const struct ifinfomsg *ifi = cnif_nlmsg_header(nlh, sizeof(*ifi));
    const struct nlattr *attrs[IFLA_AF_SPEC + 1];
    const struct nlattr *at = NULL;
    struct vlans *vlans = arg;
    unsigned begun = 0;

    (void)message;
    if (!ifi)
        return -EBADMSG;
    cnif_nlattr_parse(nlh, sizeof(*ifi), attrs, IFLA_AF_SPEC);
    if (ifi->ifi_index != vlans->index)
        return 0;
    vlans->seen = true;
    if (!attrs[IFLA_AF_SPEC])
        return 0;
    while ((at = cnif_nlattr_each(attrs[IFLA_AF_SPEC], at))) {
        struct bridge_vlan_info info;

        if (cnif_nlattr_type(at) != IFLA_BRIDGE_VLAN_INFO ||
            cnif_nlattr_copy(at, &info, sizeof(info)) < sizeof(info))
            continue;
        if (info.flags & BRIDGE_VLAN_INFO_RANGE_BEGIN)
            begun = info.vid;
        else
            set_range(vlans->bits,
                      info.flags & BRIDGE_VLAN_INFO_RANGE_END && begun ? begun : info.vid,
                      info.vid);
    }
    return 0;
}

/* The kernel answers a request for one port only by a dump of all bridges' ports. */
static int dump_vlans(struct cnif_nlsock *sock, struct vlans *vlans, struct cnif_err *reterr)
{
    uint8_t data[128] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    begin(&buf, RTM_GETLINK, NLM_F_DUMP, 0, "dump VLANs of");
    cnif_nlattr_put_u32(&buf, IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED);
    cnif_nlmsg_end(&buf);
    return cnif_nlsock_dump(sock, &buf, "bridge ports", vlans_reply, vlans, reterr);
}

/*
 * Where another port goes away meanwhile, the dump passes one over, without a
 * word of an interruption.
 */
int cnif_port_vlans(struct cnif_nlsock *sock, int32_t index, uint8_t *bits, struct cnif_err *reterr)
{
    uint8_t found[VLAN_BITS_SIZE] = {0};
    struct vlans vlans = {.index = index, .bits = found};
    char object[OBJECT_SIZE];
    int attempt, r = 0;

    for (attempt = 0; r == 0 && !vlans.seen && attempt < DUMP_ATTEMPTS; attempt++)
        r = dump_vlans(sock, &vlans, reterr);
    if (r < 0)
        return r;
    if (!vlans.seen) {
        name_port(index, object);
        return cnif_err_errno(reterr, ENODEV, "dump VLANs of %s", object);
    }
    memcpy(bits, found, sizeof(found));
    return 0;
}
