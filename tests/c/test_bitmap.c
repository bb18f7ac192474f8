#include "ipam/bitmap.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

#define BITS 256

/* Setting and clearing a bit says what it was and touches no other. */
static void test_set_and_clear(void)
{
    uint64_t words[BITS / 64] = {0};

    for (size_t bit = 0; bit < BITS; bit += 17) {
        CHECK(!cnif_bitmap_set(words, bit));
        CHECK(cnif_bitmap_set(words, bit));
        CHECK(cnif_bitmap_test(words, bit));
        CHECK(cnif_bitmap_count(words, 0, BITS) == 1);
        CHECK(cnif_bitmap_clear(words, bit));
        CHECK(!cnif_bitmap_clear(words, bit));
        CHECK(!cnif_bitmap_test(words, bit));
        CHECK(cnif_bitmap_count(words, 0, BITS) == 0);
    }
}

/* The search and the count agree with looking at every bit, whatever the bounds. */
static void test_against_every_bit(void)
{
    uint64_t words[BITS / 64];

    srand(1);
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < BITS / 64; i++)
            words[i] = round % 3 ? UINT64_MAX : 0;
        for (int n = rand() % 20; n > 0; n--)
            words[rand() % (BITS / 64)] ^= UINT64_C(1) << (rand() % 64);
        for (size_t from = 0; from < BITS; from += 7) {
            for (size_t end = from; end <= BITS; end += 5) {
                size_t zero = end, n = 0;

                for (size_t bit = end; bit-- > from;) {
                    if (cnif_bitmap_test(words, bit))
                        n++;
                    else
                        zero = bit;
                }
                CHECK(cnif_bitmap_next_zero(words, from, end) == zero);
                CHECK(cnif_bitmap_count(words, from, end) == n);
            }
        }
    }
}

/* A full bitmap has no zero, an empty one has it where the search starts. */
static void test_full_and_empty(void)
{
    uint64_t words[BITS / 64];

    memset(words, 0xff, sizeof(words));
    CHECK(cnif_bitmap_next_zero(words, 0, BITS) == BITS);
    CHECK(cnif_bitmap_next_zero(words, 63, 65) == 65);
    memset(words, 0, sizeof(words));
    CHECK(cnif_bitmap_next_zero(words, 0, BITS) == 0);
    CHECK(cnif_bitmap_next_zero(words, 255, BITS) == 255);
    CHECK(cnif_bitmap_next_zero(words, 3, 3) == 3);
}

int main(void)
{
    test_set_and_clear();
    test_against_every_bit();
    test_full_and_empty();
    return check_failures != 0;
}
