/*
 * nftables against a kernel that the test plays: the very bytes of every kind of request, and what
 * is made of answers, good and bad.
 */
#include "check.h"
#include "fake_nft.h"
#include "golden.h"
#include "nft/batch.h"
#include "nft/look.h"
#include "nft/object.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct cnif_owner owner = {"c1", "eth0", "net"};
static const struct cnif_ip ipv4 = {AF_INET, 16, {10, 1, 0, 5}};
static const struct cnif_ip ipv6 = {AF_INET6, 64, {0xfd, 0, 0, 1, [15] = 5}};

/* The first pod of a node: look, probe, make everything, look again, add. */
static void test_first_masquerade(void)
{
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_absent(&fake, 1, 2);
    fake_nft_generation(&fake, 3);
    fake_nft_absent(&fake, 4, 7);
    fake_kernel_ack(&fake, 19, 0, NULL);
    fake_nft_generation(&fake, 21);
    fake_nft_set(&fake, 22, "pods-net-10.1.0.0-16", 4);
    fake_nft_absent(&fake, 23, 23);
    fake_kernel_ack(&fake, 25, 0, NULL);
    CHECK(cnif_masq_add(&fake.sock, &ipv4, 1, &owner, NULL) == 0);
    CHECK(fake_nft_sent(&fake, "masq_look"));
    CHECK(fake_nft_sent(&fake, "masq_probe"));
    CHECK(fake_nft_sent(&fake, "masq_make"));
    CHECK(fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "masq_add"));
    CHECK(fake_kernel_request(&fake) == 0 && fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* Of a second subnet only what is missing is made; IPv6 has its own offsets and sizes. */
static void test_second_subnet(void)
{
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_absent(&fake, 1, 2);
    fake_nft_generation(&fake, 3);
    fake_nft_chain(&fake, 4);
    fake_nft_absent(&fake, 5, 7);
    fake_kernel_ack(&fake, 15, 0, NULL);
    fake_nft_generation(&fake, 17);
    fake_nft_set(&fake, 18, "pods-net-fd00.0.1..-64", 16);
    fake_nft_absent(&fake, 19, 19);
    fake_kernel_ack(&fake, 21, 0, NULL);
    CHECK(cnif_masq_add(&fake.sock, &ipv6, 1, &owner, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "masq_make_ipv6"));
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* What another container of the network left is replaced, if nothing else changes meanwhile. */
static void test_take_over(void)
{
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_set(&fake, 1, "pods-net-10.1.0.0-16", 4);
    fake_nft_element(&fake, 2, ipv4.bytes, 4, "c0 eth0 net");
    fake_kernel_ack(&fake, 5, 0, NULL);
    CHECK(cnif_masq_add(&fake.sock, &ipv4, 1, &owner, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "masq_take_over"));
    fake_kernel_close(&fake);
}

/* A generation that has passed makes a deletion look again; then it is done. */
static void test_delete_looks_again(void)
{
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_set(&fake, 1, "pods-net-10.1.0.0-16", 4);
    fake_nft_element(&fake, 2, ipv4.bytes, 4, "c1 eth0 net");
    fake_kernel_ack(&fake, 3, -ERESTART, NULL);
    fake_nft_generation(&fake, 6);
    fake_nft_set(&fake, 7, "pods-net-10.1.0.0-16", 4);
    fake_nft_element(&fake, 8, ipv4.bytes, 4, "c1 eth0 net");
    fake_kernel_ack(&fake, 10, 0, NULL);
    CHECK(cnif_masq_delete(&fake.sock, &ipv4, 1, &owner, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "masq_delete"));
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* Somebody else's element, a comment cut short and one that is none are left alone. */
static void test_delete_spares_others(void)
{
    static const char *const comments[] = {"c1 eth0 ne", "c1 eth0 net2", "c1", NULL};
    size_t i;

    for (i = 0; i < sizeof(comments) / sizeof(comments[0]); i++) {
        struct fake_kernel fake;

        fake_kernel_open(&fake);
        fake_nft_generation(&fake, 0);
        fake_nft_set(&fake, 1, "pods-net-10.1.0.0-16", 4);
        fake_nft_element(&fake, 2, ipv4.bytes, 4, comments[i]);
        CHECK(cnif_masq_delete(&fake.sock, &ipv4, 1, &owner, NULL) == 0);
        CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) == 0);
        fake_kernel_close(&fake);
    }
}

/* Without addresses the sets of the network are listed, then their elements. */
static void test_list(void)
{
    struct cnif_masq_entry *entries = NULL;
    struct fake_kernel fake;
    size_t count = 0;

    fake_kernel_open(&fake);
    fake_nft_set(&fake, 0, "subnets4-16", 4);
    fake_nft_set(&fake, 0, "pods-net-10.1.0.0-16", 4);
    fake_nft_set(&fake, 0, "pods-net-x-10.1.0.0-16", 4);
    fake_kernel_done(&fake, 0, 0, 0);
    fake_nft_element(&fake, 1, ipv4.bytes, 4, "c1 eth0 net");
    fake_kernel_done(&fake, 1, 0, NLM_F_DUMP_INTR);
    fake_nft_element(&fake, 2, ipv4.bytes, 4, "c1 eth0 net");
    fake_kernel_done(&fake, 2, 0, 0);
    CHECK(cnif_masq_list(&fake.sock, "net", &entries, &count, NULL) == 0);
    CHECK(fake_nft_sent(&fake, "set_dump"));
    CHECK(fake_nft_sent(&fake, "element_dump"));
    CHECK(count == 2); /* the dump was started over */
    CHECK(count && entries[1].ip.family == AF_INET && entries[1].ip.prefix == 16);
    CHECK(count && memcmp(entries[1].ip.bytes, ipv4.bytes, 16) == 0);
    CHECK(count && strcmp(entries[1].owner, "c1 eth0 net") == 0);
    cnif_free(entries);
    fake_kernel_close(&fake);
}

/* The first guarded port brings the rules with it. */
static void test_first_guard(void)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_absent(&fake, 1, 4);
    fake_kernel_ack(&fake, 13, 0, NULL);
    CHECK(cnif_spoof_add(&fake.sock, "veth1", mac, &owner, NULL) == 0);
    CHECK(fake_nft_sent(&fake, "spoof_look"));
    CHECK(fake_nft_sent(&fake, "spoof_make"));
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* The comment of a guarded port says which MAC goes with it. */
static void test_delete_guard(void)
{
    static const char port[CNIF_IFNAME_MAX] = "veth1";
    struct fake_kernel fake;
    uint32_t seq;

    fake_kernel_open(&fake);
    for (seq = 0; seq < 8; seq += 3) {
        fake_nft_generation(&fake, seq);
        fake_nft_set(&fake, seq + 1, "guarded", 16);
        fake_nft_element(&fake, seq + 2, port, sizeof(port), "02:00:00:00:00:01 c1 eth0 net");
        if (seq)
            break;
    }
    fake_nft_set(&fake, 6, "allowed", 24);
    fake_nft_element(&fake, 7, port, sizeof(port), NULL);
    fake_kernel_ack(&fake, 10, 0, NULL);
    CHECK(cnif_spoof_delete(&fake.sock, "veth1", &owner, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "spoof_delete"));
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* A port whose comment is not of the form, or another's, is left alone. */
static void test_delete_guard_spares_others(void)
{
    static const char *const comments[] = {"", "02:00:00:00:00:01",
                                           "02:00:00:00:00:01 c1 eth0 nets",
                                           "c1 eth0 net and some more words", NULL};
    static const char port[CNIF_IFNAME_MAX] = "veth1";
    size_t i;

    for (i = 0; i < sizeof(comments) / sizeof(comments[0]); i++) {
        struct fake_kernel fake;

        fake_kernel_open(&fake);
        fake_nft_generation(&fake, 0);
        fake_nft_set(&fake, 1, "guarded", 16);
        fake_nft_element(&fake, 2, port, sizeof(port), comments[i]);
        fake_nft_generation(&fake, 3); /* where there is a MAC to look for */
        fake_nft_absent(&fake, 4, 4);
        fake_nft_element(&fake, 5, port, sizeof(port), comments[i]);
        fake_nft_absent(&fake, 6, 7);
        CHECK(cnif_spoof_delete(&fake.sock, "veth1", &owner, NULL) == 0);
        while (fake_kernel_request(&fake))
            CHECK(fake.request[5] == NFNL_SUBSYS_NFTABLES); /* not a batch */
        fake_kernel_close(&fake);
    }
}

/* A batch of three changes, of which the kernel has something to say. */
static int run_batch(struct fake_kernel *fake, struct cnif_err *err)
{
    static const struct cnif_nft_table table = {NFPROTO_INET, "t"};
    uint8_t data[512] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_batch_begin(&buf, 0);
    cnif_nft_table_add(&buf, &table);
    cnif_nft_chain_add(&buf, &table, "c", NULL);
    cnif_nft_rule_delete(&buf, &table, "c", 0);
    return cnif_nft_batch_commit(&fake->sock, &buf, "of a test", err);
}

/* The error of a batch is that of its first change that failed, in the words of that step. */
static void test_batch_errors(void)
{
    struct fake_kernel fake;
    struct cnif_err err;

    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 3, 0, NULL);
    CHECK(run_batch(&fake, &err) == 0);

    fake.sock.seq = 10;
    fake_kernel_ack(&fake, 12, -EBUSY, "words");
    fake_kernel_ack(&fake, 13, -ENOENT, NULL);
    CHECK(run_batch(&fake, &err) == -EBUSY && err.code == EBUSY);
    CHECK(strcmp(err.msg, "add nftables chain of a test: device or resource busy (words)") == 0);

    /* what fails as a whole is said of its beginning, before the change is acknowledged */
    fake.sock.seq = 20;
    fake_kernel_ack(&fake, 20, -ENOMEM, NULL);
    fake_kernel_ack(&fake, 23, 0, NULL);
    CHECK(run_batch(&fake, &err) == -ENOMEM);
    CHECK(strcmp(err.msg, "commit nftables batch of a test: cannot allocate memory") == 0);

    /* an answer to somebody else's question, or to an earlier one, is none */
    fake.sock.seq = 30;
    fake_kernel_ack(&fake, 13, -EBUSY, NULL);
    CHECK(run_batch(&fake, &err) == -EBADMSG);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* A batch that does not fit its buffer is not sent. */
static void test_batch_overflow(void)
{
    static const struct cnif_nft_table table = {NFPROTO_INET, "t"};
    struct fake_kernel fake;
    size_t size;

    fake_kernel_open(&fake);
    for (size = 0; size < 84; size++) {
        uint8_t data[84] __attribute__((aligned(8)));
        struct cnif_nlbuf buf;

        cnif_nlbuf_init(&buf, data, size);
        cnif_nft_batch_begin(&buf, 0);
        cnif_nft_table_add(&buf, &table);
        CHECK(cnif_nft_batch_commit(&fake.sock, &buf, "x", NULL) ==
              (size < 68 ? -EMSGSIZE : -EBADMSG));
    }
    fake_kernel_close(&fake);
}

/* Addresses that cannot be are refused before anything is sent. */
static void test_impossible_addresses(void)
{
    static const struct cnif_ip ips[] = {
        {AF_INET, 33, {10}}, {AF_INET6, 129, {0xfd}}, {AF_INET, 0, {10}}, {AF_UNIX, 8, {1}}};
    struct fake_kernel fake;
    size_t i;

    fake_kernel_open(&fake);
    for (i = 0; i < 4; i++)
        CHECK(cnif_masq_add(&fake.sock, &ips[i], 1, &owner, NULL) ==
              (i == 3 ? -EAFNOSUPPORT : -EINVAL));
    CHECK(fake_kernel_request(&fake) == 0);
    fake_kernel_close(&fake);
}

/* An owner's text is the three names, made of long or hostile ones as well. */
static void test_owner(void)
{
    char name[301] = {0};
    char text[CNIF_OWNER_MAX];
    struct cnif_owner other = {name, "eth0", "a \"net\"\\"};
    char again[CNIF_OWNER_MAX];

    cnif_owner_text(&owner, text);
    CHECK(strcmp(text, "c1 eth0 net") == 0);
    memset(name, 'a', 100);
    cnif_owner_text(&other, text);
    CHECK(strncmp(text, name, 100) == 0);
    CHECK(strstr(text, " eth0 a__net__~") && !strchr(text, '"'));
    memset(name, 'a', 300);
    cnif_owner_text(&other, text);
    CHECK(strlen(text) < CNIF_OWNER_MAX && strncmp(text, name, 83) == 0 && text[83] == '~');
    name[299] = 'b';
    cnif_owner_text(&other, again);
    CHECK(strcmp(text, again) != 0);
}

int main(void)
{
    test_first_masquerade();
    test_second_subnet();
    test_take_over();
    test_delete_looks_again();
    test_delete_spares_others();
    test_list();
    test_first_guard();
    test_delete_guard();
    test_delete_guard_spares_others();
    test_batch_errors();
    test_batch_overflow();
    test_impossible_addresses();
    test_owner();
    return check_failures != 0;
}
