#include "ipam_fixture.h"

/* Addresses follow each other, skip the gateway, are not given again at once, and wrap. */
static void test_next_fit(void)
{
    struct cnif_ipam_range one = range(0, "10.1.0.1", "10.1.0.6", "10.1.0.3");
    char content[64] = "";

    start();
    CHECK(strcmp(take("a", &one), "10.1.0.1") == 0);
    CHECK(strcmp(take("b", &one), "10.1.0.2") == 0);
    CHECK(strcmp(take("c", &one), "10.1.0.4") == 0);
    CHECK(release("b") == 1);
    CHECK(strcmp(take("d", &one), "10.1.0.5") == 0);
    CHECK(strcmp(take("e", &one), "10.1.0.6") == 0);
    CHECK(strcmp(take("f", &one), "10.1.0.2") == 0);
    CHECK(strcmp(take("g", &one), "") == 0 && err.code == EADDRNOTAVAIL);
    CHECK(refusal.reason == CNIF_IPAM_EXHAUSTED);
    CHECK(release("g") == 0 && release("f") == 1 && release("f") == 0);
    CHECK(strcmp(lookup("e"), "10.1.0.6") == 0 && strcmp(lookup("f"), "") == 0);
    CHECK(chdir(net_dir) == 0);
    CHECK(read_file("10.1.0.6", content, sizeof(content)) == 7 &&
          memcmp(content, "e\r\neth0", 7) == 0);
    CHECK(read_file("last_reserved_ip.0", content, sizeof(content)) == 8 &&
          memcmp(content, "10.1.0.2", 8) == 0);
    CHECK(chdir("/") == 0);
    finish();
}

/* Ranges of one set are used one after the other, round to where the search began. */
static void test_ranges_of_a_set(void)
{
    struct cnif_ipam_range ranges[] = {
        range(0, "10.1.0.10", "10.1.0.11", "10.1.0.1"),
        range(0, "10.2.0.1", "10.2.0.2", "10.2.0.1"),
        range(0, "10.3.0.7", "10.3.0.7", "10.3.0.1"),
    };
    static const char *const expected[] = {"10.1.0.10", "10.1.0.11", "10.2.0.2", "10.3.0.7",
                                           "10.1.0.10"};
    struct cnif_ipam_grant grant;

    start();
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        CHECK(allocate("a", ranges, 3, NULL, &grant) == 0);
        CHECK(strcmp(grant.addr.text, expected[i]) == 0);
        CHECK(grant.range == (i % 4 < 2 ? 0u : i % 4 - 1u));
        CHECK(release("a") == 1);
    }
    finish();
}

/* All sets or none: what was taken from the first goes back when the second is exhausted. */
static void test_sets_are_one(void)
{
    struct cnif_ipam_range ranges[] = {
        range(0, "10.1.0.2", "10.1.0.9", "10.1.0.1"),
        range(1, "fd00::2", "fd00::2", "fd00::1"),
    };
    struct cnif_ipam_grant grants[2];

    start();
    CHECK(allocate("a", ranges, 2, NULL, grants) == 0);
    CHECK(strcmp(grants[0].addr.text, "10.1.0.2") == 0 && grants[0].range == 0);
    CHECK(strcmp(grants[1].addr.text, "fd00::2") == 0 && grants[1].range == 1);
    CHECK(allocate("b", ranges, 2, NULL, grants) == -EADDRNOTAVAIL);
    CHECK(refusal.reason == CNIF_IPAM_EXHAUSTED && refusal.set == 1);
    CHECK(count_addresses() == 2);
    CHECK(release("a") == 2);
    CHECK(allocate("b", ranges, 2, NULL, grants) == 0);
    CHECK(strcmp(grants[0].addr.text, "10.1.0.3") == 0);
    finish();
}

/* A requested address is handed out once; an owner gets no second one of a set by chance. */
static void test_requested(void)
{
    struct cnif_ipam_range one = range(0, "10.1.0.2", "10.1.0.9", "10.1.0.1");
    struct cnif_ipam_grant grant;

    start();
    CHECK(allocate("a", &one, 1, "10.1.0.7", &grant) == 0);
    CHECK(allocate("b", &one, 1, "10.1.0.7", &grant) == -EADDRINUSE);
    CHECK(refusal.reason == CNIF_IPAM_TAKEN && strcmp(refusal.addr.text, "10.1.0.7") == 0);
    CHECK(allocate("b", &one, 1, "10.2.0.7", &grant) == -EINVAL);
    CHECK(allocate("a", &one, 1, NULL, &grant) == -EALREADY);
    CHECK(refusal.reason == CNIF_IPAM_DUPLICATE && strcmp(refusal.addr.text, "10.1.0.7") == 0);
    CHECK(strcmp(take("b", &one), "10.1.0.8") == 0);
    finish();
}

