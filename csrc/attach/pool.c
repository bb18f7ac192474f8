#include "attach/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define THREADS_MAX  64
#define IDLE_SECONDS 10
#define STACK_SIZE   ((size_t)64 * 1024)

/* A thread that waits for a task, or has just been given one. */
struct worker {
    pthread_t self;
    sem_t given;
    struct cnif_task *task;
    struct worker *below; /* in the stack of those that wait */
    bool confined;        /* it may not run where its task came from, until it does run */
    cpu_set_t cpus;       /* where else it may */
};

/* The thread that was idle last is the next to work; tasks wait only when there are none left. */
static struct {
    pthread_mutex_t lock;
    struct worker *idle;
    struct cnif_task *first;
    struct cnif_task **last;
    unsigned threads;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .last = &pool.first};

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* With the lock held: the first of the tasks that wait, NULL if none does. */
static struct cnif_task *take_waiting(void)
{
    struct cnif_task *task = pool.first;

    if (task) {
        pool.first = task->next;
        if (!pool.first)
            pool.last = &pool.first;
    }
    return task;
}

/* Until a task is given, or nobody needed us for a while. */
static bool wait_given(struct worker *me)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_SECONDS;
    while (sem_timedwait(&me->given, &until) < 0) {
        if (errno == ETIMEDOUT)
            return false;
    }
    return true;
}

static void withdraw(struct worker *me)
{
    struct worker **at = &pool.idle;

    while (*at != me)
        at = &(*at)->below;
    *at = me->below;
}

/* With the lock held: the next task, NULL after a while without any. */
static struct cnif_task *await_task(struct worker *me)
{
    struct cnif_task *task = take_waiting();
    bool given;

    if (task)
        return task;
    me->task = NULL;
    me->below = pool.idle;
    pool.idle = me;
    (void)pthread_mutex_unlock(&pool.lock);
    given = wait_given(me);
    (void)pthread_mutex_lock(&pool.lock);
    if (!given && !me->task)
        withdraw(me);
    else if (!given)
        (void)sem_wait(&me->given); /* it came at the last moment */
    if (me->confined)
        (void)sched_setaffinity(0, sizeof(me->cpus), &me->cpus);
    me->confined = false;
    return me->task;
}

/*
 * Where there is another CPU, have the worker wake up there.  To a virtual
 * machine a CPU that halts looks taken away by the host (vcpu_is_preempted), so
 * that the kernel wakes threads on the CPU of whoever wakes them: behind the
 * very thread that goes on working, while another CPU has nothing to do.
 */
static void send_aside(struct worker *worker)
{
    int here = sched_getcpu();
    cpu_set_t others;

    if (here < 0 || sched_getaffinity(0, sizeof(others), &others) < 0)
        return;
    worker->cpus = others;
    CPU_CLR((size_t)here, &others);
    worker->confined =
        CPU_COUNT(&others) && pthread_setaffinity_np(worker->self, sizeof(others), &others) == 0;
}

static void *serve(void *arg)
{
    struct worker me = {.self = pthread_self()};
    struct cnif_task *task;

    (void)arg;
    (void)sem_init(&me.given, 0, 0);
    (void)pthread_mutex_lock(&pool.lock);
    while ((task = await_task(&me))) {
        (void)pthread_mutex_unlock(&pool.lock);
        task->run(task);
        (void)pthread_mutex_lock(&pool.lock);
    }
    pool.threads--;
    (void)pthread_mutex_unlock(&pool.lock);
    (void)sem_destroy(&me.given);
    return NULL;
}

/* The threads of a process do not survive its fork; the child starts with none. */
static void forget_threads(void)
{
    (void)pthread_mutex_init(&pool.lock, NULL);
    pool.idle = NULL;
    pool.first = NULL;
    pool.last = &pool.first;
    pool.threads = 0;
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
    struct worker *worker;
    int code = 0;

    task->next = NULL;
    (void)pthread_once(&fork_once, watch_forks);
    (void)pthread_mutex_lock(&pool.lock);
    worker = pool.idle;
    if (worker) {
        pool.idle = worker->below;
        worker->task = task;
        send_aside(worker);
        (void)sem_post(&worker->given);
    } else {
        if (pool.threads < THREADS_MAX)
            code = add_thread();
        if (code == 0 || pool.threads) {
            code = 0;
            *pool.last = task;
            pool.last = &task->next;
        }
    }
    (void)pthread_mutex_unlock(&pool.lock);
    return -code;
}
