#include "ipam/hash.h"

#include <string.h>

#define LANES 4

static uint64_t mix(uint64_t x)
{
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static uint64_t load_word(const uint8_t *p, size_t n)
{
    uint64_t word = 0;

    memcpy(&word, p, n);
    return word;
}

uint64_t cnif_hash(const void *data, size_t n, uint64_t seed)
{
    const uint8_t *p = data;
    uint64_t lanes[LANES] = {seed, seed + 1, seed + 2, seed + 3};
    uint64_t h = mix(seed ^ n);

    for (; n >= 8 * LANES; n -= 8 * LANES, p += 8 * LANES) {
        for (size_t i = 0; i < LANES; i++)
            lanes[i] = mix(lanes[i] ^ load_word(p + 8 * i, 8));
    }
    for (size_t i = 0; i < LANES; i++)
        h = mix(h ^ lanes[i]);
    for (; n >= 8; n -= 8, p += 8)
        h = mix(h ^ load_word(p, 8));
    h = mix(h ^ load_word(p, n));
    return mix(h);
}
