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
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STREAM_MAX (1 << 22) /* what is kept of a child's output */
#define STDIN_MAX  (1 << 16) /* fits a pipe, so it is written before the start */
#define STRINGS    256       /* arguments and environment entries of one call */
#define CALLS      16        /* calls of one operation */
#define PODS_MAX   4096      /* pods of a churn */
#define RESULT_MAX (1 << 13) /* what is kept of an ADD */

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

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    (void)fputs("exec_runner: ", stderr);
    (void)vfprintf(stderr, format, ap);
    (void)fputc('\n', stderr);
    va_end(ap);
    _exit(2);
}

static int64_t now(void)
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

static void run(const struct call *call, struct outcome *outcome)
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

/* Read a call whose header is `line`; free_call() frees it. */
static void read_call(const char *line, struct call *call)
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

static void free_call(struct call *call)
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

/* Churn: several clients at once. */

struct sample {
    char op;
    int exit_code;
    long pod;
    int64_t ns;
};

struct calls {
    size_t count;
    struct call each[CALLS];
};

struct churn {
    char ops[3];
    long clients, pods, loops;
    struct calls add, del;
};

/* What an ADD has printed last; the clients share all of them. */
struct result {
    size_t length;
    char bytes[RESULT_MAX - sizeof(size_t)];
};

/* Shared by the clients; each writes its own samples. */
struct board {
    atomic_long ready;
    atomic_int go;
    atomic_int failed;
    char error[4096];
    struct sample samples[];
};

static void *share(size_t size)
{
    void *shared =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (shared == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    return shared;
}

static void keep(struct result *result, const struct stream *stream)
{
    if (stream->length > sizeof(result->bytes))
        die("a result of %zu bytes", stream->length);
    result->length = stream->length;
    memcpy(result->bytes, stream->bytes, stream->length);
}

/* A copy of `text` with the placeholders filled in; the caller frees it. */
static char *fill(const char *text, long pod, const struct result *prev)
{
    char *result = NULL;
    size_t length;
    FILE *stream = open_memstream(&result, &length);

    if (!stream)
        die("out of memory");
    for (const char *at; (at = strchr(text, '@'));) {
        long plus;
        int used = 0;

        (void)fwrite(text, 1, (size_t)(at - text), stream);
        if (!strncmp(at, "@POD@", 5)) {
            (void)fprintf(stream, "%ld", pod);
            used = 5;
        } else if (!strncmp(at, "@PREV@", 6)) {
            (void)fwrite(prev->bytes, 1, prev->length, stream);
            used = 6;
        } else if (sscanf(at, "@POD+%ld@%n", &plus, &used) == 1 && used) {
            (void)fprintf(stream, "%ld", pod + plus);
        } else {
            (void)fputc('@', stream);
            used = 1;
        }
        text = at + used;
    }
    (void)fputs(text, stream);
    (void)fclose(stream);
    return result;
}

static void fill_strings(char **to, char *const *from, long pod, const struct result *prev)
{
    for (; *from; from++)
        *to++ = fill(*from, pod, prev);
    *to = NULL;
}

static void operate(const struct churn *churn, char op, struct result *result,
                    struct outcome *outcome, struct sample *sample, struct board *board)
{
    const struct calls *calls = op == 'A' ? &churn->add : &churn->del;

    sample->op = op;
    for (size_t i = 0; i < calls->count && !sample->exit_code; i++) {
        struct call call;

        fill_strings(call.argv, calls->each[i].argv, sample->pod, result);
        fill_strings(call.envp, calls->each[i].envp, sample->pod, result);
        call.input = fill(calls->each[i].input, sample->pod, result);
        call.input_length = strlen(call.input);
        run(&call, outcome);
        free_call(&call);
        sample->ns += outcome->ns;
        sample->exit_code = outcome->exit_code;
        if (op == 'A')
            keep(result, &outcome->out);
    }
    if (sample->exit_code && !atomic_exchange(&board->failed, 1))
        (void)snprintf(board->error, sizeof(board->error), "%.*s%.*s", (int)outcome->out.length,
                       outcome->out.bytes, (int)outcome->err.length, outcome->err.bytes);
}

static void client(const struct churn *churn, long number, struct result *results,
                   struct board *board)
{
    struct outcome *outcome = calloc(1, sizeof(*outcome));

    if (!outcome)
        die("out of memory");
    atomic_fetch_add(&board->ready, 1);
    while (!atomic_load(&board->go))
        (void)usleep(1000);
    for (long loop = 0; loop < churn->loops; loop++) {
        for (long pod = number; pod < churn->pods; pod += churn->clients) {
            long first = (loop * churn->pods + pod) * (long)strlen(churn->ops);

            for (const char *op = churn->ops; *op; op++) {
                struct sample *sample = &board->samples[first++];

                sample->pod = pod;
                operate(churn, *op, &results[pod], outcome, sample, board);
            }
        }
    }
    _exit(0);
}

static void read_calls(struct calls *calls)
{
    char line[256];

    if (calls->count > CALLS)
        die("too many calls");
    for (size_t i = 0; i < calls->count; i++) {
        if (!fgets(line, sizeof(line), stdin))
            die("request cut short");
        read_call(line, &calls->each[i]);
    }
}

static void free_calls(struct calls *calls)
{
    for (size_t i = 0; i < calls->count; i++)
        free_call(&calls->each[i]);
}

static void answer_churn(const char *line)
{
    static struct result *results;
    static struct churn churn;

    if (sscanf(line, "churn %2s %ld %ld %ld %zu %zu", churn.ops, &churn.clients, &churn.pods,
               &churn.loops, &churn.add.count, &churn.del.count) != 6 ||
        churn.pods > PODS_MAX)
        die("bad request: %s", line);
    read_calls(&churn.add);
    read_calls(&churn.del);
    if (!results)
        results = share(PODS_MAX * sizeof(*results));

    long operations = (long)strlen(churn.ops) * churn.loops * churn.pods;
    size_t size = sizeof(struct board) + (size_t)operations * sizeof(struct sample);
    struct board *board = share(size);

    for (long i = 0; i < churn.clients; i++) {
        pid_t pid = fork();

        if (pid == 0)
            client(&churn, i, results, board);
        if (pid < 0)
            die("fork: %s", strerror(errno));
    }
    while (atomic_load(&board->ready) < churn.clients)
        (void)usleep(1000);
    int64_t start = now();
    atomic_store(&board->go, 1);
    for (long left = churn.clients; left > 0; left--) {
        int status;

        if (wait(&status) < 0 || status != 0)
            die("a client failed");
    }
    (void)printf("%lld %ld\n", (long long)(now() - start), operations);
    for (long i = 0; i < operations; i++)
        (void)printf("%c %ld %lld %d\n", board->samples[i].op, board->samples[i].pod,
                     (long long)board->samples[i].ns, board->samples[i].exit_code);
    (void)printf("%zu\n%s", strlen(board->error), board->error);
    (void)munmap(board, size);
    free_calls(&churn.add);
    free_calls(&churn.del);
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
