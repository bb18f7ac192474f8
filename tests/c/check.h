/*
 * CHECK for test programs: says what failed and where, counts it, goes on.
 *
 * Not a framework: main() calls the test functions and returns check_failures != 0.
 */
#ifndef CNIF_TESTS_CHECK_H
#define CNIF_TESTS_CHECK_H

#include <stdio.h>

static int check_failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            check_failures++;                                                                      \
            (void)fprintf(stderr, "%s:%d: %s: not true: %s\n", __FILE__, __LINE__, __func__,       \
                          #condition);                                                             \
        }                                                                                          \
    } while (0)

#endif
