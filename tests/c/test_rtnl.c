/*
 * Addresses, routes, VLANs and dumps against a kernel that the test plays: what is decoded, what
 * is filtered, what is tried again.
 */
#include "check.h"
#include "fake_kernel.h"
#include "netlink/nlparse.h"
#include "rtnl/addr.h"
#include "rtnl/route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DUMP_ATTEMPTS 32

static struct cnif_ip ip(const char *text, uint8_t prefix)
{
    struct cnif_ip made = {.family = strchr(text, ':') ? AF_INET6 : AF_INET, .prefix = prefix};

    (void)inet_pton(made.family, text, made.bytes);
    return made;
}

/* The broadcast address that an address is added with, "" if none. */
static void broadcast_of(const char *address, uint8_t prefix, char *text, size_t size)
{
    uint8_t data[256] __attribute__((aligned(8)));
    const struct cnif_ip of = ip(address, prefix);
    const struct nlattr *attrs[IFA_BROADCAST + 1];
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_addr_put_add(&buf, 7, &of, 0);
    CHECK(!buf.overflow);
    cnif_nlattr_parse(cnif_nlmsg_first(data, buf.used), sizeof(struct ifaddrmsg), attrs,
                      IFA_BROADCAST);
    text[0] = '\0';
    if (attrs[IFA_BROADCAST])
        (void)inet_ntop(AF_INET, cnif_nlattr_data(attrs[IFA_BROADCAST]), text, (socklen_t)size);
}

/* All host bits are set, at every prefix length; the longest two have no broadcast address. */
static void test_broadcast(void)
{
    static const struct {
        const char *address;
        uint8_t prefix;
        const char *expected;
    } cases[] = {
        {"10.1.2.3", 0, "255.255.255.255"},
        {"10.1.2.3", 1, "127.255.255.255"},
        {"10.1.2.3", 8, "10.255.255.255"},
        {"10.1.2.3", 12, "10.15.255.255"},
        {"10.1.2.3", 16, "10.1.255.255"},
        {"10.1.2.3", 23, "10.1.3.255"},
        {"10.1.2.3", 24, "10.1.2.255"},
        {"10.1.2.3", 25, "10.1.2.127"},
        {"10.1.2.3", 29, "10.1.2.7"},
        {"10.1.2.3", 30, "10.1.2.3"},
        {"10.1.2.3", 31, ""},
        {"10.1.2.3", 32, ""},
        {"10.1.2.3", 255, ""},
        {"fd00::1", 24, ""},
    };
    char text[INET_ADDRSTRLEN];
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        broadcast_of(cases[i].address, cases[i].prefix, text, sizeof(text));
        CHECK(strcmp(text, cases[i].expected) == 0);
    }
}

/* An address in `buf`, of this family and with these attributes of `size` bytes each. */
static void put_address(struct cnif_nlbuf *buf, uint8_t family, const char *local,
                        const char *address, size_t size)
{
    struct cnif_ip one;
    struct ifaddrmsg *ifa = cnif_nlmsg_begin(buf, RTM_NEWADDR, 0, sizeof(*ifa), "address");

    ifa->ifa_family = family;
    ifa->ifa_prefixlen = 24;
    ifa->ifa_flags = 0x80;
    ifa->ifa_scope = RT_SCOPE_LINK;
    ifa->ifa_index = 7;
    if (address) {
        one = ip(address, 0);
        cnif_nlattr_put(buf, IFA_ADDRESS, one.bytes, size);
    }
    if (local) {
        one = ip(local, 0);
        cnif_nlattr_put(buf, IFA_LOCAL, one.bytes, size);
    }
}

static bool is(const struct cnif_ip *seen, const char *text, uint8_t prefix)
{
    struct cnif_ip expected = ip(text, prefix);

    return memcmp(seen, &expected, sizeof(expected)) == 0;
}

