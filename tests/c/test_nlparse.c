/*
 * The reading half of the netlink codec: hostile lengths end a walk, short attributes are absent,
 * and the kernel's words are found where it puts them.
 */
#include "check.h"
#include "netlink/nlbuf.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"

#include <errno.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* Memory of exactly this size: one byte too far is an error of the sanitizer. */
static void *exact(const void *data, size_t len)
{
    void *copy = malloc(len ? len : 1);

    if (!copy)
        abort();
    memcpy(copy, data, len);
    return copy;
}

static size_t count_messages(const void *data, size_t len)
{
    const struct nlmsghdr *nlh;
    size_t n = 0;

    for (nlh = cnif_nlmsg_first(data, len); nlh;
         nlh = cnif_nlmsg_next(nlh, (const uint8_t *)data + len))
        n++;
    return n;
}

/* A message whose length is less than a header or more than the datagram ends the walk. */
static void test_hostile_message_lengths(void)
{
    static const uint32_t hostile[] = {0, 1, 15, 33, 64, INT32_MAX, UINT32_MAX, UINT32_MAX - 3};
    struct nlmsghdr two[2] = {{.nlmsg_len = 16}, {.nlmsg_len = 16}};
    size_t i, len;

    CHECK(count_messages(two, sizeof(two)) == 2);
    for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        struct nlmsghdr *copy;

        two[0].nlmsg_len = hostile[i];
        copy = exact(two, sizeof(two));
        CHECK(count_messages(copy, sizeof(two)) == 0);
        free(copy);
        two[0].nlmsg_len = 16;
        two[1].nlmsg_len = hostile[i];
        copy = exact(two, sizeof(two));
        CHECK(count_messages(copy, sizeof(two)) == 1);
        free(copy);
        two[1].nlmsg_len = 16;
    }
    for (len = 0; len < sizeof(two); len++) {
        struct nlmsghdr *copy = exact(two, len);

        CHECK(count_messages(copy, len) == len / 16);
        free(copy);
    }
}

/* An unaligned length is a whole message at the end of a datagram, and padded before another. */
static void test_unaligned_message(void)
{
    uint8_t data[40] = {0};
    uint32_t len = 18;

    memcpy(data, &len, sizeof(len));
    CHECK(count_messages(data, 18) == 1);
    CHECK(count_messages(data, 19) == 1);
    len = 17;
    memcpy(data + 20, &len, sizeof(len));
    CHECK(count_messages(data, 37) == 2);
    CHECK(count_messages(data, 36) == 1);
}

/* A family header is there only if all of it is. */
static void test_short_family_header(void)
{
    struct nlmsghdr nlh = {.nlmsg_len = NLMSG_HDRLEN + 3};

    CHECK(cnif_nlmsg_header(&nlh, 4) == NULL);
    CHECK(cnif_nlmsg_header(&nlh, 3) == &nlh + 1);
    CHECK(cnif_nlmsg_header(&nlh, SIZE_MAX - NLMSG_HDRLEN) == NULL);
}

/* One message with an attribute of this stated and this real length, parsed in exact memory. */
static bool attribute_seen(uint16_t stated, size_t real)
{
    uint8_t data[64] = {0};
    struct nlmsghdr nlh = {.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + real)};
    struct nlattr nla = {.nla_len = stated, .nla_type = 1};
    const struct nlattr *attrs[2];
    void *copy;
    bool seen;

    memcpy(data, &nlh, sizeof(nlh));
    memcpy(data + NLMSG_HDRLEN, &nla, sizeof(nla));
    copy = exact(data, NLMSG_HDRLEN + real);
    cnif_nlattr_parse(copy, 0, attrs, 1);
    seen = attrs[1] != NULL;
    free(copy);
    return seen;
}

