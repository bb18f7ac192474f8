/*
 * Queueing disciplines, classes and filters: the bytes of each request, as tests/golden/netlink has
 * them, and what is decoded of what the kernel says.
 */
#include "check.h"
#include "fake_kernel.h"
#include "golden.h"
#include "netlink/nlparse.h"
#include "rtnl/filter.h"
#include "rtnl/qdisc.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define INGRESS TC_H_MAKE(TC_H_INGRESS, 0)
#define HTB     TC_H_MAKE(1U << 16, 0)

/* 8 Mbit/s, and 100 Gbit/s, which 32 bits cannot hold. */
static const struct cnif_bucket slow = {.rate = 1000000, .burst = 1562500, .limit = 125000};
static const struct cnif_bucket fast = {.rate = 12500000000, .burst = 156250, .limit = 437500000};

static uint8_t data[1024] __attribute__((aligned(8)));
static struct cnif_nlbuf buf;

static struct cnif_nlbuf *fresh(void)
{
    cnif_nlbuf_init(&buf, data, sizeof(data));
    return &buf;
}

static bool written(const char *name)
{
    return !buf.overflow && golden_equal(name, data, buf.used);
}

static struct cnif_ip subnet(const char *text, uint8_t prefix)
{
    struct cnif_ip made = {.family = strchr(text, ':') ? AF_INET6 : AF_INET, .prefix = prefix};

    (void)inet_pton(made.family, text, made.bytes);
    return made;
}

/* A rate that needs 64 bits has them; others say nothing of them. */
static void test_qdiscs(void)
{
    cnif_qdisc_put_tbf(fresh(), 8, &slow, "step");
    CHECK(written("qdisc-tbf"));
    cnif_qdisc_put_tbf(fresh(), 8, &fast, "step");
    CHECK(written("qdisc-tbf-64"));
    cnif_qdisc_put_htb(fresh(), 8, 0x30, "step");
    CHECK(written("qdisc-htb"));
    cnif_qdisc_put_ingress(fresh(), 8, "step");
    CHECK(written("qdisc-ingress"));
    cnif_qdisc_put_fifo(fresh(), 8, "bfifo", CNIF_CLASS(0x30), 125000, "step");
    CHECK(written("qdisc-bfifo"));
    cnif_qdisc_put_delete(fresh(), 8, TC_H_ROOT, "tbf");
    CHECK(written("qdisc-delete"));
    cnif_qdisc_put_get(fresh(), 8, TC_H_INGRESS);
    CHECK(written("qdisc-get"));
}

static void test_classes(void)
{
    cnif_class_put_htb(fresh(), 8, CNIF_CLASS(0x30), &slow, "step");
    CHECK(written("class-htb"));
    cnif_class_put_htb(fresh(), 8, CNIF_CLASS(1), &fast, "step");
    CHECK(written("class-htb-64"));
    cnif_class_put_get(fresh(), 8, CNIF_CLASS(0x30));
    CHECK(written("class-get"));
}

static void test_filters(void)
{
    const struct cnif_ip v4 = subnet("10.9.8.7", 12), v6 = subnet("fd00:1:2:3f::1", 60);
    struct cnif_filter filter, *filters;
    struct fake_kernel fake;
    size_t count;

    cnif_filter_redirect(&filter, 9);
    cnif_filter_put_add(fresh(), 8, INGRESS, &filter, "step");
    CHECK(written("filter-redirect"));
    cnif_filter_subnet(&filter, &v4, false, CNIF_CLASS(1));
    cnif_filter_put_add(fresh(), 8, HTB, &filter, "step");
    CHECK(written("filter-subnet"));
    cnif_filter_subnet(&filter, &v6, true, CNIF_CLASS(0x30));
    cnif_filter_put_add(fresh(), 8, HTB, &filter, "step");
    CHECK(written("filter-subnet-v6"));

    fake_kernel_open(&fake);
    fake_kernel_done(&fake, 0, 0, 0);
    CHECK(cnif_filter_dump(&fake.sock, 8, HTB, "link", &filters, &count, NULL) == 0);
    CHECK(!filters && count == 0);
    CHECK(fake_kernel_request(&fake) && golden_equal("filter-dump", fake.request, fake.size));
    fake_kernel_close(&fake);
}

