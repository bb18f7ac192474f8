/*
 * Waiting for what the kernel announces, instead of asking again and again.
 *
 * A watch is a netlink socket that has joined multicast groups; it still
 * takes requests.  Deadlines are absolute, in CLOCK_MONOTONIC milliseconds.
 */
#ifndef CNIF_ATTACH_WATCH_H
#define CNIF_ATTACH_WATCH_H

#include "cnifast.h"

struct nlmsghdr;

/* The RTNLGRP_* `group` of the namespace `netns_fd`, -1: here. */
int cnif_watch_open(int netns_fd, int group, struct cnif_nlsock **ret, struct cnif_err *reterr);

/* Now plus `timeout` milliseconds. */
int64_t cnif_deadline(int timeout);

/*
 * Feed announcements to `seen` until it returns 1 (or a negative errno), or
 * until `stop_fd` (-1: none) becomes readable, or until announcements were lost
 * in a flood, so that the caller has to look for itself.  0: the deadline has passed.
 */
#define CNIF_WATCH_SEEN    1
#define CNIF_WATCH_STOPPED 2
#define CNIF_WATCH_LOST    3
int cnif_watch_until(struct cnif_nlsock *watch, int stop_fd, int64_t deadline,
                     int (*seen)(const struct nlmsghdr *nlh, void *arg), void *arg,
                     struct cnif_err *reterr);

/*
 * Something that is to become so: `look` tells whether it is (1, 0, a negative
 * errno), `seen` whether an announcement is a reason to look again; NULL: each is.
 */
struct cnif_awaited {
    int (*look)(void *arg, struct cnif_err *reterr);
    int (*seen)(const struct nlmsghdr *nlh, void *arg);
    void *arg;
};

/*
 * Look, again after each such announcement, and for the last time when `timeout`
 * milliseconds are over.  1: it is so, 0: it is not.
 */
int cnif_watch_wait(struct cnif_nlsock *watch, int timeout, const struct cnif_awaited *awaited,
                    struct cnif_err *reterr);

#endif
