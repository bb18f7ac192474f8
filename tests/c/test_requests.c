/*
 * The bytes of every request, as tests/golden/netlink has them: each function is called against a
 * kernel that the test plays, and what it sent is compared.  tests/kernel/test_golden_requests.py
 * holds the same files against what iproute2 sends.
 */
#include "check.h"
#include "fake_kernel.h"
#include "golden.h"
#include "rtnl/link.h"
#include "rtnl/route.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

static struct fake_kernel fake;

/* A fresh kernel that will acknowledge one request. */
static struct cnif_nlsock *kernel_that_acknowledges(void)
{
    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, 0, NULL);
    return &fake.sock;
}

/* A fresh kernel whose dump is empty. */
static struct cnif_nlsock *kernel_that_has_nothing(void)
{
    fake_kernel_open(&fake);
    fake_kernel_done(&fake, 0, 0, 0);
    return &fake.sock;
}

/* A fresh kernel of which one dump tells of the link `index`, and nothing more. */
static struct cnif_nlsock *kernel_that_has_link(int32_t index)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct ifinfomsg *ifi;
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    ifi = cnif_nlmsg_begin(&buf, RTM_NEWLINK, NLM_F_MULTI, sizeof(*ifi), "link");
    ifi->ifi_index = index;
    cnif_nlmsg_end(&buf);
    fake_kernel_open(&fake);
    fake_kernel_answer(&fake, &buf, 0);
    fake_kernel_done(&fake, 0, 0, 0);
    return &fake.sock;
}

/* Whether the call succeeded and sent what the golden file says, and only that. */
static bool sent(const char *name, int result)
{
    bool equal = fake_kernel_request(&fake) && golden_equal(name, fake.request, fake.size);

    equal = equal && result == 0 && !fake_kernel_request(&fake);
    fake_kernel_close(&fake);
    return equal;
}

static struct cnif_ip ip(const char *text, uint8_t prefix)
{
    struct cnif_ip made = {.family = strchr(text, ':') ? AF_INET6 : AF_INET, .prefix = prefix};

    (void)inet_pton(made.family, text, made.bytes);
    return made;
}

static const struct cnif_link_spec plain = {.netns_fd = -1, .peer = {.netns_fd = -1}};

/* A veth pair is one message that says everything of both ends. */
static void test_veth(void)
{
    struct cnif_link_spec spec = plain;
    uint8_t data[1024] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    spec.kind = "veth";
    spec.name = "v0";
    spec.peer.name = "v1";
    CHECK(sent("veth-plain", cnif_link_add(kernel_that_acknowledges(), &spec, NULL, NULL)));

    spec.mtu = spec.peer.mtu = 1400;
    spec.master = 7;
    spec.up = spec.has_mac = spec.single_queue = true;
    memcpy(spec.mac, "\x02\0\0\0\0\1", 6);
    spec.peer.name = "eth0";
    spec.peer.netns_fd = 5;
    spec.peer.has_mac = true;
    memcpy(spec.peer.mac, "\x02\0\0\0\0\2", 6);
    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_link_put_add(&buf, &spec, NLM_F_ECHO);
    CHECK(!buf.overflow && golden_equal("veth-attach", data, buf.used));
}

