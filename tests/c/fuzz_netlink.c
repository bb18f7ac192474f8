/*
 * Netlink replies of arbitrary bytes: the codec, the decoders of links, addresses, routes, VLANs
 * and traffic control, the kernel's words, and whole transactions and dumps that receive them.
 *
 * The input is one datagram.  Nothing may read beyond it, and whatever is decoded has to be
 * within its bounds.
 */
#include "fake_kernel.h"
#include "netlink/nlparse.h"
#include "rtnl/addr.h"
#include "rtnl/filter.h"
#include "rtnl/kept.h"
#include "rtnl/link.h"
#include "rtnl/qdisc.h"
#include "rtnl/route.h"
#include "rtnl/rule.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 8000
#define DEPTH_MAX 4
#define NO_FD     9999

#define DUMP_ATTEMPTS 32

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "not true: %s\n", what);
    abort();
}

#define REQUIRE(condition) require(condition, #condition)

static bool terminated(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static void walk(const struct nlattr *nest, int depth)
{
    const uint8_t *end = (const uint8_t *)nest + nest->nla_len;
    const struct nlattr *at = NULL;
    char text[16];
    uint8_t bytes[32];

    while ((at = cnif_nlattr_each(nest, at))) {
        REQUIRE((const uint8_t *)at + at->nla_len <= end);
        REQUIRE(cnif_nlattr_copy(at, bytes, sizeof(bytes)) <= cnif_nlattr_size(at));
        REQUIRE(cnif_nlattr_str(at, text, sizeof(text)) && terminated(text, sizeof(text)));
        (void)cnif_nlattr_u8(at, 0);
        (void)cnif_nlattr_u16(at, 0);
        (void)cnif_nlattr_u32(at, 0);
        if (depth < DEPTH_MAX)
            walk(at, depth + 1);
    }
}

static void check_link(struct nlmsghdr *nlh)
{
    struct cnif_link link;

    nlh->nlmsg_type = RTM_NEWLINK;
    if (!cnif_link_parse(nlh, &link))
        return;
    REQUIRE(terminated(link.name, sizeof(link.name)));
    REQUIRE(terminated(link.kind, sizeof(link.kind)));
    REQUIRE(terminated(link.alias, sizeof(link.alias)));
    REQUIRE(link.mac_len <= sizeof(link.mac));
}

static void check_address_and_route(struct nlmsghdr *nlh)
{
    struct cnif_address address;
    struct cnif_route route;

    nlh->nlmsg_type = RTM_NEWADDR;
    if (cnif_addr_parse(nlh, &address))
        REQUIRE(cnif_ip_size(address.ip.family) != 0);
    nlh->nlmsg_type = RTM_NEWROUTE;
    if (cnif_route_parse(nlh, &route))
        REQUIRE(cnif_ip_size(route.dst.family) != 0);
}

/* What is kept is said again in a message of its own, or is too long and does not fit. */
static void check_kept(struct nlmsghdr *nlh)
{
    uint8_t data[1024] __attribute__((aligned(8)));
    struct cnif_kept_address address;
    struct cnif_kept_route route;
    struct cnif_nlbuf buf;
    struct cnif_rule rule;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    nlh->nlmsg_type = RTM_NEWROUTE;
    if (cnif_kept_route_parse(nlh, &route)) {
        cnif_kept_route_put_add(&buf, &route, 1000, true);
        REQUIRE(buf.overflow == (route.kept.size == 0));
    }
    cnif_nlbuf_reset(&buf);
    nlh->nlmsg_type = RTM_NEWADDR;
    if (cnif_kept_address_parse(nlh, &address)) {
        cnif_kept_address_put_add(&buf, &address, 0);
        REQUIRE(buf.overflow == (address.kept.size == 0));
    }
    cnif_nlbuf_reset(&buf);
    nlh->nlmsg_type = RTM_NEWRULE;
    if (cnif_rule_parse(nlh, &rule)) {
        REQUIRE(cnif_ip_size(rule.src.family) != 0);
        cnif_rule_put_delete(&buf, &rule);
        REQUIRE(!buf.overflow);
    }
}

static void check_traffic_control(struct nlmsghdr *nlh)
{
    struct cnif_filter filter;
    struct cnif_qdisc qdisc;
    struct cnif_class class;

    nlh->nlmsg_type = RTM_NEWQDISC;
    if (cnif_qdisc_parse(nlh, &qdisc))
        REQUIRE(terminated(qdisc.kind, sizeof(qdisc.kind)));
    nlh->nlmsg_type = RTM_NEWTCLASS;
    if (cnif_class_parse(nlh, &class))
        REQUIRE(terminated(class.kind, sizeof(class.kind)));
    nlh->nlmsg_type = RTM_NEWTFILTER;
    if (cnif_filter_parse(nlh, &filter))
        REQUIRE(cnif_filter_equal(&filter, &filter) == (filter.n_keys <= CNIF_FILTER_KEYS));
}

static void check_error(struct nlmsghdr *nlh, uint16_t type)
{
    struct cnif_nlbuf buf = {.count = 1, .steps = {"step"}};
    struct cnif_err err;
    char words[64];
    int code;

    nlh->nlmsg_type = type;
    code = cnif_nlmsg_error(nlh, words, sizeof(words));
    REQUIRE(code <= 0 && code >= -4095);
    REQUIRE(terminated(words, sizeof(words)));
    REQUIRE(cnif_nlmsg_failed(&buf, 0, "object", nlh, &err) == code);
    REQUIRE(terminated(err.msg, sizeof(err.msg)));
}

static void check_messages(uint8_t *data, size_t size)
{
    const struct nlattr *attrs[64];
    const struct nlmsghdr *nlh;
    size_t header;

    for (nlh = cnif_nlmsg_first(data, size); nlh; nlh = cnif_nlmsg_next(nlh, data + size)) {
        struct nlmsghdr *message =
            (struct nlmsghdr *)(void *)(data + ((const uint8_t *)nlh - data));
        uint16_t type = nlh->nlmsg_type;

        REQUIRE((const uint8_t *)nlh + nlh->nlmsg_len <= data + size);
        for (header = 0; header <= 24; header += 4) {
            unsigned i;

            cnif_nlattr_parse(nlh, header, attrs, 63);
            for (i = 0; i <= 63; i++) {
                if (attrs[i])
                    walk(attrs[i], 0);
            }
        }
        check_link(message);
        check_address_and_route(message);
        check_kept(message);
        check_traffic_control(message);
        check_error(message, NLMSG_ERROR);
        check_error(message, NLMSG_DONE);
        message->nlmsg_type = type;
    }
}

/* Make the messages answers to the requests 0 and 1, as their own numbers say. */
static void address_to_us(uint8_t *data, size_t size)
{
    const struct nlmsghdr *nlh;

    for (nlh = cnif_nlmsg_first(data, size); nlh; nlh = cnif_nlmsg_next(nlh, data + size)) {
        struct nlmsghdr *message =
            (struct nlmsghdr *)(void *)(data + ((const uint8_t *)nlh - data));

        message->nlmsg_seq &= 1;
        message->nlmsg_pid = FAKE_PORTID;
    }
}

static void transact(const uint8_t *data, size_t size)
{
    uint8_t request[128] __attribute__((aligned(8)));
    struct fake_kernel fake;
    struct cnif_link link;
    struct cnif_nlbuf buf;
    struct cnif_err err;
    int r;

    fake_kernel_open(&fake);
    fake_kernel_datagram(&fake, data, size);
    fake_kernel_ack(&fake, 0, 0, NULL);
    fake_kernel_ack(&fake, 1, 0, NULL);
    cnif_nlbuf_init(&buf, request, sizeof(request));
    cnif_link_put_get(&buf, NULL, 1);
    cnif_link_put_delete(&buf, 1);
    r = cnif_nlsock_talk(&fake.sock, &buf, "links", cnif_link_reply, &link, NULL, &err);
    REQUIRE(r <= 0);
    REQUIRE(r == 0 || terminated(err.msg, sizeof(err.msg)));
    fake_kernel_close(&fake);
}

/* A fresh kernel that answers with the datagram and then ends every dump. */
static struct cnif_nlsock *kernel_with(struct fake_kernel *fake, const uint8_t *data, size_t size)
{
    uint32_t seq;

    fake_kernel_open(fake);
    fake_kernel_datagram(fake, data, size);
    for (seq = 0; seq < 3; seq++)
        fake_kernel_done(fake, seq, 0, 0);
    return &fake->sock;
}

static void run_dumps(const uint8_t *data, size_t size)
{
    struct cnif_address *addresses;
    struct cnif_filter *filters;
    struct cnif_route *routes;
    struct cnif_link *links, link;
    struct fake_kernel fake;
    uint8_t bits[512];
    uint32_t seq;
    size_t count;

    (void)cnif_veth_peer(kernel_with(&fake, data, size), NO_FD, "eth0", &link, NULL);
    fake_kernel_close(&fake);
    (void)kernel_with(&fake, data, size);
    for (seq = 3; seq < DUMP_ATTEMPTS; seq++) /* most data is of no port */
        fake_kernel_done(&fake, seq, 0, 0);
    (void)cnif_port_vlans(&fake.sock, 1, bits, NULL);
    fake_kernel_close(&fake);
    if (cnif_link_dump(kernel_with(&fake, data, size), 0, NULL, &links, &count, NULL) == 0)
        cnif_free(links);
    fake_kernel_close(&fake);
    if (cnif_addr_dump(kernel_with(&fake, data, size), 0, 0, &addresses, &count, NULL) == 0)
        cnif_free(addresses);
    fake_kernel_close(&fake);
    if (cnif_route_dump(kernel_with(&fake, data, size), 0, 0, 0, &routes, &count, NULL) == 0)
        cnif_free(routes);
    fake_kernel_close(&fake);
    if (cnif_filter_dump(kernel_with(&fake, data, size), 1, 0, "link", &filters, &count, NULL) == 0)
        cnif_free(filters);
    fake_kernel_close(&fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    if (!size || size > INPUT_MAX)
        return 0;
    copy = malloc(size);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    check_messages(copy, size);
    address_to_us(copy, size);
    transact(copy, size);
    run_dumps(copy, size);
    free(copy);
    return 0;
}
