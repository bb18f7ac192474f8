/*
 * Looking at elements before changing them: many questions in one round trip,
 * together with the generation they are answered in.
 */
#ifndef CNIF_NFT_LOOK_H
#define CNIF_NFT_LOOK_H

#include "netlink/nlsock.h"
#include "nft/object.h"

/* How many elements one round trip deals with. */
#define CNIF_NFT_LOOK_MAX 8

#define CNIF_NFT_NAME_MAX 256

/* One element: where it would be, and what is there. */
struct cnif_nft_look {
    char set[CNIF_NFT_NAME_MAX];
    uint8_t key[CNIF_NFT_KEY_MAX];
    size_t key_size;
    bool set_found;
    bool found;
    char comment[CNIF_NFT_COMMENT_MAX]; /* of the element, if found */
    uint8_t data[CNIF_NFT_DATA_MAX];    /* what a map has for the key */
};

/*
 * Fill in what is there.  A missing table, set or element is an answer, not an
 * error.  *ret_genid is 0 if there are more than CNIF_NFT_LOOK_MAX elements and
 * something changed between two round trips.
 */
int cnif_nft_look(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                  struct cnif_nft_look *looks, size_t count, const char *object,
                  uint32_t *ret_genid, struct cnif_err *reterr);

/*
 * Send the requests of `buf`, of which the first must be cnif_nft_gen_get, and
 * set a bit in *ret_found for each object that is there.
 */
int cnif_nft_probe(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                   uint32_t *ret_genid, uint64_t *ret_found, struct cnif_err *reterr);

/*
 * Dump a set, started over when a change interrupts it.  An element may be
 * reported more than once; one that is there all the time is reported at least
 * once.  A missing set is an empty one.
 */
int cnif_nft_each_element(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                          const char *set, cnif_nft_element_seen seen, void *arg,
                          struct cnif_err *reterr);

/* Called for each set of a table. */
typedef int (*cnif_nft_set_seen)(const char *name, uint32_t key_size, void *arg);
int cnif_nft_each_set(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                      cnif_nft_set_seen seen, void *arg, struct cnif_err *reterr);

/* Called for each rule of a chain. */
typedef int (*cnif_nft_rule_seen)(const struct cnif_nft_seen_rule *rule, void *arg);
int cnif_nft_each_rule(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                       const char *chain, cnif_nft_rule_seen seen, void *arg,
                       struct cnif_err *reterr);

/* How many rules a chain has; none if there is no such chain. */
int cnif_nft_count_rules(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                         const char *chain, unsigned *ret_count, struct cnif_err *reterr);

#endif
