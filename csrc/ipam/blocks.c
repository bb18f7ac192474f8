#include "ipam/blocks.h"

#include "base/fault.h"
#include "ipam/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEAL_SEED UINT64_C(0x636e6966626c6f63)

static uint64_t seal_of(const struct cnif_block *block, uint32_t no)
{
    return cnif_hash(block->body, sizeof(block->body), SEAL_SEED + no);
}

void cnif_block_seal(struct cnif_block *block, uint32_t no)
{
    block->seal = seal_of(block, no);
}

bool cnif_block_sealed(const struct cnif_block *block, uint32_t no)
{
    return block->seal == seal_of(block, no);
}

void cnif_blocks_attach(struct cnif_blocks *blocks, int fd, uint32_t n)
{
    blocks->fd = fd;
    blocks->n = n;
    blocks->image = NULL;
    blocks->n_cached = 0;
}

int cnif_blocks_create(struct cnif_blocks *blocks, uint32_t n)
{
    struct cnif_block *image = calloc(n, sizeof(*image));

    if (!image)
        return -ENOMEM;
    cnif_blocks_attach(blocks, -1, n);
    blocks->image = image;
    return 0;
}

void cnif_blocks_done(struct cnif_blocks *blocks)
{
    free(blocks->image);
    cnif_blocks_attach(blocks, -1, 0);
}

static bool read_blocks(int fd, struct cnif_block *ret, uint32_t no, uint32_t n)
{
    size_t want = (size_t)n * sizeof(*ret), have = 0;

    while (have < want) {
        ssize_t got = pread(fd, (uint8_t *)ret + have, want - have,
                            (off_t)((size_t)no * sizeof(*ret) + have));

        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!cnif_block_sealed(&ret[i], no + i))
            return false;
    }
    return true;
}

/* A place for one more block; all of them hold changes: CNIF_BLOCK_CACHED. */
static unsigned int find_room(struct cnif_blocks *blocks)
{
    unsigned int i;

    if (blocks->n_cached < CNIF_BLOCK_CACHED)
        return blocks->n_cached;
    for (i = 0; i < CNIF_BLOCK_CACHED && blocks->tags[i].dirty; i++)
        ;
    return i;
}

void *cnif_blocks_get(struct cnif_blocks *blocks, uint32_t no)
{
    unsigned int room;

    if (no == 0 || no >= blocks->n)
        return NULL;
    for (unsigned int i = 0; !blocks->image && i < blocks->n_cached; i++) {
        if (blocks->tags[i].no == no)
            return &blocks->cached[i];
    }
    room = find_room(blocks);
    if (!blocks->image && room == CNIF_BLOCK_CACHED && cnif_blocks_load(blocks) < 0)
        return NULL;
    if (blocks->image)
        return &blocks->image[no];

    blocks->tags[room].no = 0;
    if (!read_blocks(blocks->fd, &blocks->cached[room], no, 1))
        return NULL;
    blocks->tags[room].no = no;
    blocks->tags[room].dirty = false;
    if (room == blocks->n_cached)
        blocks->n_cached++;
    return &blocks->cached[room];
}

void cnif_blocks_touch(struct cnif_blocks *blocks, uint32_t no)
{
    if (blocks->image)
        return;
    for (unsigned int i = 0; i < blocks->n_cached; i++) {
        if (blocks->tags[i].no == no)
            blocks->tags[i].dirty = true;
    }
}

int cnif_blocks_load(struct cnif_blocks *blocks)
{
    struct cnif_block *image;
    struct stat st;

    if (blocks->image)
        return 0;
    /* A file cut short must not make us ask for the memory of a whole one. */
    if (fstat(blocks->fd, &st) < 0 || st.st_size < (off_t)blocks->n * CNIF_BLOCK_SIZE)
        return -EBADMSG;
    image = malloc((size_t)blocks->n * sizeof(*image));
    if (!image)
        return -ENOMEM;
    if (!read_blocks(blocks->fd, &image[1], 1, blocks->n - 1)) {
        free(image);
        return -EBADMSG;
    }
    for (unsigned int i = 0; i < blocks->n_cached; i++) {
        if (blocks->tags[i].dirty)
            image[blocks->tags[i].no] = blocks->cached[i];
    }
    blocks->image = image;
    return 0;
}

static int write_blocks(int fd, const struct cnif_block *first, uint32_t no, uint32_t n)
{
    size_t want = (size_t)n * sizeof(*first), done = 0;
    int code = cnif_fault("write the index");

    if (code)
        return -code;
    while (done < want) {
        ssize_t put = pwrite(fd, (const uint8_t *)first + done, want - done,
                             (off_t)((size_t)no * sizeof(*first) + done));

        if (put <= 0)
            return put < 0 ? -errno : -EIO;
        done += (size_t)put;
    }
    return 0;
}

int cnif_blocks_write(struct cnif_blocks *blocks, int fd)
{
    if (blocks->image) {
        for (uint32_t no = 1; no < blocks->n; no++)
            cnif_block_seal(&blocks->image[no], no);
        return write_blocks(fd, &blocks->image[1], 1, blocks->n - 1);
    }
    for (unsigned int i = 0; i < blocks->n_cached; i++) {
        int r;

        if (!blocks->tags[i].dirty)
            continue;
        cnif_block_seal(&blocks->cached[i], blocks->tags[i].no);
        r = write_blocks(fd, &blocks->cached[i], blocks->tags[i].no, 1);
        if (r < 0)
            return r;
        blocks->tags[i].dirty = false;
    }
    return 0;
}
