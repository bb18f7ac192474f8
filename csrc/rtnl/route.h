/*
 * Routes: request builders and the decoder.
 */
#ifndef CNIF_RTNL_ROUTE_H
#define CNIF_RTNL_ROUTE_H

#include "cnifast.h"
#include "netlink/nlbuf.h"

struct nlmsghdr;

/*
 * Without `exclusive` a route to the same destination may be there already, even
 * with the same priority: IPv4 has the newest of them first, IPv6 the oldest.
 */
void cnif_route_put_add(struct cnif_nlbuf *buf, const struct cnif_route *route, bool exclusive);
/* The route that has what is given: no type, protocol or priority is any; scope -1 is 0. */
void cnif_route_put_delete(struct cnif_nlbuf *buf, const struct cnif_route *route);
/* Ask which way packets to an address take. */
void cnif_route_put_get(struct cnif_nlbuf *buf, const struct cnif_ip *ip);
/* Decode RTM_NEWROUTE; false if it is something else, or not a route for IP packets. */
bool cnif_route_parse(const struct nlmsghdr *nlh, struct cnif_route *ret);

#endif
