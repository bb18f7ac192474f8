/*
 * Ports of a VRF against a kernel that the test plays: what is sent to make a link one, with what
 * it has, and what is sent to take that back when a step of it is refused.
 */
#include "check.h"
#include "cnifast_routing.h"
#include "fake_kernel.h"
#include "golden.h"
#include "netlink/nlparse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

enum { VRF = 7, PORT = 8, TABLE = 10 };

static struct fake_kernel fake;
static struct cnif_err err;
static uint8_t data[1024] __attribute__((aligned(8)));
static struct cnif_nlbuf buf;
static uint32_t seq; /* of the request that the next answer is for */

static void start(void)
{
    fake_kernel_open(&fake);
    memset(&err, 0, sizeof(err));
    seq = 0;
}

/* An address that has 500 s to live. */
static void put_address(const char *text, uint8_t scope, uint8_t flags)
{
    static const struct ifa_cacheinfo life = {.ifa_prefered = 200, .ifa_valid = 500};
    uint8_t bytes[16];
    struct ifaddrmsg *ifa = cnif_nlmsg_begin(&buf, RTM_NEWADDR, NLM_F_MULTI, sizeof(*ifa), "dump");

    (void)inet_pton(AF_INET6, text, bytes);
    ifa->ifa_family = AF_INET6;
    ifa->ifa_prefixlen = 64;
    ifa->ifa_flags = flags;
    ifa->ifa_scope = scope;
    ifa->ifa_index = PORT;
    cnif_nlattr_put(&buf, IFA_ADDRESS, bytes, sizeof(bytes));
    cnif_nlattr_put(&buf, IFA_CACHEINFO, &life, sizeof(life));
    cnif_nlmsg_end(&buf);
}

struct row {
    uint8_t family, prefix, type, scope, protocol;
    uint32_t table;
    const char *dst, *gateway;
};

static void put_route(const struct row *row)
{
    size_t size = row->family == AF_INET6 ? 16 : 4;
    uint8_t bytes[16];
    struct rtmsg *rtm = cnif_nlmsg_begin(&buf, RTM_NEWROUTE, NLM_F_MULTI, sizeof(*rtm), "dump");

    rtm->rtm_family = row->family;
    rtm->rtm_dst_len = row->prefix;
    rtm->rtm_table = (uint8_t)row->table;
    rtm->rtm_protocol = row->protocol;
    rtm->rtm_scope = row->scope;
    rtm->rtm_type = row->type;
    (void)inet_pton(row->family, row->dst, bytes);
    cnif_nlattr_put(&buf, RTA_DST, bytes, size);
    cnif_nlattr_put_u32(&buf, RTA_OIF, PORT);
    if (row->gateway) {
        (void)inet_pton(row->family, row->gateway, bytes);
        cnif_nlattr_put(&buf, RTA_GATEWAY, bytes, size);
    }
    cnif_nlmsg_end(&buf);
}

static void begin_dump(void)
{
    cnif_nlbuf_init(&buf, data, sizeof(data));
}

static void end_dump(void)
{
    if (buf.used)
        fake_kernel_answer(&fake, &buf, seq);
    fake_kernel_done(&fake, seq++, 0, 0);
}

static void acknowledge(int code)
{
    fake_kernel_ack(&fake, seq++, code, NULL);
}

static void present(const char *address)
{
    begin_dump();
    if (address)
        put_address(address, RT_SCOPE_UNIVERSE, 0);
    end_dump();
}

/* What the link has: addresses of two scopes, and the routes that one has. */
static void before(uint8_t flags)
{
    static const struct row rows[] = {
        {AF_INET, 16, RTN_UNICAST, RT_SCOPE_UNIVERSE, RTPROT_BOOT, 254, "10.9.0.0", "10.1.0.1"},
        {AF_INET, 16, RTN_UNICAST, RT_SCOPE_LINK, RTPROT_BOOT, 254, "10.8.0.0", NULL},
        {AF_INET6, 64, RTN_UNICAST, RT_SCOPE_UNIVERSE, RTPROT_KERNEL, 254, "fd00::", NULL},
        {AF_INET6, 64, RTN_UNICAST, RT_SCOPE_UNIVERSE, RTPROT_BOOT, 254, "fd08::", NULL},
    };
    size_t i;

    begin_dump();
    put_address("fe80::5", RT_SCOPE_LINK, 0);
    put_address("fd00::5", RT_SCOPE_UNIVERSE, flags);
    end_dump();
    begin_dump();
    for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        put_route(&rows[i]);
    end_dump();
}

/* The table of the VRF, in which the address is known as the container's own. */
static void known(const char *address)
{
    const struct row row = {AF_INET6,      128,   RTN_LOCAL, RT_SCOPE_UNIVERSE,
                            RTPROT_KERNEL, TABLE, address,   NULL};

    begin_dump();
    put_route(&row);
    end_dump();
}

static int join(void)
{
    const struct cnif_vrf_port port = {.index = PORT, .name = "eth0", .vrf = VRF, .table = TABLE};

    return cnif_vrf_join(&fake.sock, -1, &port, &err);
}

/* The types of the messages of the next requests. */
#define ADDRESSES  " 22"
#define ROUTES     " 26"
#define SET_MASTER " 16"
#define ADD        " 20"
#define COPY_TWO   " 24 24"
#define TAKE_BACK  " 25"

