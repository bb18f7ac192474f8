/*
 * A veth attachment by two threads: the kernel takes half a millisecond to make
 * the pair, about as long as finding out the addresses takes; and each end is
 * configured by a thread of its own.
 *
 *     caller:  begin --- addresses, gateways --- attach: enter, join ... container's end, join
 *     task:        RTM_NEWLINK ........... made, the host's end ... done
 */
#include "attach/endpoint.h"
#include "attach/local.h"
#include "attach/pool.h"
#include "attach/routed.h"
#include "attach/veth.h"
#include "base/err.h"
#include "netlink/nlsock.h"
#include "rtnl/link.h"

#include <errno.h>
#include <linux/if.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct cnif_pair {
    struct cnif_task task;
    struct cnif_nlsock *sock;
    const struct cnif_veth_host *veth;
    struct cnif_link_spec spec;
    struct cnif_link port;
    struct cnif_nlsock *watch; /* of the host end's own addresses, NULL: there is nothing to see */
    bool refused;
    bool here; /* made by the thread that waits for it */
    int made_result, done_result;
    struct cnif_err made_err, done_err;
    sem_t made, done;
    char ifname[CNIF_IFNAME_MAX];
};

static void make(struct cnif_task *task)
{
    struct cnif_pair *pair = (struct cnif_pair *)(void *)task; /* its first member */
    int r = cnif_link_create(pair->sock, &pair->spec, &pair->port, &pair->refused, &pair->made_err);

    pair->made_result = r;
    (void)sem_post(&pair->made);
    if (r == 0)
        r = cnif_veth_configure_port(pair->sock, pair->veth, pair->here, pair->port.index,
                                     &pair->done_err);
    pair->done_result = r;
    (void)sem_post(&pair->done);
}

/*
 * Wait for a step of the task, and wake up here.  The kernel likes to wake a
 * thread on the CPU of the one that wakes it, which goes on working there.
 */
static void join(sem_t *step)
{
    int here = sched_getcpu();
    cpu_set_t all, one;
    bool pinned = false;

    if (sem_trywait(step) < 0) {
        if (here >= 0 && sched_getaffinity(0, sizeof(all), &all) == 0) {
            CPU_ZERO(&one);
            CPU_SET((size_t)here, &one);
            pinned = sched_setaffinity(0, sizeof(one), &one) == 0;
        }
        while (sem_wait(step) < 0 && errno == EINTR)
            continue;
        if (pinned)
            (void)sched_setaffinity(0, sizeof(all), &all);
    }
    (void)sem_post(step); /* for those who ask again */
}

static void dispose(struct cnif_pair *pair)
{
    (void)sem_destroy(&pair->made);
    (void)sem_destroy(&pair->done);
    cnif_nlsock_close(pair->watch);
    free(pair);
}

/* A new unicast, locally administered Ethernet address. */
static int make_mac(uint8_t mac[6], struct cnif_err *reterr)
{
    if (getrandom(mac, 6, 0) != 6)
        return cnif_err_errno(reterr, errno, "make a MAC address");
    mac[0] = (uint8_t)((mac[0] & 0xfe) | 0x02);
    return 0;
}

/* Both ends have a MAC from the start: a given one, or one that is made here. */
static int settle_macs(struct cnif_veth_host *veth, struct cnif_endpoint *endpoint,
                       struct cnif_err *reterr)
{
    int r = veth->has_mac ? 0 : make_mac(veth->mac, reterr);

    if (r == 0 && !endpoint->has_mac)
        r = make_mac(endpoint->mac, reterr);
    return r;
}

/* The host's end stays down until it is a port with all its options. */
static void describe(struct cnif_pair *pair, const struct cnif_veth_host *veth,
                     const struct cnif_endpoint *endpoint)
{
    (void)snprintf(pair->ifname, sizeof(pair->ifname), "%s", endpoint->ifname);
    pair->spec = (struct cnif_link_spec){
        .kind = "veth",
        .name = veth->name,
        .mtu = endpoint->mtu,
        .master = veth->bridge,
        .netns_fd = -1,
        .has_mac = true,
        .single_queue = true,
        .peer = {.name = pair->ifname,
                 .mtu = endpoint->mtu,
                 .netns_fd = endpoint->netns_fd,
                 .has_mac = true},
    };
    memcpy(pair->spec.mac, veth->mac, sizeof(pair->spec.mac));
    memcpy(pair->spec.peer.mac, endpoint->mac, sizeof(pair->spec.peer.mac));
}

static int prepare(struct cnif_nlsock *sock, struct cnif_veth_host *veth,
                   struct cnif_endpoint *endpoint, struct cnif_pair **ret, struct cnif_err *reterr)
{
    int r = settle_macs(veth, endpoint, reterr);
    struct cnif_pair *pair;

    if (r < 0)
        return r;
    pair = calloc(1, sizeof(*pair));
    if (!pair)
        return cnif_err_errno(reterr, ENOMEM, "create link %s", veth->name);
    (void)sem_init(&pair->made, 0, 0);
    (void)sem_init(&pair->done, 0, 0);
    pair->sock = sock;
    pair->veth = veth;
    pair->task.run = make;
    describe(pair, veth, endpoint);
    *ret = pair;
    return 0;
}

