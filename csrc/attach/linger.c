#include "attach/linger.h"

#include "attach/pool.h"
#include "base/cleanup.h"
#include "netlink/nlsock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

struct cnif_errand {
    struct cnif_task task;
    struct cnif_nlsock *sock;
    int32_t index;
    int fd;       /* an eventfd, or the end of a pipe whose other end a child has */
    int32_t code; /* valid once fd was signalled by a thread */
    bool child;
    atomic_int holders;
};

void cnif_errand_drop(struct cnif_errand *errand)
{
    if (atomic_fetch_sub(&errand->holders, 1) != 1)
        return;
    cnif_nlsock_close(errand->sock);
    cnif_closep(&errand->fd);
    free(errand);
}

int cnif_errand_fd(const struct cnif_errand *errand)
{
    return errand->fd;
}

int cnif_errand_outcome(struct cnif_errand *errand)
{
    uint64_t value;
    int32_t code;
    ssize_t n;

    do
        n = errand->child ? read(errand->fd, &code, sizeof(code))
                          : read(errand->fd, &value, sizeof(value));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (!errand->child)
        return -errand->code;
    return n == sizeof(code) ? -code : -EIO; /* it was killed */
}

static void run(struct cnif_task *task)
{
    struct cnif_errand *errand = (struct cnif_errand *)(void *)task; /* its first member */
    uint64_t one = 1;

    errand->code = -cnif_link_delete(errand->sock, errand->index, NULL);
    (void)!write(errand->fd, &one, sizeof(one));
    cnif_errand_drop(errand);
}

static int send_thread(struct cnif_errand *errand)
{
    errand->fd = eventfd(0, EFD_CLOEXEC);
    if (errand->fd < 0)
        return -errno;
    errand->task.run = run;
    return cnif_pool_submit(&errand->task);
}

/*
 * The child outlives its parent, which is about to exit, by a moment; it must
 * not hold the pipes of whoever waits for the parent's output.
 */
static int send_child(struct cnif_errand *errand)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid == 0) {
        if (dup2(errand->sock->fd, 0) == 0 && dup2(fds[1], 1) == 1) {
            int32_t code;

            (void)close_range(2, ~0U, 0);
            (void)signal(SIGPIPE, SIG_IGN); /* nobody may be listening any more */
            errand->sock->fd = 0;
            code = -cnif_link_delete(errand->sock, errand->index, NULL);
            (void)!write(1, &code, sizeof(code));
        }
        _exit(0);
    }
    (void)close(fds[1]);
    errand->fd = fds[0];
    errand->child = true;
    if (pid < 0)
        return -EAGAIN;
    cnif_errand_drop(errand); /* the child has a copy */
    return 0;
}

int cnif_errand_start(struct cnif_nlsock *sock, int32_t index, enum cnif_linger linger,
                      struct cnif_errand **ret)
{
    struct cnif_errand *errand = calloc(1, sizeof(*errand));
    int r;

    if (!errand) {
        cnif_nlsock_close(sock);
        return -ENOMEM;
    }
    errand->sock = sock;
    errand->index = index;
    errand->fd = -1;
    atomic_init(&errand->holders, 2);
    r = linger == CNIF_LINGER_PROCESS ? send_child(errand) : send_thread(errand);
    if (r < 0) {
        atomic_store(&errand->holders, 1);
        cnif_errand_drop(errand);
        return r;
    }
    *ret = errand;
    return 0;
}
