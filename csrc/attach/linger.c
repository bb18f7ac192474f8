#include "attach/linger.h"

#include "base/cleanup.h"
#include "netlink/nlsock.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>

#define THREADS_MAX  64
#define IDLE_SECONDS 10
#define STACK_SIZE   ((size_t)64 * 1024)

struct cnif_errand {
    struct cnif_nlsock *sock;
    struct cnif_errand *next;
    int32_t index;
    int fd;       /* an eventfd, or the end of a pipe whose other end a child has */
    int32_t code; /* valid once fd was signalled by a thread */
    bool child;
    atomic_int holders;
};

/* Threads wait for errands, and leave when there were none for a while. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t come;
    struct cnif_errand *first;
    struct cnif_errand **last;
    unsigned waiting; /* errands in the list */
    unsigned idle;
    unsigned threads;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .come = PTHREAD_COND_INITIALIZER, .last = &pool.first};

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

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

static void run(struct cnif_errand *errand)
{
    uint64_t one = 1;

    errand->code = -cnif_link_delete(errand->sock, errand->index, NULL);
    (void)!write(errand->fd, &one, sizeof(one));
    cnif_errand_drop(errand);
}

/* With the lock held: the next errand, NULL after a while without any. */
static struct cnif_errand *await_errand(void)
{
    struct cnif_errand *errand;
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_SECONDS;
    pool.idle++;
    while (!pool.first) {
        if (pthread_cond_timedwait(&pool.come, &pool.lock, &until) == ETIMEDOUT)
            break;
    }
    pool.idle--;
    errand = pool.first;
    if (errand) {
        pool.first = errand->next;
        if (!pool.first)
            pool.last = &pool.first;
        pool.waiting--;
    }
    return errand;
}

static void *serve(void *arg)
{
    struct cnif_errand *errand;

    (void)arg;
    (void)pthread_mutex_lock(&pool.lock);
    while ((errand = await_errand())) {
        (void)pthread_mutex_unlock(&pool.lock);
        run(errand);
        (void)pthread_mutex_lock(&pool.lock);
    }
    pool.threads--;
    (void)pthread_mutex_unlock(&pool.lock);
    return NULL;
}

/* The threads of a process do not survive its fork; the child starts with none. */
static void forget_threads(void)
{
    (void)pthread_mutex_init(&pool.lock, NULL);
    (void)pthread_cond_init(&pool.come, NULL);
    pool.first = NULL;
    pool.last = &pool.first;
    pool.waiting = pool.idle = pool.threads = 0;
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, forget_threads);
}

/* With the lock held. */
static int add_thread(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    int code = pthread_attr_init(&attr);

    if (code)
        return code;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    code = pthread_create(&thread, &attr, serve, NULL);
    (void)pthread_attr_destroy(&attr);
    if (code == 0)
        pool.threads++;
    return code;
}

static int send_thread(struct cnif_errand *errand)
{
    int code = 0;

    errand->fd = eventfd(0, EFD_CLOEXEC);
    if (errand->fd < 0)
        return -errno;
    (void)pthread_once(&fork_once, watch_forks);
    (void)pthread_mutex_lock(&pool.lock);
    /* One that is only about to wake still counts as idle, hence the comparison. */
    if (pool.idle <= pool.waiting && pool.threads < THREADS_MAX)
        code = add_thread();
    if (code == 0 || pool.threads) {
        code = 0;
        *pool.last = errand;
        pool.last = &errand->next;
        pool.waiting++;
        (void)pthread_cond_signal(&pool.come);
    }
    (void)pthread_mutex_unlock(&pool.lock);
    return -code;
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
