/*
 * Tracked connections as ctnetlink reports them.  Nothing in a report is trusted.
 */
#ifndef CNIF_NFT_CONNTRACK_H
#define CNIF_NFT_CONNTRACK_H

#include "cnifast.h"

struct nlmsghdr;

/* One direction of a connection. */
struct cnif_ct_tuple {
    struct cnif_ip src, dst;
    uint16_t sport, dport;
    uint8_t protocol;
};

struct cnif_ct_entry {
    struct cnif_ct_tuple orig, reply;
    bool has_zone;
    uint16_t zone; /* as it came */
    uint32_t id;   /* as it came; 0: none */
};

/* False if the message is about something else, or not about IP. */
bool cnif_ct_parse(const struct nlmsghdr *nlh, struct cnif_ct_entry *entry);

#endif
