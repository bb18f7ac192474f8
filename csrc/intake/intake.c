/*
 * A connection of a plugin binary to the service: who and where the caller is,
 * bytes and descriptors.  All that comes with a connection is taken in one
 * call, because the thread that makes it has just been woken and finds nothing
 * of itself in the caches.
 *
 * Where the caller is the kernel tells: the end of a connection that accept()
 * returns belongs to the network namespace of the socket that connected.
 */
#include "intake/intake.h"

#include "base/err.h"
#include "netns/netns.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* What tells the namespace of a socket from all others; 0 before Linux 5.14. */
static uint64_t cookie_of(int sock)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);

    return getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0 ? 0 : cookie;
}

static bool is_same(int fd, uint64_t dev, uint64_t ino)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static void forget(struct cnif_intake *intake)
{
    intake->conn = intake->host_netns = -1;
    intake->host_error = 0;
    intake->n_fds = 0;
    intake->size = -1;
    intake->has_netns = intake->own_netns = intake->truncated = false;
}

int cnif_intake_begin(struct cnif_intake *intake, struct cnif_err *reterr)
{
    int sock, r = cnif_netns_id(-1, &intake->home_dev, &intake->home_ino, reterr);

    if (r < 0)
        return r;
    sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return cnif_err_errno(reterr, errno, "make a socket");
    intake->home_cookie = cookie_of(sock);
    (void)close(sock);
    forget(intake);
    return 0;
}

/* Where the caller is. */
static void locate(struct cnif_intake *intake)
{
    uint64_t cookie = cookie_of(intake->conn);
    int fd;

    if (cookie && cookie == intake->home_cookie)
        return;
    fd = ioctl(intake->conn, SIOCGSKNS);
    if (fd < 0) {
        intake->host_error =
            cnif_err_errno(&intake->host_err, errno, "open the caller's network namespace");
    } else if (is_same(fd, intake->home_dev, intake->home_ino)) {
        (void)close(fd);
    } else {
        intake->host_netns = fd;
    }
}

static void take_fds(struct cnif_intake *intake, struct msghdr *msg)
{
    struct cmsghdr *cmsg;

    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
            if (intake->n_fds < CNIF_INTAKE_FDS)
                intake->fds[intake->n_fds++] = fd;
            else
                (void)close(fd);
        }
    }
    intake->truncated = (msg->msg_flags & MSG_CTRUNC) != 0;
}

static void examine_netns(struct cnif_intake *intake)
{
    int fd = intake->fds[CNIF_INTAKE_FDS - 1];
    struct stat host = {.st_dev = intake->home_dev, .st_ino = intake->home_ino};

    intake->has_netns = intake->n_fds == CNIF_INTAKE_FDS && cnif_netns_is(fd);
    if (intake->has_netns && (intake->host_netns < 0 || fstat(intake->host_netns, &host) == 0))
        intake->own_netns = is_same(fd, host.st_dev, host.st_ino);
}

static int take(struct cnif_intake *intake, int flags, struct cnif_err *reterr)
{
    char control[CMSG_SPACE(CNIF_INTAKE_FDS * sizeof(int))] __attribute__((aligned(8)));
    struct iovec iov = {.iov_base = intake->data, .iov_len = sizeof(intake->data)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t n;

    do
        n = recvmsg(intake->conn, &msg, MSG_CMSG_CLOEXEC | flags);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return cnif_err_errno(reterr, errno, "receive a request");
    take_fds(intake, &msg);
    examine_netns(intake);
    intake->size = (int32_t)n;
    return 0;
}

static int adopt(struct cnif_intake *intake, int conn, struct cnif_err *reterr)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    int r;

    forget(intake);
    intake->conn = conn;
    if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return cnif_err_errno(reterr, errno, "identify the caller");
    intake->pid = peer.pid;
    intake->uid = peer.uid;
    r = cnif_root_id(&intake->root_mount, &intake->root_inode, reterr);
    if (r < 0)
        return r;
    locate(intake);
    (void)take(intake, MSG_DONTWAIT, NULL); /* what is wrong now is wrong when it is waited for */
    return 0;
}

int cnif_intake_accept(struct cnif_intake *intake, int listener, struct cnif_err *reterr)
{
    int conn, r;

    do
        conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    while (conn < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (conn < 0)
        return cnif_err_errno(reterr, errno, "accept a connection");
    r = adopt(intake, conn, reterr);
    if (r < 0)
        cnif_intake_end(intake);
    return r;
}

int cnif_intake_wait(struct cnif_intake *intake, struct cnif_err *reterr)
{
    return intake->size < 0 ? take(intake, 0, reterr) : 0;
}

int cnif_intake_answer(const struct cnif_intake *intake, const void *data, size_t size,
                       size_t *ret_sent, struct cnif_err *reterr)
{
    ssize_t n = send(intake->conn, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN)
        return cnif_err_errno(reterr, errno, "send the answer");
    *ret_sent = n < 0 ? 0 : (size_t)n;
    return 0;
}

void cnif_intake_end(struct cnif_intake *intake)
{
    uint32_t i;

    if (intake->conn >= 0)
        (void)close(intake->conn);
    if (intake->host_netns >= 0)
        (void)close(intake->host_netns);
    for (i = 0; i < intake->n_fds; i++)
        (void)close(intake->fds[i]);
    forget(intake);
}
