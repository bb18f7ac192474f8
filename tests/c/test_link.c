/*
 * Links against a kernel that the test plays: what is decoded of them, the limits of names and
 * aliases, and creation with and without the kernel's echo.
 */
#include "check.h"
#include "fake_kernel.h"
#include "netlink/nlparse.h"
#include "rtnl/link.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

/* Begin a link in `buf`; attributes may follow until cnif_nlmsg_end. */
static void begin_link(struct cnif_nlbuf *buf, void *data, size_t size, int32_t index)
{
    struct ifinfomsg *ifi;

    cnif_nlbuf_init(buf, data, size);
    ifi = cnif_nlmsg_begin(buf, RTM_NEWLINK, 0, sizeof(*ifi), "link");
    ifi->ifi_index = index;
    ifi->ifi_flags = IFF_UP | IFF_BROADCAST;
    ifi->ifi_type = 1;
}

static bool parse(const struct cnif_nlbuf *buf, struct cnif_link *link)
{
    return cnif_link_parse(cnif_nlmsg_first(buf->data, buf->used), link);
}

/* A bridge port of a veth pair, with everything that is read of one. */
static void put_port(struct cnif_nlbuf *buf)
{
    static const uint8_t mac[] = {2, 0, 0, 0, 0, 1};
    size_t info, data;

    cnif_nlattr_put_str(buf, IFLA_IFNAME, "veth0");
    cnif_nlattr_put_str(buf, IFLA_IFALIAS, "whose it is");
    cnif_nlattr_put(buf, IFLA_ADDRESS, mac, sizeof(mac));
    cnif_nlattr_put_u32(buf, IFLA_MTU, 1400);
    cnif_nlattr_put_u32(buf, IFLA_TXQLEN, 1000);
    cnif_nlattr_put_u32(buf, IFLA_MASTER, 7);
    cnif_nlattr_put_u32(buf, IFLA_LINK, 2);
    cnif_nlattr_put_u32(buf, IFLA_LINK_NETNSID, 3);
    cnif_nlattr_put_u32(buf, IFLA_GROUP, 5);
    cnif_nlattr_put_u32(buf, IFLA_PROMISCUITY, 1);
    cnif_nlattr_put_u8(buf, IFLA_OPERSTATE, 6);
    info = cnif_nlattr_nest(buf, IFLA_LINKINFO);
    cnif_nlattr_put_str(buf, IFLA_INFO_KIND, "veth");
    cnif_nlattr_put_str(buf, IFLA_INFO_SLAVE_KIND, "bridge");
    data = cnif_nlattr_nest(buf, IFLA_INFO_SLAVE_DATA);
    cnif_nlattr_put_u8(buf, IFLA_BRPORT_MODE, 1);
    cnif_nlattr_put_u8(buf, IFLA_BRPORT_ISOLATED, 1);
    cnif_nlattr_nest_end(buf, data);
    cnif_nlattr_nest_end(buf, info);
    cnif_nlmsg_end(buf);
}

static void check_port(const struct cnif_link *link)
{
    CHECK(link->index == 9 && link->master == 7 && link->parent == 2);
    CHECK(link->parent_netnsid == 3);
    CHECK(link->flags == (IFF_UP | IFF_BROADCAST) && link->type == 1);
    CHECK(link->mtu == 1400 && link->txqlen == 1000 && link->group == 5);
    CHECK(link->promiscuity == 1 && link->operstate == 6);
    CHECK(link->mac_len == 6 && link->mac[0] == 2 && link->mac[5] == 1);
    CHECK(strcmp(link->name, "veth0") == 0 && strcmp(link->kind, "veth") == 0);
    CHECK(strcmp(link->alias, "whose it is") == 0);
    CHECK(link->is_port && link->hairpin && link->isolated);
    CHECK(!link->vlan_filtering && !link->macvlan_mode && !link->bcqueuelen);
}

/* Everything the kernel says of a bridge port is found. */
static void test_parse_port(void)
{
    uint8_t data[512] __attribute__((aligned(8)));
    struct cnif_link link;
    struct cnif_nlbuf buf;

    begin_link(&buf, data, sizeof(data), 9);
    put_port(&buf);
    CHECK(parse(&buf, &link));
    check_port(&link);
}

