/*
 * A file of equal blocks, each sealed with a checksum over its content and its
 * place: what the index is stored in.  An operation reads the few blocks it
 * needs and writes back those it changed; a block whose seal is broken is never
 * handed out.
 *
 * Read and written with pread and pwrite rather than mapped: a mapping costs
 * more than the blocks of one operation, and a file cut short by somebody else
 * would be a SIGBUS for the whole service instead of an error here.
 *
 * Not locked: the caller holds the network's lock.  A pointer that was handed
 * out is good until the next cnif_blocks_get().
 */
#ifndef CNIF_IPAM_BLOCKS_H
#define CNIF_IPAM_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#define CNIF_BLOCK_SIZE   512
#define CNIF_BLOCK_CACHED 16

struct __attribute__((may_alias)) cnif_block {
    uint64_t seal;
    uint8_t body[CNIF_BLOCK_SIZE - sizeof(uint64_t)];
};

struct cnif_blocks {
    int fd;                   /* borrowed; -1: there is no file */
    uint32_t n;               /* blocks in all */
    struct cnif_block *image; /* all of them, once that is needed */
    unsigned int n_cached;
    struct {
        uint32_t no;
        bool dirty;
    } tags[CNIF_BLOCK_CACHED];
    struct cnif_block cached[CNIF_BLOCK_CACHED];
};

void cnif_block_seal(struct cnif_block *block, uint32_t no);
bool cnif_block_sealed(const struct cnif_block *block, uint32_t no);

/* Start on an open file of `n` blocks, or with `n` zeroed blocks in memory (-ENOMEM). */
void cnif_blocks_attach(struct cnif_blocks *blocks, int fd, uint32_t n);
int cnif_blocks_create(struct cnif_blocks *blocks, uint32_t n);
void cnif_blocks_done(struct cnif_blocks *blocks);

/* Block `no`, which is not 0; NULL when it cannot be read or its seal is broken. */
void *cnif_blocks_get(struct cnif_blocks *blocks, uint32_t no);
/* The block was changed. */
void cnif_blocks_touch(struct cnif_blocks *blocks, uint32_t no);

/* Bring all blocks into memory; -EBADMSG for a broken one. */
int cnif_blocks_load(struct cnif_blocks *blocks);

/*
 * Write what was changed, or the whole image from block 1 on: block 0 is the
 * caller's, written last.
 */
int cnif_blocks_write(struct cnif_blocks *blocks, int fd);

#endif
