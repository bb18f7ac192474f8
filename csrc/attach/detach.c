/*
 * Deleting a link without waiting for the kernel's clean-up.
 *
 * RTM_DELLINK frees the name and the addresses within half a millisecond and
 * announces that, but the request itself returns only after an RCU barrier,
 * 13 to 25 ms later.  So the request is sent by somebody who can afford to
 * linger, and the caller goes on at the announcement.
 *
 *     caller:  watch ----- get link ----- start ----- announcement: done
 *     linger:                               send ............... barrier ... end
 */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "attach/watch.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"
#include "rtnl/link.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#define DETACH_TIMEOUT_MS 30000
#define LINGER_STACK      ((size_t)64 * 1024)

/* What the one who lingers needs; it owns the socket and its end of the pipe. */
struct errand {
    struct cnif_nlsock *sock;
    int32_t index;
    int report_fd;
};

/* The caller's side of it. */
struct waiting {
    struct cnif_nlsock *watch;
    int32_t index;
    int done_fd;
};

/* Send the request and write the outcome, an errno value, to the pipe. */
static void run_errand(struct errand *errand)
{
    int32_t code = -cnif_link_delete(errand->sock, errand->index, NULL);

    /* Nobody may be listening any more. */
    (void)!write(errand->report_fd, &code, sizeof(code));
}

static void *errand_thread(void *arg)
{
    struct errand *errand = arg;

    run_errand(errand);
    cnif_nlsock_close(errand->sock);
    (void)close(errand->report_fd);
    free(errand);
    return NULL;
}

static int start_thread(struct errand *errand)
{
    pthread_attr_t attr;
    pthread_t thread;
    int code = pthread_attr_init(&attr);

    if (code)
        return -code;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, LINGER_STACK);
    code = pthread_create(&thread, &attr, errand_thread, errand);
    (void)pthread_attr_destroy(&attr);
    return -code;
}

/*
 * The child outlives its parent by a moment; it must not hold the pipes of
 * whoever waits for the parent's output.  A second fork would only be needed to
 * avoid a zombie, and the parent is about to exit.
 */
static int start_process(struct errand *errand)
{
    pid_t pid = fork();

    if (pid < 0)
        return -errno;
    if (pid == 0) {
        if (dup2(errand->sock->fd, 0) == 0 && dup2(errand->report_fd, 1) == 1) {
            (void)close_range(2, ~0U, 0);
            errand->sock->fd = 0;
            errand->report_fd = 1;
            run_errand(errand);
        }
        _exit(0);
    }
    cnif_nlsock_close(errand->sock);
    (void)close(errand->report_fd);
    free(errand);
    return 0;
}

static int gone(const struct nlmsghdr *nlh, void *arg)
{
    const struct waiting *waiting = arg;
    const struct ifinfomsg *ifi = cnif_nlmsg_header(nlh, sizeof(*ifi));

    return nlh->nlmsg_type == RTM_DELLINK && ifi && ifi->ifi_family == AF_UNSPEC &&
           ifi->ifi_index == waiting->index;
}

/* The outcome that came through the pipe; somebody else's deletion is as good as ours. */
static int outcome(int fd, const char *name, struct cnif_err *reterr)
{
    int32_t code = 0;

    if (read(fd, &code, sizeof(code)) != sizeof(code))
        code = EIO;
    if (code == 0 || code == ENODEV)
        return 0;
    return cnif_err_errno(reterr, code, "delete link %s", name);
}

static int wait_gone(struct waiting *waiting, const char *name, struct cnif_err *reterr)
{
    int64_t deadline = cnif_deadline(DETACH_TIMEOUT_MS);
    int r = cnif_watch_until(waiting->watch, waiting->done_fd, deadline, gone, waiting, reterr);

    /* Finished before it was seen, or announcements lost in a flood: the outcome tells. */
    if (r == CNIF_WATCH_STOPPED || r == -ENOBUFS)
        return outcome(waiting->done_fd, name, reterr);
    if (r == 0)
        return cnif_err_errno(reterr, ETIMEDOUT, "delete link %s", name);
    return r < 0 ? r : 0;
}

static int send_away(int netns_fd, const char *name, enum cnif_linger linger,
                     struct waiting *waiting, struct cnif_err *reterr)
{
    cnif_cleanup_close int done_fd = -1, report_fd = -1;
    struct errand *errand = NULL;
    struct cnif_nlsock *sock;
    int fds[2];
    int r = cnif_nlsock_open(NETLINK_ROUTE, netns_fd, &sock, reterr);

    if (r < 0)
        return r;
    if (pipe2(fds, O_CLOEXEC) < 0)
        r = -errno;
    else {
        done_fd = fds[0];
        report_fd = fds[1];
        errand = malloc(sizeof(*errand));
        r = errand ? -cnif_fault("delete link") : -ENOMEM;
    }
    if (r == 0) {
        *errand = (struct errand){.sock = sock, .index = waiting->index, .report_fd = report_fd};
        r = linger == CNIF_LINGER_PROCESS ? start_process(errand) : start_thread(errand);
    }
    if (r < 0) {
        cnif_nlsock_close(sock);
        free(errand);
        return cnif_err_errno(reterr, -r, "delete link %s", name);
    }
    report_fd = -1;
    waiting->done_fd = CNIF_TAKE_FD(done_fd);
    return 0;
}

int cnif_detach(int netns_fd, const char *name, const char *alias, enum cnif_linger linger,
                bool *ret_found, struct cnif_err *reterr)
{
    struct waiting waiting = {.done_fd = -1};
    struct cnif_link link;
    bool found;
    int r = cnif_watch_open(netns_fd, RTNLGRP_LINK, &waiting.watch, reterr);

    if (r < 0)
        return r;
    r = cnif_link_get(waiting.watch, name, 0, &link, reterr);
    /* One without an alias is what a process left that died right after making it. */
    found = r == 0 && (!alias || !link.alias[0] || strcmp(alias, link.alias) == 0);
    if (r == -ENODEV)
        r = 0;
    if (found) {
        waiting.index = link.index;
        r = send_away(netns_fd, name, linger, &waiting, reterr);
        if (r == 0) {
            r = wait_gone(&waiting, name, reterr);
            cnif_closep(&waiting.done_fd);
        }
    }
    cnif_nlsock_close(waiting.watch);
    if (r == 0)
        *ret_found = found;
    return r;
}
