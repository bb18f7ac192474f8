#include "golden.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES 8192
#define MAX_TEXT  96

/* A golden file: its bytes, the line each one is on, and the comment above that line. */
struct golden {
    size_t size;
    uint8_t bytes[MAX_BYTES];
    uint16_t line[MAX_BYTES];
    uint16_t comment[MAX_BYTES];
    unsigned lines;
    char text[MAX_BYTES][MAX_TEXT];
};

static void add_line(struct golden *golden, char *line)
{
    char *comment = strchr(line, '#');
    unsigned number = golden->lines, value;
    uint16_t above = golden->size ? golden->comment[golden->size - 1] : 0;
    int used;

    if (comment) {
        comment[strcspn(comment, "\n")] = '\0';
        (void)snprintf(golden->text[number], MAX_TEXT, "%s", comment);
        *comment = '\0';
    }
    if (number && golden->text[number - 1][0] == '#')
        above = (uint16_t)(number - 1);
    for (; sscanf(line, " %2x%n", &value, &used) == 1; line += used) {
        if (golden->size == MAX_BYTES)
            abort();
        golden->bytes[golden->size] = (uint8_t)value;
        golden->line[golden->size] = (uint16_t)number;
        golden->comment[golden->size++] = above;
    }
    golden->lines++;
}

static bool load(const char *path, struct golden *golden)
{
    FILE *file = fopen(path, "re");
    char line[512];

    if (!file)
        return false;
    while (golden->lines < MAX_BYTES && fgets(line, sizeof(line), file))
        add_line(golden, line);
    (void)fclose(file);
    return true;
}

static void print_row(const char *mark, const uint8_t *bytes, size_t from, size_t to, size_t size)
{
    (void)fprintf(stderr, "  %s", mark);
    for (; from < to && from < size; from++)
        (void)fprintf(stderr, " %02x", bytes[from]);
    (void)fprintf(stderr, "\n");
}

/* Row by row as the golden file has them, each difference under the name of its field. */
static void print_difference(const char *path, const struct golden *golden, const uint8_t *data,
                             size_t size)
{
    size_t from, to;

    (void)fprintf(stderr, "%s: %zu bytes expected, %zu seen\n", path, golden->size, size);
    for (from = 0; from < golden->size; from = to) {
        for (to = from; to < golden->size && golden->line[to] == golden->line[from]; to++)
            ;
        if (from < size &&
            memcmp(golden->bytes + from, data + from, (to < size ? to : size) - from) == 0 &&
            to <= size)
            continue;
        (void)fprintf(stderr, "  line %u, offset %zu %s\n", golden->line[from] + 1u, from,
                      golden->text[golden->comment[from]]);
        print_row("expected", golden->bytes, from, to, golden->size);
        print_row("seen    ", data, from, to, size);
    }
    if (size > golden->size) {
        (void)fprintf(stderr, "  offset %zu, behind the end\n", golden->size);
        print_row("seen    ", data, golden->size, size, size);
    }
}

bool golden_equal(const char *name, const void *data, size_t size)
{
    struct golden *golden = calloc(1, sizeof(*golden));
    char path[512];
    bool equal;

    if (!golden)
        abort();
    (void)snprintf(path, sizeof(path), CNIF_GOLDEN_DIR "/%s.hex", name);
    equal = load(path, golden) && golden->size == size && memcmp(golden->bytes, data, size) == 0;
    if (!equal)
        print_difference(path, golden, data, size);
    free(golden);
    return equal;
}
