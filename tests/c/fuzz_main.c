/*
 * Runs a fuzz target without libFuzzer: on the files that are named, or on a
 * fixed sequence of inputs, the same in every run, of which each is a mutation
 * of the one before or a fresh one.
 *
 *     fuzz_store              the fixed sequence
 *     fuzz_store crash-1234   one input that libFuzzer found
 *     fuzz_store -m FILE...   each of the files, and a fixed sequence of mutations of it
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUTS    1000
#define INPUT_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state = 1;

static uint32_t next(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33);
}

static const uint8_t common[] = {0, 1, 0xff, '\r', '\n', 'a', '4', ' '};

static void run_file(const char *path, int mutations)
{
    static uint8_t data[1 << 20], changed[1 << 20];
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(data, 1, sizeof(data), file) : 0;

    if (!file) {
        perror(path);
        exit(2);
    }
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(data, n);
    for (; n && mutations > 0; mutations--) {
        size_t size = mutations % 4 ? n : 1 + next() % n;

        memcpy(changed, data, size);
        for (uint32_t changes = 1 + next() % 8; changes > 0; changes--) {
            uint8_t value = next() % 2 ? common[next() % sizeof(common)] : (uint8_t)next();

            changed[next() % size] = value;
        }
        (void)LLVMFuzzerTestOneInput(changed, size);
    }
}

int main(int argc, char **argv)
{
    static uint8_t data[INPUT_MAX];
    int mutate = argc > 1 && strcmp(argv[1], "-m") == 0;
    size_t n = 0;

    for (int i = 1 + mutate; i < argc; i++)
        run_file(argv[i], mutate ? INPUTS / 10 : 0);
    for (int i = 0; argc == 1 && i < INPUTS; i++) {
        if (i % 50 == 0) {
            n = next() % sizeof(data);
            for (size_t at = 0; at < n; at++)
                data[at] = i % 100 ? (uint8_t)next() : common[next() % sizeof(common)];
        }
        for (uint32_t changes = next() % 8; n && changes > 0; changes--)
            data[next() % n] = (uint8_t)next();
        if (next() % 4 == 0)
            n = next() % sizeof(data);
        (void)LLVMFuzzerTestOneInput(data, n);
    }
    return 0;
}