/* An attribute that claims more than there is, or less than its header, is not there. */
static void test_hostile_attribute_lengths(void)
{
    CHECK(attribute_seen(4, 4));
    CHECK(attribute_seen(8, 8));
    CHECK(attribute_seen(7, 7)); /* the last one's padding may be missing */
    CHECK(!attribute_seen(4, 3));
    CHECK(!attribute_seen(4, 0));
    CHECK(!attribute_seen(0, 8));
    CHECK(!attribute_seen(3, 8));
    CHECK(!attribute_seen(9, 8));
    CHECK(!attribute_seen(UINT16_MAX, 8));
}

/* A family header longer than the message leaves no attributes. */
static void test_header_beyond_message(void)
{
    struct nlmsghdr *nlh = exact(&(struct nlmsghdr){.nlmsg_len = NLMSG_HDRLEN}, NLMSG_HDRLEN);
    const struct nlattr *attrs[3] = {(void *)nlh, (void *)nlh, (void *)nlh};

    cnif_nlattr_parse(nlh, 16, attrs, 2);
    CHECK(!attrs[0] && !attrs[1] && !attrs[2]);
    free(nlh);
}

/* Types beyond the table are skipped, flags in the type are ignored, the last one of a type wins.
 */
static void test_attribute_types(void)
{
    uint8_t data[128] __attribute__((aligned(8)));
    const struct nlattr *attrs[3];
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    (void)cnif_nlmsg_begin(&buf, 1, 0, 0, "step");
    cnif_nlattr_put_u8(&buf, 3, 3);
    cnif_nlattr_put_u8(&buf, 1, 1);
    cnif_nlattr_put_u8(&buf, 1 | NLA_F_NESTED, 2);
    cnif_nlattr_put_u8(&buf, 2 | NLA_F_NET_BYTEORDER, 4);
    cnif_nlattr_put_u8(&buf, 0x3fff, 5);
    cnif_nlmsg_end(&buf);
    cnif_nlattr_parse((struct nlmsghdr *)(void *)data, 0, attrs, 2);
    CHECK(!attrs[0]);
    CHECK(cnif_nlattr_u8(attrs[1], 0) == 2);
    CHECK(cnif_nlattr_u8(attrs[2], 0) == 4);
}

/* A nest that is not there has no attributes; one that is hostile inside ends the walk. */
static void test_nests(void)
{
    const struct nlattr *attrs[2];
    struct nlattr list[3] = {{.nla_len = 12, .nla_type = 9},
                             {.nla_len = 4, .nla_type = 1},
                             {.nla_len = 0, .nla_type = 1}};
    struct nlattr *nest = exact(list, sizeof(list));
    const struct nlattr *at;

    cnif_nlattr_parse_nested(NULL, attrs, 1);
    CHECK(!attrs[0] && !attrs[1]);
    cnif_nlattr_parse_nested(nest, attrs, 1);
    CHECK(attrs[1] == nest + 1);
    at = cnif_nlattr_each(nest, NULL);
    CHECK(at == nest + 1);
    CHECK(at && !cnif_nlattr_each(nest, at));
    free(nest);

    nest = exact(&(struct nlattr){.nla_len = 4, .nla_type = 9}, sizeof(*nest));
    CHECK(!cnif_nlattr_each(nest, NULL));
    free(nest);
}

