/*
 * The accelerator beside a network's address files: which addresses are taken,
 * and which owner has which, so that no operation has to read the directory.
 *
 * Never the truth: it carries the stamp (device, inode, mtime, ctime) that the
 * directory had after our own last change, and is worth nothing when the
 * directory has another one, when the machine was booted since, or when a seal
 * is broken.  Its user then rebuilds it from the files.  What it says about an
 * owner is verified against the file.
 *
 *   block 0            header: geometry, stamp, counts
 *   block 1..B         owner buckets: (hash of the file's content, address), open addressing
 *   block B+1..B+S     bitmaps of 2048 addresses each, open addressing by their first address
 *
 * Bitmaps exist only where addresses are taken, so ranges may be of any size,
 * overlap what other configurations use, and change from call to call.
 *
 * Not locked: the caller holds the network's lock.
 */
#ifndef CNIF_IPAM_INDEX_H
#define CNIF_IPAM_INDEX_H

#include "ipam/addr.h"
#include "ipam/blocks.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define CNIF_BOOT_ID_MAX 40

struct cnif_stamp {
    uint64_t dev, ino;
    int64_t mtime, ctime;
    int32_t mtime_ns, ctime_ns;
};

struct __attribute__((may_alias)) cnif_index_header {
    uint64_t seal;
    char magic[8];
    uint32_t version;
    uint32_t buckets; /* a power of two */
    uint32_t bitmaps; /* a power of two */
    uint32_t bitmaps_used;
    uint64_t entries;
    uint64_t bare;     /* of these, files with a container ID alone, when it was rebuilt */
    uint64_t sequence; /* how often it was written */
    struct cnif_stamp stamp;
    char boot_id[CNIF_BOOT_ID_MAX];
    uint8_t zero[CNIF_BLOCK_SIZE - 136];
};

struct cnif_index {
    struct cnif_index_header header;
    struct cnif_blocks blocks;
    int fd;       /* owned; -1 while there is no usable file */
    bool broken;  /* found wrong while in use: not to be written, to be rebuilt */
    bool changed; /* since it was read or rebuilt */
};

/* One entry while walking. */
struct cnif_index_entry {
    uint64_t owner;
    struct cnif_num num;
};

struct cnif_stamp cnif_stamp_from(const struct stat *st);

/* Nothing: neither file nor content. */
void cnif_index_init(struct cnif_index *index);
void cnif_index_done(struct cnif_index *index);

/* Take the file at `path` if it describes a directory with this stamp. */
bool cnif_index_open(struct cnif_index *index, const char *path, const struct cnif_stamp *stamp);

/* Start again, empty and in memory, ready for `expected` entries; -ENOMEM. */
int cnif_index_reset(struct cnif_index *index, uint64_t expected);

/* Record or forget an address.  Trouble shows in `broken`. */
void cnif_index_insert(struct cnif_index *index, uint64_t owner, const struct cnif_num *num);
void cnif_index_remove(struct cnif_index *index, uint64_t owner, const struct cnif_num *num);

bool cnif_index_taken(struct cnif_index *index, const struct cnif_num *num);

/*
 * The first address from `first` to `last` (inclusive) that is not taken; false
 * if there is none, or the index is broken.
 */
bool cnif_index_next_free(struct cnif_index *index, const struct cnif_num *first,
                          const struct cnif_num *last, struct cnif_num *ret);

/* How many are taken from `first` to `last`. */
uint64_t cnif_index_count(struct cnif_index *index, const struct cnif_num *first,
                          const struct cnif_num *last);

/*
 * Call `visit` for each address of an owner, or for each of all (with_owner
 * false), until it returns non-zero; returns that, or 0.  `visit` must not
 * change the index.
 */
int cnif_index_visit(struct cnif_index *index, bool with_owner, uint64_t owner,
                     int (*visit)(void *arg, const struct cnif_index_entry *entry), void *arg);

/*
 * Store it at `path` for a directory with this stamp; on failure there is no
 * usable file there.
 */
int cnif_index_save(struct cnif_index *index, const char *path, const struct cnif_stamp *stamp);

#endif