/* Files that somebody else made or removed count at once. */
static void test_foreign_changes(void)
{
    struct cnif_ipam_range one = range(0, "10.1.0.2", "10.1.0.5", "10.1.0.1");

    start();
    CHECK(strcmp(take("a", &one), "10.1.0.2") == 0);
    put_address("10.1.0.3", "theirs\r\neth0");
    CHECK(strcmp(lookup("theirs"), "10.1.0.3") == 0);
    CHECK(strcmp(take("b", &one), "10.1.0.4") == 0);
    remove_file("10.1.0.2");
    CHECK(strcmp(lookup("a"), "") == 0);
    CHECK(release("theirs") == 1);
    put_address("192.0.2.1", "outside\r\neth0");
    CHECK(strcmp(lookup("outside"), "192.0.2.1") == 0);
    CHECK(release("outside") == 1 && !has_file("192.0.2.1"));
    finish();
}

/* A file with a container ID alone belongs to every interface of that container. */
static void test_older_form(void)
{
    struct cnif_ipam_range one = range(0, "10.1.0.2", "10.1.0.5", "10.1.0.1");
    struct cnif_ipam_grant grant;

    start();
    CHECK(release("nobody") == 0);
    CHECK(strcmp(take("a", &one), "10.1.0.2") == 0);
    put_address("10.1.0.3", "old");
    put_address("10.1.0.4", " \told\n");
    CHECK(allocate("old", &one, 1, NULL, &grant) == -EALREADY);
    CHECK(*lookup("old") != '\0');
    CHECK(release("old") == 2);
    CHECK(count_addresses() == 1);
    finish();
}

/* What a crash left without an owner is nobody's; what is not a file of ours stays taken. */
static void test_leftovers(void)
{
    struct cnif_ipam_range one = range(0, "10.1.0.2", "10.1.0.6", "10.1.0.1");
    char path[256];

    start();
    CHECK(strcmp(take("a", &one), "10.1.0.2") == 0);
    put_address("10.1.0.3", "");
    put_address("10.1.0.4", "\x01\x02\x03");
    put_address(".cnifast-1-1", "b\r\neth0");
    (void)snprintf(path, sizeof(path), "%s/10.1.0.5", net_dir);
    CHECK(mkdir(path, 0700) == 0);
    CHECK(strcmp(lookup("b"), "") == 0);
    CHECK(count_addresses() == 2 && !has_file(".cnifast-1-1"));
    CHECK(strcmp(take("b", &one), "10.1.0.3") == 0);
    CHECK(strcmp(take("c", &one), "10.1.0.4") == 0);
    CHECK(strcmp(take("d", &one), "10.1.0.6") == 0);
    CHECK(strcmp(take("e", &one), "") == 0);
    CHECK(rmdir(path) == 0);
    CHECK(strcmp(take("e", &one), "10.1.0.5") == 0);
    finish();
}

/* A change without a trace in the directory's times is found when an answer depends on it. */
static void test_unseen_change(void)
{
    struct cnif_ipam_range one = range(0, "10.1.0.2", "10.1.0.4", "10.1.0.1");
    struct cnif_ipam_usage usage;

    start();
    CHECK(strcmp(take("a", &one), "10.1.0.2") == 0);
    CHECK(strcmp(take("b", &one), "10.1.0.3") == 0);
    put_address("10.1.0.4", "theirs\r\neth0");
    forge_stamp();
    CHECK(strcmp(take("c", &one), "") == 0 && err.code == EADDRNOTAVAIL);
    remove_file("10.1.0.2");
    forge_stamp();
    CHECK(cnif_ipam_usage(&dir, &one, 1, 1, &usage, &err) == 0);
    CHECK(usage.capacity == 3 && usage.taken == 2);
    CHECK(strcmp(take("d", &one), "10.1.0.2") == 0);
    remove_file("10.1.0.2");
    forge_stamp();
    CHECK(strcmp(take("e", &one), "10.1.0.2") == 0);
    remove_file("10.1.0.2");
    forge_stamp();
    CHECK(strcmp(lookup("e"), "") == 0 && release("e") == 0);
    put_address("10.1.0.3", "another\r\neth0");
    forge_stamp();
    CHECK(release("b") == 0 && has_file("10.1.0.3"));
    CHECK(strcmp(lookup("another"), "10.1.0.3") == 0);
    finish();
}

