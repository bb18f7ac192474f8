/*
 * Netlink messages written into a buffer that the caller owns.
 *
 * Pure codec: no socket, no allocation, no errno.  A buffer holds a whole
 * transaction, one message after the other; each message carries the name of
 * the step it performs, so that an answer can be turned back into words.
 * Running out of room is sticky: later puts do nothing, and the sender sees
 * `overflow` once, at the end.
 *
 *   | nlmsghdr | family header | attr | attr | nest [ attr attr ] | nlmsghdr | ...
 *     ^ cnif_nlmsg_begin                                          ^ cnif_nlmsg_end
 */
#ifndef CNIF_NETLINK_NLBUF_H
#define CNIF_NETLINK_NLBUF_H

#include "cnifast.h"

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The uapi header computes these in int. */
#define CNIF_NLA_HDRLEN   sizeof(struct nlattr)
#define CNIF_NLA_ALIGN(n) (((n) + NLA_ALIGNTO - 1) & ~(size_t)(NLA_ALIGNTO - 1))

#define CNIF_NLBUF_MESSAGES 64

struct cnif_nlbuf {
    uint8_t *data;
    size_t size;
    size_t used;
    size_t open; /* offset of the message being written */
    unsigned count;
    bool overflow;
    uint64_t refused; /* once it was sent: one bit per message that the kernel refused */
    const char *steps[CNIF_NLBUF_MESSAGES];
    struct cnif_ip about[CNIF_NLBUF_MESSAGES]; /* family 0: nothing that has an address */
};

/* Start an empty transaction in `data`, which must be aligned to 4 bytes. */
void cnif_nlbuf_init(struct cnif_nlbuf *buf, void *data, size_t size);

/* Drop all messages, keep the memory. */
void cnif_nlbuf_reset(struct cnif_nlbuf *buf);

/*
 * Begin a message and return its zeroed family header of `header_size` bytes
 * (never NULL: after an overflow it points at a scratch area).  NLM_F_REQUEST
 * is added to flags.  `step` must outlive the transaction.
 */
void *cnif_nlmsg_begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, size_t header_size,
                       const char *step);
void cnif_nlmsg_end(struct cnif_nlbuf *buf);

/* The address or prefix that the open message is about, to be named where it fails. */
void cnif_nlmsg_about(struct cnif_nlbuf *buf, const struct cnif_ip *ip);

void cnif_nlattr_put(struct cnif_nlbuf *buf, uint16_t type, const void *value, size_t size);
void cnif_nlattr_put_u8(struct cnif_nlbuf *buf, uint16_t type, uint8_t value);
void cnif_nlattr_put_u16(struct cnif_nlbuf *buf, uint16_t type, uint16_t value);
void cnif_nlattr_put_u32(struct cnif_nlbuf *buf, uint16_t type, uint32_t value);
void cnif_nlattr_put_u64(struct cnif_nlbuf *buf, uint16_t type, uint64_t value);
void cnif_nlattr_put_be32(struct cnif_nlbuf *buf, uint16_t type, uint32_t value);
void cnif_nlattr_put_be64(struct cnif_nlbuf *buf, uint16_t type, uint64_t value);
/* With its terminating NUL. */
void cnif_nlattr_put_str(struct cnif_nlbuf *buf, uint16_t type, const char *value);

/* Open a nested attribute and return the place to close it. */
size_t cnif_nlattr_nest(struct cnif_nlbuf *buf, uint16_t type);
void cnif_nlattr_nest_end(struct cnif_nlbuf *buf, size_t nest);

/* Zeroed bytes inside the open message: a struct that attributes follow. */
void *cnif_nlbuf_reserve(struct cnif_nlbuf *buf, size_t size);

#endif
