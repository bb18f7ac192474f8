/*
 * What a DHCP client needs of the kernel: a part of the exported ABI, which
 * cnifast.h includes.
 */
#ifndef CNIF_NETNS_DHCP_H
#define CNIF_NETNS_DHCP_H

#include "cnifast.h"

/* ---- netns: sockets of a DHCP client ---- */

/*
 * Open the sockets of a DHCP client for link `index` of the namespace
 * `netns_fd` (-1: here); nothing but what they return stays open.
 *
 * `ret_packets` sends IPv4 packets as they are, header included, and receives
 * those that are UDP datagrams to the client's port; what else the link gets
 * does not wake it up.  `ret_port` has that UDP port on the link and takes
 * nothing, so that the kernel does not refuse what the other one receives; it
 * is -1 where somebody else has the port.
 */
int cnif_dhcp_open(int netns_fd, int32_t index, int *ret_packets, int *ret_port,
                   struct cnif_err *reterr);

#endif