/* What an address is compared with: whole words of the mask, the last one in part. */
static void test_masks(void)
{
    static const struct {
        const char *address;
        uint8_t prefix;
        bool from;
        unsigned keys;
        int32_t first;
        uint32_t last_mask, last_value;
    } cases[] = {
        {"10.1.2.3", 0, false, 1, 0, 0, 0},
        {"10.1.2.3", 1, false, 1, 16, 0x80000000, 0},
        {"10.1.2.3", 8, true, 1, 12, 0xff000000, 0x0a000000},
        {"10.1.2.3", 23, false, 1, 16, 0xfffffe00, 0x0a010200},
        {"10.1.2.3", 32, true, 1, 12, 0xffffffff, 0x0a010203},
        {"::", 0, true, 1, 0, 0, 0},
        {"fd01:203::", 7, true, 1, 8, 0xfe000000, 0xfc000000},
        {"fd01:203::", 32, false, 1, 24, 0xffffffff, 0xfd010203},
        {"fd01:203:4050::", 33, false, 2, 24, 0x80000000, 0},
        {"fd01:203:c050::", 34, false, 2, 24, 0xc0000000, 0xc0000000},
        {"fd01::5:6", 128, true, 4, 8, 0xffffffff, 0x00050006},
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct cnif_ip ip = subnet(cases[i].address, cases[i].prefix);
        struct cnif_filter filter;
        uint32_t mask, value;

        cnif_filter_subnet(&filter, &ip, cases[i].from, CNIF_CLASS(1));
        CHECK(filter.n_keys == cases[i].keys && filter.keys[0].offset == cases[i].first);
        memcpy(&mask, filter.keys[filter.n_keys - 1].mask, sizeof(mask));
        memcpy(&value, filter.keys[filter.n_keys - 1].value, sizeof(value));
        CHECK(ntohl(mask) == cases[i].last_mask && ntohl(value) == cases[i].last_value);
        CHECK(filter.protocol == (ip.family == AF_INET ? ETH_P_IP : ETH_P_IPV6));
    }
}

static const struct nlmsghdr *message(void)
{
    return cnif_nlmsg_first(data, buf.used);
}

/* What the kernel says of a thing is what it was told. */
static void test_decoding(void)
{
    struct cnif_qdisc qdisc;
    struct cnif_class class;

    cnif_qdisc_put_tbf(fresh(), 8, &slow, "step");
    CHECK(cnif_qdisc_parse(message(), &qdisc) && !cnif_class_parse(message(), &class));
    CHECK(qdisc.index == 8 && qdisc.handle == 0x10000 && qdisc.parent == TC_H_ROOT);
    CHECK(strcmp(qdisc.kind, "tbf") == 0 && memcmp(&qdisc.bucket, &slow, sizeof(slow)) == 0);
    cnif_qdisc_put_tbf(fresh(), 8, &fast, "step");
    CHECK(cnif_qdisc_parse(message(), &qdisc));
    CHECK(memcmp(&qdisc.bucket, &fast, sizeof(fast)) == 0);
    cnif_qdisc_put_htb(fresh(), 8, 0x30, "step");
    CHECK(cnif_qdisc_parse(message(), &qdisc) && strcmp(qdisc.kind, "htb") == 0);
    CHECK(qdisc.default_class == 0x30 && qdisc.bucket.rate == 0);
    cnif_qdisc_put_ingress(fresh(), 8, "step");
    CHECK(cnif_qdisc_parse(message(), &qdisc) && strcmp(qdisc.kind, "ingress") == 0);
    CHECK(qdisc.handle == INGRESS && qdisc.default_class == 0);

    cnif_class_put_htb(fresh(), 8, CNIF_CLASS(0x30), &fast, "step");
    CHECK(cnif_class_parse(message(), &class) && !cnif_qdisc_parse(message(), &qdisc));
    CHECK(class.index == 8 && class.handle == 0x10030 && strcmp(class.kind, "htb") == 0);
    CHECK(class.bucket.rate == fast.rate && class.bucket.burst == fast.burst);
}