/* Other kinds say what they have to, and nothing where they have nothing. */
static void test_other_kinds(void)
{
    struct cnif_link_spec bridge = plain, macvlan = plain, dummy = plain, ipvlan = plain,
                          vlan = plain, vrf = plain;

    bridge.kind = "bridge";
    bridge.name = "br1";
    bridge.up = true;
    CHECK(sent("bridge", cnif_link_add(kernel_that_acknowledges(), &bridge, NULL, NULL)));
    bridge.up = false;
    bridge.mtu = 1400;
    bridge.has_txqlen = true;
    bridge.bridge.vlan_filtering = true;
    CHECK(sent("bridge-vlan-filtering",
               cnif_link_add(kernel_that_acknowledges(), &bridge, NULL, NULL)));

    macvlan.kind = "macvlan";
    macvlan.name = "eth0";
    macvlan.mtu = 1400;
    macvlan.parent = 7;
    macvlan.netns_fd = 5;
    macvlan.has_mac = true;
    memcpy(macvlan.mac, "\x02\0\0\0\0\1", 6);
    macvlan.macvlan.mode = MACVLAN_MODE_BRIDGE;
    macvlan.macvlan.bcqueuelen = 500;
    CHECK(sent("macvlan", cnif_link_add(kernel_that_acknowledges(), &macvlan, NULL, NULL)));

    dummy.kind = "dummy";
    dummy.name = "d0";
    CHECK(sent("dummy", cnif_link_add(kernel_that_acknowledges(), &dummy, NULL, NULL)));

    ipvlan.kind = "ipvlan";
    ipvlan.name = vlan.name = "eth0";
    ipvlan.mtu = 1400;
    ipvlan.parent = vlan.parent = 7;
    ipvlan.netns_fd = vlan.netns_fd = 5;
    ipvlan.ipvlan_mode = IPVLAN_MODE_L3S;
    CHECK(sent("ipvlan", cnif_link_add(kernel_that_acknowledges(), &ipvlan, NULL, NULL)));

    vlan.kind = "vlan";
    vlan.vlan_id = 100;
    CHECK(sent("vlan", cnif_link_add(kernel_that_acknowledges(), &vlan, NULL, NULL)));

    vrf.kind = "vrf";
    vrf.name = "vrf1";
    vrf.up = true;
    vrf.vrf_table = 4000000000;
    CHECK(sent("vrf", cnif_link_add(kernel_that_acknowledges(), &vrf, NULL, NULL)));
}

/* A change says only what is to change. */
static void test_link_changes(void)
{
    struct cnif_link_change up = {
        .flags = IFF_UP, .flags_mask = IFF_UP, .master = -1, .netns_fd = -1};
    struct cnif_link_change alias = {.alias = "mine", .master = -1, .netns_fd = -1};
    struct cnif_link_change all = {
        .flags = IFF_PROMISC | IFF_MULTICAST, /* only what the mask has counts */
        .flags_mask = IFF_UP | IFF_PROMISC,
        .name = "v2",
        .mtu = 1400,
        .master = 0,
        .netns_fd = 5,
        .has_mac = true,
        .mac = {2, 0, 0, 0, 0, 1},
    };
    struct cnif_link_change tuned = {
        .flags = IFF_PROMISC,
        .flags_mask = IFF_PROMISC | IFF_ALLMULTI,
        .mtu = 1400,
        .master = -1,
        .netns_fd = -1,
        .has_txqlen = true,
        .txqlen = 500,
        .has_mac = true,
        .mac = {2, 0, 0, 0, 0, 1},
    };

    CHECK(sent("link-up", cnif_link_change(kernel_that_acknowledges(), 7, &up, NULL)));
    CHECK(sent("link-alias", cnif_link_change(kernel_that_acknowledges(), 8, &alias, NULL)));
    CHECK(sent("link-change", cnif_link_change(kernel_that_acknowledges(), 8, &all, NULL)));
    CHECK(sent("link-tuned", cnif_link_change(kernel_that_acknowledges(), 8, &tuned, NULL)));
    CHECK(sent("link-delete", cnif_link_delete(kernel_that_acknowledges(), 7, NULL)));
}

/* Questions ask for no statistics. */
static void test_link_questions(void)
{
    uint8_t data[128] __attribute__((aligned(8)));
    struct cnif_link *links;
    struct cnif_nlbuf buf;
    size_t count;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_link_put_get(&buf, "br0", 0);
    CHECK(golden_equal("link-get-name", data, buf.used));
    cnif_nlbuf_reset(&buf);
    cnif_link_put_get(&buf, NULL, 7);
    CHECK(golden_equal("link-get-index", data, buf.used));
    CHECK(sent("link-dump",
               cnif_link_dump(kernel_that_has_nothing(), 0, NULL, &links, &count, NULL)));
    CHECK(!links && count == 0);
    CHECK(sent("link-dump-filtered",
               cnif_link_dump(kernel_that_has_nothing(), 7, "veth", &links, &count, NULL)));
}

/* Options of a port are set together, or one alone. */
static void test_port_options(void)
{
    CHECK(sent("port-options", cnif_port_set(kernel_that_acknowledges(), 8, 1, 1, NULL)));
    CHECK(sent("port-hairpin-off", cnif_port_set(kernel_that_acknowledges(), 8, 0, -1, NULL)));
}

