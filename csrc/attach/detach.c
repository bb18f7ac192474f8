/*
 * Deleting a link without waiting for the kernel's clean-up.
 *
 * The link's name and addresses are free as soon as the kernel announces
 * RTM_DELLINK; the request itself lingers elsewhere.
 *
 *     caller:  watch ----- get link ----- start ----- announcement: done
 *     errand:                               send ............... barrier ... end
 */
#include "attach/detach.h"
#include "attach/linger.h"
#include "attach/watch.h"
#include "base/err.h"
#include "base/fault.h"
#include "netlink/nlparse.h"
#include "netlink/nlsock.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define DETACH_TIMEOUT_MS 30000

static int gone(const struct nlmsghdr *nlh, void *arg)
{
    const int32_t *index = arg;
    const struct ifinfomsg *ifi = cnif_nlmsg_header(nlh, sizeof(*ifi));

    /* A port that leaves its bridge is announced as well, in the bridge's family. */
    return nlh->nlmsg_type == RTM_DELLINK && ifi && ifi->ifi_family == AF_UNSPEC &&
           ifi->ifi_index == *index;
}

static int delete_and_watch(int netns_fd, struct cnif_nlsock *watch, const struct cnif_link *link,
                            enum cnif_linger linger, struct cnif_err *reterr)
{
    struct cnif_errand *errand;
    int32_t index = link->index;
    struct cnif_nlsock *sock;
    int r = cnif_fault("delete link");

    if (r)
        return cnif_err_errno(reterr, r, "delete link %s", link->name);
    r = cnif_nlsock_open(NETLINK_ROUTE, netns_fd, &sock, reterr);
    if (r < 0)
        return r;
    r = cnif_errand_start(sock, index, linger, &errand);
    if (r < 0)
        return cnif_err_errno(reterr, -r, "delete link %s", link->name);
    r = cnif_watch_until(watch, cnif_errand_fd(errand), cnif_deadline(DETACH_TIMEOUT_MS), gone,
                         &index, reterr);
    if (r == CNIF_WATCH_STOPPED || r == CNIF_WATCH_LOST) {
        /* It returned before it was seen, or may not have been seen. */
        r = cnif_errand_outcome(errand);
        if (r == -ENODEV) /* somebody else was faster */
            r = 0;
        if (r < 0)
            r = cnif_err_errno(reterr, -r, "delete link %s", link->name);
    } else if (r == 0) {
        r = cnif_err_errno(reterr, ETIMEDOUT, "delete link %s", link->name);
    }
    cnif_errand_drop(errand);
    return r < 0 ? r : 0;
}

void cnif_undo_link(int netns_fd, struct cnif_nlsock *sock, const struct cnif_link *link,
                    enum cnif_linger linger)
{
    struct cnif_nlsock *watch;
    int r = cnif_watch_open(netns_fd, RTNLGRP_LINK, &watch, NULL);

    if (r == 0) {
        r = delete_and_watch(netns_fd, watch, link, linger, NULL);
        cnif_nlsock_close(watch);
    }
    if (r < 0)
        (void)cnif_link_delete(sock, link->index, NULL);
}

/* By way of the watch, unless announcements have filled that before it could be asked. */
static int get_link(int netns_fd, struct cnif_nlsock *watch, const char *name,
                    struct cnif_link *ret, struct cnif_err *reterr)
{
    int r = cnif_link_get(watch, name, 0, ret, reterr);
    struct cnif_nlsock *sock;

    if (r != -ENOBUFS)
        return r;
    r = cnif_nlsock_open(NETLINK_ROUTE, netns_fd, &sock, reterr);
    if (r < 0)
        return r;
    r = cnif_link_get(sock, name, 0, ret, reterr);
    cnif_nlsock_close(sock);
    return r;
}

static int detach(int netns_fd, struct cnif_nlsock *watch, const char *name, const char *alias,
                  enum cnif_linger linger, bool *ret_found, struct cnif_err *reterr)
{
    struct cnif_link link;
    int r = get_link(netns_fd, watch, name, &link, reterr);

    /* One without an alias is what a process left that died right after making it. */
    if (r == -ENODEV || (r == 0 && alias && link.alias[0] && strcmp(alias, link.alias) != 0)) {
        *ret_found = false;
        return 0;
    }
    if (r == 0)
        r = delete_and_watch(netns_fd, watch, &link, linger, reterr);
    if (r == 0)
        *ret_found = true;
    return r;
}

int cnif_detach(int netns_fd, const char *name, const char *alias, enum cnif_linger linger,
                bool *ret_found, struct cnif_err *reterr)
{
    struct cnif_nlsock *watch;
    struct cnif_err err;
    int r = cnif_watch_open(netns_fd, RTNLGRP_LINK, &watch, reterr);

    if (r < 0)
        return r;
    r = detach(netns_fd, watch, name, alias, linger, ret_found, &err);
    cnif_nlsock_close(watch);
    if (r < 0 && reterr)
        *reterr = err;
    return r;
}