/* What the kernel does not say is zero, and no namespace other than this one. */
static void test_parse_bare_link(void)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct cnif_link link, zero = {.index = 9, .flags = IFF_UP | IFF_BROADCAST, .type = 1};
    struct cnif_nlbuf buf;

    begin_link(&buf, data, sizeof(data), 9);
    cnif_nlmsg_end(&buf);
    memset(&link, 0xff, sizeof(link));
    CHECK(parse(&buf, &link));
    CHECK(link.parent_netnsid == -1);
    zero.parent_netnsid = -1;
    CHECK(link.mtu == 0 && link.name[0] == '\0' && link.kind[0] == '\0' && !link.is_port);
    CHECK(memcmp(link.mac, zero.mac, sizeof(link.mac)) == 0 && link.mac_len == 0);
}

/* Other messages, and links whose header is cut, are no links. */
static void test_parse_other_messages(void)
{
    struct {
        struct nlmsghdr nlh;
        struct ifinfomsg ifi;
    } message = {.nlh = {.nlmsg_len = sizeof(message), .nlmsg_type = RTM_DELLINK}};
    struct cnif_link link;

    CHECK(cnif_link_parse(&message.nlh, &link));
    message.nlh.nlmsg_type = RTM_NEWADDR;
    CHECK(!cnif_link_parse(&message.nlh, &link));
    message.nlh.nlmsg_type = RTM_NEWLINK;
    message.nlh.nlmsg_len--;
    CHECK(!cnif_link_parse(&message.nlh, &link));
    CHECK(cnif_link_reply(&message.nlh, 0, &link) == -EBADMSG);
}

/* What is longer than its room is cut, whatever the kernel's limits: name, kind, alias, address. */
static void test_parse_long_values(void)
{
    uint8_t data[1024] __attribute__((aligned(8)));
    char text[400];
    struct cnif_link link;
    struct cnif_nlbuf buf;
    size_t info;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    begin_link(&buf, data, sizeof(data), 9);
    cnif_nlattr_put_str(&buf, IFLA_IFNAME, text + 300);
    cnif_nlattr_put(&buf, IFLA_IFALIAS, text, 300); /* not terminated */
    cnif_nlattr_put(&buf, IFLA_ADDRESS, text, 40);
    info = cnif_nlattr_nest(&buf, IFLA_LINKINFO);
    cnif_nlattr_put_str(&buf, IFLA_INFO_KIND, text + 300);
    cnif_nlattr_put_str(&buf, IFLA_INFO_SLAVE_KIND, text + 300);
    cnif_nlattr_nest_end(&buf, info);
    cnif_nlmsg_end(&buf);
    CHECK(!buf.overflow && parse(&buf, &link));
    CHECK(strlen(link.name) == CNIF_IFNAME_MAX - 1);
    CHECK(strlen(link.kind) == CNIF_IFNAME_MAX - 1);
    CHECK(strlen(link.alias) == CNIF_ALIAS_MAX - 1);
    CHECK(link.mac_len == CNIF_MAC_MAX);
    CHECK(!link.is_port);
}

/* A kind's data is read by that kind only. */
static void test_parse_kinds(void)
{
    static const char *const kinds[] = {"bridge", "macvlan", "vrf", "veth", "vxlan"};
    uint8_t data[256] __attribute__((aligned(8)));
    size_t i;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct cnif_link link;
        struct cnif_nlbuf buf;
        size_t info, inner;

        begin_link(&buf, data, sizeof(data), 9);
        info = cnif_nlattr_nest(&buf, IFLA_LINKINFO);
        cnif_nlattr_put_str(&buf, IFLA_INFO_KIND, kinds[i]);
        inner = cnif_nlattr_nest(&buf, IFLA_INFO_DATA);
        cnif_nlattr_put_u32(&buf, IFLA_MACVLAN_MODE, 4);     /* 1: also IFLA_VRF_TABLE */
        cnif_nlattr_put_u8(&buf, IFLA_BR_VLAN_FILTERING, 1); /* 7: also IFLA_MACVLAN_BC_QUEUE_LEN */
        cnif_nlattr_nest_end(&buf, inner);
        cnif_nlattr_nest_end(&buf, info);
        cnif_nlmsg_end(&buf);
        CHECK(parse(&buf, &link));
        CHECK(strcmp(link.kind, kinds[i]) == 0);
        CHECK(link.vlan_filtering == (i == 0));
        CHECK(link.macvlan_mode == (i == 1 ? 4 : 0));
        CHECK(link.vrf_table == (i == 2 ? 4 : 0));
        CHECK(link.bcqueuelen == 0); /* a byte is too short for it */
    }
}

