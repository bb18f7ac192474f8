/*
 * The kernel, without a C library: raw system calls for x86_64 and aarch64 and
 * the few structures that the uapi headers do not give.
 *
 * Every call returns what the kernel returned: a value, or a negative errno.
 * Nothing here is thread-safe or needs to be: the shim has one thread.
 */
#ifndef CNIF_SHIM_SYS_H
#define CNIF_SHIM_SYS_H

#include <asm/errno.h>
#include <asm/socket.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/stat.h>
#include <linux/un.h>
#include <stddef.h>
#include <stdint.h>

#define SYS_AF_UNIX      1
#define SYS_SOCK_STREAM  1
#define SYS_SCM_RIGHTS   1
#define SYS_MSG_NOSIGNAL 0x4000
#define SYS_SEEK_SET     0
#define SYS_POLLIN       1
#define SYS_SIG_IGN      1
#define SYS_SIG_BLOCK    0
#define SYS_SIG_SETMASK  2
#define SYS_SIGSET_SIZE  8

struct sys_iovec {
    void *base;
    size_t len;
};

struct sys_msghdr {
    void *name;
    int namelen;
    struct sys_iovec *iov;
    size_t iovlen;
    void *control;
    size_t controllen;
    unsigned int flags;
};

/* One control message that carries up to two descriptors. */
struct sys_rights {
    size_t len;
    int level;
    int type;
    int fds[2];
};

#define SYS_RIGHTS_LEN(n) (offsetof(struct sys_rights, fds) + (n) * sizeof(int))

struct sys_timeval {
    long sec;
    long usec;
};

struct sys_timespec {
    long sec;
    long nsec;
};

struct sys_pollfd {
    int fd;
    short events;
    short revents;
};

/* The start of what a signalfd gives; the rest is of no use here. */
struct sys_signal {
    uint32_t number;
    char rest[124];
};

struct sys_ucred {
    int pid;
    unsigned int uid;
    unsigned int gid;
};

static inline long sys_call(long nr, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return ret;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#else
#error "the shim knows the system call convention of x86_64 and aarch64"
#endif
}

_Noreturn static inline void sys_exit(int status)
{
    for (;;)
        (void)sys_call(__NR_exit_group, status, 0, 0, 0, 0);
}

static inline long sys_read(int fd, void *buf, size_t len)
{
    return sys_call(__NR_read, fd, (long)buf, (long)len, 0, 0);
}

static inline long sys_write(int fd, const void *buf, size_t len)
{
    return sys_call(__NR_write, fd, (long)buf, (long)len, 0, 0);
}

static inline long sys_open(const char *path, int flags)
{
    return sys_call(__NR_openat, AT_FDCWD, (long)path, flags, 0, 0);
}

static inline long sys_fcntl(int fd, int op)
{
    return sys_call(__NR_fcntl, fd, op, 0, 0, 0);
}

static inline long sys_dup3(int from, int to, int flags)
{
    return sys_call(__NR_dup3, from, to, flags, 0, 0);
}

static inline long sys_lseek_start(int fd)
{
    return sys_call(__NR_lseek, fd, 0, SYS_SEEK_SET, 0, 0);
}

static inline long sys_memfd_create(const char *name)
{
    return sys_call(__NR_memfd_create, (long)name, MFD_CLOEXEC, 0, 0, 0);
}

static inline long sys_statx(const char *path, int flags, unsigned int mask, struct statx *st)
{
    return sys_call(__NR_statx, AT_FDCWD, (long)path, flags, mask, (long)st);
}

static inline unsigned int sys_geteuid(void)
{
    return (unsigned int)sys_call(__NR_geteuid, 0, 0, 0, 0, 0);
}

static inline long sys_unix_socket(void)
{
    return sys_call(__NR_socket, SYS_AF_UNIX, SYS_SOCK_STREAM | O_CLOEXEC, 0, 0, 0);
}

static inline long sys_connect(int fd, const struct sockaddr_un *addr, size_t len)
{
    return sys_call(__NR_connect, fd, (long)addr, (long)len, 0, 0);
}

static inline long sys_set_timeout(int fd, int option, long seconds)
{
    struct sys_timeval tv = {.sec = seconds, .usec = 0};

    return sys_call(__NR_setsockopt, fd, SOL_SOCKET, option, (long)&tv, sizeof(tv));
}

static inline long sys_peer(int fd, struct sys_ucred *ret_cred)
{
    int len = sizeof(*ret_cred);

    return sys_call(__NR_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, (long)ret_cred, (long)&len);
}

static inline long sys_ppoll(struct sys_pollfd *fds, size_t n, struct sys_timespec *limit)
{
    return sys_call(__NR_ppoll, (long)fds, (long)n, (long)limit, 0, SYS_SIGSET_SIZE);
}

static inline long sys_sigprocmask(int how, const uint64_t *set, uint64_t *ret_before)
{
    return sys_call(__NR_rt_sigprocmask, how, (long)set, (long)ret_before, SYS_SIGSET_SIZE, 0);
}

static inline int sys_ignores(int signal)
{
    unsigned long action[8] = {0}; /* more than a struct sigaction has; the handler comes first */

    return sys_call(__NR_rt_sigaction, signal, 0, (long)action, SYS_SIGSET_SIZE, 0) == 0 &&
           action[0] == SYS_SIG_IGN;
}

static inline long sys_signalfd(uint64_t set)
{
    return sys_call(__NR_signalfd4, -1, (long)&set, SYS_SIGSET_SIZE, O_CLOEXEC | O_NONBLOCK, 0);
}

static inline long sys_sendmsg(int fd, const struct sys_msghdr *msg)
{
    return sys_call(__NR_sendmsg, fd, (long)msg, SYS_MSG_NOSIGNAL, 0, 0);
}

static inline long sys_execve(const char *path, char *const argv[], char *const envp[])
{
    return sys_call(__NR_execve, (long)path, (long)argv, (long)envp, 0, 0);
}

#endif
