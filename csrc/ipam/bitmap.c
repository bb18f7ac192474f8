#include "ipam/bitmap.h"

#define WORD_BITS 64

static uint64_t bit_mask(size_t bit)
{
    return UINT64_C(1) << (bit % WORD_BITS);
}

/* The bits of word `i` that lie in [from, end). */
static uint64_t span_mask(size_t i, size_t from, size_t end)
{
    uint64_t mask = UINT64_MAX;

    if (i == from / WORD_BITS)
        mask &= UINT64_MAX << (from % WORD_BITS);
    if (i == end / WORD_BITS)
        mask &= bit_mask(end) - 1;
    return mask;
}

bool cnif_bitmap_test(const uint64_t *words, size_t bit)
{
    return (words[bit / WORD_BITS] & bit_mask(bit)) != 0;
}

bool cnif_bitmap_set(uint64_t *words, size_t bit)
{
    bool was = cnif_bitmap_test(words, bit);

    words[bit / WORD_BITS] |= bit_mask(bit);
    return was;
}

bool cnif_bitmap_clear(uint64_t *words, size_t bit)
{
    bool was = cnif_bitmap_test(words, bit);

    words[bit / WORD_BITS] &= ~bit_mask(bit);
    return was;
}

size_t cnif_bitmap_next_zero(const uint64_t *words, size_t from, size_t end)
{
    for (size_t i = from / WORD_BITS; i * WORD_BITS < end; i++) {
        uint64_t zeros = ~words[i] & span_mask(i, from, end);

        if (zeros)
            return i * WORD_BITS + (size_t)__builtin_ctzll(zeros);
    }
    return end;
}

size_t cnif_bitmap_count(const uint64_t *words, size_t from, size_t end)
{
    size_t n = 0;

    for (size_t i = from / WORD_BITS; i * WORD_BITS < end; i++)
        n += (size_t)__builtin_popcountll(words[i] & span_mask(i, from, end));
    return n;
}
