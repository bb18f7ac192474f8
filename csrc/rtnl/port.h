/*
 * Bridge ports: their options, and their VLANs.
 */
#ifndef CNIF_RTNL_PORT_H
#define CNIF_RTNL_PORT_H

#include "cnifast.h"
#include "netlink/nlbuf.h"

/* Options of a port: -1 keeps, 0 and 1 set. */
void cnif_port_put_set(struct cnif_nlbuf *buf, int32_t index, int hairpin, int isolated);

#endif