/* The collection keeps what valid owners have, in either form, and releases the rest. */
static void test_gc(void)
{
    struct cnif_ipam_range one = range(0, "10.1.0.2", "10.1.0.200", "10.1.0.1");
    struct cnif_ipam_owner valid[] = {{"b", "eth0"}, {"old", "net1"}};
    struct cnif_ipam_list list = {.n = 0};

    start();
    CHECK(cnif_ipam_gc(&dir, valid, 2, &list, &err) == 0 && list.n == 0);
    CHECK(strcmp(take("a", &one), "10.1.0.2") == 0);
    CHECK(strcmp(take("b", &one), "10.1.0.3") == 0);
    CHECK(strcmp(take("c", &one), "10.1.0.4") == 0);
    put_address("10.1.0.9", "old");
    put_address("10.1.0.10", "older");
    CHECK(cnif_ipam_gc(&dir, valid, 2, &list, &err) == 0);
    CHECK(list.n == 3 && count_addresses() == 2);
    cnif_ipam_list_free(&list);
    CHECK(strcmp(lookup("b"), "10.1.0.3") == 0 && strcmp(lookup("old"), "10.1.0.9") == 0);
    CHECK(cnif_ipam_gc(&dir, NULL, 0, &list, &err) == 0);
    CHECK(list.n == 2 && count_addresses() == 0);
    cnif_ipam_list_free(&list);
    finish();
}

/* The room of a set is counted without its gateway, of huge ranges too. */
static void test_usage(void)
{
    struct cnif_ipam_range ranges[] = {
        range(0, "10.1.0.1", "10.1.0.254", "10.1.0.1"),
        range(1, "fd00::1", "fd00::ffff:ffff:ffff:ffff", "fd00::1"),
        range(2, "fd01::", "fd01:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd02::"),
    };
    struct cnif_ipam_grant grants[3];
    struct cnif_ipam_usage usage[3];

    start();
    CHECK(cnif_ipam_usage(&dir, ranges, 3, 3, usage, &err) == 0);
    CHECK(usage[0].capacity == 253 && usage[0].taken == 0);
    CHECK(usage[1].capacity == UINT64_MAX - 1 && usage[1].taken == 0);
    CHECK(usage[2].capacity == UINT64_MAX);
    CHECK(allocate("a", ranges, 3, NULL, grants) == 0);
    put_address("10.1.0.1", "gateway\r\neth0");
    CHECK(cnif_ipam_usage(&dir, ranges, 3, 3, usage, &err) == 0);
    CHECK(usage[0].taken == 1 && usage[1].taken == 1 && usage[2].taken == 1);
    finish();
}

/* Whatever happens to the index file, the answers are those of the files. */
static void test_corrupt_index(void)
{
    static uint8_t good[64 * CNIF_BLOCK_SIZE], bad[64 * CNIF_BLOCK_SIZE];
    struct cnif_ipam_range one = range(0, "10.1.0.2", "10.1.0.40", "10.1.0.1");
    size_t n;

    start();
    for (int i = 0; i < 20; i++) {
        char id[16];

        (void)snprintf(id, sizeof(id), "c%d", i);
        CHECK(*take(id, &one) != '\0');
    }
    n = read_file(index_path, good, sizeof(good));
    CHECK(n > 0 && n < sizeof(good));
    for (size_t i = 0; i < n; i += i < 2 * CNIF_BLOCK_SIZE ? 1 : 5) {
        memcpy(bad, good, n);
        bad[i] ^= (uint8_t)(1u << i % 8);
        write_file(index_path, bad, n);
        CHECK(strcmp(lookup("c7"), "10.1.0.9") == 0 && strcmp(lookup("d"), "") == 0);
        CHECK(strcmp(take("d", &one), "") != 0);
        CHECK(release("d") == 1);
        n = read_file(index_path, good, sizeof(good));
    }
    for (size_t length = 0; length < n; length += 97) {
        write_file(index_path, good, length);
        CHECK(strcmp(lookup("c19"), "10.1.0.21") == 0);
        CHECK(release("c19") == 1);
        CHECK(allocate("c19", &one, 1, "10.1.0.21", &(struct cnif_ipam_grant){.range = 0}) == 0);
        n = read_file(index_path, good, sizeof(good));
    }
    CHECK(count_addresses() == 20);
    finish();
}

/* Names that cannot be a directory of their own are refused, and nothing is made. */
static void test_bad_names(void)
{
    static const char *const names[] = {"", ".", "..", "a/b", "/etc", ".cnifast"};
    struct cnif_ipam_range one = range(0, "10.1.0.2", "10.1.0.5", "10.1.0.1");

    start();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        dir.network = names[i];
        CHECK(strcmp(take("a", &one), "") == 0 && err.code == EINVAL);
    }
    dir.network = NETWORK;
    CHECK(!has_file("."));
    finish();
}

int main(void)
{
    test_next_fit();
    test_ranges_of_a_set();
    test_sets_are_one();
    test_requested();
    test_foreign_changes();
    test_older_form();
    test_leftovers();
    test_unseen_change();
    test_gc();
    test_usage();
    test_corrupt_index();
    test_bad_names();
    return check_failures != 0;
}
