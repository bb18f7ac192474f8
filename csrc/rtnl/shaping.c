/*
 * Bandwidth limits of one container.
 *
 *   to it:    host's end, root: token bucket
 *   from it:  host's end, ingress -- redirect --> ifb device, root: token bucket
 *
 * With subnets a root is htb instead, with a class that is limited, one that
 * is not, and a filter per subnet.
 *
 * The kernel undoes nothing, so that is done here.  Nothing was there before,
 * so that whatever is there after a failure is ours, but for what was refused.
 */
#include "rtnl/shaping.h"

#include "base/err.h"
#include "netlink/nlsock.h"
#include "rtnl/filter.h"
#include "rtnl/link.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

/* So much that nobody notices it, but for the counters of its class. */
#define FREE_RATE    UINT64_C(100000000000)
#define FREE_BURST   (10000000 / CNIF_TICK_NS) /* 10 ms */
#define FREE_PACKETS 1000

#define FILTERS_AT_ONCE 32
#define REQUEST_SIZE    4096

/* The two directions: which link has the root, and what stands in its packets for the far end. */
struct side {
    const struct cnif_bucket *bucket;
    bool from; /* the far end is where packets come from */
    const char *make_root;
    const char *make_class;
};

static struct side to_container(const struct cnif_shaping *shaping)
{
    return (struct side){&shaping->ingress, true, "limit what is sent to",
                         "add class of what is sent to"};
}

static struct side from_container(const struct cnif_shaping *shaping)
{
    return (struct side){&shaping->egress, false, "limit what is received from",
                         "add class of what is received from"};
}

static void put_root(struct cnif_nlbuf *buf, const struct cnif_shaping *shaping, int32_t index,
                     const struct side *side)
{
    if (shaping->n_subnets)
        cnif_qdisc_put_htb(buf, index, cnif_shaping_default(shaping), side->make_root);
    else
        cnif_qdisc_put_tbf(buf, index, side->bucket, side->make_root);
}

static void put_classes(struct cnif_nlbuf *buf, const struct cnif_shaping *shaping, int32_t index,
                        const struct side *side)
{
    const struct cnif_bucket unlimited = {.rate = FREE_RATE, .burst = FREE_BURST};
    uint32_t limited = CNIF_CLASS(CNIF_CLASS_LIMITED), free_class = CNIF_CLASS(CNIF_CLASS_FREE);

    if (!shaping->n_subnets)
        return;
    cnif_class_put_htb(buf, index, limited, side->bucket, side->make_class);
    cnif_class_put_htb(buf, index, free_class, &unlimited, side->make_class);
    /* Left alone, the queue of a class is as long as the link's, which may be 0. */
    cnif_qdisc_put_fifo(buf, index, "bfifo", limited, side->bucket->limit, side->make_class);
    cnif_qdisc_put_fifo(buf, index, "pfifo", free_class, FREE_PACKETS, side->make_class);
}

static int add_filters(struct cnif_nlsock *sock, const struct cnif_shaping *shaping, int32_t index,
                       const struct side *side, struct cnif_err *reterr)
{
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;
    size_t i = 0;
    int r = 0;

    while (r == 0 && i < shaping->n_subnets) {
        cnif_nlbuf_init(&buf, data, sizeof(data));
        for (; i < shaping->n_subnets && buf.count < FILTERS_AT_ONCE; i++) {
            struct cnif_filter filter;

            cnif_filter_subnet(&filter, &shaping->subnets[i], side->from,
                               cnif_shaping_filtered(shaping));
            cnif_filter_put_add(&buf, index, CNIF_QDISC_ROOT, &filter, "add filter of");
        }
        r = cnif_nlsock_talk(sock, &buf, shaping->name, NULL, NULL, NULL, reterr);
    }
    return r;
}

static int qdisc_reply(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    struct cnif_qdisc *found = arg;

    return cnif_qdisc_parse(nlh, &found[index]) ? 0 : -EBADMSG;
}

/* Refuse a link on which somebody limits bandwidth already. */
static int look_for_others(struct cnif_nlsock *sock, const struct cnif_shaping *shaping,
                           struct cnif_err *reterr)
{
    uint8_t data[128] __attribute__((aligned(4)));
    struct cnif_qdisc found[2] = {0}; /* at the root, at ingress */
    struct cnif_nlbuf buf;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_qdisc_put_get(&buf, shaping->index, TC_H_ROOT);
    cnif_qdisc_put_get(&buf, shaping->index, TC_H_INGRESS);
    r = cnif_nlsock_talk(sock, &buf, shaping->name, qdisc_reply, found, NULL, reterr);
    if (r < 0 && !buf.refused)
        return r;
    /* The kernel's own choice has no handle. */
    if ((found[0].handle && shaping->ingress.rate) || (found[1].handle && shaping->egress.rate))
        return cnif_err_errno(
            reterr, EEXIST, "limit bandwidth of %s: queueing discipline %s", shaping->name,
            found[0].handle && shaping->ingress.rate ? found[0].kind : found[1].kind);
    return 0;
}

/* What may be there after the first transaction; the rest is on top of it. */
struct made {
    bool root, ingress, device;
    int32_t ifb; /* index; 0: not known */
};

static void put_device(struct cnif_nlbuf *buf, const struct cnif_shaping *shaping)
{
    struct cnif_link_spec spec = {.kind = "ifb",
                                  .name = shaping->ifb,
                                  .mtu = shaping->mtu,
                                  .netns_fd = -1,
                                  .has_txqlen = true,
                                  .has_mac = true,
                                  .peer = {.netns_fd = -1}};

    memcpy(spec.mac, shaping->mac, sizeof(spec.mac));
    cnif_link_put_add(buf, &spec, NLM_F_ECHO);
    buf->steps[buf->count - 1] = "create ifb device for";
}