static void test_decoding_of_filters(void)
{
    const struct cnif_ip v6 = subnet("fd00:1:2:3f::1", 128), v4 = subnet("10.0.0.0", 8);
    struct cnif_filter filter, found;

    cnif_filter_redirect(&filter, 9);
    cnif_filter_put_add(fresh(), 8, INGRESS, &filter, "step");
    CHECK(cnif_filter_parse(message(), &found) && cnif_filter_equal(&filter, &found));
    CHECK(found.redirect == 9 && found.priority == 1 && found.protocol == ETH_P_ALL);
    cnif_filter_subnet(&filter, &v6, true, CNIF_CLASS(0x30));
    cnif_filter_put_add(fresh(), 8, HTB, &filter, "step");
    CHECK(cnif_filter_parse(message(), &found) && cnif_filter_equal(&filter, &found));
    CHECK(found.redirect == 0 && found.n_keys == 4 && found.class == 0x10030);
    found.keys[3].value[3] ^= 1;
    CHECK(!cnif_filter_equal(&filter, &found));
    cnif_filter_subnet(&found, &v6, false, CNIF_CLASS(0x30));
    CHECK(!cnif_filter_equal(&filter, &found));
    cnif_filter_subnet(&found, &v6, true, CNIF_CLASS(1));
    CHECK(!cnif_filter_equal(&filter, &found));
    cnif_filter_subnet(&filter, &v4, false, CNIF_CLASS(1));
    CHECK(!cnif_filter_equal(&filter, &found));
    found = filter;
    found.redirect = 1;
    CHECK(!cnif_filter_equal(&filter, &found));
}

/* A u32 filter with a selector of `size` bytes that claims to have so many keys. */
static void put_claim(const char *kind, unsigned char keys, size_t size)
{
    uint8_t selector[256] = {0};
    struct tcmsg *tcm = cnif_nlmsg_begin(fresh(), RTM_NEWTFILTER, 0, sizeof(*tcm), "filter");
    size_t nest;

    ((struct tc_u32_sel *)(void *)selector)->nkeys = keys;
    cnif_nlattr_put_str(&buf, TCA_KIND, kind);
    nest = cnif_nlattr_nest(&buf, TCA_OPTIONS);
    if (size)
        cnif_nlattr_put(&buf, TCA_U32_SEL, selector, size);
    cnif_nlattr_nest_end(&buf, nest);
    cnif_nlmsg_end(&buf);
}

/* Filters of other kinds, hash tables, and selectors that end too soon are passed over. */
static void test_no_filters(void)
{
    const size_t key = sizeof(struct tc_u32_key), head = sizeof(struct tc_u32_sel);
    struct cnif_filter found;

    put_claim("u32", 2, head + 2 * key);
    CHECK(cnif_filter_parse(message(), &found) && found.n_keys == 2);
    put_claim("u32", 9, head + 9 * key);
    CHECK(cnif_filter_parse(message(), &found) && found.n_keys == 9);
    CHECK(!cnif_filter_equal(&found, &found));
    put_claim("u32", 2, head + 2 * key - 1);
    CHECK(!cnif_filter_parse(message(), &found));
    put_claim("u32", 0, head - 1);
    CHECK(!cnif_filter_parse(message(), &found));
    put_claim("u32", 0, 0);
    CHECK(!cnif_filter_parse(message(), &found));
    put_claim("bpf", 0, head);
    CHECK(!cnif_filter_parse(message(), &found));
}

int main(void)
{
    test_qdiscs();
    test_classes();
    test_filters();
    test_masks();
    test_decoding();
    test_decoding_of_filters();
    test_no_filters();
    return check_failures != 0;
}