static bool next_is(const char *types)
{
    return fake_kernel_request(&fake) && strcmp(fake_kernel_types(&fake), types) == 0;
}

/* What the request that was looked at last says of its n-th message, at an offset of its header. */
static uint8_t header_byte(unsigned n, size_t at)
{
    const struct nlmsghdr *nlh = cnif_nlmsg_first(fake.request, fake.size);

    while (n--)
        nlh = cnif_nlmsg_next(nlh, fake.request + fake.size);
    return ((const uint8_t *)nlh)[NLMSG_HDRLEN + at];
}

static void finish(void)
{
    CHECK(!fake_kernel_request(&fake) && fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* An address that is lost comes back, then routes do, those to gateways first. */
static void test_join(void)
{
    start();
    before(0);
    acknowledge(0);
    present(NULL);
    acknowledge(0); /* the address */
    known("fd00::5");
    acknowledge(0); /* the routes */
    acknowledge(0);
    CHECK(join() == 0);
    CHECK(next_is(ADDRESSES) && next_is(ROUTES));
    CHECK(fake_kernel_request(&fake) && golden_equal("link-master", fake.request, fake.size));
    CHECK(next_is(ADDRESSES));
    CHECK(fake_kernel_request(&fake) && golden_equal("addr-restore", fake.request, fake.size));
    CHECK(next_is(ROUTES) && next_is(COPY_TWO));
    CHECK(header_byte(0, 0) == AF_INET6 && header_byte(1, 0) == AF_INET);
    CHECK(header_byte(0, 4) == TABLE && header_byte(1, 4) == TABLE);
    finish();
}

/* The flags of an address that is restored, which had these. */
static uint32_t restored_flags(uint8_t flags)
{
    const struct nlmsghdr *nlh;
    const struct nlattr *attrs[IFA_FLAGS + 1];
    uint32_t seen;
    unsigned i;

    start();
    before(flags);
    acknowledge(0);
    present(NULL);
    acknowledge(-ENOBUFS);
    acknowledge(0);
    present("fd00::5");
    acknowledge(0);
    acknowledge(0);
    CHECK(join() == -ENOBUFS);
    for (i = 0; i < 5; i++)
        CHECK(fake_kernel_request(&fake));
    nlh = cnif_nlmsg_first(fake.request, fake.size);
    cnif_nlattr_parse(nlh, sizeof(struct ifaddrmsg), attrs, IFA_FLAGS);
    seen = cnif_nlattr_u32(attrs[IFA_FLAGS], UINT32_MAX);
    CHECK(next_is(SET_MASTER) && next_is(ADDRESSES) && next_is(COPY_TWO));
    finish();
    return seen;
}

/* An address that was valid is so at once; one that was not has to be looked for elsewhere. */
static void test_detection(void)
{
    CHECK(restored_flags(IFA_F_PERMANENT | IFA_F_HOMEADDRESS) == (IFA_F_HOMEADDRESS | IFA_F_NODAD));
    CHECK(restored_flags(IFA_F_TENTATIVE) == 0);
    CHECK(restored_flags(IFA_F_DADFAILED | IFA_F_TENTATIVE) == 0);
}

/* Nobody waits for an address that has stayed. */
static void test_join_with_addresses_kept(void)
{
    start();
    before(0);
    acknowledge(0);
    present("fd00::5");
    acknowledge(0);
    acknowledge(0);
    CHECK(join() == 0);
    CHECK(next_is(ADDRESSES) && next_is(ROUTES) && next_is(SET_MASTER) && next_is(ADDRESSES));
    CHECK(next_is(COPY_TWO));
    finish();
}

/* A link that cannot have the master is left alone. */
static void test_refused(void)
{
    start();
    before(0);
    acknowledge(-EOPNOTSUPP);
    CHECK(join() == -EOPNOTSUPP);
    CHECK(strstr(err.msg, "set master of eth0: operation not supported"));
    CHECK(next_is(ADDRESSES) && next_is(ROUTES) && next_is(SET_MASTER));
    finish();
}

/* A route that the VRF cannot have: the link leaves it, and gets again what it can. */
static void test_undo(void)
{
    start();
    before(0);
    acknowledge(0);
    present("fd00::5");
    acknowledge(0);
    acknowledge(-ENETUNREACH);
    acknowledge(0); /* the first route is taken back */
    acknowledge(0); /* no master */
    present(NULL);
    acknowledge(0);
    acknowledge(-EINVAL); /* one of the routes, which does not keep the other from it */
    acknowledge(0);
    CHECK(join() == -ENETUNREACH);
    CHECK(strstr(err.msg, "copy route to routing tables (10.9.0.0/16): network is unreachable"));
    CHECK(next_is(ADDRESSES) && next_is(ROUTES) && next_is(SET_MASTER) && next_is(ADDRESSES));
    CHECK(next_is(COPY_TWO) && next_is(TAKE_BACK) && next_is(SET_MASTER));
    CHECK(next_is(ADDRESSES) && next_is(ADD) && next_is(COPY_TWO));
    CHECK(header_byte(0, 4) == RT_TABLE_MAIN && header_byte(1, 4) == RT_TABLE_MAIN);
    finish();
}

int main(void)
{
    test_join();
    test_detection();
    test_join_with_addresses_kept();
    test_refused();
    test_undo();
    return check_failures != 0;
}
