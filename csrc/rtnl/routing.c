/*
 * Changes to rules and routes that belong together: one transaction, or more
 * where there are many, and what is undone where one of them fails.
 */
#include "base/err.h"
#include "netlink/nlsock.h"
#include "rtnl/kept.h"
#include "rtnl/route.h"
#include "rtnl/rule.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#define REQUEST_SIZE 16384
#define MESSAGE_MAX  (CNIF_KEPT_MAX + 64)

#define OBJECT "routing tables"

static void put(struct cnif_nlbuf *buf, const struct cnif_routing_change *change)
{
    switch (change->step) {
    case CNIF_ADD_RULE:
        cnif_rule_put_add(buf, change->rule);
        break;
    case CNIF_DELETE_RULE:
        cnif_rule_put_delete(buf, change->rule);
        break;
    case CNIF_ADD_ROUTE:
        cnif_route_put_add(buf, &change->route, false);
        break;
    case CNIF_COPY_ROUTE:
        cnif_kept_route_put_add(buf, change->kept, change->table, true);
        break;
    case CNIF_DELETE_ROUTE:
        cnif_kept_route_put_delete(buf, change->kept, change->kept->route.table);
        break;
    }
}

static void put_inverse(struct cnif_nlbuf *buf, const struct cnif_routing_change *change)
{
    switch (change->step) {
    case CNIF_ADD_RULE:
        cnif_rule_put_delete(buf, change->rule);
        break;
    case CNIF_DELETE_RULE:
        cnif_rule_put_add(buf, change->rule);
        break;
    case CNIF_ADD_ROUTE:
        cnif_route_put_delete(buf, &change->route);
        break;
    case CNIF_COPY_ROUTE:
        cnif_kept_route_put_delete(buf, change->kept, change->table);
        break;
    case CNIF_DELETE_ROUTE:
        cnif_kept_route_put_add(buf, change->kept, change->kept->route.table, false);
        break;
    }
}

/* A transaction that is being written. */
struct batch {
    struct cnif_nlsock *sock;
    const struct cnif_routing_change *changes;
    bool *done; /* by change: the kernel has not said that it is not */
    size_t places[CNIF_NLBUF_MESSAGES];
    struct cnif_nlbuf buf;
    uint8_t data[REQUEST_SIZE] __attribute__((aligned(4)));
};

static bool is_full(const struct batch *batch)
{
    return batch->buf.count == CNIF_NLBUF_MESSAGES ||
           batch->buf.size - batch->buf.used < MESSAGE_MAX;
}

/* Send what was written and note what of it is done. */
static int flush(struct batch *batch, struct cnif_err *reterr)
{
    unsigned i;
    int r;

    if (!batch->buf.count && !batch->buf.overflow)
        return 0;
    r = cnif_nlsock_talk(batch->sock, &batch->buf, OBJECT, NULL, NULL, NULL, reterr);
    for (i = 0; i < batch->buf.count; i++)
        batch->done[batch->places[i]] = !(batch->buf.refused >> i & 1);
    cnif_nlbuf_reset(&batch->buf);
    return r;
}

/* Last one first; what was not done cannot be undone, which is no error. */
static void undo(struct batch *batch, size_t count)
{
    size_t i;

    cnif_nlbuf_reset(&batch->buf);
    for (i = count; i-- > 0;) {
        if (!batch->done[i])
            continue;
        if (is_full(batch))
            (void)flush(batch, NULL);
        batch->places[batch->buf.count] = i;
        put_inverse(&batch->buf, &batch->changes[i]);
    }
    (void)flush(batch, NULL);
}

static int run(struct batch *batch, size_t count, bool whole, struct cnif_err *reterr)
{
    size_t i = 0;
    int r = 0;

    while (i < count && (r == 0 || !whole)) {
        struct cnif_err *first = r == 0 ? reterr : NULL;
        int now;

        while (i < count && !is_full(batch)) {
            batch->places[batch->buf.count] = i;
            put(&batch->buf, &batch->changes[i++]);
        }
        now = flush(batch, first);
        if (r == 0)
            r = now;
    }
    if (r < 0 && whole)
        undo(batch, i);
    return r;
}

/* What was too long to be kept can neither be made again nor be undone. */
static int refuse_unkept(const struct cnif_routing_change *changes, size_t count,
                         struct cnif_err *reterr)
{
    const struct cnif_ip *dst;
    char text[INET6_ADDRSTRLEN] = "?";
    size_t i;

    for (i = 0; i < count; i++) {
        bool is_kept = changes[i].step == CNIF_COPY_ROUTE || changes[i].step == CNIF_DELETE_ROUTE;

        if (!is_kept || changes[i].kept->kept.size)
            continue;
        dst = &changes[i].kept->route.dst;
        (void)inet_ntop(dst->family, dst->bytes, text, sizeof(text));
        return cnif_err_errno(reterr, EMSGSIZE, "change route in " OBJECT " (%s/%u)", text,
                              dst->prefix);
    }
    return 0;
}

int cnif_routing_change(struct cnif_nlsock *sock, const struct cnif_routing_change *changes,
                        size_t count, bool whole, struct cnif_err *reterr)
{
    int r = refuse_unkept(changes, count, reterr);
    struct batch *batch;

    if (r < 0)
        return r;
    batch = calloc(1, sizeof(*batch));
    if (!batch)
        return cnif_err_errno(reterr, ENOMEM, "change " OBJECT);
    batch->sock = sock;
    batch->changes = changes;
    batch->done = calloc(count ? count : 1, sizeof(*batch->done));
    cnif_nlbuf_init(&batch->buf, batch->data, sizeof(batch->data));
    r = batch->done ? run(batch, count, whole, reterr)
                    : cnif_err_errno(reterr, ENOMEM, "change " OBJECT);
    free(batch->done);
    free(batch);
    return r;
}
