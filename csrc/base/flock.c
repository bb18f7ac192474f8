#include "base/flock.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define SLOTS      64
#define STACK_SIZE (128 * 1024)

/*
 * A helper thread that blocks in flock(2) for the thread at the head of a
 * queue.  It cannot be called off: when nobody wants the lock any more it stays
 * blocked until it gets it, and gives it back; or until somebody else of the
 * queue comes to wait, and takes the helper over.
 */
struct helper {
    int slot;
    int fd; /* its own until `done`, then the taker's */
    uint64_t dev, ino;
    bool wanted;
    bool done;
    int code; /* errno value of flock */
};

/* One queue per network in this process (networks that hash alike share one). */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t freed;   /* `busy` was cleared */
    pthread_cond_t granted; /* the helper is done */
    bool busy;
    struct helper *helper; /* blocked, wanted or not */
} slots[SLOTS];

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
        init_cond(&slots[i].granted);
        slots[i].busy = false;
        slots[i].helper = NULL;
    }
}

static void init_slots_once(void)
{
    init_slots();
    /* The threads that held a slot, and the helpers, do not exist in a forked child. */
    (void)pthread_atfork(NULL, NULL, init_slots);
}

struct timespec cnif_lock_deadline(int wait_ms)
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
    struct helper *helper = arg;
    int slot = helper->slot;

    helper->code = flock(helper->fd, LOCK_EX) < 0 ? errno : 0;
    (void)pthread_mutex_lock(&slots[slot].mutex);
    helper->done = true;
    if (helper->wanted) {
        (void)pthread_cond_signal(&slots[slot].granted);
    } else {
        if (slots[slot].helper == helper)
            slots[slot].helper = NULL;
        (void)flock(helper->fd, LOCK_UN);
        (void)close(helper->fd);
        free(helper);
    }
    (void)pthread_mutex_unlock(&slots[slot].mutex);
    return NULL;
}

/* Start a detached thread with every signal blocked: they are the program's own threads' business.
 */
static int start_thread(struct helper *helper)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, kept;
    int code;

    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &kept);
    code = pthread_create(&thread, &attr, block_in_flock, helper);
    (void)pthread_sigmask(SIG_SETMASK, &kept, NULL);
    (void)pthread_attr_destroy(&attr);
    return -code;
}

/*
 * Have a helper wait for the file behind *fd: the one that is still blocked on
 * it, or a new one, which takes *fd over.  The slot's mutex is held.
 */
static int engage_helper(int slot, int *fd)
{
    struct helper *helper = slots[slot].helper;
    struct stat st;
    int r;

    if (fstat(*fd, &st) < 0)
        return -errno;
    if (helper && helper->dev == (uint64_t)st.st_dev && helper->ino == (uint64_t)st.st_ino) {
        helper->wanted = true;
        return 0;
    }
    helper = calloc(1, sizeof(*helper));
    if (!helper)
        return -ENOMEM;
    *helper = (struct helper){.slot = slot,
                              .fd = *fd,
                              .dev = (uint64_t)st.st_dev,
                              .ino = (uint64_t)st.st_ino,
                              .wanted = true};
    r = start_thread(helper);
    if (r < 0) {
        free(helper);
        return r;
    }
    *fd = -1;
    slots[slot].helper = helper; /* one for another file is on its own from here on */
    return 0;
}

/* 0 with *fd locked, -ETIMEDOUT, or another error; *fd may be another one for the same file. */
static int wait_for_flock(int slot, int *fd, const struct timespec *deadline)
{
    int code = 0, r;

    (void)pthread_mutex_lock(&slots[slot].mutex);
    r = engage_helper(slot, fd);
    if (r == 0) {
        struct helper *helper = slots[slot].helper;

        while (!helper->done && code != ETIMEDOUT)
            code = pthread_cond_timedwait(&slots[slot].granted, &slots[slot].mutex, deadline);
        if (helper->done) {
            slots[slot].helper = NULL;
            cnif_closep(fd);
            *fd = helper->fd;
            r = -helper->code;
            free(helper);
        } else {
            helper->wanted = false;
            r = -ETIMEDOUT;
        }
    }
    (void)pthread_mutex_unlock(&slots[slot].mutex);
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

int cnif_lock_held(const struct stat *file, const char *what, int wait_ms, struct cnif_err *reterr)
{
    int pid = file ? find_holder(file) : 0;
    char comm[32];

    if (pid <= 0)
        return cnif_err_set(reterr, EAGAIN,
                            "lock %s: held by a process that cannot be seen from here, gave up "
                            "after %d ms",
                            what, wait_ms);
    read_comm(pid, comm, sizeof(comm));
    return cnif_err_set(reterr, EAGAIN, "lock %s: held by pid %d (%s), gave up after %d ms", what,
                        pid, comm, wait_ms);
}

int cnif_lock_enter(struct cnif_lock *lock, uint64_t key, const struct timespec *deadline)
{
    int slot = (int)(key % SLOTS);
    int r;

    (void)pthread_once(&slots_once, init_slots_once);
    *lock = CNIF_LOCK_NONE;
    r = enter_slot(slot, deadline);
    if (r == 0)
        lock->slot = slot;
    return r;
}

int cnif_lock_take(struct cnif_lock *lock, int fd, const struct timespec *deadline)
{
    cnif_cleanup_close int taken = fd;

    if (flock(taken, LOCK_EX | LOCK_NB) < 0) {
        int r = errno == EWOULDBLOCK ? wait_for_flock(lock->slot, &taken, deadline) : -errno;

        if (r < 0)
            return r;
    }
    lock->fd = CNIF_TAKE_FD(taken);
    return 0;
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
