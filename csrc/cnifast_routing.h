/*
 * The part of the exported ABI that is about policy routing: rules, routes that
 * are made again elsewhere, changes to both as one, and ports of VRFs.  The
 * conventions are those of cnifast.h.
 */
#ifndef CNIFAST_ROUTING_H
#define CNIFAST_ROUTING_H

#include "cnifast.h"

/* ---- netns: one change at a time ---- */

struct cnif_netns_lock {
    int fd;
    int slot;
};

/*
 * Lock a namespace against others that want to change it in several steps, as
 * the reference's sbr plugin does; -EAGAIN after `wait_ms`.  Of those that
 * share a process no thread may want two locks at a time.
 */
int cnif_netns_lock(int netns_fd, int wait_ms, struct cnif_netns_lock *ret,
                    struct cnif_err *reterr);
void cnif_netns_unlock(struct cnif_netns_lock *lock);

/* ---- rtnl: rules, and routes as they are ---- */

#define CNIF_KEPT_MAX 448

/* What the kernel said of something, to be said again; size 0: it was too long. */
struct cnif_kept {
    uint32_t size;
    uint8_t bytes[CNIF_KEPT_MAX];
};

/* A route that can be made again, or in another table, with all that belongs to it. */
struct cnif_kept_route {
    struct cnif_route route;
    struct cnif_kept kept;
};

/* Packets from a source look into a table. */
struct cnif_rule {
    struct cnif_ip src; /* prefix 0: any */
    uint32_t table;     /* 0: the rule leads to none */
    uint32_t priority;  /* 0: the kernel's choice */
    struct cnif_kept kept;
};

enum cnif_routing_step {
    CNIF_ADD_RULE,
    CNIF_DELETE_RULE,
    CNIF_ADD_ROUTE, /* all of it has to be given; before others to the same destination */
    CNIF_COPY_ROUTE,
    CNIF_DELETE_ROUTE,
};

struct cnif_routing_change {
    enum cnif_routing_step step;
    uint32_t table;                     /* a copy's */
    const struct cnif_rule *rule;       /* to be added, or deleted as it was kept */
    const struct cnif_kept_route *kept; /* to be copied, or deleted */
    struct cnif_route route;            /* to be added */
};

/* Dumps as those of cnifast.h; the arrays are the caller's, to be released with cnif_free. */
int cnif_kept_route_dump(struct cnif_nlsock *sock, int32_t oif, uint8_t family, uint32_t table,
                         struct cnif_kept_route **ret_routes, size_t *ret_count,
                         struct cnif_err *reterr);
int cnif_rule_dump(struct cnif_nlsock *sock, uint8_t family, struct cnif_rule **ret_rules,
                   size_t *ret_count, struct cnif_err *reterr);

/*
 * Make changes in their order, in one transaction unless they are many.
 * `whole`: all of them or none; else all are tried and the first failure is
 * reported.
 */
int cnif_routing_change(struct cnif_nlsock *sock, const struct cnif_routing_change *changes,
                        size_t count, bool whole, struct cnif_err *reterr);

/* ---- attach: ports of a VRF ---- */

struct cnif_vrf_port {
    int32_t index; /* of the link that is to be one */
    const char *name;
    int32_t vrf; /* index of the VRF */
    uint32_t table;
};

/*
 * Make a link a port of a VRF, with all the addresses and routes that it has.
 * `sock` is a rtnetlink socket in the namespace `netns_fd`.  On failure all is
 * as before; -ETIMEDOUT: the kernel does not finish an address.
 */
int cnif_vrf_join(struct cnif_nlsock *sock, int netns_fd, const struct cnif_vrf_port *port,
                  struct cnif_err *reterr);

#endif