/* A value shorter than its type is absent; a longer one is read from its start. */
static void test_values(void)
{
    uint8_t data[64] __attribute__((aligned(8)));
    const struct nlattr *attrs[5];
    struct cnif_nlbuf buf;
    char text[4], none[1] = {'x'};
    uint8_t bytes[4] = {0};

    cnif_nlbuf_init(&buf, data, sizeof(data));
    (void)cnif_nlmsg_begin(&buf, 1, 0, 0, "step");
    cnif_nlattr_put(&buf, 1, NULL, 0);
    cnif_nlattr_put_u8(&buf, 2, 7);
    cnif_nlattr_put_u32(&buf, 3, 0x04030201);
    cnif_nlattr_put(&buf, 4, "unterminated", 12);
    cnif_nlmsg_end(&buf);
    cnif_nlattr_parse((struct nlmsghdr *)(void *)data, 0, attrs, 4);

    CHECK(cnif_nlattr_u8(NULL, 9) == 9 && cnif_nlattr_u8(attrs[1], 9) == 9);
    CHECK(cnif_nlattr_u16(NULL, 9) == 9 && cnif_nlattr_u16(attrs[2], 9) == 9);
    CHECK(cnif_nlattr_u32(NULL, 9) == 9 && cnif_nlattr_u32(attrs[2], 9) == 9);
    CHECK(cnif_nlattr_u8(attrs[3], 9) == 1 && cnif_nlattr_u16(attrs[3], 9) == 0x0201);

    CHECK(cnif_nlattr_str(attrs[4], text, sizeof(text)) && strcmp(text, "unt") == 0);
    CHECK(cnif_nlattr_str(attrs[1], text, sizeof(text)) && strcmp(text, "") == 0);
    CHECK(!cnif_nlattr_str(NULL, text, sizeof(text)) && text[0] == '\0');
    CHECK(!cnif_nlattr_str(attrs[4], none, 0) && none[0] == 'x');

    CHECK(cnif_nlattr_copy(NULL, bytes, sizeof(bytes)) == 0);
    CHECK(cnif_nlattr_copy(attrs[2], bytes, sizeof(bytes)) == 1 && bytes[0] == 7);
    CHECK(cnif_nlattr_copy(attrs[4], bytes, sizeof(bytes)) == 4 && bytes[3] == 'e');
}

/* An answer of the kernel: its code, the request it quotes, and its words, if any. */
struct answer {
    uint16_t type;
    uint16_t flags;
    int32_t code;
    uint32_t quoted; /* length the quoted request states */
    uint32_t copied; /* bytes of it behind its header that are really there */
    const char *words;
};

/* Its code and words, read from memory of exactly its size that is cut short by `cut` bytes. */
static int read_answer(const struct answer *answer, size_t cut, char *words, size_t size)
{
    uint8_t data[256] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;
    struct nlmsghdr *nlh;
    void *copy;
    int code;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    (void)cnif_nlmsg_begin(&buf, answer->type, answer->flags, 0, "answer");
    memcpy(cnif_nlbuf_reserve(&buf, sizeof(int32_t)), &answer->code, sizeof(int32_t));
    if (answer->type == NLMSG_ERROR) {
        nlh = cnif_nlbuf_reserve(&buf, sizeof(*nlh));
        nlh->nlmsg_len = answer->quoted;
        (void)cnif_nlbuf_reserve(&buf, answer->copied);
    }
    if (answer->words)
        cnif_nlattr_put_str(&buf, NLMSGERR_ATTR_MSG, answer->words);
    cnif_nlattr_put_u32(&buf, NLMSGERR_ATTR_OFFS, 32);
    cnif_nlmsg_end(&buf);
    nlh = (struct nlmsghdr *)(void *)data;
    nlh->nlmsg_len -= (uint32_t)cut;
    copy = exact(data, nlh->nlmsg_len);
    code = cnif_nlmsg_error(copy, words, size);
    free(copy);
    return code;
}

/* The kernel's words stand behind the request it quotes, whole or capped, or behind a code alone.
 */
