/*
 * A bitmap over 64-bit words: pure bit arithmetic on the caller's array.
 *
 * Not a set with a size of its own: the caller knows how many bits the array
 * has and never asks beyond them.  No allocation, no locking.
 */
#ifndef CNIF_IPAM_BITMAP_H
#define CNIF_IPAM_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool cnif_bitmap_test(const uint64_t *words, size_t bit);

/* Set or clear one bit; returns what it was before. */
bool cnif_bitmap_set(uint64_t *words, size_t bit);
bool cnif_bitmap_clear(uint64_t *words, size_t bit);

/* The first clear bit in [from, end), or `end` when all of them are set. */
size_t cnif_bitmap_next_zero(const uint64_t *words, size_t from, size_t end);

/* How many bits are set in [from, end). */
size_t cnif_bitmap_count(const uint64_t *words, size_t from, size_t end);

#endif
