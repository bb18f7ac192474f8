/*
 * The rules of a cluster's node against a kernel that the test plays: the very bytes of them, made
 * where they are missing or others, and nothing sent where they are there.
 */
#include "check.h"
#include "fake_kernel.h"
#include "golden.h"
#include "nft/batch.h"
#include "nft/object.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include <sys/socket.h>

static const struct cnif_ip pods[] = {{AF_INET, 24, {10, 244, 1, 0}},
                                      {AF_INET6, 64, {0xfd, 0, 0, 1}}};
static const struct cnif_ip cluster[] = {{AF_INET, 8, {10}}, {AF_INET6, 8, {0xfd}}};
static const struct cnif_ip gateways[] = {{AF_INET, 24, {10, 244, 1, 1}},
                                          {AF_INET6, 64, {0xfd, 0, 0, 1, [15] = 1}}};
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
static const char *const leaving[] = {"from 10.244.1.0/24 to outside of 10.0.0.0/8",
                                      "from fd00:1::/64 to outside of fd00::/8"};

/* Answer a dump of rules, request `seq`, with rules that have these comments. */
static void answer_rules(struct fake_kernel *fake, uint32_t seq, const char *const *comments,
                         size_t count)
{
    static const struct cnif_nft_table table = {NFPROTO_INET, "cnifast"};
    uint64_t handle = 0x0100000000000000;
    size_t i;

    for (i = 0; i < count; i++) {
        uint8_t data[512] __attribute__((aligned(8)));
        struct cnif_nlbuf buf;
        size_t rule;

        cnif_nlbuf_init(&buf, data, sizeof(data));
        rule = cnif_nft_rule_begin(&buf, &table, "cluster");
        cnif_nlattr_nest_end(&buf, rule);
        cnif_nlattr_put(&buf, NFTA_RULE_HANDLE, &handle, sizeof(handle));
        rule = cnif_nlattr_nest(&buf, NFTA_RULE_EXPRESSIONS);
        cnif_nft_rule_end(&buf, rule, comments[i]);
        fake_kernel_answer(fake, &buf, seq);
    }
    fake_kernel_done(fake, seq, 0, 0);
}

static int masquerade(struct fake_kernel *fake, struct cnif_err *err)
{
    return cnif_cluster_masq(&fake->sock, pods, 2, cluster, 2, err);
}

/* Whether the next request that was sent is what tests/golden/nft_NAME.hex says. */
static bool sent(struct fake_kernel *fake, const char *name)
{
    char file[64];

    (void)snprintf(file, sizeof(file), "../nft_%s", name);
    return fake_kernel_request(fake) > 0 && golden_equal(file, fake->request, fake->size);
}

