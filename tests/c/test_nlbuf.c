/*
 * The writing half of the netlink codec: what it writes is read back, and what does not fit is
 * noticed once and harms nothing.
 */
#include "check.h"
#include "netlink/nlbuf.h"
#include "netlink/nlparse.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* A transaction with every kind of put, two messages and a nest in a nest. */
static void write_sample(struct cnif_nlbuf *buf)
{
    static const uint8_t odd[5] = {1, 2, 3, 4, 5};
    struct ifinfomsg *ifi;
    size_t outer, inner;
    uint8_t *raw;

    ifi = cnif_nlmsg_begin(buf, RTM_NEWLINK, NLM_F_ACK, sizeof(*ifi), "first");
    ifi->ifi_index = 7;
    cnif_nlattr_put_u8(buf, 1, 0x12);
    cnif_nlattr_put_u16(buf, 2, 0x1234);
    cnif_nlattr_put_u32(buf, 3, 0x12345678);
    cnif_nlattr_put_be32(buf, 4, 0x12345678);
    cnif_nlattr_put_be64(buf, 5, UINT64_C(0x123456789abcdef0));
    cnif_nlattr_put_str(buf, 6, "eth0");
    cnif_nlattr_put(buf, 7, odd, sizeof(odd));
    cnif_nlattr_put(buf, 8, NULL, 0);
    outer = cnif_nlattr_nest(buf, 9);
    raw = cnif_nlbuf_reserve(buf, 6);
    raw[0] = 0xaa;
    inner = cnif_nlattr_nest(buf, 10);
    cnif_nlattr_put_u8(buf, 11, 0xff);
    cnif_nlattr_nest_end(buf, inner);
    cnif_nlattr_nest_end(buf, outer);
    cnif_nlmsg_end(buf);

    (void)cnif_nlmsg_begin(buf, RTM_GETLINK, 0, sizeof(struct ifinfomsg), "second");
    cnif_nlmsg_end(buf);
}

/* What write_sample needs. */
static size_t sample_size(void)
{
    uint8_t data[1024] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    write_sample(&buf);
    CHECK(!buf.overflow);
    return buf.used;
}

/* Every put is found again by the parser, with its value. */
static void test_round_trip(void)
{
    uint8_t data[1024] __attribute__((aligned(8)));
    const struct nlattr *attrs[12], *in_inner[12];
    const struct nlmsghdr *nlh;
    const struct ifinfomsg *ifi;
    const uint8_t *raw;
    struct cnif_nlbuf buf;
    uint64_t wide = 0;
    uint8_t bytes[8];
    char name[16];

    cnif_nlbuf_init(&buf, data, sizeof(data));
    write_sample(&buf);
    CHECK(buf.count == 2 && strcmp(buf.steps[0], "first") == 0);
    CHECK(strcmp(buf.steps[1], "second") == 0);

    nlh = cnif_nlmsg_first(data, buf.used);
    CHECK(nlh && nlh->nlmsg_type == RTM_NEWLINK);
    if (!nlh)
        return;
    CHECK(nlh->nlmsg_flags == (NLM_F_REQUEST | NLM_F_ACK));
    CHECK(nlh->nlmsg_seq == 0 && nlh->nlmsg_pid == 0);
    ifi = cnif_nlmsg_header(nlh, sizeof(*ifi));
    CHECK(ifi && ifi->ifi_index == 7 && ifi->ifi_flags == 0);

    cnif_nlattr_parse(nlh, sizeof(*ifi), attrs, 11);
    CHECK(!attrs[0] && !attrs[10] && !attrs[11]);
    CHECK(cnif_nlattr_u8(attrs[1], 0) == 0x12);
    CHECK(cnif_nlattr_u16(attrs[2], 0) == 0x1234);
    CHECK(cnif_nlattr_u32(attrs[3], 0) == 0x12345678);
    CHECK(ntohl(cnif_nlattr_u32(attrs[4], 0)) == 0x12345678);
    CHECK(cnif_nlattr_copy(attrs[5], &wide, sizeof(wide)) == sizeof(wide));
    CHECK(be64toh(wide) == UINT64_C(0x123456789abcdef0));
    CHECK(cnif_nlattr_str(attrs[6], name, sizeof(name)) && strcmp(name, "eth0") == 0);
    CHECK(attrs[6] && cnif_nlattr_size(attrs[6]) == 5);
    CHECK(cnif_nlattr_copy(attrs[7], bytes, sizeof(bytes)) == 5 && bytes[4] == 5);
    CHECK(attrs[8] && cnif_nlattr_size(attrs[8]) == 0);

    CHECK(attrs[9] && attrs[9]->nla_type == (9 | NLA_F_NESTED));
    if (!attrs[9])
        return;
    raw = cnif_nlattr_data(attrs[9]);
    CHECK(raw[0] == 0xaa && raw[1] == 0);
    cnif_nlattr_parse_nested((const struct nlattr *)(const void *)(raw + 8), in_inner, 11);
    CHECK(cnif_nlattr_u8(in_inner[11], 0) == 0xff);

    nlh = cnif_nlmsg_next(nlh, data + buf.used);
    CHECK(nlh && nlh->nlmsg_type == RTM_GETLINK);
    CHECK(nlh && nlh->nlmsg_len == NLMSG_HDRLEN + sizeof(struct ifinfomsg));
    CHECK(nlh && !cnif_nlmsg_next(nlh, data + buf.used));
}

