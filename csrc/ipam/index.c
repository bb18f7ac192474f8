#include "ipam/index.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "ipam/bitmap.h"
#include "ipam/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define MAGIC         "cnifipam"
#define VERSION       1
#define MIN_BUCKETS   8
#define MIN_BITMAPS   4
#define MAX_BLOCKS    (UINT32_C(1) << 24)
#define BUCKET_SLOTS  15
#define FULL_PERCENT  60 /* of the room; beyond it the file is made anew, twice as large */
#define BITMAP_BITS   2048
#define BITMAP_SHIFT  11
#define BOOT_ID_PATH  "/proc/sys/kernel/random/boot_id"
#define PLACE_SEED    UINT64_C(0x6164647265737365)
#define WORDS(n_bits) ((n_bits) / 64)

struct slot {
    uint64_t owner;
    uint64_t high, low; /* of the address */
    uint8_t family;     /* 0: free */
    uint8_t zero[7];
};

struct __attribute__((may_alias)) bucket {
    uint64_t seal;
    uint16_t used;
    uint16_t reserved;
    uint32_t passed; /* entries that had to go on to a later bucket */
    struct slot slots[BUCKET_SLOTS];
    uint8_t zero[16];
};

struct __attribute__((may_alias)) bitmap {
    uint64_t seal;
    uint64_t high, low; /* the first address */
    uint8_t family;     /* 0: free */
    uint8_t zero[3];
    uint32_t taken;
    uint64_t words[WORDS(BITMAP_BITS)];
    uint8_t rest[CNIF_BLOCK_SIZE - 32 - BITMAP_BITS / 8];
};

_Static_assert(sizeof(struct cnif_index_header) == CNIF_BLOCK_SIZE, "the header is a block");
_Static_assert(sizeof(struct bucket) == CNIF_BLOCK_SIZE, "a bucket is a block");
_Static_assert(sizeof(struct bitmap) == CNIF_BLOCK_SIZE, "a bitmap is a block");

static char boot_id[CNIF_BOOT_ID_MAX]; /* empty: unknown, and nothing is ever valid */
static pthread_once_t boot_id_once = PTHREAD_ONCE_INIT;

static void read_boot_id(void)
{
    cnif_cleanup_close int fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, boot_id, sizeof(boot_id) - 1);

    if (n <= 0)
        boot_id[0] = '\0';
}

struct cnif_stamp cnif_stamp_from(const struct stat *st)
{
    return (struct cnif_stamp){
        .dev = (uint64_t)st->st_dev,
        .ino = (uint64_t)st->st_ino,
        .mtime = (int64_t)st->st_mtim.tv_sec,
        .ctime = (int64_t)st->st_ctim.tv_sec,
        .mtime_ns = (int32_t)st->st_mtim.tv_nsec,
        .ctime_ns = (int32_t)st->st_ctim.tv_nsec,
    };
}

void cnif_index_init(struct cnif_index *index)
{
    memset(&index->header, 0, sizeof(index->header));
    cnif_blocks_attach(&index->blocks, -1, 0);
    index->fd = -1;
    index->broken = index->changed = false;
}

void cnif_index_done(struct cnif_index *index)
{
    cnif_blocks_done(&index->blocks);
    cnif_closep(&index->fd);
}

static uint32_t total_blocks(const struct cnif_index_header *header)
{
    return 1 + header->buckets + header->bitmaps;
}

static bool power_of_two(uint32_t n)
{
    return n && !(n & (n - 1));
}

static bool header_valid(const struct cnif_index_header *header, const struct cnif_stamp *stamp)
{
    return cnif_block_sealed((const struct cnif_block *)header, 0) &&
           memcmp(header->magic, MAGIC, sizeof(header->magic)) == 0 && header->version == VERSION &&
           boot_id[0] && memcmp(header->boot_id, boot_id, sizeof(boot_id)) == 0 &&
           memcmp(&header->stamp, stamp, sizeof(*stamp)) == 0 && power_of_two(header->buckets) &&
           power_of_two(header->bitmaps) && header->buckets <= MAX_BLOCKS &&
           header->bitmaps <= MAX_BLOCKS && header->bitmaps_used < header->bitmaps &&
           header->entries < (uint64_t)header->buckets * BUCKET_SLOTS;
}

bool cnif_index_open(struct cnif_index *index, const char *path, const struct cnif_stamp *stamp)
{
    (void)pthread_once(&boot_id_once, read_boot_id);
    index->fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (index->fd < 0)
        return false;
    if (pread(index->fd, &index->header, sizeof(index->header), 0) !=
            (ssize_t)sizeof(index->header) ||
        !header_valid(&index->header, stamp)) {
        cnif_closep(&index->fd);
        return false;
    }
    cnif_blocks_attach(&index->blocks, index->fd, total_blocks(&index->header));
    return true;
}

