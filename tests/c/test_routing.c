/*
 * Changes to rules and routes against a kernel that the test plays: what is sent, what is kept of
 * a route and said again, and what is taken back when one of them is refused.
 */
#include "check.h"
#include "cnifast_routing.h"
#include "fake_kernel.h"
#include "golden.h"
#include "netlink/nlparse.h"
#include "rtnl/kept.h"
#include "rtnl/rule.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct fake_kernel fake;

static struct cnif_ip ip(const char *text, uint8_t prefix)
{
    struct cnif_ip made = {.family = strchr(text, ':') ? AF_INET6 : AF_INET, .prefix = prefix};

    (void)inet_pton(made.family, text, made.bytes);
    return made;
}

/* Whether a change that the kernel takes is sent as the golden file has it. */
static bool sent(const char *name, const struct cnif_routing_change *change)
{
    bool equal;
    int r;

    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, 0, NULL);
    r = cnif_routing_change(&fake.sock, change, 1, true, NULL);
    equal = fake_kernel_request(&fake) && golden_equal(name, fake.request, fake.size);
    equal = equal && r == 0 && !fake_kernel_request(&fake);
    fake_kernel_close(&fake);
    return equal;
}

/* A route as a dump shows it, with its state and its age. */
static void put_route(struct cnif_nlbuf *buf, unsigned more)
{
    struct rtmsg *rtm = cnif_nlmsg_begin(buf, RTM_NEWROUTE, NLM_F_MULTI, sizeof(*rtm), "route");
    static const struct rta_cacheinfo age = {.rta_lastuse = 7};
    struct cnif_ip dst = ip("10.9.0.0", 16), gateway = ip("10.1.0.1", 32);
    static const uint8_t filler[64];
    size_t metrics;

    rtm->rtm_family = AF_INET;
    rtm->rtm_dst_len = 16;
    rtm->rtm_table = RT_TABLE_MAIN;
    rtm->rtm_protocol = 99;
    rtm->rtm_type = RTN_UNICAST;
    rtm->rtm_flags = RTNH_F_LINKDOWN | RTNH_F_OFFLOAD;
    cnif_nlattr_put_u32(buf, RTA_TABLE, RT_TABLE_MAIN);
    cnif_nlattr_put(buf, RTA_DST, dst.bytes, 4);
    cnif_nlattr_put_u32(buf, RTA_PRIORITY, 50);
    metrics = cnif_nlattr_nest(buf, RTA_METRICS);
    cnif_nlattr_put_u32(buf, RTAX_MTU, 1300);
    for (; more; more--)
        cnif_nlattr_put(buf, RTAX_CC_ALGO, filler, sizeof(filler));
    cnif_nlattr_nest_end(buf, metrics);
    cnif_nlattr_put(buf, RTA_CACHEINFO, &age, sizeof(age));
    cnif_nlattr_put(buf, RTA_GATEWAY, gateway.bytes, 4);
    cnif_nlattr_put_u32(buf, RTA_OIF, 7);
    cnif_nlmsg_end(buf);
}

static struct cnif_kept_route kept_route(unsigned more)
{
    uint8_t data[1024] __attribute__((aligned(8)));
    struct cnif_kept_route kept;
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    put_route(&buf, more);
    CHECK(cnif_kept_route_parse(cnif_nlmsg_first(data, buf.used), &kept));
    return kept;
}

/* Each change is one request, that iproute2 would send for the same. */
static void test_requests(void)
{
    const struct cnif_rule rule = {.src = ip("10.1.0.5", 32), .table = 100};
    const struct cnif_rule rule6 = {.src = ip("fd00::5", 128), .table = 1000};
    struct cnif_kept_route kept = kept_route(0);
    struct cnif_routing_change change = {.step = CNIF_ADD_RULE, .rule = &rule};
    struct cnif_rule *rules;
    size_t count;

    CHECK(sent("rule-add", &change));
    change.rule = &rule6;
    CHECK(sent("rule-add-v6", &change));
    change = (struct cnif_routing_change){.step = CNIF_DELETE_RULE, .rule = &rule};
    CHECK(sent("rule-delete", &change));
    change = (struct cnif_routing_change){
        .step = CNIF_ADD_ROUTE,
        .route = {.dst = ip("10.1.0.0", 16),
                  .oif = 7,
                  .scope = RT_SCOPE_LINK,
                  .source = ip("10.1.0.2", 32)},
    };
    CHECK(sent("route-hint", &change));
    change = (struct cnif_routing_change){.step = CNIF_COPY_ROUTE, .kept = &kept, .table = 1000};
    CHECK(sent("route-copy", &change));

    fake_kernel_open(&fake);
    fake_kernel_done(&fake, 0, 0, 0);
    CHECK(cnif_rule_dump(&fake.sock, AF_INET, &rules, &count, NULL) == 0);
    CHECK(!rules && count == 0 && fake_kernel_request(&fake));
    CHECK(golden_equal("rule-dump", fake.request, fake.size));
    fake_kernel_close(&fake);
}

