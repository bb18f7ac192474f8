/*
 * Whether the bandwidth limits of a container are as they were made.
 */
#include "rtnl/shaping.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "netlink/nlsock.h"
#include "rtnl/filter.h"
#include "rtnl/link.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

static int qdisc_reply(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    (void)index;
    return cnif_qdisc_parse(nlh, arg) ? 0 : -EBADMSG;
}

static int class_reply(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    (void)index;
    return cnif_class_parse(nlh, arg) ? 0 : -EBADMSG;
}

static int get_qdisc(struct cnif_nlsock *sock, int32_t index, uint32_t parent, const char *object,
                     struct cnif_qdisc *ret, struct cnif_err *reterr)
{
    uint8_t data[64] __attribute__((aligned(4)));
    struct cnif_qdisc found = {0};
    struct cnif_nlbuf buf;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_qdisc_put_get(&buf, index, parent);
    r = cnif_nlsock_talk(sock, &buf, object, qdisc_reply, &found, NULL, reterr);
    if (r == 0)
        *ret = found;
    return r;
}

static bool same_bucket(const struct cnif_bucket *one, const struct cnif_bucket *other)
{
    return one->rate == other->rate && one->burst == other->burst && one->limit == other->limit;
}

static bool is_our_root(const struct cnif_qdisc *qdisc, const struct cnif_shaping *shaping,
                        const struct cnif_bucket *bucket)
{
    if (shaping->n_subnets)
        return strcmp(qdisc->kind, "htb") == 0 &&
               qdisc->default_class == cnif_shaping_default(shaping);
    return strcmp(qdisc->kind, "tbf") == 0 && same_bucket(&qdisc->bucket, bucket);
}

/* -ENOENT: something is missing or is not as it was made. */
static int differs(const char *what, const struct cnif_shaping *shaping, const char *link,
                   struct cnif_err *reterr)
{
    return cnif_err_set(reterr, ENOENT, "bandwidth limits of %s: %s of %s is not as it was set",
                        shaping->name, what, link);
}

static int check_class(struct cnif_nlsock *sock, const struct cnif_shaping *shaping, int32_t index,
                       const char *link, const struct cnif_bucket *bucket, struct cnif_err *reterr)
{
    uint8_t data[64] __attribute__((aligned(4)));
    struct cnif_class found = {0};
    struct cnif_nlbuf buf;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_class_put_get(&buf, index, CNIF_CLASS(CNIF_CLASS_LIMITED));
    r = cnif_nlsock_talk(sock, &buf, link, class_reply, &found, NULL, reterr);
    if (r < 0)
        return r;
    if (found.bucket.rate != bucket->rate || found.bucket.burst != bucket->burst)
        return differs("limited class", shaping, link, reterr);
    return 0;
}

static bool has_filter(const struct cnif_filter *filters, size_t count,
                       const struct cnif_filter *wanted)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (cnif_filter_equal(&filters[i], wanted))
            return true;
    }
    return false;
}

/* Every subnet has its filter, and there are no others. */
static int check_subnets(struct cnif_nlsock *sock, const struct cnif_shaping *shaping,
                         int32_t index, const char *link, bool from, struct cnif_err *reterr)
{
    cnif_cleanup_free struct cnif_filter *filters = NULL;
    size_t count, i;
    int r = cnif_filter_dump(sock, index, CNIF_QDISC_ROOT, link, &filters, &count, reterr);

    if (r < 0)
        return r;
    for (i = 0; i < shaping->n_subnets; i++) {
        struct cnif_filter wanted;

        cnif_filter_subnet(&wanted, &shaping->subnets[i], from, cnif_shaping_filtered(shaping));
        if (!has_filter(filters, count, &wanted))
            return differs("filter of a subnet", shaping, link, reterr);
    }
    if (count != shaping->n_subnets)
        return differs("list of filters", shaping, link, reterr);
    return 0;
}

static int check_root(struct cnif_nlsock *sock, const struct cnif_shaping *shaping, int32_t index,
                      const char *link, const struct cnif_bucket *bucket, bool from,
                      struct cnif_err *reterr)
{
    struct cnif_qdisc found;
    int r = get_qdisc(sock, index, TC_H_ROOT, link, &found, reterr);

    if (r < 0)
        return r;
    if (!is_our_root(&found, shaping, bucket))
        return differs("queueing discipline", shaping, link, reterr);
    if (!shaping->n_subnets)
        return 0;
    r = check_class(sock, shaping, index, link, bucket, reterr);
    return r < 0 ? r : check_subnets(sock, shaping, index, link, from, reterr);
}

static int check_redirect(struct cnif_nlsock *sock, const struct cnif_shaping *shaping, int32_t ifb,
                          struct cnif_err *reterr)
{
    cnif_cleanup_free struct cnif_filter *filters = NULL;
    size_t count, i;
    int r = cnif_filter_dump(sock, shaping->index, CNIF_INGRESS, shaping->name, &filters, &count,
                             reterr);

    if (r < 0)
        return r;
    for (i = 0; i < count; i++) {
        if (filters[i].redirect == ifb)
            return 0;
    }
    return differs("redirection to the ifb device", shaping, shaping->name, reterr);
}

int cnif_shaping_check(struct cnif_nlsock *sock, const struct cnif_shaping *shaping,
                       struct cnif_err *reterr)
{
    struct cnif_link link;
    int r = 0;

    if (shaping->ingress.rate)
        r = check_root(sock, shaping, shaping->index, shaping->name, &shaping->ingress, true,
                       reterr);
    if (r < 0 || !shaping->egress.rate)
        return r;
    r = cnif_link_get(sock, shaping->ifb, 0, &link, reterr);
    if (r == 0)
        r = check_root(sock, shaping, link.index, shaping->ifb, &shaping->egress, false, reterr);
    return r < 0 ? r : check_redirect(sock, shaping, link.index, reterr);
}
