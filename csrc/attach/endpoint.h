/*
 * The container's side of an attachment: what is the same for every kind of
 * link once it is in the container's namespace.
 */
#ifndef CNIF_ATTACH_ENDPOINT_H
#define CNIF_ATTACH_ENDPOINT_H

#include "cnifast.h"
#include "netns/netns.h"

/*
 * A visit to the container: the calling thread is in its namespace until the
 * sysctls are written, the sockets stay there.
 */
struct cnif_inside {
    struct cnif_netns_visit visit;
    struct cnif_nlsock *sock;
    struct cnif_nlsock *watch; /* hears of addresses, where that is wanted */
};

/* Go there and open the sockets.  Pair with cnif_inside_leave, on success only. */
int cnif_inside_enter(const struct cnif_endpoint *endpoint, struct cnif_inside *ret,
                      struct cnif_err *reterr);
/* Come back, unless that is done, and close the sockets. */
void cnif_inside_leave(struct cnif_inside *inside);

/*
 * Configure the link `index`, renaming it first if its name is not yet
 * endpoint->ifname: sysctls, addresses, up, routes.  *ret is the link as it is
 * then.  The thread is back from its visit, whatever comes of it.
 */
int cnif_inside_configure(struct cnif_inside *inside, const struct cnif_endpoint *endpoint,
                          int32_t index, bool rename, struct cnif_link *ret,
                          struct cnif_err *reterr);

#endif
