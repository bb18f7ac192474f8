#include "ipam/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define V6_GROUPS 8

static size_t byte_count(uint8_t family)
{
    return family == 4 ? 4 : family == 6 ? 16 : 0;
}

static cnif_u128 load_bytes(const uint8_t *bytes, size_t n)
{
    cnif_u128 value = 0;

    for (size_t i = 0; i < n; i++)
        value = value << 8 | bytes[i];
    return value;
}

struct cnif_num cnif_num_from(const struct cnif_ipam_addr *addr)
{
    struct cnif_num num = {.family = addr->family};

    num.value = load_bytes(addr->bytes, byte_count(addr->family));
    return num;
}

void cnif_num_to(const struct cnif_num *num, struct cnif_ipam_addr *ret)
{
    cnif_u128 value = num->value;

    *ret = (struct cnif_ipam_addr){.family = num->family};
    for (size_t i = byte_count(num->family); i-- > 0; value >>= 8)
        ret->bytes[i] = (uint8_t)(value & 0xff);
    if (num->family)
        cnif_num_format(num, ret->text);
}

bool cnif_num_equal(const struct cnif_num *a, const struct cnif_num *b)
{
    return a->family == b->family && a->value == b->value;
}

static char *put_decimal(char *p, unsigned int n)
{
    if (n >= 100)
        *p++ = (char)('0' + n / 100);
    if (n >= 10)
        *p++ = (char)('0' + n / 10 % 10);
    *p++ = (char)('0' + n % 10);
    return p;
}

static char *put_hex(char *p, unsigned int n)
{
    static const char digits[] = "0123456789abcdef";

    for (int shift = 12; shift >= 0; shift -= 4) {
        if (n >> shift || !shift)
            *p++ = digits[n >> shift & 0xf];
    }
    return p;
}

/* The first longest run of at least two zero groups; length 0 if there is none. */
static void zero_run(const unsigned int *groups, int *ret_start, int *ret_length)
{
    int best = -1, best_length = 1;

    for (int i = 0; i < V6_GROUPS; i++) {
        int n = 0;

        while (i + n < V6_GROUPS && !groups[i + n])
            n++;
        if (n > best_length) {
            best = i;
            best_length = n;
        }
        i += n;
    }
    *ret_start = best;
    *ret_length = best < 0 ? 0 : best_length;
}

void cnif_num_format(const struct cnif_num *num, char ret[CNIF_IPAM_TEXT_MAX])
{
    unsigned int groups[V6_GROUPS];
    int start, length;
    char *p = ret;

    if (num->family == 4) {
        for (int shift = 24; shift >= 0; shift -= 8) {
            p = put_decimal(p, (unsigned int)(num->value >> shift) & 0xff);
            *p++ = shift ? '.' : '\0';
        }
        return;
    }
    for (int i = 0; i < V6_GROUPS; i++)
        groups[i] = (unsigned int)(num->value >> (112 - 16 * i)) & 0xffff;
    zero_run(groups, &start, &length);
    for (int i = 0; i < V6_GROUPS; i++) {
        if (i == start) {
            *p++ = ':';
            *p++ = ':';
            i += length - 1;
            continue;
        }
        if (i > 0 && i != start + length)
            *p++ = ':';
        p = put_hex(p, groups[i]);
    }
    *p = '\0';
}

bool cnif_num_parse(const char *text, struct cnif_num *ret)
{
    char canonical[CNIF_IPAM_TEXT_MAX];
    struct cnif_num num = {.family = 0};
    uint8_t bytes[16];

    if (inet_pton(AF_INET, text, bytes) == 1)
        num.family = 4;
    else if (inet_pton(AF_INET6, text, bytes) == 1)
        num.family = 6;
    else
        return false;
    num.value = load_bytes(bytes, byte_count(num.family));
    if (num.family == 6 && num.value >> 32 == 0xffff)
        return false; /* IPv4 in disguise: its file has the dotted name */
    cnif_num_format(&num, canonical);
    if (strcmp(canonical, text) != 0)
        return false;
    *ret = num;
    return true;
}