static uint32_t room_for(uint64_t n, uint32_t least)
{
    uint32_t size = least;

    while (size < MAX_BLOCKS && (uint64_t)size * FULL_PERCENT / 100 < n)
        size *= 2;
    return size;
}

static int reset(struct cnif_index *index, uint32_t buckets, uint32_t bitmaps)
{
    struct cnif_blocks blocks;
    int r;

    r = cnif_blocks_create(&blocks, 1 + buckets + bitmaps);
    if (r < 0)
        return r;
    cnif_blocks_done(&index->blocks);
    cnif_blocks_attach(&index->blocks, -1, blocks.n);
    index->blocks.image = blocks.image;
    index->header = (struct cnif_index_header){
        .version = VERSION,
        .buckets = buckets,
        .bitmaps = bitmaps,
        .sequence = index->header.sequence,
    };
    memcpy(index->header.magic, MAGIC, sizeof(index->header.magic));
    index->broken = false;
    index->changed = true;
    return 0;
}

int cnif_index_reset(struct cnif_index *index, uint64_t expected)
{
    uint64_t buckets = expected * 2 / BUCKET_SLOTS + 1;

    return reset(index, room_for(buckets, MIN_BUCKETS),
                 room_for(expected * 2 / BITMAP_BITS + 1, MIN_BITMAPS));
}

/* ---- owners ---- */

static uint32_t bucket_block(const struct cnif_index *index, uint64_t owner, uint32_t step)
{
    return 1 + (((uint32_t)owner + step) & (index->header.buckets - 1));
}

static struct bucket *get_bucket(struct cnif_index *index, uint32_t no)
{
    struct bucket *bucket = cnif_blocks_get(&index->blocks, no);

    if (!bucket || bucket->used > BUCKET_SLOTS)
        index->broken = true;
    return index->broken ? NULL : bucket;
}

static struct cnif_num slot_num(const struct slot *slot)
{
    return (struct cnif_num){.family = slot->family,
                             .value = (cnif_u128)slot->high << 64 | slot->low};
}

static void put_owner(struct cnif_index *index, uint64_t owner, const struct cnif_num *num)
{
    for (uint32_t step = 0; step < index->header.buckets; step++) {
        uint32_t no = bucket_block(index, owner, step);
        struct bucket *bucket = get_bucket(index, no);

        if (!bucket)
            return;
        cnif_blocks_touch(&index->blocks, no);
        for (size_t i = 0; bucket->used < BUCKET_SLOTS && i < BUCKET_SLOTS; i++) {
            if (bucket->slots[i].family)
                continue;
            bucket->slots[i] = (struct slot){.owner = owner,
                                             .high = (uint64_t)(num->value >> 64),
                                             .low = (uint64_t)num->value,
                                             .family = num->family};
            bucket->used++;
            return;
        }
        bucket->passed++;
    }
    index->broken = true;
}

/* The bucket went without an entry that has moved on: take back its mark in all before it. */
static void unpass(struct cnif_index *index, uint64_t owner, uint32_t steps)
{
    for (uint32_t step = 0; step < steps; step++) {
        uint32_t no = bucket_block(index, owner, step);
        struct bucket *bucket = get_bucket(index, no);

        if (!bucket)
            return;
        cnif_blocks_touch(&index->blocks, no);
        bucket->passed--;
    }
}

static void drop_owner(struct cnif_index *index, uint64_t owner, const struct cnif_num *num)
{
    for (uint32_t step = 0; step < index->header.buckets; step++) {
        uint32_t no = bucket_block(index, owner, step);
        struct bucket *bucket = get_bucket(index, no);

        if (!bucket)
            return;
        for (size_t i = 0; i < BUCKET_SLOTS; i++) {
            struct cnif_num held = slot_num(&bucket->slots[i]);

            if (bucket->slots[i].owner != owner || !cnif_num_equal(&held, num))
                continue;
            cnif_blocks_touch(&index->blocks, no);
            bucket->slots[i] = (struct slot){.family = 0};
            bucket->used--;
            unpass(index, owner, step);
            return;
        }
        if (!bucket->passed)
            break;
    }
    index->broken = true;
}

static int visit_bucket(struct cnif_index *index, uint32_t no, bool with_owner, uint64_t owner,
                        int (*visit)(void *arg, const struct cnif_index_entry *entry), void *arg,
                        bool *ret_passed)
{
    const struct bucket *bucket = get_bucket(index, no);

    *ret_passed = bucket && bucket->passed;
    for (size_t i = 0; bucket && bucket->used && i < BUCKET_SLOTS; i++) {
        const struct slot *slot = &bucket->slots[i];
        struct cnif_index_entry entry = {.owner = slot->owner, .num = slot_num(slot)};
        int r;

        if (!slot->family || (with_owner && slot->owner != owner))
            continue;
        r = visit(arg, &entry);
        if (r)
            return r;
    }
    return 0;
}

