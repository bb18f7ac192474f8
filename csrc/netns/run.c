/*
 * Run another program in a network namespace: the calling thread goes there,
 * spawns it and comes back, so the program is born in the right place.
 */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "netns/netns.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* An anonymous file that holds `input` and is read from its start. */
static int open_input(const char *input, size_t size)
{
    cnif_cleanup_close int fd = memfd_create("input", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    while (size) {
        ssize_t n = write(fd, input, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        input += n;
        size -= (size_t)n;
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    return CNIF_TAKE_FD(fd);
}

/* Default signals, nothing blocked: the caller may ignore or block what it likes. */
static int spawn(const char *const *argv, int input, int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t signals;
    int code;

    code = posix_spawn_file_actions_init(&files);
    if (code)
        return code;
    code = posix_spawnattr_init(&attr);
    if (code) {
        (void)posix_spawn_file_actions_destroy(&files);
        return code;
    }
    (void)sigfillset(&signals);
    (void)posix_spawnattr_setsigdefault(&attr, &signals);
    (void)sigemptyset(&signals);
    (void)posix_spawnattr_setsigmask(&attr, &signals);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    code = posix_spawn_file_actions_adddup2(&files, input, 0);
    if (!code)
        code = posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    if (!code)
        code = posix_spawn_file_actions_adddup2(&files, output, 2);
    if (!code)
        code =
            posix_spawn(ret_pid, argv[0], &files, &attr, (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&files);
    return code;
}

/* What the program said so far, as much as there is room for; the rest is thrown away. */
struct words {
    char *text;
    size_t size;
    size_t used;
};

static void drain(int fd, struct words *words)
{
    char chunk[512];

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        size_t take;

        if (n <= 0)
            return;
        take = words->size - 1 - words->used;
        if (take > (size_t)n)
            take = (size_t)n;
        memcpy(words->text + words->used, chunk, take);
        words->used += take;
    }
}

/* Wait for the end of the program; false if it did not come in time. */
static bool await_end(int pidfd, int output, int timeout_ms, struct words *words)
{
    int64_t deadline = now_ms() + timeout_ms;
    struct pollfd polled[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = output, .events = POLLIN}};

    for (;;) {
        int64_t left = deadline - now_ms();

        if (left <= 0)
            return false;
        if (poll(polled, 2, (int)left) < 0)
            continue;
        if (polled[1].revents) {
            drain(output, words);
            if (polled[1].revents & POLLHUP)
                polled[1].fd = -1;
        }
        if (polled[0].revents) {
            drain(output, words);
            return true;
        }
    }
}

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* See a program that runs already to its end, one way or the other. */
static int see_through(pid_t pid, int output, int timeout_ms, const char *name, struct words *words,
                       int *ret_status, struct cnif_err *reterr)
{
    cnif_cleanup_close int pidfd = open_pidfd(pid);
    siginfo_t end = {0};
    int code = pidfd < 0 ? errno : 0;
    bool ended = pidfd >= 0 && await_end(pidfd, output, timeout_ms, words);

    if (!ended)
        (void)kill(pid, SIGKILL);
    while (waitid(P_PID, (id_t)pid, &end, WEXITED) < 0) {
        if (errno != EINTR)
            return cnif_err_errno(reterr, errno, "wait for %s", name);
    }
    if (code)
        return cnif_err_errno(reterr, code, "watch %s", name);
    if (!ended)
        return cnif_err_set(reterr, ETIMEDOUT, "%s did not end within %d ms", name, timeout_ms);
    *ret_status = end.si_code == CLD_EXITED ? end.si_status : 128 + end.si_status;
    return 0;
}

int cnif_netns_run(int netns_fd, const char *const *argv, const char *input, size_t input_size,
                   int timeout_ms, char *output, size_t output_size, int *ret_status,
                   struct cnif_err *reterr)
{
    struct words words = {.text = output, .size = output_size};
    struct cnif_netns_visit visit;
    cnif_cleanup_close int in = -1;
    cnif_cleanup_close int out = -1;
    cnif_cleanup_close int err = -1;
    int ends[2];
    pid_t pid = -1;
    int code = cnif_fault("run program");
    int r;

    if (code)
        return cnif_err_errno(reterr, code, "run %s", argv[0]);
    in = open_input(input, input_size);
    if (in < 0)
        return cnif_err_errno(reterr, -in, "write the input of %s", argv[0]);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return cnif_err_errno(reterr, errno, "run %s: open pipe", argv[0]);
    out = ends[0];
    err = ends[1];
    if (fcntl(out, F_SETFL, O_NONBLOCK) < 0)
        return cnif_err_errno(reterr, errno, "run %s: open pipe", argv[0]);
    r = cnif_netns_enter(&visit, netns_fd, reterr);
    if (r < 0)
        return r;
    code = spawn(argv, in, err, &pid);
    cnif_netns_leave(&visit);
    if (code)
        return cnif_err_errno(reterr, code, "run %s", argv[0]);
    cnif_closep(&err);
    r = see_through(pid, out, timeout_ms, argv[0], &words, ret_status, reterr);
    output[words.used] = '\0';
    return r;
}