/* Padding is zero even where the memory was not. */
static void test_padding_is_zeroed(void)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    memset(data, 0xff, sizeof(data));
    cnif_nlbuf_init(&buf, data, sizeof(data));
    (void)cnif_nlmsg_begin(&buf, 1, 0, 1, "step");
    cnif_nlattr_put_u8(&buf, 1, 0xee);
    cnif_nlmsg_end(&buf);
    CHECK(buf.used == 16 + 4 + 8);
    CHECK(memcmp(data + 16, "\0\0\0\0", 4) == 0);
    CHECK(memcmp(data + 24, "\xee\0\0\0", 4) == 0);
    CHECK(data[28] == 0xff);
}

/* Whatever the size of the buffer: all is written, or overflow is set and nothing beyond it. */
static void test_every_buffer_size(void)
{
    size_t need = sample_size(), size;

    for (size = 0; size <= need + 8; size++) {
        /* exact, so that the sanitizer sees a write behind the end */
        uint8_t *data = malloc(size ? size : 1);
        struct cnif_nlbuf buf;

        if (!data)
            abort();
        cnif_nlbuf_init(&buf, data, size);
        write_sample(&buf);
        CHECK(buf.overflow == (size < need));
        CHECK(buf.used <= size);
        CHECK(buf.overflow || buf.used == need);
        free(data);
    }
}

/* After an overflow even what would fit is not written, until the buffer is reset. */
static void test_overflow_is_sticky(void)
{
    uint8_t data[32] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;
    size_t used;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    (void)cnif_nlmsg_begin(&buf, 1, 0, 4, "step");
    used = buf.used;
    cnif_nlattr_put_str(&buf, 1, "longer than what is left");
    CHECK(buf.overflow && buf.used == used);
    cnif_nlattr_put_u8(&buf, 1, 1);
    CHECK(buf.used == used);
    cnif_nlmsg_end(&buf);
    CHECK(buf.overflow);

    cnif_nlbuf_reset(&buf);
    CHECK(!buf.overflow && buf.used == 0 && buf.count == 0);
    (void)cnif_nlmsg_begin(&buf, 1, 0, 4, "step");
    cnif_nlattr_put_u8(&buf, 1, 1);
    cnif_nlmsg_end(&buf);
    CHECK(!buf.overflow && buf.used == 28);
}

