#include "netlink/nlbuf.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

/* Where writes land that do not fit: large enough for any family header. */
static _Thread_local uint8_t scratch[256] __attribute__((aligned(8)));

void cnif_nlbuf_init(struct cnif_nlbuf *buf, void *data, size_t size)
{
    buf->data = data;
    buf->size = size;
    cnif_nlbuf_reset(buf);
}

void cnif_nlbuf_reset(struct cnif_nlbuf *buf)
{
    buf->used = 0;
    buf->open = 0;
    buf->count = 0;
    buf->overflow = false;
    buf->refused = 0;
}

/* The one place where the length grows; padding is zeroed. */
void *cnif_nlbuf_reserve(struct cnif_nlbuf *buf, size_t size)
{
    size_t aligned = NLMSG_ALIGN(size);
    uint8_t *at;

    if (buf->overflow || aligned < size || aligned > buf->size - buf->used) {
        buf->overflow = true;
        memset(scratch, 0, sizeof(scratch));
        return scratch;
    }
    at = buf->data + buf->used;
    memset(at, 0, aligned);
    buf->used += aligned;
    return at;
}

void *cnif_nlmsg_begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, size_t header_size,
                       const char *step)
{
    struct nlmsghdr *nlh;
    void *header;

    if (buf->count == CNIF_NLBUF_MESSAGES)
        buf->overflow = true;
    buf->open = buf->used;
    nlh = cnif_nlbuf_reserve(buf, NLMSG_HDRLEN);
    nlh->nlmsg_type = type;
    nlh->nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST);
    header = cnif_nlbuf_reserve(buf, header_size);
    if (!buf->overflow) {
        buf->about[buf->count].family = 0;
        buf->steps[buf->count++] = step;
    }
    return header;
}

void cnif_nlmsg_about(struct cnif_nlbuf *buf, const struct cnif_ip *ip)
{
    if (!buf->overflow)
        buf->about[buf->count - 1] = *ip;
}

void cnif_nlmsg_end(struct cnif_nlbuf *buf)
{
    struct nlmsghdr *nlh;

    if (buf->overflow)
        return;
    nlh = (struct nlmsghdr *)(void *)(buf->data + buf->open);
    nlh->nlmsg_len = (uint32_t)(buf->used - buf->open);
}

void cnif_nlattr_put(struct cnif_nlbuf *buf, uint16_t type, const void *value, size_t size)
{
    struct nlattr *nla;

    if (size > (size_t)UINT16_MAX - CNIF_NLA_HDRLEN) {
        buf->overflow = true;
        return;
    }
    nla = cnif_nlbuf_reserve(buf, CNIF_NLA_HDRLEN + size);
    if (buf->overflow)
        return;
    nla->nla_type = type;
    nla->nla_len = (uint16_t)(CNIF_NLA_HDRLEN + size);
    if (size)
        memcpy((uint8_t *)nla + CNIF_NLA_HDRLEN, value, size);
}

void cnif_nlattr_put_u8(struct cnif_nlbuf *buf, uint16_t type, uint8_t value)
{
    cnif_nlattr_put(buf, type, &value, sizeof(value));
}

void cnif_nlattr_put_u16(struct cnif_nlbuf *buf, uint16_t type, uint16_t value)
{
    cnif_nlattr_put(buf, type, &value, sizeof(value));
}

void cnif_nlattr_put_u32(struct cnif_nlbuf *buf, uint16_t type, uint32_t value)
{
    cnif_nlattr_put(buf, type, &value, sizeof(value));
}

void cnif_nlattr_put_u64(struct cnif_nlbuf *buf, uint16_t type, uint64_t value)
{
    cnif_nlattr_put(buf, type, &value, sizeof(value));
}

void cnif_nlattr_put_be32(struct cnif_nlbuf *buf, uint16_t type, uint32_t value)
{
    cnif_nlattr_put_u32(buf, type, htonl(value));
}

void cnif_nlattr_put_be64(struct cnif_nlbuf *buf, uint16_t type, uint64_t value)
{
    value = htobe64(value);
    cnif_nlattr_put(buf, type, &value, sizeof(value));
}

void cnif_nlattr_put_str(struct cnif_nlbuf *buf, uint16_t type, const char *value)
{
    cnif_nlattr_put(buf, type, value, strlen(value) + 1);
}

size_t cnif_nlattr_nest(struct cnif_nlbuf *buf, uint16_t type)
{
    size_t nest = buf->used;
    struct nlattr *nla = cnif_nlbuf_reserve(buf, CNIF_NLA_HDRLEN);

    nla->nla_type = (uint16_t)(type | NLA_F_NESTED);
    return nest;
}

void cnif_nlattr_nest_end(struct cnif_nlbuf *buf, size_t nest)
{
    struct nlattr *nla;
    size_t size = buf->used - nest;

    if (buf->overflow)
        return;
    if (size > UINT16_MAX) {
        buf->overflow = true;
        return;
    }
    nla = (struct nlattr *)(void *)(buf->data + nest);
    nla->nla_len = (uint16_t)size;
}