/* On a new node all is made in one batch. */
static void test_made(void)
{
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    answer_rules(&fake, 0, NULL, 0);
    fake_kernel_ack(&fake, 6, 0, NULL);
    CHECK(masquerade(&fake, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0);
    CHECK(sent(&fake, "cluster_masq"));
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);

    fake_kernel_open(&fake);
    answer_rules(&fake, 0, NULL, 0);
    fake_kernel_ack(&fake, 8, 0, NULL);
    CHECK(cnif_cluster_guard(&fake.sock, mac, gateways, 2, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0);
    CHECK(sent(&fake, "cluster_guard"));
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* What is as it shall be is only looked at. */
static void test_there(void)
{
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    answer_rules(&fake, 0, leaving, 2);
    CHECK(masquerade(&fake, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) == 0);
    fake_kernel_close(&fake);
}

/* One rule too few, one too many, another order, another text: all is made anew. */
static void test_others(void)
{
    static const char *const others[][3] = {{leaving[0]},
                                            {leaving[0], leaving[1], "and more"},
                                            {leaving[1], leaving[0]},
                                            {leaving[0], ""}};
    static const size_t counts[] = {1, 3, 2, 2};
    struct fake_kernel fake;
    size_t i;

    for (i = 0; i < 4; i++) {
        fake_kernel_open(&fake);
        answer_rules(&fake, 0, others[i], counts[i]);
        fake_kernel_ack(&fake, 6, 0, NULL);
        CHECK(masquerade(&fake, NULL) == 0);
        CHECK(fake_kernel_request(&fake) > 0);
        CHECK(sent(&fake, "cluster_masq"));
        fake_kernel_close(&fake);
    }
}

/* Without rules nothing is made, and what is there is emptied. */
static void test_none(void)
{
    static const struct cnif_ip everything[] = {{.family = AF_INET}, {AF_INET6, 0, {0xfd}}};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    answer_rules(&fake, 0, NULL, 0);
    answer_rules(&fake, 1, NULL, 0);
    answer_rules(&fake, 2, NULL, 0);
    CHECK(cnif_cluster_masq(&fake.sock, NULL, 0, cluster, 2, NULL) == 0);
    CHECK(cnif_cluster_masq(&fake.sock, pods, 2, NULL, 0, NULL) == 0);
    CHECK(cnif_cluster_guard(&fake.sock, NULL, NULL, 0, NULL) == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);

    fake_kernel_open(&fake);
    answer_rules(&fake, 0, leaving, 2);
    fake_kernel_ack(&fake, 4, 0, NULL);
    CHECK(cnif_cluster_masq(&fake.sock, pods, 2, everything, 2, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0);
    CHECK(sent(&fake, "cluster_flush"));
    fake_kernel_close(&fake);
}

/* What cannot be is refused before anything is sent. */
static void test_impossible(void)
{
    static const struct cnif_ip wrong[] = {
        {AF_UNIX, 8, {1}}, {AF_INET, 33, {10}}, {AF_INET6, 129, {0xfd}}};
    static const struct cnif_ip inside[] = {{AF_INET, 40, {10}}};
    struct cnif_ip many[20];
    struct fake_kernel fake;
    struct cnif_err err;
    size_t i;

    fake_kernel_open(&fake);
    for (i = 0; i < 20; i++)
        many[i] = gateways[0];
    for (i = 1; i < 3; i++)
        CHECK(cnif_cluster_masq(&fake.sock, &wrong[i], 1, cluster, 2, NULL) == -EINVAL);
    CHECK(cnif_cluster_masq(&fake.sock, pods, 1, inside, 1, NULL) == -EINVAL);
    CHECK(cnif_cluster_guard(&fake.sock, mac, &wrong[0], 1, &err) == -EAFNOSUPPORT);
    CHECK(strcmp(err.msg, "subnet of unknown family 1") == 0);
    CHECK(cnif_cluster_guard(&fake.sock, mac, &wrong[1], 1, &err) == -EINVAL);
    CHECK(strcmp(err.msg, "impossible prefix length 33") == 0);
    CHECK(cnif_cluster_masq(&fake.sock, many, 17, cluster, 2, &err) == -E2BIG);
    CHECK(cnif_cluster_guard(&fake.sock, mac, many, 9, &err) == -E2BIG);
    CHECK(fake_kernel_request(&fake) == 0);
    fake_kernel_close(&fake);
}

/* As many rules as there may be fit. */
static void test_many(void)
{
    static const struct cnif_ip inside = {AF_INET6, 128, {0xfd, [15] = 0xff}};
    struct fake_kernel fake;
    struct cnif_ip many[16];
    uint8_t i;

    for (i = 0; i < 16; i++) {
        many[i] = (struct cnif_ip){AF_INET6, 120, {0}};
        memset(many[i].bytes, 0x11, 16);
        many[i].bytes[0] = i;
    }
    fake_kernel_open(&fake);
    answer_rules(&fake, 0, NULL, 0);
    fake_kernel_ack(&fake, 20, 0, NULL);
    CHECK(cnif_cluster_masq(&fake.sock, many, 16, &inside, 1, NULL) == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    answer_rules(&fake, 22, NULL, 0);
    fake_kernel_ack(&fake, 42, 0, NULL);
    CHECK(cnif_cluster_guard(&fake.sock, mac, many, 8, NULL) == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* The kernel's refusal names the step and the chain. */
static void test_refused(void)
{
    struct fake_kernel fake;
    struct cnif_err err;

    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, -EPERM, NULL);
    CHECK(masquerade(&fake, &err) == -EPERM);
    CHECK(strcmp(err.msg, "list nftables rules cluster: operation not permitted") == 0);
    CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) == 0);
    answer_rules(&fake, 1, NULL, 0);
    fake_kernel_ack(&fake, 5, -EOPNOTSUPP, "no nat");
    fake_kernel_ack(&fake, 7, 0, NULL);
    CHECK(masquerade(&fake, &err) == -EOPNOTSUPP);
    CHECK(strcmp(err.msg, "delete nftables rule cluster: operation not supported (no nat)") == 0);
    fake_kernel_close(&fake);
}

int main(void)
{
    test_made();
    test_there();
    test_others();
    test_none();
    test_impossible();
    test_many();
    test_refused();
    return check_failures != 0;
}
