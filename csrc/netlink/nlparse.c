#include "netlink/nlparse.h"

#include <string.h>

static const struct nlmsghdr *whole(const void *at, size_t left)
{
    const struct nlmsghdr *nlh = at;

    if (left < NLMSG_HDRLEN || nlh->nlmsg_len < NLMSG_HDRLEN || nlh->nlmsg_len > left)
        return NULL;
    return nlh;
}

const struct nlmsghdr *cnif_nlmsg_first(const void *data, size_t len)
{
    return whole(data, len);
}

const struct nlmsghdr *cnif_nlmsg_next(const struct nlmsghdr *nlh, const void *end)
{
    size_t step = NLMSG_ALIGN((size_t)nlh->nlmsg_len);
    size_t left = (size_t)((const uint8_t *)end - (const uint8_t *)nlh);

    if (step > left)
        return NULL;
    return whole((const uint8_t *)nlh + step, left - step);
}

const void *cnif_nlmsg_header(const struct nlmsghdr *nlh, size_t size)
{
    if (nlh->nlmsg_len < NLMSG_HDRLEN + size)
        return NULL;
    return (const uint8_t *)nlh + NLMSG_HDRLEN;
}

/* The attribute at `at`, if it ends at or before `end`. */
static const struct nlattr *attribute(const void *at, const void *end)
{
    const struct nlattr *nla = at;
    ptrdiff_t left = (const uint8_t *)end - (const uint8_t *)at;

    if (left < (ptrdiff_t)CNIF_NLA_HDRLEN || nla->nla_len < CNIF_NLA_HDRLEN || nla->nla_len > left)
        return NULL;
    return nla;
}

static const struct nlattr *following(const struct nlattr *nla, const void *end)
{
    size_t step = CNIF_NLA_ALIGN((size_t)nla->nla_len);

    if (step > (size_t)((const uint8_t *)end - (const uint8_t *)nla))
        return NULL;
    return attribute((const uint8_t *)nla + step, end);
}

static void parse(const void *start, const void *end, const struct nlattr **table, unsigned max)
{
    const struct nlattr *nla;

    memset(table, 0, (max + 1) * sizeof(*table));
    for (nla = attribute(start, end); nla; nla = following(nla, end)) {
        unsigned type = cnif_nlattr_type(nla);

        if (type <= max)
            table[type] = nla;
    }
}

void cnif_nlattr_parse(const struct nlmsghdr *nlh, size_t header_size, const struct nlattr **table,
                       unsigned max)
{
    const uint8_t *start = (const uint8_t *)nlh;
    size_t offset = NLMSG_HDRLEN + NLMSG_ALIGN(header_size);

    if (offset > nlh->nlmsg_len)
        offset = nlh->nlmsg_len;
    parse(start + offset, start + nlh->nlmsg_len, table, max);
}

void cnif_nlattr_parse_nested(const struct nlattr *nest, const struct nlattr **table, unsigned max)
{
    const uint8_t *data;

    if (!nest) {
        memset(table, 0, (max + 1) * sizeof(*table));
        return;
    }
    data = cnif_nlattr_data(nest);
    parse(data, data + cnif_nlattr_size(nest), table, max);
}

const struct nlattr *cnif_nlattr_each(const struct nlattr *nest, const struct nlattr *at)
{
    const uint8_t *start = cnif_nlattr_data(nest);
    const uint8_t *end = start + cnif_nlattr_size(nest);

    return at ? following(at, end) : attribute(start, end);
}

uint8_t cnif_nlattr_u8(const struct nlattr *nla, uint8_t absent)
{
    uint8_t value = absent;

    if (nla && cnif_nlattr_size(nla) >= sizeof(value))
        memcpy(&value, cnif_nlattr_data(nla), sizeof(value));
    return value;
}

uint16_t cnif_nlattr_u16(const struct nlattr *nla, uint16_t absent)
{
    uint16_t value = absent;

    if (nla && cnif_nlattr_size(nla) >= sizeof(value))
        memcpy(&value, cnif_nlattr_data(nla), sizeof(value));
    return value;
}

uint32_t cnif_nlattr_u32(const struct nlattr *nla, uint32_t absent)
{
    uint32_t value = absent;

    if (nla && cnif_nlattr_size(nla) >= sizeof(value))
        memcpy(&value, cnif_nlattr_data(nla), sizeof(value));
    return value;
}

uint64_t cnif_nlattr_u64(const struct nlattr *nla, uint64_t absent)
{
    uint64_t value = absent;

    if (nla && cnif_nlattr_size(nla) >= sizeof(value))
        memcpy(&value, cnif_nlattr_data(nla), sizeof(value));
    return value;
}

bool cnif_nlattr_str(const struct nlattr *nla, char *to, size_t size)
{
    size_t n;

    if (!size)
        return false;
    to[0] = '\0';
    if (!nla)
        return false;
    n = strnlen(cnif_nlattr_data(nla), cnif_nlattr_size(nla));
    if (n >= size)
        n = size - 1;
    memcpy(to, cnif_nlattr_data(nla), n);
    to[n] = '\0';
    return true;
}

size_t cnif_nlattr_copy(const struct nlattr *nla, void *to, size_t size)
{
    if (!nla)
        return 0;
    if (cnif_nlattr_size(nla) < size)
        size = cnif_nlattr_size(nla);
    memcpy(to, cnif_nlattr_data(nla), size);
    return size;
}