int cnif_pair_begin(struct cnif_nlsock *sock, struct cnif_veth_host *veth,
                    struct cnif_endpoint *endpoint, struct cnif_pair **ret, struct cnif_err *reterr)
{
    struct cnif_pair *pair = NULL;
    int r = prepare(sock, veth, endpoint, &pair, reterr);

    if (r < 0)
        return r;
    r = cnif_pool_submit(&pair->task);
    if (r < 0) {
        dispose(pair);
        return cnif_err_errno(reterr, -r, "create link %s", veth->name);
    }
    *ret = pair;
    return 0;
}

static int failure(int result, const struct cnif_err *err, struct cnif_err *reterr)
{
    if (result < 0 && reterr)
        *reterr = *err;
    return result;
}

int cnif_pair_wait(struct cnif_pair *pair, struct cnif_err *reterr)
{
    join(&pair->made);
    return failure(pair->made_result, &pair->made_err, reterr);
}

/* The container's end, while the task goes on with the host's. */
static int configure(struct cnif_pair *pair, struct cnif_inside *inside,
                     const struct cnif_endpoint *endpoint, struct cnif_link *ret,
                     struct cnif_err *reterr)
{
    const struct cnif_veth_host *veth = pair->veth;
    int r = cnif_pair_wait(pair, reterr);

    /* Duplicate address detection takes a port that passes what it sends. */
    if (r == 0 && (endpoint->wait_dad || !veth->bridge)) {
        join(&pair->done);
        r = failure(pair->done_result, &pair->done_err, reterr);
    }
    if (r == 0 && !veth->bridge)
        r = cnif_routed_configure(pair->sock, veth, pair->port.index, &pair->watch, reterr);
    return r == 0 ? cnif_inside_configure(inside, endpoint, pair->port.parent, false, ret, reterr)
                  : r;
}

/*
 * Wait until packets pass in both directions.  The end that was up first had
 * no carrier then; to be asked again settles that, and starts its queue.
 */
static int settle(struct cnif_pair *pair, const struct cnif_inside *inside,
                  const struct cnif_endpoint *endpoint, struct cnif_link *link,
                  struct cnif_veth_ends *ends, struct cnif_err *reterr)
{
    int r = 0;

    join(&pair->done);
    if (pair->done_result < 0)
        return failure(pair->done_result, &pair->done_err, reterr);
    if (endpoint->up && link->operstate != IF_OPER_UP)
        r = cnif_link_get(inside->sock, NULL, link->index, link, reterr);
    if (r == 0 && endpoint->up)
        r = cnif_local_settle(inside->sock, endpoint->addresses, endpoint->n_addresses, reterr);
    if (r == 0 && pair->watch)
        r = cnif_routed_settle(pair->watch, pair->veth, pair->port.index, reterr);
    ends->port = pair->port;
    return r == 0 ? cnif_veth_settle(pair->sock, pair->veth, endpoint->up, ends, reterr) : r;
}

static int attach(struct cnif_pair *pair, const struct cnif_endpoint *endpoint,
                  struct cnif_link *link, struct cnif_veth_ends *ends, struct cnif_err *reterr)
{
    struct cnif_inside inside;
    int r = cnif_inside_enter(endpoint, &inside, reterr);

    if (r < 0) /* what the kernel says of a pair that is to be in there tells more */
        return cnif_pair_wait(pair, NULL) < 0 ? cnif_pair_wait(pair, reterr) : r;
    r = configure(pair, &inside, endpoint, link, reterr);
    if (r == 0)
        r = settle(pair, &inside, endpoint, link, ends, reterr);
    cnif_inside_leave(&inside);
    return r;
}

int cnif_pair_attach(struct cnif_pair *pair, const struct cnif_endpoint *endpoint,
                     enum cnif_linger linger, struct cnif_attached *ret, struct cnif_err *reterr)
{
    struct cnif_veth_ends ends = {0};
    struct cnif_link link;
    int r = attach(pair, endpoint, &link, &ends, reterr);

    if (r < 0) {
        cnif_pair_cancel(pair, linger);
        return r;
    }
    *ret = (struct cnif_attached){
        .index = link.index, .host_index = ends.port.index, .bridge = ends.bridge};
    memcpy(ret->mac, link.mac, sizeof(ret->mac));
    memcpy(ret->host_mac, pair->spec.mac, sizeof(ret->host_mac));
    dispose(pair);
    return 0;
}

void cnif_pair_cancel(struct cnif_pair *pair, enum cnif_linger linger)
{
    if (!pair)
        return;
    join(&pair->done);
    if (!pair->refused)
        cnif_veth_undo(pair->sock, pair->veth, pair->spec.mac, &pair->port, linger);
    dispose(pair);
}

/* There is nothing to do meanwhile: one thread is faster than two. */
int cnif_attach_veth(struct cnif_nlsock *sock, const struct cnif_veth_host *veth,
                     const struct cnif_endpoint *endpoint, enum cnif_linger linger,
                     struct cnif_attached *ret, struct cnif_err *reterr)
{
    struct cnif_veth_host host = *veth;
    struct cnif_endpoint inside = *endpoint;
    struct cnif_pair *pair = NULL;
    int r = prepare(sock, &host, &inside, &pair, reterr);

    if (r < 0)
        return r;
    pair->here = true;
    make(&pair->task);
    return cnif_pair_attach(pair, &inside, linger, ret, reterr);
}
