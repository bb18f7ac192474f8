/*
 * A veth pair that is made while its user does something else: the kernel takes
 * half a millisecond for it, about as long as finding out the addresses takes.
 *
 *     caller:  begin ---- addresses, gateways ---- attach: join, configure
 *     task:        RTM_NEWLINK ............ done
 */
#include "attach/pool.h"
#include "attach/veth.h"
#include "base/err.h"
#include "netlink/nlsock.h"
#include "rtnl/link.h"

#include <errno.h>
#include <linux/netlink.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

struct cnif_pair {
    struct cnif_task task;
    struct cnif_nlsock *sock;
    struct cnif_link_spec spec;
    struct cnif_link port;
    struct cnif_err err;
    int result;
    bool refused;
    sem_t done;
    char name[CNIF_IFNAME_MAX];
    char ifname[CNIF_IFNAME_MAX];
};

static void make(struct cnif_task *task)
{
    struct cnif_pair *pair = (struct cnif_pair *)(void *)task; /* its first member */

    pair->result =
        cnif_link_create(pair->sock, &pair->spec, &pair->port, &pair->refused, &pair->err);
    (void)sem_post(&pair->done);
}

static void join(struct cnif_pair *pair)
{
    while (sem_wait(&pair->done) < 0 && errno == EINTR)
        continue;
}

static void dispose(struct cnif_pair *pair)
{
    cnif_nlsock_close(pair->sock);
    (void)sem_destroy(&pair->done);
    free(pair);
}

int cnif_pair_begin(const struct cnif_veth_host *veth, const struct cnif_endpoint *endpoint,
                    struct cnif_pair **ret, struct cnif_err *reterr)
{
    struct cnif_pair *pair = calloc(1, sizeof(*pair));
    int r;

    if (!pair)
        return cnif_err_errno(reterr, ENOMEM, "create link %s", veth->name);
    (void)sem_init(&pair->done, 0, 0);
    cnif_veth_describe(veth, endpoint, &pair->spec);
    (void)snprintf(pair->name, sizeof(pair->name), "%s", veth->name);
    (void)snprintf(pair->ifname, sizeof(pair->ifname), "%s", endpoint->ifname);
    pair->spec.name = pair->name;
    pair->spec.peer.name = pair->ifname;
    pair->task.run = make;
    r = cnif_nlsock_open(NETLINK_ROUTE, veth->netns_fd, &pair->sock, reterr);
    if (r == 0) {
        r = cnif_pool_submit(&pair->task);
        if (r < 0)
            r = cnif_err_errno(reterr, -r, "create link %s", veth->name);
    }
    if (r < 0)
        dispose(pair);
    else
        *ret = pair;
    return r;
}

int cnif_pair_wait(struct cnif_pair *pair, struct cnif_err *reterr)
{
    join(pair);
    (void)sem_post(&pair->done); /* for those who ask again */
    if (pair->result < 0 && reterr)
        *reterr = pair->err;
    return pair->result;
}

int cnif_pair_attach(struct cnif_pair *pair, struct cnif_nlsock *host,
                     const struct cnif_veth_host *veth, const struct cnif_endpoint *endpoint,
                     enum cnif_linger linger, struct cnif_attached *ret, struct cnif_err *reterr)
{
    int r = cnif_pair_wait(pair, reterr);

    if (r == 0)
        r = cnif_veth_configure(host, veth, endpoint, &pair->port, ret, reterr);
    if (r < 0 && !pair->refused)
        cnif_veth_undo(host, veth, &pair->port, linger);
    dispose(pair);
    return r;
}

void cnif_pair_cancel(struct cnif_pair *pair, const struct cnif_veth_host *veth,
                      enum cnif_linger linger)
{
    if (!pair)
        return;
    join(pair);
    if (!pair->refused)
        cnif_veth_undo(pair->sock, veth, &pair->port, linger);
    dispose(pair);
}
