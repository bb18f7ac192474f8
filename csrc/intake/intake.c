/*
 * What a plugin binary sends to the service, taken from its socket: bytes,
 * descriptors, and who it is.  One call, because the thread that makes it has
 * just been woken and finds nothing of itself in the caches.
 */
#include "cnifast.h"

#include "base/err.h"
#include "netns/netns.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void take_fds(struct cnif_intake *intake, struct msghdr *msg)
{
    struct cmsghdr *cmsg;

    intake->n_fds = 0;
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

static void identify(struct cnif_intake *intake)
{
    uint32_t i;

    for (i = 0; i < intake->n_fds; i++) {
        struct stat st = {0};

        (void)fstat(intake->fds[i], &st);
        intake->dev[i] = st.st_dev;
        intake->ino[i] = st.st_ino;
    }
    intake->has_netns =
        intake->n_fds == CNIF_INTAKE_FDS && cnif_netns_is(intake->fds[CNIF_INTAKE_FDS - 1]);
}

int cnif_intake_take(int conn, bool wait, struct cnif_intake *intake, struct cnif_err *reterr)
{
    char control[CMSG_SPACE(CNIF_INTAKE_FDS * sizeof(int))] __attribute__((aligned(8)));
    struct iovec iov = {.iov_base = intake->data, .iov_len = sizeof(intake->data)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    struct ucred peer;
    socklen_t len = sizeof(peer);
    ssize_t n;

    if (getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return cnif_err_errno(reterr, errno, "identify the caller");
    intake->pid = peer.pid;
    intake->uid = peer.uid;
    do
        n = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return cnif_err_errno(reterr, errno, "receive a request");
    take_fds(intake, &msg);
    identify(intake);
    intake->size = (uint32_t)n;
    return 0;
}
