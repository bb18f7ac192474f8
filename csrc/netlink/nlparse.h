/*
 * Reading netlink messages that somebody else wrote.
 *
 * Nothing is trusted: every length is checked against what is left, and an
 * attribute shorter than its type needs is as good as absent.
 */
#ifndef CNIF_NETLINK_NLPARSE_H
#define CNIF_NETLINK_NLPARSE_H

#include "netlink/nlbuf.h"

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first message of `len` bytes at `data`, or NULL if there is no whole one. */
const struct nlmsghdr *cnif_nlmsg_first(const void *data, size_t len);
/* The message after `nlh` in a datagram that ends at `end`, or NULL. */
const struct nlmsghdr *cnif_nlmsg_next(const struct nlmsghdr *nlh, const void *end);

/* The family header of at least `size` bytes, or NULL if the message is shorter. */
const void *cnif_nlmsg_header(const struct nlmsghdr *nlh, size_t size);

/*
 * Fill table[0..max] with the attributes behind a family header of `header_size`
 * bytes (the last one of each type; NULL where absent).  Unknown types are skipped.
 */
void cnif_nlattr_parse(const struct nlmsghdr *nlh, size_t header_size, const struct nlattr **table,
                       unsigned max);
void cnif_nlattr_parse_nested(const struct nlattr *nest, const struct nlattr **table, unsigned max);

/* Walk the attributes inside `nest`: start with at = NULL, ends with NULL. */
const struct nlattr *cnif_nlattr_each(const struct nlattr *nest, const struct nlattr *at);

static inline unsigned cnif_nlattr_type(const struct nlattr *nla)
{
    return nla->nla_type & (unsigned)NLA_TYPE_MASK;
}

static inline size_t cnif_nlattr_size(const struct nlattr *nla)
{
    return (size_t)nla->nla_len - CNIF_NLA_HDRLEN;
}

static inline const void *cnif_nlattr_data(const struct nlattr *nla)
{
    return (const uint8_t *)nla + CNIF_NLA_HDRLEN;
}

/* Values; `absent` where the attribute is NULL or too short. */
uint8_t cnif_nlattr_u8(const struct nlattr *nla, uint8_t absent);
uint16_t cnif_nlattr_u16(const struct nlattr *nla, uint16_t absent);
uint32_t cnif_nlattr_u32(const struct nlattr *nla, uint32_t absent);
uint64_t cnif_nlattr_u64(const struct nlattr *nla, uint64_t absent);
/* Copy a string, always terminated; false (and "") where absent. */
bool cnif_nlattr_str(const struct nlattr *nla, char *to, size_t size);
/* Copy up to `size` bytes; the number copied. */
size_t cnif_nlattr_copy(const struct nlattr *nla, void *to, size_t size);

#endif
