#include "attach/watch.h"

#include "base/err.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>

int cnif_watch_open(int netns_fd, int group, struct cnif_nlsock **ret, struct cnif_err *reterr)
{
    struct cnif_nlsock *sock;
    int r = cnif_nlsock_open(NETLINK_ROUTE, netns_fd, &sock, reterr);

    if (r < 0)
        return r;
    if (setsockopt(sock->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
        r = cnif_err_errno(reterr, errno, "subscribe to link announcements");
        cnif_nlsock_close(sock);
        return r;
    }
    *ret = sock;
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t cnif_deadline(int timeout)
{
    return now_ms() + timeout;
}

static int drain(struct cnif_nlsock *watch, int (*seen)(const struct nlmsghdr *, void *), void *arg,
                 struct cnif_err *reterr)
{
    for (;;) {
        const struct nlmsghdr *nlh;
        struct cnif_err err;
        int n = cnif_nlsock_recv(watch, MSG_DONTWAIT, "announcements", &err);

        if (n == -EAGAIN)
            return 0;
        if (n == -ENOBUFS)
            return CNIF_WATCH_LOST;
        if (n < 0) {
            if (reterr)
                *reterr = err;
            return n;
        }
        for (nlh = cnif_nlmsg_first(watch->rx, (size_t)n); nlh;
             nlh = cnif_nlmsg_next(nlh, watch->rx + n)) {
            int r = seen(nlh, arg);

            if (r != 0)
                return r;
        }
    }
}

int cnif_watch_until(struct cnif_nlsock *watch, int stop_fd, int64_t deadline,
                     int (*seen)(const struct nlmsghdr *nlh, void *arg), void *arg,
                     struct cnif_err *reterr)
{
    struct pollfd fds[2] = {{.fd = watch->fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};

    for (;;) {
        int64_t left = deadline - now_ms();
        int r = poll(fds, 2, left > 0 ? (int)left : 0);

        if (r < 0 && errno != EINTR)
            return cnif_err_errno(reterr, errno, "wait for announcements");
        if (r == 0)
            return 0;
        if (fds[0].revents) {
            r = drain(watch, seen, arg, reterr);
            if (r != 0)
                return r;
        }
        if (fds[1].revents)
            return CNIF_WATCH_STOPPED;
    }
}

static int any(const struct nlmsghdr *nlh, void *arg)
{
    (void)nlh;
    (void)arg;
    return CNIF_WATCH_SEEN;
}

int cnif_watch_wait(struct cnif_nlsock *watch, int timeout, const struct cnif_awaited *awaited,
                    struct cnif_err *reterr)
{
    int64_t deadline = cnif_deadline(timeout);
    bool late = false;

    for (;;) {
        int r = awaited->look(awaited->arg, reterr);

        if (r != 0 || late)
            return r;
        r = cnif_watch_until(watch, -1, deadline, awaited->seen ? awaited->seen : any, awaited->arg,
                             reterr);
        if (r < 0)
            return r;
        late = r == 0;
    }
}