int cnif_index_visit(struct cnif_index *index, bool with_owner, uint64_t owner,
                     int (*visit)(void *arg, const struct cnif_index_entry *entry), void *arg)
{
    bool passed = true;
    int r = 0;

    for (uint32_t i = 0; i < index->header.buckets && passed && !r && !index->broken; i++) {
        uint32_t no = with_owner ? bucket_block(index, owner, i) : 1 + i;

        r = visit_bucket(index, no, with_owner, owner, visit, arg, &passed);
        if (!with_owner)
            passed = true;
    }
    return r;
}

/* ---- bitmaps ---- */

static struct cnif_num base_of(const struct cnif_num *num)
{
    return (struct cnif_num){.family = num->family,
                             .value = num->value >> BITMAP_SHIFT << BITMAP_SHIFT};
}

static size_t bit_of(const struct cnif_num *num)
{
    return (size_t)(num->value & (BITMAP_BITS - 1));
}

static struct cnif_num bitmap_base(const struct bitmap *bitmap)
{
    return (struct cnif_num){.family = bitmap->family,
                             .value = (cnif_u128)bitmap->high << 64 | bitmap->low};
}

/* The bitmap that `num` falls in, or the free block where it would go; NULL: broken. */
static struct bitmap *find_bitmap(struct cnif_index *index, const struct cnif_num *num,
                                  uint32_t *ret_no)
{
    struct cnif_num base = base_of(num);
    uint64_t key[3] = {base.family, (uint64_t)(base.value >> 64), (uint64_t)base.value};
    uint32_t place = (uint32_t)cnif_hash(key, sizeof(key), PLACE_SEED);

    for (uint32_t step = 0; step < index->header.bitmaps && !index->broken; step++) {
        uint32_t no = 1 + index->header.buckets + ((place + step) & (index->header.bitmaps - 1));
        struct bitmap *bitmap = cnif_blocks_get(&index->blocks, no);
        struct cnif_num held;

        if (!bitmap)
            break;
        held = bitmap_base(bitmap);
        if (!held.family || cnif_num_equal(&held, &base)) {
            *ret_no = no;
            return bitmap;
        }
    }
    index->broken = true;
    return NULL;
}

static void set_bit(struct cnif_index *index, const struct cnif_num *num)
{
    uint32_t no;
    struct bitmap *bitmap = find_bitmap(index, num, &no);

    if (!bitmap)
        return;
    if (!bitmap->family) {
        struct cnif_num base = base_of(num);

        bitmap->family = base.family;
        bitmap->high = (uint64_t)(base.value >> 64);
        bitmap->low = (uint64_t)base.value;
        index->header.bitmaps_used++;
    }
    cnif_blocks_touch(&index->blocks, no);
    if (cnif_bitmap_set(bitmap->words, bit_of(num)))
        index->broken = true;
    bitmap->taken++;
}

static void clear_bit(struct cnif_index *index, const struct cnif_num *num)
{
    uint32_t no;
    struct bitmap *bitmap = find_bitmap(index, num, &no);

    if (!bitmap)
        return;
    if (!bitmap->family || !cnif_bitmap_clear(bitmap->words, bit_of(num))) {
        index->broken = true;
        return;
    }
    cnif_blocks_touch(&index->blocks, no);
    bitmap->taken--;
}

bool cnif_index_taken(struct cnif_index *index, const struct cnif_num *num)
{
    uint32_t no;
    const struct bitmap *bitmap = find_bitmap(index, num, &no);

    return bitmap && bitmap->family && cnif_bitmap_test(bitmap->words, bit_of(num));
}

bool cnif_index_next_free(struct cnif_index *index, const struct cnif_num *first,
                          const struct cnif_num *last, struct cnif_num *ret)
{
    struct cnif_num at = *first;

    while (at.value <= last->value) {
        cnif_u128 left = last->value - at.value;
        size_t from = bit_of(&at), end = BITMAP_BITS, found;
        uint32_t no;
        const struct bitmap *bitmap = find_bitmap(index, &at, &no);

        if (!bitmap)
            return false;
        if (left < BITMAP_BITS - from)
            end = from + (size_t)left + 1;
        found = bitmap->family ? cnif_bitmap_next_zero(bitmap->words, from, end) : from;
        if (found < end) {
            *ret = at;
            ret->value += found - from;
            return true;
        }
        if (left < end - from)
            return false; /* and nothing beyond the largest address there is */
        at.value += end - from;
    }
    return false;
}

