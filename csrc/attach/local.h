/*
 * Addresses that the kernel takes packets for.
 */
#ifndef CNIF_ATTACH_LOCAL_H
#define CNIF_ATTACH_LOCAL_H

#include "cnifast.h"

/* cnif_addr_settle for each of the addresses. */
int cnif_local_settle(struct cnif_nlsock *sock, const struct cnif_ip *ips, size_t count,
                      struct cnif_err *reterr);

#endif