/* After an overflow headers are still writable memory, zeroed each time. */
static void test_scratch_after_overflow(void)
{
    uint8_t data[8] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;
    uint8_t *header;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    header = cnif_nlmsg_begin(&buf, 1, 0, 32, "step");
    CHECK(buf.overflow && buf.count == 0);
    memset(header, 0xff, 32);
    header = cnif_nlmsg_begin(&buf, 1, 0, 32, "step");
    CHECK(header[0] == 0 && header[31] == 0);
}

/* One message more than a transaction can have is an overflow, the last possible one is not. */
static void test_message_limit(void)
{
    uint8_t data[NLMSG_HDRLEN * (CNIF_NLBUF_MESSAGES + 1)] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;
    unsigned n;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (n = 0; n < CNIF_NLBUF_MESSAGES; n++) {
        (void)cnif_nlmsg_begin(&buf, 1, 0, 0, "step");
        cnif_nlmsg_end(&buf);
    }
    CHECK(!buf.overflow && buf.count == CNIF_NLBUF_MESSAGES);
    (void)cnif_nlmsg_begin(&buf, 1, 0, 0, "step");
    CHECK(buf.overflow && buf.count == CNIF_NLBUF_MESSAGES);
}

/* An attribute ends at 65,535 bytes, header included; one byte more is an overflow. */
static void test_attribute_limit(void)
{
    size_t largest = UINT16_MAX - CNIF_NLA_HDRLEN;
    uint8_t *data = malloc(70000), *value = calloc(1, largest + 1);
    const struct nlattr *nla;
    struct cnif_nlbuf buf;

    if (!data || !value)
        abort();
    cnif_nlbuf_init(&buf, data, 70000);
    (void)cnif_nlmsg_begin(&buf, 1, 0, 0, "step");
    cnif_nlattr_put(&buf, 1, value, largest);
    CHECK(!buf.overflow);
    nla = (const struct nlattr *)(const void *)(data + NLMSG_HDRLEN);
    CHECK(nla->nla_len == UINT16_MAX);

    cnif_nlbuf_reset(&buf);
    (void)cnif_nlmsg_begin(&buf, 1, 0, 0, "step");
    cnif_nlattr_put(&buf, 1, value, largest + 1);
    CHECK(buf.overflow && buf.used == NLMSG_HDRLEN);
    free(value);
    free(data);
}

/* A nest that has grown beyond what its length can say is an overflow. */
static void test_nest_limit(void)
{
    uint8_t *data = malloc(140000), *value = calloc(1, 40000);
    struct cnif_nlbuf buf;
    size_t nest;

    if (!data || !value)
        abort();
    cnif_nlbuf_init(&buf, data, 140000);
    (void)cnif_nlmsg_begin(&buf, 1, 0, 0, "step");
    nest = cnif_nlattr_nest(&buf, 1);
    cnif_nlattr_put(&buf, 2, value, 40000);
    cnif_nlattr_put(&buf, 2, value, 40000);
    CHECK(!buf.overflow);
    cnif_nlattr_nest_end(&buf, nest);
    CHECK(buf.overflow);
    free(value);
    free(data);
}

/* A size that wraps around when it is aligned does not fit. */
static void test_size_wraps(void)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    (void)cnif_nlbuf_reserve(&buf, SIZE_MAX);
    CHECK(buf.overflow && buf.used == 0);
    cnif_nlbuf_reset(&buf);
    (void)cnif_nlbuf_reserve(&buf, (size_t)UINT32_MAX + 1);
    CHECK(buf.overflow && buf.used == 0);
}

int main(void)
{
    test_round_trip();
    test_padding_is_zeroed();
    test_every_buffer_size();
    test_overflow_is_sticky();
    test_scratch_after_overflow();
    test_message_limit();
    test_attribute_limit();
    test_nest_limit();
    test_size_wraps();
    return check_failures != 0;
}
