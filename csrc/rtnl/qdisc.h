/*
 * Queueing disciplines and classes of traffic control: request builders and
 * the decoders.
 *
 * Only what limits bandwidth: tbf, htb and its classes, the fifos that wait
 * behind a class, and ingress.  Roots have the handle 1:, ingress has ffff:.
 */
#ifndef CNIF_RTNL_QDISC_H
#define CNIF_RTNL_QDISC_H

#include "cnifast.h"
#include "netlink/nlbuf.h"

#include <linux/pkt_sched.h>

struct nlattr;
struct nlmsghdr;
struct tcmsg;

#define CNIF_QDISC_ROOT TC_H_MAKE(1U << 16, 0U)
/* A class of the root, by number. */
#define CNIF_CLASS(minor) TC_H_MAKE(CNIF_QDISC_ROOT, (uint32_t)(minor))

/* One that exists: what is not of its kind is 0. */
struct cnif_qdisc {
    int32_t index;
    uint32_t handle;
    uint32_t parent;
    char kind[CNIF_IFNAME_MAX];
    struct cnif_bucket bucket; /* of tbf */
    uint32_t default_class;    /* of htb */
};

struct cnif_class {
    int32_t index;
    uint32_t handle;
    char kind[CNIF_IFNAME_MAX];
    struct cnif_bucket bucket; /* of htb, without the limit */
};

void cnif_qdisc_put_tbf(struct cnif_nlbuf *buf, int32_t index, const struct cnif_bucket *bucket,
                        const char *step);
/* Packets that no filter matches go to the class `default_class`. */
void cnif_qdisc_put_htb(struct cnif_nlbuf *buf, int32_t index, uint32_t default_class,
                        const char *step);
void cnif_qdisc_put_ingress(struct cnif_nlbuf *buf, int32_t index, const char *step);
/* What waits in a class: "bfifo" counts bytes, "pfifo" packets. */
void cnif_qdisc_put_fifo(struct cnif_nlbuf *buf, int32_t index, const char *kind, uint32_t class,
                         uint32_t limit, const char *step);
/* The one at `parent`, if it is of that kind. */
void cnif_qdisc_put_delete(struct cnif_nlbuf *buf, int32_t index, uint32_t parent,
                           const char *kind);
void cnif_class_put_htb(struct cnif_nlbuf *buf, int32_t index, uint32_t class,
                        const struct cnif_bucket *bucket, const char *step);

/* Ask for the one at `parent`, or for a class; the kernel answers with an echo. */
void cnif_qdisc_put_get(struct cnif_nlbuf *buf, int32_t index, uint32_t parent);
void cnif_class_put_get(struct cnif_nlbuf *buf, int32_t index, uint32_t class);

/*
 * What all of traffic control begins with: the header of a message of this
 * type (NULL if it is another one or too short), its TCA_OPTIONS (NULL where
 * absent) and its TCA_KIND in CNIF_IFNAME_MAX bytes ("" where absent).
 */
const struct tcmsg *cnif_tcmsg_parse(const struct nlmsghdr *nlh, uint16_t type,
                                     const struct nlattr **ret_options, char *ret_kind);
/* Decode RTM_NEWQDISC and RTM_NEWTCLASS; false if it is something else or too short. */
bool cnif_qdisc_parse(const struct nlmsghdr *nlh, struct cnif_qdisc *ret);
bool cnif_class_parse(const struct nlmsghdr *nlh, struct cnif_class *ret);

#endif
