/*
 * Host ports against a kernel that the test plays: the very bytes of every kind of request, and
 * what is made of answers, good and bad.
 */
#include "check.h"
#include "hostport_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const struct cnif_hostport at6 = {
    IPPROTO_UDP, 53, 5353, {AF_INET6, 128, {0x20, 0x01, 0x0d, 0xb8, [15] = 1}}};

/* The first port of a node: look, probe, make everything, look again, add. */
static void test_first_port(void)
{
    struct cnif_hostports wanted = want(&tcp, 1);
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_absent(&fake, 1, 8);
    fake_nft_generation(&fake, 9);
    fake_nft_absent(&fake, 10, 15);
    fake_kernel_ack(&fake, 33, 0, NULL);
    fake_nft_generation(&fake, 35);
    fake_nft_set(&fake, 36, "attachments", 16);
    fake_nft_set(&fake, 38, "hostports4", 8);
    fake_nft_set(&fake, 40, "masq-hostports4-16-13", 12);
    fake_nft_set(&fake, 42, "masq-hostports4-32-13", 12);
    fake_nft_absent(&fake, 37, 37);
    fake_nft_absent(&fake, 39, 39);
    fake_nft_absent(&fake, 41, 41);
    fake_nft_absent(&fake, 43, 43);
    fake_kernel_ack(&fake, 48, 0, NULL);
    CHECK(cnif_hostport_add(&fake.sock, &wanted, &owner, NULL, NULL) == 0);
    CHECK(fake_nft_sent(&fake, "hostport_look"));
    CHECK(fake_nft_sent(&fake, "hostport_probe"));
    CHECK(fake_nft_sent(&fake, "hostport_make"));
    CHECK(fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "hostport_add"));
    CHECK(fake_kernel_request(&fake) == 0 && fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* A port of one IPv6 address on a node that has ports: what it needs goes before the others. */
static void test_first_specific(void)
{
    struct cnif_hostports wanted = want(&at6, 1);
    struct cnif_ip pod = {AF_INET6, 64, {0xfd, [15] = 5}};
    struct cnif_hostport_group group;
    struct fake_kernel fake;

    wanted.pods[1] = pod;
    cnif_hostport_group_init(&group, AF_INET6, true, "", 13, &wanted.pods[1]);
    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_chain(&fake, 1);
    fake_nft_chain(&fake, 2);
    fake_nft_absent(&fake, 3, 3);
    fake_nft_chain(&fake, 4);
    fake_nft_absent(&fake, 5, 5);
    fake_kernel_ack(&fake, 12, 0, NULL);
    CHECK(cnif_hostport_ensure(&fake.sock, &group, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "hostport_make_ipv6"));
    CHECK(fake_kernel_left(&fake) == 0);

    /* what is there is not made again */
    fake_nft_generation(&fake, 14);
    for (uint32_t seq = 15; seq < 20; seq++)
        fake_nft_chain(&fake, seq);
    CHECK(cnif_hostport_ensure(&fake.sock, &group, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) == 0);
    fake_kernel_close(&fake);
}

/* Conditions whose rules are gone cannot be made here. */
static void test_scope_is_gone(void)
{
    struct cnif_ip pod = {AF_INET, 16, {10, 1, 0, 5}};
    struct cnif_hostport_group group;
    struct fake_kernel fake;
    struct cnif_err err;

    cnif_hostport_group_init(&group, AF_INET, false, "abc", -1, &pod);
    CHECK(strcmp(group.map, "hostports4-abc") == 0 && !group.n_sources);
    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_chain(&fake, 1);
    fake_nft_absent(&fake, 2, 4);
    CHECK(cnif_hostport_ensure(&fake.sock, &group, &err) == -ENOENT);
    CHECK(strcmp(err.msg, "nftables rules that lead to local4-abc are gone") == 0);
    fake_kernel_close(&fake);
}

/* Somebody else's port is an error that names it, with the link it lives by. */
static void test_taken(void)
{
    struct cnif_hostports wanted = want(&tcp, 1);
    struct cnif_hostport_entry rival;
    struct fake_kernel fake;
    struct cnif_err err;

    wanted.mark_bit = -1;
    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_set(&fake, 1, "attachments", 16);
    fake_nft_absent(&fake, 2, 2);
    fake_nft_set(&fake, 3, "hostports4", 8);
    answer_mapped(&fake, 4, key_tcp, "c0 eth0 net");
    fake_nft_generation(&fake, 5);
    fake_nft_set(&fake, 6, "attachments", 16);
    answer_attachment(&fake, 7, "1/13/16/0 c0 eth0 net");
    CHECK(cnif_hostport_add(&fake.sock, &wanted, &owner, &rival, &err) == -EADDRINUSE);
    CHECK(strcmp(err.msg, "host port 8080/tcp is taken by c0 eth0 net") == 0);
    CHECK(strcmp(rival.owner, "c0 eth0 net") == 0 && strcmp(rival.link, "veth1") == 0);
    CHECK(rival.port.host_port == 8080 && rival.port.container_port == 80);
    CHECK(rival.pod.family == AF_INET && memcmp(rival.pod.bytes, data_tcp, 4) == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* An attachment with our key that is another's, and a comment that is none. */
static void test_place_is_taken(void)
{
    static const char *const comments[] = {"1/13/16/0 c0 eth0 net", "what is this"};
    struct cnif_hostports wanted = want(&tcp, 1);
    size_t i;

    wanted.mark_bit = -1;
    for (i = 0; i < 2; i++) {
        struct cnif_hostport_entry rival;
        struct fake_kernel fake;
        struct cnif_err err;

        fake_kernel_open(&fake);
        fake_nft_generation(&fake, 0);
        fake_nft_set(&fake, 1, "attachments", 16);
        answer_attachment(&fake, 2, comments[i]);
        fake_nft_set(&fake, 3, "hostports4", 8);
        fake_nft_absent(&fake, 4, 4);
        fake_nft_generation(&fake, 5);
        fake_nft_absent(&fake, 6, 7);
        CHECK(cnif_hostport_add(&fake.sock, &wanted, &owner, &rival, &err) == -EADDRINUSE);
        CHECK(strstr(err.msg, "the place of c1 eth0 net is taken by ") == err.msg);
        CHECK(rival.port.protocol == 0 && !*rival.link);
        fake_kernel_close(&fake);
    }
}

/* What is called how, which ports are in which group, and what is masqueraded for them. */
static void test_groups(void)
{
    struct cnif_ip pod = {AF_INET, 32, {10, 1, 0, 5}};
    struct cnif_hostport any4 = {IPPROTO_TCP, 1, 2, {AF_INET, 32, {0}}};
    struct cnif_hostport_group group;
    uint8_t key[CNIF_NFT_KEY_MAX];

    cnif_hostport_group_init(&group, AF_INET, false, "", 31, &pod);
    CHECK(group.n_sources == 2 && strcmp(group.sources[0].set, group.sources[1].set) == 0);
    CHECK(strcmp(group.sources[0].set, "masq-hostports4-32-31") == 0);
    CHECK(cnif_hostport_in_group(&group, &tcp) && cnif_hostport_in_group(&group, &any4));
    CHECK(!cnif_hostport_in_group(&group, &at6));
    CHECK(cnif_hostport_key(&group, &tcp, key) == 8 && memcmp(key, key_tcp, 8) == 0);
    CHECK(cnif_hostport_source_key(&group, &group.sources[1], &tcp, key) == 12 && key[0] == 127 &&
          memcmp(key + 4, key_tcp, 8) == 0);

    pod.prefix = 0;
    cnif_hostport_group_init(&group, AF_INET, true, "x", 0, &pod);
    CHECK(group.n_sources == 1 && strcmp(group.sources[0].set, "masq-hostips4-0-0-x") == 0);
    CHECK(!cnif_hostport_in_group(&group, &tcp) && !cnif_hostport_in_group(&group, &any4));
    cnif_hostport_group_init(&group, AF_INET6, true, "", 13,
                             &(struct cnif_ip){AF_INET6, 64, {0xfd}});
    CHECK(group.n_sources == 1 && cnif_hostport_in_group(&group, &at6));
    CHECK(cnif_hostport_source_key(&group, &group.sources[0], &at6, key) == 40);
}

/* A record says what it was told; another text is none. */
static void test_records(void)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "1/2/3/4",
                                      "1/2/3/4x",
                                      "1/32/3/4 a b c",
                                      "1/-2/16/64 a b c",
                                      "1/2/33/4 a b c",
                                      "1/2/3/129 a b c",
                                      "-1/2/3/4 a b c",
                                      "0x1/2/3/4 a b c",
                                      "99999999/2/3/4 a b c"};
    struct cnif_hostport_record record = {131070, 31, {32, 128}, NULL};
    struct cnif_hostport_record seen;
    char comment[CNIF_NFT_COMMENT_MAX];
    char text[CNIF_OWNER_MAX];
    char name[301] = {0};
    struct cnif_owner longest = {name, name, name};
    size_t i;

    memset(name, 'a', 300);
    cnif_owner_text(&longest, text);
    record.owner = text;
    cnif_hostport_record_put(&record, comment);
    CHECK(cnif_hostport_record_parse(comment, &seen));
    CHECK(seen.n_ports == 131070 && seen.bit == 31 && seen.prefixes[0] == 32 &&
          seen.prefixes[1] == 128 && strcmp(seen.owner, text) == 0);
    record.bit = -1;
    cnif_hostport_record_put(&record, comment);
    CHECK(cnif_hostport_record_parse(comment, &seen) && seen.bit == -1);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (cnif_hostport_record_parse(bad[i], &seen))
            (void)fprintf(stderr, "taken for a record: %s\n", bad[i]);
        CHECK(!cnif_hostport_record_parse(bad[i], &seen));
    }
}

