#include "ipam_fixture.h"

#include "ipam/lock.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>

#define THREADS 8
#define ROUNDS  200

static int dir_fd;

static int64_t now_ms(void)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static int count_entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        (void)closedir(d);
    return n;
}

static int acquire(struct cnif_lock *lock, int wait_ms)
{
    memset(&err, 0, sizeof(err));
    return cnif_lock_acquire(lock, dir_fd, net_dir, wait_ms, &err);
}

/* A child that holds the lock until it is told to go, or killed. */
static pid_t hold_in_child(int *ret_release)
{
    int ready[2], release_pipe[2];
    char c;
    pid_t pid;

    CHECK(pipe(ready) == 0 && pipe(release_pipe) == 0);
    pid = fork();
    if (pid == 0) {
        int fd = openat(dir_fd, "lock", O_RDONLY | O_CREAT, 0640);

        (void)close(release_pipe[1]);
        (void)flock(fd, LOCK_EX);
        (void)write(ready[1], "", 1);
        (void)read(release_pipe[0], &c, 1);
        _exit(0);
    }
    CHECK(pid > 0 && read(ready[0], &c, 1) == 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    (void)close(release_pipe[0]);
    *ret_release = release_pipe[1];
    return pid;
}

static void *tell_later(void *arg)
{
    int fd = *(int *)arg;

    (void)usleep(50000);
    (void)close(fd);
    return NULL;
}

/* Wait until the process has as many threads and descriptors as before. */
static bool settled(int tasks, int fds)
{
    for (int tries = 0; tries < 500; tries++) {
        if (count_entries("/proc/self/task") == tasks && count_entries("/proc/self/fd") == fds)
            return true;
        (void)usleep(10000);
    }
    return false;
}

/* The wait for another process is bounded, its end says who holds the lock. */
static void test_held_by_another_process(void)
{
    struct cnif_lock lock;
    int64_t began;
    char named[64];
    int fds, tasks, tell;
    pid_t pid = hold_in_child(&tell);

    (void)snprintf(named, sizeof(named), "held by pid %d (test_lock)", (int)pid);
    fds = count_entries("/proc/self/fd");
    tasks = count_entries("/proc/self/task");
    began = now_ms();
    CHECK(acquire(&lock, 150) == -EAGAIN);
    CHECK(now_ms() - began >= 150);
    CHECK(err.code == EAGAIN && strstr(err.msg, named) != NULL);
    /* However often it is tried, one helper is left, and none when the lock is free again. */
    for (int i = 0; i < 5; i++)
        CHECK(acquire(&lock, i) == -EAGAIN);
    CHECK(count_entries("/proc/self/fd") <= fds + 1);
    CHECK(count_entries("/proc/self/task") <= tasks + 1);

    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    CHECK(acquire(&lock, 5000) == 0);
    cnif_lock_release(&lock);
    CHECK(settled(tasks, fds));
    (void)close(tell);
}

/* A helper that was left behind serves the next one who waits. */
static void test_helper_is_taken_over(void)
{
    struct cnif_lock lock;
    int tell;
    pid_t pid = hold_in_child(&tell);
    int fds = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task");
    pthread_t thread;

    CHECK(acquire(&lock, 1) == -EAGAIN);
    CHECK(pthread_create(&thread, NULL, tell_later, &tell) == 0);
    CHECK(acquire(&lock, 10000) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && waitpid(pid, NULL, 0) == pid);
    cnif_lock_release(&lock);
    CHECK(settled(tasks, fds - 1));
    CHECK(acquire(&lock, 0) == 0);
    cnif_lock_release(&lock);
}

/* Who waits gets the lock when the other process lets go, and has it then. */
static void test_handed_over(void)
{
    struct cnif_lock lock;
    pthread_t thread;
    int tell, fd;
    pid_t pid = hold_in_child(&tell);

    CHECK(pthread_create(&thread, NULL, tell_later, &tell) == 0);
    CHECK(acquire(&lock, 10000) == 0);
    fd = openat(dir_fd, "lock", O_RDONLY);
    CHECK(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
    cnif_lock_release(&lock);
    CHECK(flock(fd, LOCK_EX | LOCK_NB) == 0);
    (void)close(fd);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(waitpid(pid, NULL, 0) == pid);
}

static atomic_int inside;
static int taken;

static void *take_turns(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct cnif_lock lock;
        int r = cnif_lock_acquire(&lock, dir_fd, net_dir, 10000, NULL);

        CHECK(r == 0);
        CHECK(atomic_fetch_add(&inside, 1) == 0);
        taken++;
        CHECK(atomic_fetch_sub(&inside, 1) == 1);
        cnif_lock_release(&lock);
    }
    return NULL;
}

/* Threads of several processes never hold the lock together, and all of them get it. */
static void test_threads_take_turns(void)
{
    pthread_t threads[THREADS];
    pid_t pid = fork();

    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, take_turns, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(taken == THREADS * ROUNDS);
    if (pid == 0)
        _exit(check_failures != 0);
    CHECK(pid > 0);
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void *hold_briefly(void *arg)
{
    struct cnif_lock lock;
    int r = cnif_lock_acquire(&lock, dir_fd, net_dir, 1000, NULL);

    CHECK(r == 0);
    (void)write(*(int *)arg, "", 1);
    (void)usleep(200000);
    cnif_lock_release(&lock);
    return NULL;
}

/* A thread of the same process is waited for as long, and named as well. */
static void test_held_by_another_thread(void)
{
    struct cnif_lock lock;
    pthread_t thread;
    char named[64], c;
    int ready[2];

    CHECK(pipe(ready) == 0);
    CHECK(pthread_create(&thread, NULL, hold_briefly, &ready[1]) == 0);
    CHECK(read(ready[0], &c, 1) == 1);
    (void)snprintf(named, sizeof(named), "held by pid %d (", (int)getpid());
    CHECK(acquire(&lock, 20) == -EAGAIN && strstr(err.msg, named) != NULL);
    CHECK(acquire(&lock, 5000) == 0);
    cnif_lock_release(&lock);
    CHECK(pthread_join(thread, NULL) == 0);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

/* A lock file that was replaced meanwhile is no lock: the one that is there now is taken. */
static void test_replaced_file(void)
{
    struct cnif_lock lock;
    struct stat held, there;
    int tell;
    pthread_t thread;
    pid_t pid = hold_in_child(&tell);

    CHECK(unlinkat(dir_fd, "lock", 0) == 0);
    CHECK(acquire(&lock, 1000) == 0);
    CHECK(fstat(lock.fd, &held) == 0 && fstatat(dir_fd, "lock", &there, 0) == 0);
    CHECK(held.st_ino == there.st_ino);
    cnif_lock_release(&lock);
    CHECK(pthread_create(&thread, NULL, tell_later, &tell) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && waitpid(pid, NULL, 0) == pid);
}

int main(void)
{
    start();
    CHECK(mkdir(net_dir, 0700) == 0);
    dir_fd = open(net_dir, O_RDONLY | O_DIRECTORY);
    test_held_by_another_process();
    test_helper_is_taken_over();
    test_handed_over();
    test_threads_take_turns();
    test_held_by_another_thread();
    test_replaced_file();
    (void)close(dir_fd);
    finish();
    return check_failures != 0;
}