/* The message that says what one thing is: which of a transaction's it was, or UINT_MAX. */
struct places {
    unsigned device, root, ingress;
};

static bool was_made(const struct cnif_nlbuf *buf, unsigned place)
{
    return place != UINT_MAX && !(buf->refused & UINT64_C(1) << place);
}

static int make_first(struct cnif_nlsock *sock, const struct cnif_shaping *shaping,
                      struct made *made, struct cnif_err *reterr)
{
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    struct places places = {UINT_MAX, UINT_MAX, UINT_MAX};
    struct side inbound = to_container(shaping);
    struct cnif_link link = {0};
    struct cnif_nlbuf buf;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    if (shaping->egress.rate) {
        places.device = buf.count;
        put_device(&buf, shaping);
        places.ingress = buf.count;
        cnif_qdisc_put_ingress(&buf, shaping->index, "take in what is received from");
    }
    if (shaping->ingress.rate) {
        places.root = buf.count;
        put_root(&buf, shaping, shaping->index, &inbound);
    }
    r = cnif_nlsock_talk(sock, &buf, shaping->name, cnif_link_reply, &link, NULL, reterr);
    made->device = was_made(&buf, places.device);
    made->ingress = was_made(&buf, places.ingress);
    made->root = was_made(&buf, places.root);
    /* Before Linux 6.2 there is no echo of a new link. */
    if (r == 0 && made->device && !link.index)
        r = cnif_link_get(sock, shaping->ifb, 0, &link, reterr);
    made->ifb = link.index;
    return r;
}

static int make_rest(struct cnif_nlsock *sock, const struct cnif_shaping *shaping, int32_t ifb,
                     struct cnif_err *reterr)
{
    struct side inbound = to_container(shaping), outbound = from_container(shaping);
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
    struct cnif_filter redirect;
    struct cnif_nlbuf buf;
    int r = 0;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    if (shaping->ingress.rate)
        put_classes(&buf, shaping, shaping->index, &inbound);
    if (shaping->egress.rate) {
        /* A link that is up waits for a grace period of RCU before it changes its root. */
        put_root(&buf, shaping, ifb, &outbound);
        put_classes(&buf, shaping, ifb, &outbound);
        /* The kernel takes an alias only for a link that exists. */
        cnif_link_begin_change(&buf, ifb, IFF_UP, IFF_UP, "set up ifb device for");
        cnif_nlattr_put(&buf, IFLA_IFALIAS, shaping->alias, strlen(shaping->alias));
        cnif_nlmsg_end(&buf);
        cnif_filter_redirect(&redirect, ifb);
        cnif_filter_put_add(&buf, shaping->index, CNIF_INGRESS, &redirect,
                            "redirect what is received from");
    }
    if (buf.count)
        r = cnif_nlsock_talk(sock, &buf, shaping->name, NULL, NULL, NULL, reterr);
    if (r == 0 && shaping->ingress.rate)
        r = add_filters(sock, shaping, shaping->index, &inbound, reterr);
    if (r == 0 && shaping->egress.rate)
        r = add_filters(sock, shaping, ifb, &outbound, reterr);
    return r;
}

/* The device that we made, or 0: another one of the name has another MAC. */
static int32_t find_device(struct cnif_nlsock *sock, const struct cnif_shaping *shaping)
{
    struct cnif_link link;

    if (cnif_link_get(sock, shaping->ifb, 0, &link, NULL) < 0 ||
        memcmp(link.mac, shaping->mac, sizeof(shaping->mac)) != 0)
        return 0;
    return link.index;
}

/* Once more where the request or its answer was lost, here and below. */
static void delete_qdiscs(struct cnif_nlsock *sock, const struct cnif_shaping *shaping,
                          const struct made *made)
{
    uint8_t data[256] __attribute__((aligned(4)));
    struct cnif_nlbuf buf;
    int attempts = 2;

    do {
        cnif_nlbuf_init(&buf, data, sizeof(data));
        if (made->ingress)
            cnif_qdisc_put_delete(&buf, shaping->index, TC_H_INGRESS, "ingress");
        if (made->root)
            cnif_qdisc_put_delete(&buf, shaping->index, TC_H_ROOT,
                                  shaping->n_subnets ? "htb" : "tbf");
    } while (buf.count && cnif_nlsock_talk(sock, &buf, shaping->name, NULL, NULL, NULL, NULL) < 0 &&
             !buf.refused && --attempts);
}

static void undo(struct cnif_nlsock *sock, const struct cnif_shaping *shaping,
                 const struct made *made)
{
    int32_t ifb = made->ifb;
    int attempts;

    delete_qdiscs(sock, shaping, made);
    for (attempts = 2; made->device && !ifb && attempts; attempts--)
        ifb = find_device(sock, shaping);
    if (ifb && cnif_link_delete(sock, ifb, NULL) < 0)
        (void)cnif_link_delete(sock, ifb, NULL);
}

int cnif_shaping_add(struct cnif_nlsock *sock, const struct cnif_shaping *shaping,
                     struct cnif_err *reterr)
{
    struct made made = {0};
    int r = look_for_others(sock, shaping, reterr);

    if (r < 0)
        return r;
    r = make_first(sock, shaping, &made, reterr);
    if (r == 0)
        r = make_rest(sock, shaping, made.ifb, reterr);
    if (r < 0)
        undo(sock, shaping, &made);
    return r;
}
