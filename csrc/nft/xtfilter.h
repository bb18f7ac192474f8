/*
 * The chains of iptables that let pods through and keep their bridges apart, as the
 * reference has them, in the filter tables of iptables-nft:
 *
 *   FORWARD                -j CNI-ISOLATION-STAGE-1
 *   FORWARD                -j CNI-FORWARD
 *   CNI-FORWARD            -j CNI-ADMIN
 *   CNI-FORWARD            -d 10.1.0.5 --ctstate RELATED,ESTABLISHED -j ACCEPT
 *   CNI-FORWARD            -s 10.1.0.5 -j ACCEPT
 *   CNI-ISOLATION-STAGE-1  -i cni0 -o cni0 -j DROP          # if its pods are isolated
 *   CNI-ISOLATION-STAGE-1  -i cni0 ! -o cni0 -j CNI-ISOLATION-STAGE-2
 *   CNI-ISOLATION-STAGE-1  -j RETURN
 *   CNI-ISOLATION-STAGE-2  -o cni0 -j DROP
 *   CNI-ISOLATION-STAGE-2  -j RETURN
 */
#ifndef CNIF_NFT_XTFILTER_H
#define CNIF_NFT_XTFILTER_H

#include "netlink/nlsock.h"
#include "nft/firewall.h"
#include "nft/xtrule.h"

#define CNIF_XT_ADDRESSES 4                            /* in one batch */
#define CNIF_XT_RULES     (10 + 2 * CNIF_XT_ADDRESSES) /* of one family */
#define CNIF_XT_HANDLES   24                           /* removed by one batch */

/* Where a rule has its place. */
struct cnif_xt_place {
    const char *chain;
    bool first; /* put before all others of the chain */
    struct cnif_xt_rule rule;
    int keeper;      /* which of the handles that are remembered is this rule's; -1: none */
    uint64_t handle; /* 0: not known */
    bool found;
};

/* Handles that are remembered, as text. */
#define CNIF_XT_KEPT     3
#define CNIF_XT_KEPT_MAX 64

/* All rules of one family; it points into what it was made of. */
struct cnif_xt_filter {
    const struct cnif_nft_family *family;
    const struct cnif_firewall *firewall;
    struct cnif_xt_place places[CNIF_XT_RULES];
    size_t count;
    bool complete; /* all that is not about an address is there */
};

/* Up to CNIF_XT_ADDRESSES addresses; those of the other family are passed over. */
void cnif_xt_filter_init(struct cnif_xt_filter *filter, const struct cnif_nft_family *family,
                         const struct cnif_firewall *firewall, const struct cnif_ip *ips,
                         size_t count);

/*
 * See which of the rules that many rules may stand before or behind are where they were when
 * their handles were remembered.  That spares cnif_xt_filter_look the reading of long chains.
 */
int cnif_xt_filter_recall(struct cnif_nlsock *sock, struct cnif_xt_filter *filter, const char *kept,
                          struct cnif_err *reterr);

/*
 * See which rules are there; those about addresses are taken for missing unless `addresses`.
 */
int cnif_xt_filter_look(struct cnif_nlsock *sock, struct cnif_xt_filter *filter, bool addresses,
                        struct cnif_err *reterr);

/* The handles that have been seen, and for other rules those in `kept`. */
void cnif_xt_filter_remember(const struct cnif_xt_filter *filter, const char *kept,
                             char text[CNIF_XT_KEPT_MAX]);

/* Write what is missing. */
void cnif_xt_filter_write(struct cnif_nlbuf *buf, const struct cnif_xt_filter *filter);

/* -ENOENT naming the first rule that has not been seen. */
int cnif_xt_filter_require(const struct cnif_xt_filter *filter, struct cnif_err *reterr);

/*
 * Write the removal of the rules about addresses, also of such as are there several times;
 * *ret_more is set if there are more than one batch can hold.
 */
int cnif_xt_filter_remove(struct cnif_nlsock *sock, struct cnif_nlbuf *buf,
                          const struct cnif_xt_filter *filter, bool *ret_more,
                          struct cnif_err *reterr);

#endif
