/*
 * Network namespaces as file descriptors.
 *
 * A thread that enters another namespace leaves it again before the function
 * returns.  If the way back is barred the process aborts: going on in the
 * wrong namespace would configure somebody else's network.
 */
#ifndef CNIF_NETNS_NETNS_H
#define CNIF_NETNS_NETNS_H

#include "cnifast.h"

/* Keeps the way back while a thread is away; -1 at home. */
struct cnif_netns_visit {
    int home;
};

/* Enter the namespace `fd`; -1 stays where it is.  Pair with cnif_netns_leave. */
int cnif_netns_enter(struct cnif_netns_visit *visit, int fd, struct cnif_err *reterr);
void cnif_netns_leave(struct cnif_netns_visit *visit);

/*
 * Whether every thread of this process has settled where it is.  No thread may
 * be started on a visit then: it would take the wrong place for home.
 */
bool cnif_netns_is_settled(void);

/* Whether an open file is a network namespace. */
bool cnif_netns_is(int fd);

#endif
