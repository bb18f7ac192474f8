/*
 * The host's end of a veth pair that is no bridge's port: the host routes to
 * the container through it.
 */
#ifndef CNIF_ATTACH_ROUTED_H
#define CNIF_ATTACH_ROUTED_H

#include "cnifast.h"

/*
 * Give the link `index` its addresses, set it up, and lead the routes through
 * it; others to the same destinations stay behind these, to be in force again when
 * the link goes.  *ret_watch, the caller's to close, hears what becomes of IPv6
 * addresses, NULL: there are none.
 */
int cnif_routed_configure(struct cnif_nlsock *sock, const struct cnif_veth_host *veth,
                          int32_t index, struct cnif_nlsock **ret_watch, struct cnif_err *reterr);

/*
 * Wait until the IPv6 addresses answer neighbours.  The same address may be on
 * other links, so that a look at the routes would not tell; but the kernel
 * announces an address that needs no duplicate address detection only then.
 */
int cnif_routed_settle(struct cnif_nlsock *watch, const struct cnif_veth_host *veth, int32_t index,
                       struct cnif_err *reterr);

#endif
