/*
 * What the kernel said of a route, an address or a rule, to be said again:
 * header and attributes as they were, so that nothing is lost of what only it
 * knows.
 */
#ifndef CNIF_RTNL_KEPT_H
#define CNIF_RTNL_KEPT_H

#include "cnifast_routing.h"
#include "netlink/nlbuf.h"

struct nlmsghdr;

#define CNIF_KEPT_TYPES 64

/*
 * Keep the family header of `header_size` bytes and the attributes whose bits
 * are in `types`.  What does not fit is kept as nothing, size 0.
 */
void cnif_kept_take(const struct nlmsghdr *nlh, size_t header_size, uint64_t types,
                    struct cnif_kept *ret);

/*
 * Begin a message that says it again, and return its family header; attributes
 * may follow until cnif_nlmsg_end.  Of nothing the buffer overflows.
 */
void *cnif_kept_begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, size_t header_size,
                      const struct cnif_kept *kept, const char *step);

/* The same route in a table: a new one, in place of one that is there, or none any more. */
void cnif_kept_route_put_add(struct cnif_nlbuf *buf, const struct cnif_kept_route *kept,
                             uint32_t table, bool replace);
void cnif_kept_route_put_delete(struct cnif_nlbuf *buf, const struct cnif_kept_route *kept,
                                uint32_t table);
/* Decode RTM_NEWROUTE as cnif_route_parse does, and keep it. */
bool cnif_kept_route_parse(const struct nlmsghdr *nlh, struct cnif_kept_route *ret);

/* An address that can be made again. */
struct cnif_kept_address {
    struct cnif_address address;
    struct cnif_kept kept;
};

/* With `flags` (IFA_F_*) besides its own. */
void cnif_kept_address_put_add(struct cnif_nlbuf *buf, const struct cnif_kept_address *kept,
                               uint32_t flags);
/* Decode RTM_NEWADDR as cnif_addr_parse does, and keep it. */
bool cnif_kept_address_parse(const struct nlmsghdr *nlh, struct cnif_kept_address *ret);

int cnif_kept_address_dump(struct cnif_nlsock *sock, int32_t index, uint8_t family,
                           struct cnif_kept_address **ret_addresses, size_t *ret_count,
                           struct cnif_err *reterr);

#endif
