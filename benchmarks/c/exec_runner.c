/*
 * exec_runner: runs programs the way a container runtime runs CNI plugins, and
 * says how long each one took.
 *
 * One runner lives inside one benchmark node.  It reads requests on standard
 * input and answers each on standard output; the clock (CLOCK_MONOTONIC) is
 * read here, next to vfork() and wait4(), so that nothing of the program that
 * asks is part of a measurement.  A call has ended when the child has exited
 * and both its output pipes are at their end: what a runtime waits for.
 *
 *   request                                             answer
 *   call ARGC ENVC STDINLEN\n strings stdin             NS CPU EXIT OUTLEN ERRLEN\n out err
 *   pods COUNT PREFIX\n                                 ok\n
 *   churn OPS CLIENTS PODS LOOPS ADDS DELS\n
 *         ADDS calls, then DELS calls, each as above    WALL OPERATIONS\n then of each
 *                                                       OP POD NS EXIT\n, then ERRLEN\n err
 *
 * Strings are NUL-terminated: the argument vector, then the environment.  In a
 * churn, each client runs OPS (A for ADD, D for DEL, or AD) on its own pods,
 * one after the other.  An operation is its calls, one after the other up to
 * the first that fails; it takes what they take together.  In a string or a
 * standard input @POD@ stands for the pod's number, @POD+N@ for that and N,
 * and @PREV@ for what the last call of an ADD of this pod has printed, in this
 * churn or in one before it.
 */
#define _GNU_SOURCE
#include "exec_runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STDIN_MAX (1 << 16) /* fits a pipe, so it is written before the start */

void die(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    (void)fputs("exec_runner: ", stderr);
    (void)vfprintf(stderr, format, ap);
    (void)fputc('\n', stderr);
    va_end(ap);
    _exit(2);
}

int64_t now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t cpu_of(const struct rusage *usage)
{
    return ((int64_t)usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000 +
           ((int64_t)usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000;
}

/* Append what is there to read; false at the end of the stream. */
static bool take(int fd, struct stream *stream)
{
    char rest[4096];
    bool full = stream->length == sizeof(stream->bytes);
    ssize_t n =
        full ? read(fd, rest, sizeof(rest))
             : read(fd, stream->bytes + stream->length, sizeof(stream->bytes) - stream->length);

    if (n < 0)
        return errno == EINTR;
    if (!full)
        stream->length += (size_t)n;
    return n > 0;
}

void run(const struct call *call, struct outcome *outcome)
{
    int in[2], out[2], err[2], status;
    struct rusage usage;
    pid_t pid;

    outcome->out.length = outcome->err.length = 0;
    int64_t start = now();
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
        die("pipe: %s", strerror(errno));
    if (write(in[1], call->input, call->input_length) != (ssize_t)call->input_length)
        die("stdin does not fit a pipe");
    (void)close(in[1]);

    pid = vfork();
    if (pid == 0) {
        (void)dup2(in[0], 0);
        (void)dup2(out[1], 1);
        (void)dup2(err[1], 2);
        (void)execve(call->argv[0], call->argv, call->envp);
        _exit(127);
    }
    if (pid < 0)
        die("vfork: %s", strerror(errno));
    (void)close(in[0]);
    (void)close(out[1]);
    (void)close(err[1]);

    struct pollfd fds[2] = {{.fd = out[0], .events = POLLIN}, {.fd = err[0], .events = POLLIN}};
    struct stream *streams[2] = {&outcome->out, &outcome->err};

    for (int open = 2; open > 0;) {
        (void)poll(fds, 2, -1);
        for (int i = 0; i < 2; i++) {
            if (fds[i].revents && !take(fds[i].fd, streams[i])) {
                (void)close(fds[i].fd);
                fds[i].fd = -1;
                open--;
            }
        }
    }
    while (wait4(pid, &status, 0, &usage) < 0) {
        if (errno != EINTR)
            die("wait4: %s", strerror(errno));
    }
    outcome->ns = now() - start;
    outcome->cpu_ns = cpu_of(&usage);
    outcome->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Requests: a header line, then strings, then bytes. */

static void read_exactly(void *buffer, size_t length)
{
    if (length && fread(buffer, 1, length, stdin) != length)
        die("request cut short");
}

static char *read_string(void)
{
    char *text = NULL;
    size_t room = 0;

    if (getdelim(&text, &room, 0, stdin) < 0)
        die("request cut short");
    return text;
}

static void read_strings(char **strings, size_t count)
{
    if (count >= STRINGS)
        die("too many strings");
    for (size_t i = 0; i < count; i++)
        strings[i] = read_string();
    strings[count] = NULL;
}

static void free_strings(char **strings)
{
    for (; *strings; strings++)
        free(*strings);
}

void read_call(const char *line, struct call *call)
{
    size_t argc, envc;

    if (sscanf(line, "call %zu %zu %zu", &argc, &envc, &call->input_length) != 3 ||
        call->input_length > STDIN_MAX)
        die("bad request: %s", line);
    read_strings(call->argv, argc);
    read_strings(call->envp, envc);
    call->input = calloc(1, call->input_length + 1);
    if (!call->input)
        die("out of memory");
    read_exactly(call->input, call->input_length);
}

void free_call(struct call *call)
{
    free_strings(call->argv);
    free_strings(call->envp);
    free(call->input);
}

static void answer_call(const char *line)
{
    static struct outcome outcome;
    struct call call;

    read_call(line, &call);
    run(&call, &outcome);
    (void)printf("%lld %lld %d %zu %zu\n", (long long)outcome.ns, (long long)outcome.cpu_ns,
                 outcome.exit_code, outcome.out.length, outcome.err.length);
    (void)fwrite(outcome.out.bytes, 1, outcome.out.length, stdout);
    (void)fwrite(outcome.err.bytes, 1, outcome.err.length, stdout);
    free_call(&call);
}

/* Pods: network namespaces, pinned as `ip netns add` does. */

static void make_pod(const char *prefix, long number)
{
    char path[128];
    int fd, status;
    pid_t pid;

    (void)snprintf(path, sizeof(path), "/run/netns/%s%ld", prefix, number);
    fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0)
        die("%s: %s", path, strerror(errno));
    (void)close(fd);
    pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWNET) < 0 || mount("/proc/self/ns/net", path, "none", MS_BIND, NULL));
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
        die("%s: no network namespace", path);
}

static void answer_pods(const char *line)
{
    char prefix[64];
    long count;

    if (sscanf(line, "pods %ld %63s", &count, prefix) != 2)
        die("bad request: %s", line);
    for (long i = 0; i < count; i++)
        make_pod(prefix, i);
    (void)puts("ok");
}

int main(void)
{
    char line[256];

    while (fgets(line, sizeof(line), stdin)) {
        if (!strncmp(line, "call ", 5))
            answer_call(line);
        else if (!strncmp(line, "pods ", 5))
            answer_pods(line);
        else if (!strncmp(line, "churn ", 6))
            answer_churn(line);
        else
            die("bad request: %s", line);
        (void)fflush(stdout);
    }
    return 0;
}
