/*
 * The container's side of an attachment: what is the same for every kind of
 * link once it is in the container's namespace.
 */
#ifndef CNIF_ATTACH_ENDPOINT_H
#define CNIF_ATTACH_ENDPOINT_H

#include "cnifast.h"

/*
 * Configure the link `index`, renaming it first if its name is not yet
 * endpoint->ifname: sysctls, addresses, up, routes.  *ret is the link as it is then.
 */
int cnif_endpoint_configure(const struct cnif_endpoint *endpoint, int32_t index, bool rename,
                            struct cnif_link *ret, struct cnif_err *reterr);

#endif
