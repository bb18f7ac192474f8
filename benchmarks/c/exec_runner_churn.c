/* Churn, a part of exec_runner: several clients at once, each a process. */
#define _GNU_SOURCE
#include "exec_runner.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS      16        /* calls of one operation */
#define PODS_MAX   4096      /* pods of a churn */
#define RESULT_MAX (1 << 13) /* what is kept of an ADD */

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

void answer_churn(const char *line)
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