/* Only names of maps are taken for such. */
static void test_parse(void)
{
    static const char *const bad[] = {"hostports",
                                      "hostports5",
                                      "hostports44",
                                      "attachments",
                                      "masq-hostports4-16-13",
                                      "hostips6x",
                                      ""};
    struct cnif_hostport_entry entry;
    size_t i;

    CHECK(cnif_hostport_parse("hostports4", key_tcp, data_tcp, &entry));
    CHECK(entry.port.protocol == IPPROTO_TCP && entry.port.host_port == 8080 &&
          entry.port.container_port == 80 && entry.pod.bytes[3] == 5);
    CHECK(cnif_hostport_parse("hostports4-0123456789ab", key_tcp, data_tcp, &entry));
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!cnif_hostport_parse(bad[i], key_tcp, data_tcp, &entry));
}

/* More elements than one message takes are spread over several. */
static void test_long_lists(void)
{
    size_t size = cnif_hostport_batch_size(1000);
    uint8_t *data = malloc(size);
    char comment[CNIF_NFT_COMMENT_MAX] = {0};
    struct cnif_hostport_list list = {.verb = CNIF_NFT_ADD, .set = "masq-hostips6-128-13"};
    struct cnif_nlbuf buf;
    uint8_t key[CNIF_NFT_KEY_MAX] = {0};
    size_t i;

    if (!data)
        abort();
    memset(comment, 'c', sizeof(comment) - 1);
    cnif_nlbuf_init(&buf, data, size);
    list.buf = &buf;
    for (i = 0; i < 1000; i++) {
        struct cnif_nft_element element = {.key = key, .key_size = 40, .comment = comment};

        memcpy(key, &i, sizeof(i));
        cnif_hostport_list_put(&list, &element);
    }
    cnif_hostport_list_end(&list);
    cnif_hostport_list_end(&list);
    CHECK(!buf.overflow && buf.count == 7);
    free(data);
}

int main(void)
{
    test_first_port();
    test_first_specific();
    test_scope_is_gone();
    test_taken();
    test_place_is_taken();
    test_groups();
    test_records();
    test_parse();
    test_long_lists();
    return check_failures != 0;
}