/* A link is asked for by name or by index, and comes back whole. */
static void test_get(void)
{
    uint8_t data[512] __attribute__((aligned(8)));
    struct cnif_link link = {0};
    struct fake_kernel fake;
    struct cnif_nlbuf buf;

    fake_kernel_open(&fake);
    begin_link(&buf, data, sizeof(data), 9);
    put_port(&buf);
    fake_kernel_answer(&fake, &buf, 0);
    fake_kernel_answer(&fake, &buf, 1);
    CHECK(cnif_link_get(&fake.sock, "veth0", 0, &link, NULL) == 0);
    check_port(&link);
    link = (struct cnif_link){0};
    CHECK(cnif_link_get(&fake.sock, NULL, 9, &link, NULL) == 0);
    check_port(&link);
    fake_kernel_close(&fake);
}

/* Names the kernel could not have are not there, without asking it; outputs stay as they were. */
static void test_get_impossible_names(void)
{
    struct cnif_link link = {.index = 77};
    struct cnif_err err = {0};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    CHECK(cnif_link_get(&fake.sock, "", 0, &link, &err) == -ENODEV);
    CHECK(cnif_link_get(&fake.sock, "sixteen-letters-", 0, &link, &err) == -ENODEV);
    CHECK(strcmp(err.msg, "get link sixteen-letters-: no such device") == 0);
    CHECK(fake_kernel_request(&fake) == 0);
    fake_kernel_ack(&fake, 0, -ENODEV, NULL);
    CHECK(cnif_link_get(&fake.sock, "fifteen-letters", 0, &link, &err) == -ENODEV);
    CHECK(strcmp(err.msg, "get link fifteen-letters: no such device") == 0);
    fake_kernel_ack(&fake, 1, -ENODEV, NULL);
    CHECK(cnif_link_get(&fake.sock, NULL, 12, &link, &err) == -ENODEV);
    CHECK(strcmp(err.msg, "get link index 12: no such device") == 0);
    CHECK(link.index == 77);
    fake_kernel_close(&fake);
}

static const struct cnif_link_spec veth = {
    .kind = "veth", .name = "veth0", .netns_fd = -1, .peer = {.name = "eth0", .netns_fd = -1}};

/* A kernel that echoes the new link is asked nothing more. */
static void test_create_with_echo(void)
{
    uint8_t data[512] __attribute__((aligned(8)));
    struct cnif_link link = {0};
    struct fake_kernel fake;
    struct cnif_nlbuf buf;
    bool refused = true;

    fake_kernel_open(&fake);
    begin_link(&buf, data, sizeof(data), 9);
    put_port(&buf);
    fake_kernel_answer(&fake, &buf, 0);
    fake_kernel_ack(&fake, 0, 0, NULL);
    CHECK(cnif_link_create(&fake.sock, &veth, &link, &refused, NULL) == 0);
    CHECK(!refused);
    check_port(&link);
    CHECK(fake_kernel_request(&fake) && !fake_kernel_request(&fake));
    fake_kernel_close(&fake);
}

/* A kernel that does not, as all before Linux 6.2, is asked for the link by its name. */
static void test_create_without_echo(void)
{
    uint8_t data[512] __attribute__((aligned(8)));
    const struct nlattr *attrs[IFLA_IFNAME + 1];
    const struct nlmsghdr *nlh;
    struct cnif_link link = {0};
    struct fake_kernel fake;
    struct cnif_nlbuf buf;
    bool refused = true;
    char name[16];

    fake_kernel_open(&fake);
    begin_link(&buf, data, sizeof(data), 9);
    put_port(&buf);
    fake_kernel_ack(&fake, 0, 0, NULL);
    fake_kernel_answer(&fake, &buf, 1);
    CHECK(cnif_link_create(&fake.sock, &veth, &link, &refused, NULL) == 0);
    CHECK(!refused);
    check_port(&link);
    CHECK(fake_kernel_request(&fake) && fake_kernel_request(&fake));
    nlh = cnif_nlmsg_first(fake.request, fake.size);
    CHECK(nlh && nlh->nlmsg_type == RTM_GETLINK);
    if (nlh) {
        cnif_nlattr_parse(nlh, sizeof(struct ifinfomsg), attrs, IFLA_IFNAME);
        CHECK(cnif_nlattr_str(attrs[IFLA_IFNAME], name, sizeof(name)));
        CHECK(strcmp(name, "veth0") == 0);
    }
    fake_kernel_close(&fake);
}

