/*
 * Connection tracking against a kernel that the test plays: what is asked of it, what is made of
 * its answers, and what where it does not know how.
 */
#include "check.h"
#include "fake_nft.h"
#include "nft/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

static const struct cnif_flow to_host = {
    .protocol = IPPROTO_UDP, .family = AF_INET, .port = 53, .to = {AF_INET, 32, {192, 0, 2, 1}}};
static const struct cnif_flow led_to_pod = {.protocol = IPPROTO_UDP,
                                            .family = AF_INET,
                                            .port = 53,
                                            .led = {AF_INET, 32, {10, 1, 0, 5}},
                                            .led_port = 5353};
static const struct cnif_flow by_ipv6 = {.protocol = IPPROTO_UDP,
                                         .family = AF_INET6,
                                         .port = 53,
                                         .to = {AF_INET6, 128, {0xfd, [15] = 1}}};

static void put_tuple(struct cnif_nlbuf *buf, uint16_t type, const uint8_t *src, const uint8_t *dst,
                      size_t size, uint16_t sport, uint16_t dport)
{
    size_t tuple = cnif_nlattr_nest(buf, type);
    size_t nest = cnif_nlattr_nest(buf, CTA_TUPLE_IP);

    cnif_nlattr_put(buf, size == 4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, src, size);
    cnif_nlattr_put(buf, size == 4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, dst, size);
    cnif_nlattr_nest_end(buf, nest);
    nest = cnif_nlattr_nest(buf, CTA_TUPLE_PROTO);
    cnif_nlattr_put_u8(buf, CTA_PROTO_NUM, IPPROTO_UDP);
    cnif_nlattr_put_u16(buf, CTA_PROTO_SRC_PORT, htons(sport));
    cnif_nlattr_put_u16(buf, CTA_PROTO_DST_PORT, htons(dport));
    cnif_nlattr_nest_end(buf, nest);
    cnif_nlattr_nest_end(buf, tuple);
}

static void begin(struct cnif_nlbuf *buf, uint16_t type)
{
    (void)cnif_nlmsg_begin(buf, (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type), 0,
                           sizeof(struct nfgenmsg), "connection");
}

/* Queue a connection from port 4000 to `dst`:`port`, answered by `answers`:`answering`. */
static void answer_flow(struct fake_kernel *fake, uint32_t seq, const uint8_t *dst, uint16_t port,
                        const uint8_t *answers, uint16_t answering, size_t size)
{
    static const uint8_t src[16] = {198, 51, 100, 1};
    uint8_t data[512] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    begin(&buf, IPCTNL_MSG_CT_NEW);
    put_tuple(&buf, CTA_TUPLE_ORIG, src, dst, size, 4000, port);
    put_tuple(&buf, CTA_TUPLE_REPLY, answers, src, size, answering, 4000);
    cnif_nlattr_put_u16(&buf, CTA_ZONE, htons(7));
    cnif_nlattr_put_be32(&buf, CTA_ID, 0x01020304);
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(fake, &buf, seq);
}

static void answer_count(struct fake_kernel *fake, uint32_t seq, uint32_t count)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    begin(&buf, IPCTNL_MSG_CT_GET_STATS);
    cnif_nlattr_put_be32(&buf, CTA_STATS_GLOBAL_ENTRIES, count);
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(fake, &buf, seq);
}