/* What was too long to be kept is refused by name, and nothing at all is sent. */
static void test_too_long(void)
{
    const struct cnif_rule rule = {.src = ip("10.1.0.5", 32), .table = 100};
    struct cnif_kept_route kept = kept_route(7);
    const struct cnif_routing_change changes[] = {
        {.step = CNIF_ADD_RULE, .rule = &rule},
        {.step = CNIF_DELETE_ROUTE, .kept = &kept},
    };
    struct cnif_err err;

    CHECK(kept.kept.size == 0 && kept.route.oif == 7);
    fake_kernel_open(&fake);
    CHECK(cnif_routing_change(&fake.sock, changes, 2, true, &err) == -EMSGSIZE);
    CHECK(strcmp(err.msg, "change route in routing tables (10.9.0.0/16): message too long") == 0);
    CHECK(!fake_kernel_request(&fake));
    fake_kernel_close(&fake);
}

static void acknowledge(uint32_t first, const int *codes, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        fake_kernel_ack(&fake, first + (uint32_t)i, codes[i], NULL);
}

/* Of a whole change what was taken is taken back, last one first, and what was refused is not. */
static void test_undo(void)
{
    const struct cnif_rule rule = {.src = ip("10.1.0.5", 32), .table = 100};
    struct cnif_kept_route kept = kept_route(0);
    const struct cnif_routing_change changes[] = {
        {.step = CNIF_ADD_RULE, .rule = &rule},
        {.step = CNIF_ADD_ROUTE, .route = {.dst = ip("0.0.0.0", 0), .oif = 7, .table = 100}},
        {.step = CNIF_COPY_ROUTE, .kept = &kept, .table = 100},
        {.step = CNIF_DELETE_ROUTE, .kept = &kept},
        {.step = CNIF_DELETE_RULE, .rule = &rule},
    };
    struct cnif_err err;

    fake_kernel_open(&fake);
    acknowledge(0, (const int[]){0, -ENETUNREACH, 0, 0, 0}, 5);
    acknowledge(5, (const int[]){0, 0, -ESRCH, 0}, 4);
    CHECK(cnif_routing_change(&fake.sock, changes, 5, true, &err) == -ENETUNREACH);
    CHECK(strcmp(err.msg, "add route to routing tables (0.0.0.0/0): network is unreachable") == 0);
    CHECK(fake_kernel_request(&fake) && strcmp(fake_kernel_types(&fake), " 32 24 24 25 33") == 0);
    CHECK(fake_kernel_request(&fake) && strcmp(fake_kernel_types(&fake), " 32 24 25 33") == 0);
    CHECK(!fake_kernel_request(&fake) && fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);

    fake_kernel_open(&fake);
    acknowledge(0, (const int[]){0, -ENETUNREACH, -ESRCH, 0, 0}, 5);
    CHECK(cnif_routing_change(&fake.sock, changes, 5, false, &err) == -ENETUNREACH);
    CHECK(fake_kernel_request(&fake) && !fake_kernel_request(&fake));
    fake_kernel_close(&fake);
}