/* One's own address counts, not the other end's; flags come from wherever they all fit. */
static void test_parse_address(void)
{
    uint8_t data[128] __attribute__((aligned(8)));
    struct cnif_address found;
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    put_address(&buf, AF_INET, "10.1.0.1", "10.1.0.2", 4);
    cnif_nlmsg_end(&buf);
    CHECK(cnif_addr_parse(cnif_nlmsg_first(data, buf.used), &found));
    CHECK(is(&found.ip, "10.1.0.1", 24));
    CHECK(found.index == 7 && found.scope == RT_SCOPE_LINK && found.flags == 0x80);

    cnif_nlbuf_reset(&buf);
    put_address(&buf, AF_INET6, NULL, "fd00::2", 16);
    cnif_nlattr_put_u32(&buf, IFA_FLAGS, 0x380);
    cnif_nlmsg_end(&buf);
    CHECK(cnif_addr_parse(cnif_nlmsg_first(data, buf.used), &found));
    CHECK(is(&found.ip, "fd00::2", 24) && found.flags == 0x380);
}

/* What is no IP address, or half of one, is passed over. */
static void test_parse_no_address(void)
{
    static const struct {
        uint8_t family;
        const char *address;
        size_t size;
    } cases[] = {
        {AF_INET, NULL, 0},         {AF_INET, "10.1.0.1", 3},   {AF_INET6, "fd00::1", 15},
        {AF_BRIDGE, "fd00::1", 16}, {AF_UNSPEC, "fd00::1", 16},
    };
    uint8_t data[128] __attribute__((aligned(8)));
    struct cnif_address found;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cnif_nlbuf buf;

        cnif_nlbuf_init(&buf, data, sizeof(data));
        put_address(&buf, cases[i].family, NULL, cases[i].address, cases[i].size);
        cnif_nlmsg_end(&buf);
        CHECK(!cnif_addr_parse(cnif_nlmsg_first(data, buf.used), &found));
    }
}

/* A route in `buf` with everything that is read of one. */
static void put_route(struct cnif_nlbuf *buf, uint8_t family, uint8_t table, uint32_t flags)
{
    const struct cnif_ip dst = ip("10.9.0.0", 16), gateway = ip("10.1.0.1", 32);
    struct rtmsg *rtm = cnif_nlmsg_begin(buf, RTM_NEWROUTE, 0, sizeof(*rtm), "route");
    size_t nest;

    rtm->rtm_family = family;
    rtm->rtm_dst_len = 16;
    rtm->rtm_table = table;
    rtm->rtm_protocol = RTPROT_STATIC;
    rtm->rtm_scope = RT_SCOPE_SITE;
    rtm->rtm_type = RTN_BLACKHOLE;
    rtm->rtm_flags = flags;
    cnif_nlattr_put(buf, RTA_DST, dst.bytes, 4);
    cnif_nlattr_put(buf, RTA_GATEWAY, gateway.bytes, 4);
    cnif_nlattr_put_u32(buf, RTA_OIF, 7);
    cnif_nlattr_put_u32(buf, RTA_PRIORITY, 50);
    nest = cnif_nlattr_nest(buf, RTA_METRICS);
    cnif_nlattr_put_u32(buf, RTAX_MTU, 1300);
    cnif_nlattr_put_u32(buf, RTAX_ADVMSS, 1200);
    cnif_nlattr_nest_end(buf, nest);
}

/* Everything the kernel says of a route is found; the attribute names tables beyond a byte. */
static void test_parse_route(void)
{
    uint8_t data[256] __attribute__((aligned(8)));
    struct cnif_route found;
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    put_route(&buf, AF_INET, 100, 0);
    cnif_nlmsg_end(&buf);
    CHECK(cnif_route_parse(cnif_nlmsg_first(data, buf.used), &found));
    CHECK(is(&found.dst, "10.9.0.0", 16) && is(&found.gateway, "10.1.0.1", 32));
    CHECK(found.oif == 7 && found.priority == 50 && found.mtu == 1300 && found.advmss == 1200);
    CHECK(found.scope == RT_SCOPE_SITE && found.protocol == RTPROT_STATIC);
    CHECK(found.type == RTN_BLACKHOLE && found.table == 100 && !found.onlink);

    cnif_nlbuf_reset(&buf);
    put_route(&buf, AF_INET, RT_TABLE_COMPAT, RTNH_F_ONLINK);
    cnif_nlattr_put_u32(&buf, RTA_TABLE, 1000);
    cnif_nlmsg_end(&buf);
    CHECK(cnif_route_parse(cnif_nlmsg_first(data, buf.used), &found));
    CHECK(found.table == 1000 && found.onlink);
}