uint64_t cnif_index_count(struct cnif_index *index, const struct cnif_num *first,
                          const struct cnif_num *last)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < index->header.bitmaps && !index->broken; i++) {
        const struct bitmap *bitmap =
            cnif_blocks_get(&index->blocks, 1 + index->header.buckets + i);
        struct cnif_num base;
        size_t from = 0, end = BITMAP_BITS;

        if (!bitmap) {
            index->broken = true;
            break;
        }
        base = bitmap_base(bitmap);
        if (base.family != first->family || base.value > last->value ||
            base.value + (BITMAP_BITS - 1) < first->value)
            continue;
        if (first->value > base.value)
            from = bit_of(first);
        if (last->value - base.value < BITMAP_BITS - 1)
            end = bit_of(last) + 1;
        n += cnif_bitmap_count(bitmap->words, from, end);
    }
    return n;
}

/* ---- growing, saving ---- */

static int reinsert(void *arg, const struct cnif_index_entry *entry)
{
    struct cnif_index *grown = arg;

    put_owner(grown, entry->owner, &entry->num);
    set_bit(grown, &entry->num);
    return grown->broken;
}

static bool buckets_full(const struct cnif_index_header *header)
{
    return header->entries >= (uint64_t)header->buckets * BUCKET_SLOTS * FULL_PERCENT / 100;
}

static bool bitmaps_full(const struct cnif_index_header *header)
{
    return header->bitmaps_used >= (uint64_t)header->bitmaps * FULL_PERCENT / 100;
}

/* How many bitmaps there must be room for: those emptied since are not made again. */
static uint32_t bitmaps_needed(struct cnif_index *index)
{
    uint32_t n = 1;

    for (uint32_t i = 0; i < index->header.bitmaps; i++) {
        const struct bitmap *bitmap =
            cnif_blocks_get(&index->blocks, 1 + index->header.buckets + i);

        n += bitmap && bitmap->taken;
    }
    return n;
}

/* Make the index anew in memory, with room for more. */
static void grow(struct cnif_index *index)
{
    struct cnif_index grown;
    uint32_t buckets = index->header.buckets, bitmaps;

    if (buckets_full(&index->header))
        buckets *= 2;
    cnif_index_init(&grown);
    grown.header.sequence = index->header.sequence;
    if (cnif_blocks_load(&index->blocks) < 0) {
        index->broken = true;
        return;
    }
    bitmaps = room_for((uint64_t)bitmaps_needed(index) * 2, MIN_BITMAPS);
    if (buckets > MAX_BLOCKS || reset(&grown, buckets, bitmaps) < 0 ||
        cnif_index_visit(index, false, 0, reinsert, &grown) || index->broken) {
        index->broken = true;
    } else {
        grown.header.entries = index->header.entries;
        grown.header.bare = index->header.bare;
        index->header = grown.header;
        cnif_blocks_done(&index->blocks);
        cnif_blocks_attach(&index->blocks, -1, grown.blocks.n);
        index->blocks.image = CNIF_TAKE_PTR(grown.blocks.image);
    }
    cnif_index_done(&grown);
}

void cnif_index_insert(struct cnif_index *index, uint64_t owner, const struct cnif_num *num)
{
    if (!index->broken && (buckets_full(&index->header) || bitmaps_full(&index->header)))
        grow(index);
    if (index->broken)
        return;
    index->changed = true;
    put_owner(index, owner, num);
    set_bit(index, num);
    index->header.entries++;
}

void cnif_index_remove(struct cnif_index *index, uint64_t owner, const struct cnif_num *num)
{
    if (index->broken)
        return;
    index->changed = true;
    drop_owner(index, owner, num);
    clear_bit(index, num);
    index->header.entries--;
}

static int write_header(struct cnif_index *index, int fd, const struct cnif_stamp *stamp)
{
    int code = cnif_fault("write the index header");

    if (code)
        return -code;
    index->header.stamp = *stamp;
    index->header.sequence++;
    memcpy(index->header.boot_id, boot_id, sizeof(boot_id));
    cnif_block_seal((struct cnif_block *)&index->header, 0);
    return pwrite(fd, &index->header, sizeof(index->header), 0) == (ssize_t)sizeof(index->header)
               ? 0
               : -EIO;
}

int cnif_index_save(struct cnif_index *index, const char *path, const struct cnif_stamp *stamp)
{
    int code, r;

    (void)pthread_once(&boot_id_once, read_boot_id);
    if (index->broken || !boot_id[0])
        return -ESTALE;
    if (index->fd < 0) {
        code = cnif_fault("open the index");
        if (code)
            return -code;
        index->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (index->fd < 0)
            return -errno;
    }
    if (index->blocks.image) {
        code = cnif_fault("resize the index");
        if (code)
            return -code;
        if (ftruncate(index->fd, (off_t)index->blocks.n * CNIF_BLOCK_SIZE) < 0)
            return -errno;
    }
    r = cnif_blocks_write(&index->blocks, index->fd);
    if (r < 0)
        return r;
    r = write_header(index, index->fd, stamp);
    index->changed = r < 0;
    return r;
}
