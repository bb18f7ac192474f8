/*
 * exec_runner.h: what the parts of exec_runner share: reading a call, and
 * executing it.  The protocol is described in exec_runner.c.
 */
#ifndef EXEC_RUNNER_H
#define EXEC_RUNNER_H

#include <stddef.h>
#include <stdint.h>

#define STREAM_MAX (1 << 22) /* what is kept of a child's output */
#define STRINGS    256       /* arguments and environment entries of one call */

struct stream {
    size_t length;
    char bytes[STREAM_MAX];
};

struct call {
    char *argv[STRINGS];
    char *envp[STRINGS];
    char *input;
    size_t input_length;
};

struct outcome {
    int64_t ns;
    int64_t cpu_ns;
    int exit_code;
    struct stream out;
    struct stream err;
};

/* End the runner with a message. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The monotonic clock, in nanoseconds. */
int64_t now(void);

/* Read the call whose header is `line`; free_call() frees it. */
void read_call(const char *line, struct call *call);
void free_call(struct call *call);

/* Execute a program to its end. */
void run(const struct call *call, struct outcome *outcome);

/* Answer a request for a churn, whose header is `line`. */
void answer_churn(const char *line);

#endif