/* More changes than go into one transaction are sent in several, and taken back in several. */
static void test_many(void)
{
    enum { MANY = 100 };
    static struct cnif_rule rules[MANY];
    static struct cnif_routing_change changes[MANY];
    static int codes[MANY];
    struct cnif_err err;
    unsigned i;

    for (i = 0; i < MANY; i++) {
        rules[i] = (struct cnif_rule){.src = ip("10.1.0.0", 32), .table = 100 + i};
        rules[i].src.bytes[3] = (uint8_t)i;
        changes[i] = (struct cnif_routing_change){.step = CNIF_ADD_RULE, .rule = &rules[i]};
    }
    codes[MANY - 1] = -ENOBUFS;
    fake_kernel_open(&fake);
    acknowledge(0, codes, MANY);
    acknowledge(MANY, codes, MANY - 1);
    CHECK(cnif_routing_change(&fake.sock, changes, MANY, true, &err) == -ENOBUFS);
    CHECK(strstr(err.msg, "add rule to routing tables (10.1.0.99/32): "));
    for (i = 0; fake_kernel_request(&fake); i++)
        ;
    CHECK(i == 4 && fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* Whichever call fails, there is one more request at most, and it takes back. */
static void test_failed_calls(void)
{
    const struct cnif_rule rule = {.src = ip("10.1.0.5", 32), .table = 100};
    const struct cnif_routing_change change = {.step = CNIF_ADD_RULE, .rule = &rule};
    struct cnif_err err;
    unsigned n;

    for (n = 1; n <= 2; n++) {
        fake_kernel_open(&fake);
        fake_kernel_ack(&fake, n - 1, 0, NULL);
        fake_kernel_ack(&fake, n, 0, NULL);
        CHECK(cnif_fault_arm(n, EIO) == 0);
        CHECK(cnif_routing_change(&fake.sock, &change, 1, true, &err) == -EIO);
        (void)cnif_fault_arm(0, 0);
        if (n == 2)
            CHECK(fake_kernel_request(&fake) && strcmp(fake_kernel_types(&fake), " 32") == 0);
        CHECK(fake_kernel_request(&fake) && strcmp(fake_kernel_types(&fake), " 33") == 0);
        fake_kernel_close(&fake);
    }
}

/* A rule is kept whole, but for what only the kernel can say of it. */
static void test_rules(void)
{
    uint8_t data[256] __attribute__((aligned(8))), again[256] __attribute__((aligned(8)));
    struct fib_rule_hdr *frh;
    struct cnif_rule rule;
    struct cnif_nlbuf buf, out;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    frh = cnif_nlmsg_begin(&buf, RTM_NEWRULE, NLM_F_MULTI, sizeof(*frh), "rule");
    frh->family = AF_INET;
    frh->src_len = 24;
    frh->action = FR_ACT_TO_TBL;
    frh->flags = FIB_RULE_INVERT | FIB_RULE_IIF_DETACHED;
    cnif_nlattr_put(&buf, FRA_SRC, "\x0a\x01\x02\0", 4);
    cnif_nlattr_put_u32(&buf, FRA_PRIORITY, 500);
    cnif_nlattr_put_u32(&buf, FRA_TABLE, 1000);
    cnif_nlattr_put_str(&buf, FRA_IIFNAME, "eth0");
    cnif_nlmsg_end(&buf);
    CHECK(cnif_rule_parse(cnif_nlmsg_first(data, buf.used), &rule));
    CHECK(rule.table == 1000 && rule.priority == 500 && rule.src.prefix == 24);
    cnif_nlbuf_init(&out, again, sizeof(again));
    cnif_rule_put_delete(&out, &rule);
    CHECK(!out.overflow && out.used == buf.used);
    frh = (struct fib_rule_hdr *)(void *)(again + NLMSG_HDRLEN);
    CHECK(frh->flags == FIB_RULE_INVERT);

    ((struct fib_rule_hdr *)(void *)(data + NLMSG_HDRLEN))->action = FR_ACT_BLACKHOLE;
    CHECK(cnif_rule_parse(cnif_nlmsg_first(data, buf.used), &rule) && rule.table == 0);
    ((struct fib_rule_hdr *)(void *)(data + NLMSG_HDRLEN))->family = 128; /* multicast */
    CHECK(!cnif_rule_parse(cnif_nlmsg_first(data, buf.used), &rule));
}

int main(void)
{
    test_requests();
    test_too_long();
    test_undo();
    test_many();
    test_failed_calls();
    test_rules();
    return check_failures != 0;
}
