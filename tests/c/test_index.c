#include "ipam/index.h"

#include "ipam/hash.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/cnifast-index-XXXXXX";
static const struct cnif_stamp stamp = {.dev = 1, .ino = 2, .mtime = 3, .ctime = 4};

static struct cnif_num v4(uint32_t value)
{
    return (struct cnif_num){.family = 4, .value = value};
}

static uint64_t owner_of(uint32_t i)
{
    return cnif_hash(&i, sizeof(i), 7);
}

static int count_entry(void *arg, const struct cnif_index_entry *entry)
{
    size_t *n = arg;

    (void)entry;
    ++*n;
    return 0;
}

static size_t entries(struct cnif_index *index, bool with_owner, uint64_t owner)
{
    size_t n = 0;

    CHECK(cnif_index_visit(index, with_owner, owner, count_entry, &n) == 0);
    return n;
}

/* Store and open again. */
static void reopen(struct cnif_index *index)
{
    CHECK(cnif_index_save(index, path, &stamp) == 0);
    cnif_index_done(index);
    cnif_index_init(index);
    CHECK(cnif_index_open(index, path, &stamp));
}

/* What was inserted is found by address and by owner, what was removed is not, at any size. */
static void test_grows(void)
{
    static struct cnif_index index;
    const uint32_t n = 20000;

    cnif_index_init(&index);
    CHECK(cnif_index_reset(&index, 0) == 0);
    for (uint32_t i = 0; i < n; i++) {
        struct cnif_num num = v4(0x0a000000 + i * 3);

        cnif_index_insert(&index, owner_of(i / 2), &num);
        if (i % 997 == 0)
            reopen(&index);
    }
    reopen(&index);
    CHECK(!index.broken && index.header.entries == n);
    for (uint32_t i = 0; i < n; i += 2) {
        struct cnif_num num = v4(0x0a000000 + i * 3);

        cnif_index_remove(&index, owner_of(i / 2), &num);
        if (i % 1000 == 0)
            reopen(&index);
    }
    CHECK(!index.broken && index.header.entries == n / 2);
    for (uint32_t i = 0; i < n; i++) {
        struct cnif_num num = v4(0x0a000000 + i * 3);

        CHECK(cnif_index_taken(&index, &num) == (i % 2 == 1));
        CHECK(entries(&index, true, owner_of(i / 2)) == 1);
    }
    CHECK(entries(&index, false, 0) == n / 2);
    CHECK(entries(&index, true, owner_of(n)) == 0);
    cnif_index_done(&index);
}

/* The next free address is found across holes, full bitmaps, and bitmaps that do not exist. */
static void test_next_free(void)
{
    static struct cnif_index index;
    struct cnif_num first = v4(0x0a000000), last = v4(0x0a00ffff), found;

    cnif_index_init(&index);
    CHECK(cnif_index_reset(&index, 0) == 0);
    for (uint32_t i = 0; i <= 5000; i++) {
        struct cnif_num num = v4(0x0a000000 + i);

        CHECK(cnif_index_next_free(&index, &first, &last, &found));
        CHECK(cnif_num_equal(&found, &num));
        cnif_index_insert(&index, owner_of(i), &num);
    }
    last = v4(0x0a000000 + 5000);
    CHECK(!cnif_index_next_free(&index, &first, &last, &found));
    CHECK(cnif_index_count(&index, &first, &last) == 5001);
    first = v4(0x0a000000 + 2047);
    last = v4(0x0a000000 + 2048);
    CHECK(cnif_index_count(&index, &first, &last) == 2);
    CHECK(!cnif_index_next_free(&index, &first, &last, &found));
    cnif_index_remove(&index, owner_of(2048), &last);
    CHECK(cnif_index_next_free(&index, &first, &last, &found) && cnif_num_equal(&found, &last));
    cnif_index_done(&index);
}

/* The very last address of each family is an end like any other. */
static void test_ends_of_the_families(void)
{
    static struct cnif_index index;
    struct cnif_num found, v4_last = v4(UINT32_MAX);
    struct cnif_num v6_last = {.family = 6, .value = ~(cnif_u128)0};
    struct cnif_num v6_first = {.family = 6, .value = ~(cnif_u128)0 - 1};

    cnif_index_init(&index);
    CHECK(cnif_index_reset(&index, 0) == 0);
    cnif_index_insert(&index, 1, &v4_last);
    CHECK(!cnif_index_next_free(&index, &v4_last, &v4_last, &found));
    cnif_index_insert(&index, 1, &v6_first);
    CHECK(cnif_index_next_free(&index, &v6_first, &v6_last, &found));
    CHECK(cnif_num_equal(&found, &v6_last));
    cnif_index_insert(&index, 1, &v6_last);
    CHECK(!cnif_index_next_free(&index, &v6_first, &v6_last, &found));
    CHECK(cnif_index_count(&index, &v6_first, &v6_last) == 2);
    CHECK(entries(&index, true, 1) == 3);
    cnif_index_done(&index);
}

/* Addresses that come and go all over a large range do not make the index grow without end. */
static void test_scattered_addresses(void)
{
    static struct cnif_index index;

    cnif_index_init(&index);
    CHECK(cnif_index_reset(&index, 0) == 0);
    for (uint32_t i = 0; i < 20000; i++) {
        struct cnif_num num = {.family = 6, .value = (cnif_u128)owner_of(i) << 16};

        cnif_index_insert(&index, owner_of(i), &num);
        cnif_index_remove(&index, owner_of(i), &num);
    }
    CHECK(!index.broken);
    CHECK(index.blocks.n < 100);
    cnif_index_done(&index);
}

/* An index for a directory in another state, or of another boot, is not taken. */
static void test_other_stamp(void)
{
    static struct cnif_index index;
    struct cnif_stamp other = stamp;
    struct cnif_num num = v4(1);

    cnif_index_init(&index);
    CHECK(cnif_index_reset(&index, 0) == 0);
    cnif_index_insert(&index, 1, &num);
    reopen(&index);
    cnif_index_done(&index);
    other.mtime_ns = 1;
    cnif_index_init(&index);
    CHECK(!cnif_index_open(&index, path, &other));
    CHECK(cnif_index_open(&index, path, &stamp));
    memcpy(index.header.boot_id, "another", sizeof("another"));
    cnif_block_seal((struct cnif_block *)&index.header, 0);
    CHECK(pwrite(index.fd, &index.header, sizeof(index.header), 0) ==
          (ssize_t)sizeof(index.header));
    cnif_index_done(&index);
    cnif_index_init(&index);
    CHECK(!cnif_index_open(&index, path, &stamp));
    cnif_index_done(&index);
}

int main(void)
{
    int fd = mkstemp(path);

    CHECK(fd >= 0);
    (void)close(fd);
    test_grows();
    test_next_free();
    test_ends_of_the_families();
    test_scattered_addresses();
    test_other_stamp();
    (void)unlink(path);
    return check_failures != 0;
}