/* Without attributes a route is to everywhere, through nothing. */
static void test_parse_bare_route(void)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct cnif_route found;
    struct cnif_nlbuf buf;
    struct rtmsg *rtm;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    rtm = cnif_nlmsg_begin(&buf, RTM_NEWROUTE, 0, sizeof(*rtm), "route");
    rtm->rtm_family = AF_INET6;
    cnif_nlmsg_end(&buf);
    memset(&found, 0xff, sizeof(found));
    CHECK(cnif_route_parse(cnif_nlmsg_first(data, buf.used), &found));
    CHECK(is(&found.dst, "::", 0) && found.gateway.family == 0 && found.oif == 0);
    CHECK(found.mtu == 0 && found.advmss == 0 && found.priority == 0);
}

/* Routes of other families, cached ones and other messages are passed over. */
static void test_parse_no_route(void)
{
    uint8_t data[256] __attribute__((aligned(8)));
    struct cnif_route found;
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    put_route(&buf, AF_MPLS, 254, 0);
    cnif_nlmsg_end(&buf);
    CHECK(!cnif_route_parse(cnif_nlmsg_first(data, buf.used), &found));
    cnif_nlbuf_reset(&buf);
    put_route(&buf, AF_INET, 254, RTM_F_CLONED);
    cnif_nlmsg_end(&buf);
    CHECK(!cnif_route_parse(cnif_nlmsg_first(data, buf.used), &found));
    ((struct nlmsghdr *)(void *)data)->nlmsg_type = RTM_DELROUTE;
    CHECK(!cnif_route_parse(cnif_nlmsg_first(data, buf.used), &found));
}

/* Answer a dump of VLANs: of port `index`, (flags, VLAN) pairs; a wrong size for one of them. */
static void answer_vlans(struct fake_kernel *fake, uint32_t seq, int32_t index,
                         const struct bridge_vlan_info *infos, size_t count)
{
    uint8_t data[512] __attribute__((aligned(8)));
    struct ifinfomsg *ifi;
    struct cnif_nlbuf buf;
    size_t nest, i;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    ifi = cnif_nlmsg_begin(&buf, RTM_NEWLINK, NLM_F_MULTI, sizeof(*ifi), "port");
    ifi->ifi_family = AF_BRIDGE;
    ifi->ifi_index = index;
    nest = cnif_nlattr_nest(&buf, IFLA_AF_SPEC);
    cnif_nlattr_put_u16(&buf, IFLA_BRIDGE_FLAGS, 1);
    cnif_nlattr_put_u16(&buf, IFLA_BRIDGE_VLAN_INFO, 9); /* too short for one */
    for (i = 0; i < count; i++)
        cnif_nlattr_put(&buf, IFLA_BRIDGE_VLAN_INFO, &infos[i], sizeof(infos[i]));
    cnif_nlattr_nest_end(&buf, nest);
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(fake, &buf, seq);
}

/* The VLANs of a set of bits as text: "1 100-200 ". */
static const char *vlans_text(const uint8_t *bits)
{
    static char text[256];
    unsigned vid, first;
    size_t n = 0;

    text[0] = '\0';
    for (vid = 0; vid < 4096; vid++) {
        if (!(bits[vid / 8] & (1U << (vid % 8))))
            continue;
        for (first = vid; vid + 1 < 4096 && bits[(vid + 1) / 8] & (1U << ((vid + 1) % 8)); vid++)
            ;
        n += (size_t)snprintf(text + n, sizeof(text) - n, first == vid ? "%u " : "%u-%u ", first,
                              vid);
    }
    return text;
}

#define BEGIN BRIDGE_VLAN_INFO_RANGE_BEGIN
#define END   BRIDGE_VLAN_INFO_RANGE_END