static void test_extended_acknowledgements(void)
{
    const uint16_t tlvs = NLM_F_ACK_TLVS, capped = NLM_F_ACK_TLVS | NLM_F_CAPPED;
    char words[32];

    CHECK(read_answer(&(struct answer){NLMSG_ERROR, capped, -EINVAL, 5000, 0, "bad mtu"}, 0, words,
                      sizeof(words)) == -EINVAL);
    CHECK(strcmp(words, "bad mtu") == 0);
    CHECK(read_answer(&(struct answer){NLMSG_ERROR, tlvs, -EEXIST, 52, 36, "taken"}, 0, words,
                      sizeof(words)) == -EEXIST);
    CHECK(strcmp(words, "taken") == 0);
    CHECK(read_answer(&(struct answer){NLMSG_DONE, NLM_F_ACK_TLVS, -ENOENT, 0, 0, "no table"}, 0,
                      words, sizeof(words)) == -ENOENT);
    CHECK(strcmp(words, "no table") == 0);
    CHECK(read_answer(&(struct answer){NLMSG_ERROR, capped, 0, 16, 0, NULL}, 0, words,
                      sizeof(words)) == 0);
    CHECK(strcmp(words, "") == 0);
    /* without the flag there are none, whatever the bytes look like */
    CHECK(read_answer(&(struct answer){NLMSG_ERROR, NLM_F_CAPPED, -EINVAL, 52, 0, "bad"}, 0, words,
                      sizeof(words)) == -EINVAL);
    CHECK(strcmp(words, "") == 0);
    /* nobody has to take them */
    CHECK(read_answer(&(struct answer){NLMSG_ERROR, capped, -EPERM, 52, 0, "no"}, 0, NULL, 0) ==
          -EPERM);
}

/* A quoted request that claims more than is there leaves the code, without words. */
static void test_hostile_quotes(void)
{
    static const uint32_t hostile[] = {1000, INT32_MAX, UINT32_MAX, UINT32_MAX - 3};
    char words[32];
    size_t i;

    for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        CHECK(read_answer(&(struct answer){NLMSG_ERROR, NLM_F_ACK_TLVS, -EINVAL, hostile[i], 0,
                                           "not words"},
                          0, words, sizeof(words)) == -EINVAL);
        CHECK(strcmp(words, "") == 0);
    }
    for (i = 0; i <= 16; i++) /* shorter than a header: it quotes nothing */
        CHECK(read_answer(
                  &(struct answer){NLMSG_ERROR, NLM_F_ACK_TLVS, -EINVAL, (uint32_t)i, 0, "words"},
                  0, words, sizeof(words)) == -EINVAL);
}

/* An answer cut short anywhere is read as far as it goes; without a code it is no answer. */
static void test_truncated_answers(void)
{
    const struct answer answer = {NLMSG_ERROR, NLM_F_ACK_TLVS | NLM_F_CAPPED, -EINVAL, 16, 0, "w"};
    size_t whole = 4 + 16 + 8 + 8, cut;
    char words[32];

    for (cut = 0; cut <= whole; cut++) {
        int code = read_answer(&answer, cut, words, sizeof(words));

        CHECK(code == (whole - cut < 4 ? -EBADMSG : -EINVAL));
        CHECK(strcmp(words, cut <= 10 ? "w" : "") == 0);
    }
}

/* Words longer than the room for them are cut, terminated. */
static void test_long_words(void)
{
    char words[8];

    (void)read_answer(&(struct answer){NLMSG_ERROR, NLM_F_ACK_TLVS | NLM_F_CAPPED, -EINVAL, 16, 0,
                                       "much longer than that"},
                      0, words, sizeof(words));
    CHECK(strcmp(words, "much lo") == 0);
}

/* A code that is no errno value of the kernel's is a malformed answer. */
static void test_hostile_codes(void)
{
    static const int32_t hostile[] = {1, INT32_MAX, INT32_MIN, -4096};
    size_t i;

    for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        CHECK(read_answer(&(struct answer){NLMSG_ERROR, 0, hostile[i], 16, 0, NULL}, 0, NULL, 0) ==
              -EBADMSG);
    }
    CHECK(read_answer(&(struct answer){NLMSG_ERROR, 0, -4095, 16, 0, NULL}, 0, NULL, 0) == -4095);
}

int main(void)
{
    test_hostile_message_lengths();
    test_unaligned_message();
    test_short_family_header();
    test_hostile_attribute_lengths();
    test_header_beyond_message();
    test_attribute_types();
    test_nests();
    test_values();
    test_extended_acknowledgements();
    test_hostile_quotes();
    test_truncated_answers();
    test_long_words();
    test_hostile_codes();
    return check_failures != 0;
}
