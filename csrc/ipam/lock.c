#include "ipam/lock.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "ipam/hash.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#define LOCK_NAME "lock"
#define SLOTS     64

/* One queue per network in this process (networks that hash alike share one). */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t freed;
    bool busy;
} slots[SLOTS];

/* What the helper thread works on; it borrows the descriptor. */
struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t finished;
    int fd;
    int cancel_type; /* the helper's own, before */
    bool done;
    int code;
};

static pthread_once_t slots_once = PTHREAD_ONCE_INIT;

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
}

static void init_slots(void)
{
    for (size_t i = 0; i < SLOTS; i++) {
        (void)pthread_mutex_init(&slots[i].mutex, NULL);
        init_cond(&slots[i].freed);
        slots[i].busy = false;
    }
}

static void init_slots_once(void)
{
    init_slots();
    /* The threads that held a slot do not exist in a forked child. */
    (void)pthread_atfork(NULL, NULL, init_slots);
}

static struct timespec deadline_in(int wait_ms)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += wait_ms / 1000;
    at.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

static int enter_slot(int slot, const struct timespec *deadline)
{
    int code = 0;

    (void)pthread_mutex_lock(&slots[slot].mutex);
    while (slots[slot].busy && code != ETIMEDOUT)
        code = pthread_cond_timedwait(&slots[slot].freed, &slots[slot].mutex, deadline);
    if (!slots[slot].busy) {
        slots[slot].busy = true;
        code = 0;
    }
    (void)pthread_mutex_unlock(&slots[slot].mutex);
    return -code;
}

static void leave_slot(int slot)
{
    (void)pthread_mutex_lock(&slots[slot].mutex);
    slots[slot].busy = false;
    (void)pthread_cond_signal(&slots[slot].freed);
    (void)pthread_mutex_unlock(&slots[slot].mutex);
}

static void *block_in_flock(void *arg)
{
    struct waiter *waiter = arg;
    int code;

    /*
     * Only the system call may be cut short; the lock it may just have got goes with the fd.
     * No local's address is taken here: sanitizers do not see the frame of a cancelled thread go.
     */
    (void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &waiter->cancel_type);
    code = flock(waiter->fd, LOCK_EX) < 0 ? errno : 0;
    (void)pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &waiter->cancel_type);

    (void)pthread_mutex_lock(&waiter->mutex);
    waiter->code = code;
    waiter->done = true;
    (void)pthread_cond_signal(&waiter->finished);
    (void)pthread_mutex_unlock(&waiter->mutex);
    return NULL;
}

/* Start the helper with every signal blocked: they are the program's own threads' business. */
static int start_helper(pthread_t *ret, struct waiter *waiter)
{
    sigset_t all, kept;
    int code;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &kept);
    code = pthread_create(ret, NULL, block_in_flock, waiter);
    (void)pthread_sigmask(SIG_SETMASK, &kept, NULL);
    return -code;
}

/* 0 with the lock held, -ETIMEDOUT, or another error. */
static int wait_for_flock(int fd, const struct timespec *deadline)
{
    struct waiter waiter = {.fd = fd};
    pthread_t helper;
    int code = 0, r;

    (void)pthread_mutex_init(&waiter.mutex, NULL);
    init_cond(&waiter.finished);
    r = start_helper(&helper, &waiter);
    if (r == 0) {
        (void)pthread_mutex_lock(&waiter.mutex);
        while (!waiter.done && code != ETIMEDOUT)
            code = pthread_cond_timedwait(&waiter.finished, &waiter.mutex, deadline);
        (void)pthread_mutex_unlock(&waiter.mutex);
        if (code == ETIMEDOUT)
            (void)pthread_cancel(helper);
        (void)pthread_join(helper, NULL);
        r = waiter.done ? -waiter.code : -ETIMEDOUT;
    }
    (void)pthread_cond_destroy(&waiter.finished);
    (void)pthread_mutex_destroy(&waiter.mutex);
    return r;
}

