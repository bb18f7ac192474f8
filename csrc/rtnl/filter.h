/*
 * Filters of traffic control, of the kind u32: request builder, decoder, and
 * the two that bandwidth limits need.
 */
#ifndef CNIF_RTNL_FILTER_H
#define CNIF_RTNL_FILTER_H

#include "cnifast.h"
#include "netlink/nlbuf.h"

struct nlmsghdr;

#define CNIF_FILTER_KEYS 4 /* words of an IPv6 address */

/* Words of a packet, from its network header on, that must be equal in the bits of the mask. */
struct cnif_filter_key {
    uint8_t mask[4];
    uint8_t value[4];
    int32_t offset;
};

struct cnif_filter {
    uint16_t protocol; /* ETH_P_*, in host order */
    uint16_t priority;
    uint32_t class;   /* where the packet goes; 0: nowhere */
    int32_t redirect; /* the device that it is redirected to; 0: none */
    unsigned n_keys;  /* of one that somebody else made there may be more than we know */
    struct cnif_filter_key keys[CNIF_FILTER_KEYS];
};

/* All packets are sent out of the device `index` instead. */
void cnif_filter_redirect(struct cnif_filter *ret, int32_t index);
/* Packets from (or else to) a subnet belong to a class. */
void cnif_filter_subnet(struct cnif_filter *ret, const struct cnif_ip *subnet, bool from,
                        uint32_t class);

void cnif_filter_put_add(struct cnif_nlbuf *buf, int32_t index, uint32_t parent,
                         const struct cnif_filter *filter, const char *step);
/* Decode RTM_NEWTFILTER; false if it is something else, or no u32 filter that matches packets. */
bool cnif_filter_parse(const struct nlmsghdr *nlh, struct cnif_filter *ret);
bool cnif_filter_equal(const struct cnif_filter *one, const struct cnif_filter *other);

/* The filters at `parent`; the array is the caller's, to be released with cnif_free. */
int cnif_filter_dump(struct cnif_nlsock *sock, int32_t index, uint32_t parent, const char *object,
                     struct cnif_filter **ret_filters, size_t *ret_count, struct cnif_err *reterr);

#endif
