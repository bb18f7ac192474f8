#include "nft/owner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIELD_MAX  ((size_t)100)
#define HASH_MAX   17 /* a mark and 16 digits */
#define IFNAME_MAX ((size_t)32)

_Static_assert(FIELD_MAX + 1 + IFNAME_MAX + 1 + FIELD_MAX + 1 <= CNIF_OWNER_MAX, "an owner fits");
_Static_assert(FIELD_MAX < CNIF_OWNER_NAME_MAX, "a name fits");

/* FNV-1a */
uint64_t cnif_owner_hash(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return h;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

/* What may stand in a comment and inside a field of it. */
static bool is_plain(char c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* Copy `text`, or as much of it as leaves room for `mark` and its hash. */
static void shorten(const char *text, size_t limit, bool (*fits)(char), char mark, char *to)
{
    size_t size = strlen(text);
    bool whole = size <= limit;
    size_t i;

    for (i = 0; whole && i < size; i++)
        whole = fits(text[i]);
    if (whole) {
        memcpy(to, text, size + 1);
        return;
    }
    if (size > limit - HASH_MAX)
        size = limit - HASH_MAX;
    for (i = 0; i < size; i++)
        to[i] = fits(text[i]) ? text[i] : '_';
    (void)snprintf(to + size, HASH_MAX + 1, "%c%016" PRIx64, mark, cnif_owner_hash(text));
}

void cnif_owner_name(const char *network, char name[CNIF_OWNER_NAME_MAX])
{
    shorten(network, FIELD_MAX, is_word, '.', name);
}

void cnif_owner_text(const struct cnif_owner *owner, char text[CNIF_OWNER_MAX])
{
    char container[FIELD_MAX + 1];
    char ifname[IFNAME_MAX + 1];
    char network[FIELD_MAX + 1];

    shorten(owner->container_id, FIELD_MAX, is_plain, '~', container);
    shorten(owner->ifname, IFNAME_MAX, is_plain, '~', ifname);
    shorten(owner->network, FIELD_MAX, is_plain, '~', network);
    (void)snprintf(text, CNIF_OWNER_MAX, "%s %s %s", container, ifname, network);
}
