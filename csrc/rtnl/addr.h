/*
 * Addresses on links: request builders and the decoder.
 */
#ifndef CNIF_RTNL_ADDR_H
#define CNIF_RTNL_ADDR_H

#include "cnifast.h"
#include "netlink/nlbuf.h"

struct nlmsghdr;

/* Bytes of an address of `family`: 4, 16, or 0 for an unknown one. */
size_t cnif_ip_size(uint8_t family);

void cnif_addr_put_add(struct cnif_nlbuf *buf, int32_t index, const struct cnif_ip *ip,
                       uint32_t flags);
/* Decode RTM_NEWADDR or RTM_DELADDR; false if it is neither or not an IP address. */
bool cnif_addr_parse(const struct nlmsghdr *nlh, struct cnif_address *ret);

#endif