/*
 * The process that holds a flock on this file, 0 if the kernel names none.
 *
 *     7: FLOCK  ADVISORY  WRITE 4711 fe:00:655364 0 EOF
 *
 * A line for one who waits has "->" after the number.  Some filesystems show
 * another device than stat does, so a line with the same device wins but is
 * not required.
 */
static int find_holder(const struct stat *st)
{
    FILE *locks = fopen("/proc/locks", "re");
    char line[256];
    int holder = 0;

    while (locks && fgets(line, sizeof(line), locks)) {
        unsigned int dev_major, dev_minor;
        unsigned long long ino;
        int pid;

        if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid, &dev_major, &dev_minor, &ino) !=
                4 ||
            ino != (unsigned long long)st->st_ino)
            continue;
        holder = pid;
        if (makedev(dev_major, dev_minor) == st->st_dev)
            break;
    }
    if (locks)
        (void)fclose(locks);
    return holder;
}

static void read_comm(int pid, char *ret, size_t size)
{
    char path[64];
    cnif_cleanup_close int fd = -1;
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, ret, size - 1);
    ret[n > 0 ? n : 0] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
}

static int report_held(int dir_fd, const char *path, int wait_ms, struct cnif_err *reterr)
{
    struct stat st;
    char comm[32];
    int pid = 0;

    if (fstatat(dir_fd, LOCK_NAME, &st, 0) == 0)
        pid = find_holder(&st);
    if (pid <= 0)
        return cnif_err_set(reterr, EAGAIN,
                            "lock %s/" LOCK_NAME ": held by a process that cannot be seen from "
                            "here, gave up after %d ms",
                            path, wait_ms);
    read_comm(pid, comm, sizeof(comm));
    return cnif_err_set(reterr, EAGAIN,
                        "lock %s/" LOCK_NAME ": held by pid %d (%s), gave up after %d ms", path,
                        pid, comm, wait_ms);
}

/* Lock the file that is there now; -EAGAIN: it was removed in the meantime. */
static int lock_file(struct cnif_lock *lock, int dir_fd, const struct timespec *deadline)
{
    cnif_cleanup_close int fd = -1;
    struct stat st;
    int code = cnif_fault("open the lock");

    if (code)
        return -code;
    fd = openat(dir_fd, LOCK_NAME, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int r = errno == EWOULDBLOCK ? wait_for_flock(fd, deadline) : -errno;

        if (r < 0)
            return r;
    }
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_nlink == 0)
        return -EAGAIN;
    lock->fd = CNIF_TAKE_FD(fd);
    return 0;
}

int cnif_lock_acquire(struct cnif_lock *lock, int dir_fd, const char *path, int wait_ms,
                      struct cnif_err *reterr)
{
    struct timespec deadline = deadline_in(wait_ms);
    int r;

    (void)pthread_once(&slots_once, init_slots_once);
    lock->fd = -1;
    lock->slot = (int)(cnif_hash(path, strlen(path), 0) % SLOTS);
    r = enter_slot(lock->slot, &deadline);
    if (r < 0) {
        lock->slot = -1;
        return report_held(dir_fd, path, wait_ms, reterr);
    }
    do
        r = lock_file(lock, dir_fd, &deadline);
    while (r == -EAGAIN);
    if (r == 0)
        return 0;
    cnif_lock_release(lock);
    if (r == -ETIMEDOUT)
        return report_held(dir_fd, path, wait_ms, reterr);
    return cnif_err_errno(reterr, -r, "lock %s/" LOCK_NAME, path);
}

void cnif_lock_release(struct cnif_lock *lock)
{
    if (lock->fd >= 0)
        (void)flock(lock->fd, LOCK_UN); /* a child forked meanwhile may have the file open too */
    cnif_closep(&lock->fd);
    if (lock->slot >= 0)
        leave_slot(lock->slot);
    lock->slot = -1;
}