/* Single VLANs and ranges are found, of the port asked about only. */
static void test_vlans(void)
{
    static const struct bridge_vlan_info others[] = {{0, 5}, {BEGIN, 6}, {END, 4094}};
    static const struct bridge_vlan_info infos[] = {
        {BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, 1},
        {BEGIN, 100},
        {END, 200},
        {0, 300},
        {BEGIN, 4093},
        {END, 4094},
    };
    uint8_t bits[512];
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    answer_vlans(&fake, 0, 7, others, 3);
    answer_vlans(&fake, 0, 8, infos, 6);
    answer_vlans(&fake, 0, 9, others, 3);
    fake_kernel_done(&fake, 0, 0, 0);
    CHECK(cnif_port_vlans(&fake.sock, 8, bits, NULL) == 0);
    CHECK(strcmp(vlans_text(bits), "1 100-200 300 4093-4094 ") == 0);

    answer_vlans(&fake, 1, 8, NULL, 0);
    fake_kernel_done(&fake, 1, 0, 0);
    CHECK(cnif_port_vlans(&fake.sock, 8, bits, NULL) == 0);
    CHECK(strcmp(vlans_text(bits), "") == 0);
    fake_kernel_close(&fake);
}

/* A port that a dump passes over is asked for again; one that none has is no port. */
static void test_vlans_of_a_port_passed_over(void)
{
    static const struct bridge_vlan_info infos[] = {{0, 1}};
    struct cnif_err err = {0};
    uint8_t bits[512] = {0xaa};
    struct fake_kernel fake;
    uint32_t seq;

    fake_kernel_open(&fake);
    for (seq = 0; seq < 2; seq++) {
        answer_vlans(&fake, seq, 7, infos, 1);
        fake_kernel_done(&fake, seq, 0, 0);
    }
    answer_vlans(&fake, seq, 8, infos, 1);
    fake_kernel_done(&fake, seq, 0, 0);
    CHECK(cnif_port_vlans(&fake.sock, 8, bits, NULL) == 0);
    CHECK(strcmp(vlans_text(bits), "1 ") == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);

    fake_kernel_open(&fake);
    for (seq = 0; seq < DUMP_ATTEMPTS; seq++)
        fake_kernel_done(&fake, seq, 0, 0);
    bits[0] = 0xaa;
    CHECK(cnif_port_vlans(&fake.sock, 8, bits, &err) == -ENODEV);
    CHECK(strcmp(err.msg, "dump VLANs of bridge port with index 8: no such device") == 0);
    CHECK(bits[0] == 0xaa);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* Ranges that make no sense set no bit outside of what there is room for. */
static void test_hostile_vlans(void)
{
    static const struct {
        struct bridge_vlan_info infos[3];
        const char *expected;
    } cases[] = {
        {{{BEGIN, 200}, {END, 100}}, ""},
        {{{END, 100}}, "100 "},
        {{{BEGIN, 4090}, {END, 65535}}, "4090-4095 "},
        {{{0, 65535}}, ""},
        {{{BEGIN, 65535}, {END, 65535}}, ""},
        {{{BEGIN, 0}, {END, 3}}, "3 "},
    };
    uint8_t bits[512];
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_kernel fake;

        fake_kernel_open(&fake);
        answer_vlans(&fake, 0, 8, cases[i].infos, 2);
        fake_kernel_done(&fake, 0, 0, 0);
        CHECK(cnif_port_vlans(&fake.sock, 8, bits, NULL) == 0);
        bits[0] &= 0xfe; /* the second entry of a case may be {0, 0} */
        CHECK(strcmp(vlans_text(bits), cases[i].expected) == 0);
        fake_kernel_close(&fake);
    }
}

/* A refused dump of VLANs leaves the bits alone. */
static void test_refused_vlans(void)
{
    struct cnif_err err = {0};
    uint8_t bits[512] = {0xaa};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, -EOPNOTSUPP, NULL);
    CHECK(cnif_port_vlans(&fake.sock, 8, bits, &err) == -EOPNOTSUPP);
    CHECK(strcmp(err.msg, "dump VLANs of bridge ports: operation not supported") == 0);
    CHECK(bits[0] == 0xaa);
    fake_kernel_close(&fake);
}

static void answer_address(struct fake_kernel *fake, uint32_t seq, uint32_t index)
{
    uint8_t data[128] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    put_address(&buf, AF_INET, NULL, "10.1.0.1", 4);
    ((struct ifaddrmsg *)(void *)(data + NLMSG_HDRLEN))->ifa_index = index;
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(fake, &buf, seq);
}

