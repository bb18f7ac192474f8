#include "attach/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <time.h>

#define THREADS_MAX  64
#define IDLE_SECONDS 10
#define STACK_SIZE   ((size_t)64 * 1024)

/* Threads wait for tasks, and leave when there were none for a while. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t come;
    struct cnif_task *first;
    struct cnif_task **last;
    unsigned waiting; /* tasks in the list */
    unsigned idle;
    unsigned threads;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .come = PTHREAD_COND_INITIALIZER, .last = &pool.first};

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* With the lock held: the next task, NULL after a while without any. */
static struct cnif_task *await_task(void)
{
    struct cnif_task *task;
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_SECONDS;
    pool.idle++;
    while (!pool.first) {
        if (pthread_cond_timedwait(&pool.come, &pool.lock, &until) == ETIMEDOUT)
            break;
    }
    pool.idle--;
    task = pool.first;
    if (task) {
        pool.first = task->next;
        if (!pool.first)
            pool.last = &pool.first;
        pool.waiting--;
    }
    return task;
}

/*
 * Move to another CPU than the one that made us, where there is one.  A thread
 * is woken where it last ran if that is idle: beside the thread that gave it
 * the task and goes on working, rather than after it.
 */
static void step_aside(void)
{
    cpu_set_t all, others;
    int here = sched_getcpu();

    if (here < 0 || sched_getaffinity(0, sizeof(all), &all) < 0)
        return;
    others = all;
    CPU_CLR((size_t)here, &others);
    if (CPU_COUNT(&others) && sched_setaffinity(0, sizeof(others), &others) == 0)
        (void)sched_setaffinity(0, sizeof(all), &all);
}

static void *serve(void *arg)
{
    struct cnif_task *task;

    (void)arg;
    step_aside();
    (void)pthread_mutex_lock(&pool.lock);
    while ((task = await_task())) {
        (void)pthread_mutex_unlock(&pool.lock);
        task->run(task);
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

int cnif_pool_submit(struct cnif_task *task)
{
    int code = 0;

    task->next = NULL;
    (void)pthread_once(&fork_once, watch_forks);
    (void)pthread_mutex_lock(&pool.lock);
    /* One that is only about to wake still counts as idle, hence the comparison. */
    if (pool.idle <= pool.waiting && pool.threads < THREADS_MAX)
        code = add_thread();
    if (code == 0 || pool.threads) {
        code = 0;
        *pool.last = task;
        pool.last = &task->next;
        pool.waiting++;
        (void)pthread_cond_signal(&pool.come);
    }
    (void)pthread_mutex_unlock(&pool.lock);
    return -code;
}