/* One VLAN is one entry, several in a row are a first and a last one. */
static void test_port_vlans(void)
{
    uint8_t bits[512];

    CHECK(
        sent("vlan-add", cnif_port_vlan(kernel_that_acknowledges(), 8, true, 10, 10, true, NULL)));
    CHECK(sent("vlan-add-range",
               cnif_port_vlan(kernel_that_acknowledges(), 8, true, 100, 200, false, NULL)));
    CHECK(sent("vlan-delete",
               cnif_port_vlan(kernel_that_acknowledges(), 8, false, 1, 1, false, NULL)));
    CHECK(sent("vlan-dump", cnif_port_vlans(kernel_that_has_link(8), 8, bits, NULL)));
}

/* IPv4 addresses come with their broadcast address, if there is one; IPv6 ones with their flags. */
static void test_addresses(void)
{
    const struct cnif_ip v4 = ip("10.1.0.5", 16), pair = ip("10.1.0.4", 31);
    const struct cnif_ip v6 = ip("fd00::5", 64);
    struct cnif_address *addresses;
    size_t count;

    CHECK(sent("addr-add-v4", cnif_addr_add(kernel_that_acknowledges(), 7, &v4, 0, NULL)));
    CHECK(sent("addr-add-31", cnif_addr_add(kernel_that_acknowledges(), 7, &pair, 0, NULL)));
    CHECK(
        sent("addr-add-v6", cnif_addr_add(kernel_that_acknowledges(), 7, &v6, IFA_F_NODAD, NULL)));
    CHECK(sent("addr-no-prefix-route",
               cnif_addr_add(kernel_that_acknowledges(), 7, &v4, IFA_F_NOPREFIXROUTE, NULL)));
    CHECK(sent("addr-delete", cnif_addr_delete(kernel_that_acknowledges(), 7, &v4, NULL)));
    CHECK(sent("addr-dump",
               cnif_addr_dump(kernel_that_has_nothing(), 7, AF_INET, &addresses, &count, NULL)));
}

/* Routes say what is given of them; tables beyond a byte have an attribute. */
static void test_routes(void)
{
    struct cnif_route to_all = {
        .dst = ip("0.0.0.0", 0), .gateway = ip("10.1.0.1", 32), .oif = 7, .scope = -1};
    struct cnif_route net = {
        .dst = ip("10.9.0.0", 16), .gateway = ip("10.1.0.1", 32), .oif = 7, .scope = -1};
    struct cnif_route v6 = {
        .dst = ip("fd09::", 64), .gateway = ip("fd00::1", 128), .oif = 7, .scope = -1};
    struct cnif_route *routes;
    int32_t oif;
    size_t count;

    CHECK(sent("route-default", cnif_route_add(kernel_that_acknowledges(), &to_all, true, NULL)));
    CHECK(sent("route-append", cnif_route_add(kernel_that_acknowledges(), &to_all, false, NULL)));
    CHECK(sent("route-v6", cnif_route_add(kernel_that_acknowledges(), &v6, true, NULL)));
    CHECK(sent("route-delete", cnif_route_delete(kernel_that_acknowledges(), &net, NULL)));
    net.source = ip("10.1.0.2", 32);
    CHECK(sent("route-source", cnif_route_add(kernel_that_acknowledges(), &net, true, NULL)));
    net.source.family = 0;
    net.onlink = true;
    CHECK(sent("route-onlink", cnif_route_add(kernel_that_acknowledges(), &net, true, NULL)));
    net.onlink = false;
    net.priority = 50;
    net.mtu = 1300;
    net.advmss = 1200;
    CHECK(sent("route-metrics", cnif_route_add(kernel_that_acknowledges(), &net, true, NULL)));
    net = (struct cnif_route){
        .dst = ip("10.9.0.0", 16), .oif = 7, .scope = RT_SCOPE_LINK, .table = 1000};
    CHECK(sent("route-table", cnif_route_add(kernel_that_acknowledges(), &net, true, NULL)));
    net.table = 255;
    CHECK(sent("route-table-255", cnif_route_add(kernel_that_acknowledges(), &net, true, NULL)));
    CHECK(sent("route-find", cnif_route_find(kernel_that_acknowledges(), &net.dst, &oif, NULL)));
    CHECK(sent("route-dump", cnif_route_dump(kernel_that_has_nothing(), 7, AF_INET, 1000, &routes,
                                             &count, NULL)));
}

int main(void)
{
    test_veth();
    test_other_kinds();
    test_link_changes();
    test_link_questions();
    test_port_options();
    test_port_vlans();
    test_addresses();
    test_routes();
    return check_failures != 0;
}