/* The kernel deletes what it is told of, if there is any. */
static void test_by_filter(void)
{
    struct cnif_flow flows[] = {to_host, led_to_pod};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, -ENOENT, NULL);
    fake_kernel_ack(&fake, 1, 0, NULL);
    CHECK(cnif_flow_forget(&fake.sock, flows, 2, NULL) == 0);
    CHECK(fake_nft_sent(&fake, "flow_forget"));
    CHECK(fake_kernel_request(&fake) == 0 && fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* A kernel without such filters tells what there is; what is meant is deleted one by one. */
static void test_by_dump(void)
{
    static const uint8_t host[] = {192, 0, 2, 1};
    static const uint8_t other[] = {192, 0, 2, 2};
    static const uint8_t pod[] = {10, 1, 0, 5};
    struct cnif_flow flows[] = {to_host, led_to_pod};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, -EINVAL, NULL);
    fake_kernel_ack(&fake, 1, -EINVAL, NULL);
    answer_count(&fake, 2, 5);
    answer_flow(&fake, 3, other, 53, other, 53, 4);
    answer_flow(&fake, 3, host, 54, host, 54, 4);
    answer_flow(&fake, 3, other, 53, pod, 53, 4);
    answer_flow(&fake, 3, host, 53, host, 53, 4);
    answer_flow(&fake, 3, other, 53, pod, 5353, 4);
    fake_kernel_done(&fake, 3, 0, 0);
    fake_kernel_ack(&fake, 4, -ENOENT, NULL);
    fake_kernel_ack(&fake, 5, 0, NULL);
    CHECK(cnif_flow_forget(&fake.sock, flows, 2, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "flow_dump"));
    CHECK(fake_nft_sent(&fake, "flow_delete"));
    CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* IPv6 is never filtered by the kernel; without connections it is not even asked. */
static void test_ipv6(void)
{
    static const uint8_t host[16] = {0xfd, [15] = 1};
    static const uint8_t other[16] = {0xfd, [15] = 2};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    answer_count(&fake, 0, 0);
    CHECK(cnif_flow_forget(&fake.sock, &by_ipv6, 1, NULL) == 0);
    answer_count(&fake, 1, 2);
    answer_flow(&fake, 2, other, 53, other, 53, 16);
    answer_flow(&fake, 2, host, 53, host, 53, 16);
    fake_kernel_done(&fake, 2, 0, NLM_F_DUMP_INTR);
    fake_kernel_done(&fake, 3, 0, 0);
    fake_kernel_ack(&fake, 4, 0, NULL);
    CHECK(cnif_flow_forget(&fake.sock, &by_ipv6, 1, NULL) == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* So many are better looked for in one go. */
static void test_many(void)
{
    struct cnif_flow flows[65];
    struct fake_kernel fake;
    size_t i;

    for (i = 0; i < 65; i++) {
        flows[i] = to_host;
        flows[i].port = (uint16_t)(1000 + i);
    }
    fake_kernel_open(&fake);
    for (i = 0; i < 64; i++)
        fake_kernel_ack(&fake, (uint32_t)i, 0, NULL);
    CHECK(cnif_flow_forget(&fake.sock, flows, 64, NULL) == 0);
    answer_count(&fake, 64, 1);
    fake_kernel_done(&fake, 65, 0, 0);
    CHECK(cnif_flow_forget(&fake.sock, flows, 65, NULL) == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    CHECK(cnif_flow_forget(&fake.sock, flows, 0, NULL) == 0);
    fake_kernel_close(&fake);
}

/* A kernel without connection tracking has nothing to forget; any other refusal is one. */
static void test_refused(void)
{
    struct fake_kernel fake;
    struct cnif_err err;

    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, -EINVAL, NULL);
    fake_kernel_ack(&fake, 1, -EINVAL, NULL);
    fake_kernel_ack(&fake, 2, -EINVAL, NULL);
    CHECK(cnif_flow_forget(&fake.sock, &to_host, 1, NULL) == 0);
    fake_kernel_ack(&fake, 3, -EPERM, NULL);
    CHECK(cnif_flow_forget(&fake.sock, &to_host, 1, &err) == -EPERM);
    CHECK(strcmp(err.msg, "forget connections to host ports: operation not permitted") == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* What is no connection of IP is passed over, and so is one that lacks a part. */
static void test_parse(void)
{
    static const uint8_t address[16] = {1};
    uint8_t data[512] __attribute__((aligned(8)));
    struct cnif_ct_entry entry;
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    begin(&buf, IPCTNL_MSG_CT_NEW);
    put_tuple(&buf, CTA_TUPLE_ORIG, address, address, 4, 1, 2);
    cnif_nlmsg_end(&buf);
    CHECK(!cnif_ct_parse((const void *)data, &entry));
    put_tuple(&buf, CTA_TUPLE_REPLY, address, address, 3, 3, 4);
    cnif_nlmsg_end(&buf);
    CHECK(!cnif_ct_parse((const void *)data, &entry));
    put_tuple(&buf, CTA_TUPLE_REPLY, address, address, 4, 3, 4);
    cnif_nlmsg_end(&buf);
    CHECK(cnif_ct_parse((const void *)data, &entry));
    CHECK(entry.orig.dport == 2 && entry.reply.sport == 3 && !entry.has_zone && !entry.id);
    ((struct nlmsghdr *)(void *)data)->nlmsg_type =
        NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
    CHECK(!cnif_ct_parse((const void *)data, &entry));
}

int main(void)
{
    test_by_filter();
    test_by_dump();
    test_ipv6();
    test_many();
    test_refused();
    test_parse();
    return check_failures != 0;
}
