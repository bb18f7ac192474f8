/*
 * What lets pods through the packet filter, and keeps their bridges apart: in a table of
 * our own, or in the filter table that iptables-nft and people look at.
 *
 * Whatever lets an address through, an element of our table records whose it is, in the
 * batch that makes the rules: so nobody needs to be told what to undo.
 *
 *   table inet cnifast-firewall {
 *       set MEANS4 { type ipv4_addr                   # "nftables4", "iptables4", ...
 *           elements = { 10.1.0.5 comment "CONTAINER eth0 NETWORK" } }
 *       set MEANS6 { type ipv6_addr }
 *       set kept4 { type ipv4_addr                    # where rules of iptables have been seen
 *           elements = { 0.0.0.0 comment "4 5 17" } } # handles, see nft/xtfilter.c
 *       set kept6 { type ipv6_addr }
 *       set bridges { type ifname }                   # those with an ingress policy
 *       set same-bridge { type ifname . ifname }      # each of them twice
 *       set isolated { type ifname . ifname }         # the same, of those whose pods are isolated
 *       chain forward {
 *           type filter hook forward priority filter; policy accept;
 *           jump isolation
 *           jump admin                                # empty: the administrator's own
 *           ip daddr @nftables4 ct state established,related accept
 *           ip saddr @nftables4 accept
 *           ... the same for IPv6 ...
 *       }
 *       chain isolation {
 *           iifname . oifname @isolated drop
 *           iifname . oifname @same-bridge return
 *           iifname @bridges oifname @bridges drop
 *       }
 *   }
 *
 * Sets of other means than "nftables" are there without the rest.
 */
#ifndef CNIF_NFT_FIREWALL_H
#define CNIF_NFT_FIREWALL_H

#include "cnifast.h"

/* Where the rules are. */
#define CNIF_FIREWALL_ELSEWHERE 0 /* somebody else makes them: only the record is kept */
#define CNIF_FIREWALL_OWN_TABLE 1
#define CNIF_FIREWALL_IPTABLES  2 /* in the tables of iptables-nft, in its own encoding */

struct cnif_firewall {
    const char *means;  /* what lets the addresses through, in the names of sets */
    uint8_t rules;      /* CNIF_FIREWALL_* */
    const char *admin;  /* in iptables, the chain asked first; NULL: nothing is let through there */
    const char *bridge; /* has an ingress policy; NULL: none */
    bool isolated;      /* its pods do not reach each other either */
};

/*
 * Let addresses through, and set the ingress policy of the bridge for their families.  All
 * or nothing for the first four addresses; done again, it changes nothing.  An address that
 * another owner left behind is taken over.
 */
int cnif_firewall_add(struct cnif_nlsock *sock, const struct cnif_firewall *firewall,
                      const struct cnif_ip *ips, size_t count, const struct cnif_owner *owner,
                      struct cnif_err *reterr);
/*
 * Undo that but for the policy, which may be others' as well.  An address that is recorded
 * for somebody else is left alone; of one that is not recorded the rules go: success.
 */
int cnif_firewall_delete(struct cnif_nlsock *sock, const struct cnif_firewall *firewall,
                         const struct cnif_ip *ips, size_t count, const struct cnif_owner *owner,
                         struct cnif_err *reterr);
/* -ENOENT unless rules are as cnif_firewall_add leaves them. */
int cnif_firewall_check(struct cnif_nlsock *sock, const struct cnif_firewall *firewall,
                        const struct cnif_ip *ips, size_t count, const struct cnif_owner *owner,
                        struct cnif_err *reterr);
/*
 * All records of one of the means, of one owner if that is not NULL; the array is the
 * caller's, to be released with cnif_free.
 */
int cnif_firewall_list(struct cnif_nlsock *sock, const char *means, const struct cnif_owner *owner,
                       struct cnif_masq_entry **ret_entries, size_t *ret_count,
                       struct cnif_err *reterr);
/*
 * Who is recorded for each address and each of the means: entries[n_means * address + means],
 * with an empty owner for nobody.
 */
int cnif_firewall_find(struct cnif_nlsock *sock, const char *const *means, size_t n_means,
                       const struct cnif_ip *ips, size_t count, struct cnif_masq_entry *entries,
                       struct cnif_err *reterr);

#endif