/* A refusal is told from a link that may be there although its description cannot be had. */
static void test_create_refused_or_unknown(void)
{
    struct cnif_link link = {.index = 77};
    struct cnif_err err = {0};
    struct fake_kernel fake;
    bool refused = false;

    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, -EEXIST, NULL);
    CHECK(cnif_link_create(&fake.sock, &veth, &link, &refused, &err) == -EEXIST);
    CHECK(refused && strcmp(err.msg, "create link veth0: file exists") == 0);
    fake_kernel_ack(&fake, 1, 0, NULL);
    fake_kernel_ack(&fake, 2, -ENODEV, NULL);
    CHECK(cnif_link_create(&fake.sock, &veth, &link, &refused, &err) == -ENODEV);
    CHECK(!refused && link.index == 77);
    fake_kernel_close(&fake);
}

/* The index of a new link is told where the kernel tells it; that it does not is no failure. */
static void test_index_of_a_new_link(void)
{
    struct cnif_link_spec elsewhere = veth;
    uint8_t data[512] __attribute__((aligned(8)));
    struct fake_kernel fake;
    struct cnif_nlbuf buf;
    int32_t index = 77;

    fake_kernel_open(&fake);
    begin_link(&buf, data, sizeof(data), 9);
    put_port(&buf);
    fake_kernel_answer(&fake, &buf, 0);
    fake_kernel_ack(&fake, 0, 0, NULL);
    CHECK(cnif_link_add(&fake.sock, &veth, &index, NULL) == 0 && index == 9);
    fake_kernel_ack(&fake, 1, 0, NULL);
    fake_kernel_ack(&fake, 2, -ENODEV, NULL);
    CHECK(cnif_link_add(&fake.sock, &veth, &index, NULL) == 0 && index == 0);
    fake_kernel_ack(&fake, 3, -ENODEV, NULL); /* its master, say */
    index = 77;
    CHECK(cnif_link_add(&fake.sock, &veth, &index, NULL) == -ENODEV && index == 77);
    fake_kernel_ack(&fake, 4, 0, NULL);
    fake_kernel_ack(&fake, 5, -EIO, NULL);
    CHECK(cnif_link_add(&fake.sock, &veth, &index, NULL) == -EIO && index == 77);
    elsewhere.netns_fd = 0;
    fake_kernel_ack(&fake, 6, 0, NULL);
    CHECK(cnif_link_add(&fake.sock, &elsewhere, &index, NULL) == 0 && index == 0);
    fake_kernel_close(&fake);
}

/* What a request says too much of is refused here, before the kernel sees any of it. */
static void test_oversized_requests(void)
{
    struct cnif_link_change change = {.master = -1, .netns_fd = -1};
    struct cnif_link_spec spec = veth;
    struct cnif_err err = {0};
    struct fake_kernel fake;
    char text[1024];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    fake_kernel_open(&fake);
    spec.name = text;
    CHECK(cnif_link_add(&fake.sock, &spec, NULL, &err) == -EMSGSIZE);
    change.alias = text;
    CHECK(cnif_link_change(&fake.sock, 9, &change, &err) == -EMSGSIZE);
    CHECK(strcmp(err.msg, "netlink request for index 9 does not fit its buffer") == 0);
    CHECK(fake_kernel_request(&fake) == 0);
    fake_kernel_close(&fake);
}

int main(void)
{
    test_parse_port();
    test_parse_bare_link();
    test_parse_other_messages();
    test_parse_long_values();
    test_parse_kinds();
    test_get();
    test_get_impossible_names();
    test_create_with_echo();
    test_create_without_echo();
    test_create_refused_or_unknown();
    test_index_of_a_new_link();
    test_oversized_requests();
    return check_failures != 0;
}