/* Where the kernel does not filter, the rest is left out here. */
static void test_dump_filters(void)
{
    uint8_t data[256] __attribute__((aligned(8)));
    struct cnif_address *addresses;
    struct cnif_route *routes;
    struct fake_kernel fake;
    struct cnif_nlbuf buf;
    uint32_t index;
    size_t count;

    fake_kernel_open(&fake);
    for (index = 1; index <= 20; index++)
        answer_address(&fake, 0, index % 4);
    fake_kernel_done(&fake, 0, 0, 0);
    CHECK(cnif_addr_dump(&fake.sock, 3, 0, &addresses, &count, NULL) == 0);
    CHECK(count == 5 && addresses[0].index == 3 && addresses[4].index == 3);
    cnif_free(addresses);

    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (index = 1; index <= 3; index++) {
        cnif_nlbuf_reset(&buf);
        put_route(&buf, AF_INET, index == 1 ? 100 : 254, 0); /* all of them through 7 */
        cnif_nlmsg_end(&buf);
        fake_kernel_answer(&fake, &buf, 1);
        fake_kernel_answer(&fake, &buf, 2);
    }
    fake_kernel_done(&fake, 1, 0, 0);
    fake_kernel_done(&fake, 2, 0, 0);
    CHECK(cnif_route_dump(&fake.sock, 7, 0, 100, &routes, &count, NULL) == 0);
    CHECK(count == 1 && routes[0].table == 100);
    cnif_free(routes);
    CHECK(cnif_route_dump(&fake.sock, 8, 0, 0, &routes, &count, NULL) == 0);
    CHECK(count == 0);
    cnif_free(routes);
    fake_kernel_close(&fake);
}

/* An interrupted dump is started over, and what it had brought is forgotten. */
static void test_interrupted_dumps(void)
{
    struct cnif_address *addresses;
    struct fake_kernel fake;
    uint32_t seq, n;
    size_t count;

    fake_kernel_open(&fake);
    for (seq = 0; seq < 3; seq++) {
        for (n = 0; n < 20 - 6 * seq; n++)
            answer_address(&fake, seq, 7);
        fake_kernel_done(&fake, seq, 0, seq < 2 ? NLM_F_DUMP_INTR : 0);
    }
    CHECK(cnif_addr_dump(&fake.sock, 0, 0, &addresses, &count, NULL) == 0);
    CHECK(count == 8);
    cnif_free(addresses);
    fake_kernel_close(&fake);
}

/* After so many starts a dump is given up; its outputs stay as they were. */
static void test_endlessly_interrupted_dump(void)
{
    struct cnif_address *addresses = (void *)&addresses;
    struct cnif_err err = {0};
    struct fake_kernel fake;
    size_t count = 77;
    uint32_t seq;

    fake_kernel_open(&fake);
    for (seq = 0; seq < DUMP_ATTEMPTS; seq++) {
        answer_address(&fake, seq, 7);
        fake_kernel_done(&fake, seq, 0, NLM_F_DUMP_INTR);
    }
    CHECK(cnif_addr_dump(&fake.sock, 0, 0, &addresses, &count, &err) == -EAGAIN);
    CHECK(strcmp(err.msg, "dump addresses: interrupted by a change") == 0);
    CHECK(addresses == (void *)&addresses && count == 77);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* A routing table nobody has used yet has no routes; other refusals are errors. */
static void test_dump_of_unused_table(void)
{
    struct cnif_route *routes = (void *)&routes;
    struct cnif_err err = {0};
    struct fake_kernel fake;
    size_t count = 77;

    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, -ENOENT, "table does not exist");
    CHECK(cnif_route_dump(&fake.sock, 0, AF_INET, 1000, &routes, &count, &err) == 0);
    CHECK(!routes && count == 0);
    fake_kernel_ack(&fake, 1, -EPERM, NULL);
    CHECK(cnif_route_dump(&fake.sock, 0, AF_INET, 1000, &routes, &count, &err) == -EPERM);
    fake_kernel_close(&fake);
}

int main(void)
{
    test_broadcast();
    test_parse_address();
    test_parse_no_address();
    test_parse_route();
    test_parse_bare_route();
    test_parse_no_route();
    test_vlans();
    test_vlans_of_a_port_passed_over();
    test_hostile_vlans();
    test_refused_vlans();
    test_dump_filters();
    test_interrupted_dumps();
    test_endlessly_interrupted_dump();
    test_dump_of_unused_table();
    return check_failures != 0;
}
