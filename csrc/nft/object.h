/*
 * Requests for the objects of nf_tables (tables, chains, sets, elements,
 * rules) and the reading of what the kernel answers.
 *
 * Adding and deleting belongs into a batch (nft/batch.h); getting and dumping
 * is sent by itself.  A comment is stored as user data in the encoding of
 * libnftnl, so that `nft list` shows it.
 */
#ifndef CNIF_NFT_OBJECT_H
#define CNIF_NFT_OBJECT_H

#include "netlink/nlbuf.h"

/* Types of keys as `nft` numbers them; parts of a concatenation are shifted together. */
#define CNIF_NFT_TYPE_IPADDR       7U
#define CNIF_NFT_TYPE_IP6ADDR      8U
#define CNIF_NFT_TYPE_ETHERADDR    9U
#define CNIF_NFT_TYPE_PROTO        12U
#define CNIF_NFT_TYPE_PORT         13U
#define CNIF_NFT_TYPE_IFNAME       41U
#define CNIF_NFT_TYPE_BITS         6
#define CNIF_NFT_TYPE_CONCAT(a, b) ((a) << CNIF_NFT_TYPE_BITS | (b))
#define CNIF_NFT_KEY_MAX           64
#define CNIF_NFT_DATA_MAX          64
#define CNIF_NFT_COMMENT_MAX       254 /* with its NUL */

struct nlattr;
struct nlmsghdr;

struct cnif_nft_table {
    uint8_t family; /* NFPROTO_* */
    const char *name;
};

/* What makes a chain a base chain. */
struct cnif_nft_hook {
    const char *type;
    uint32_t hook;
    int32_t priority;
};

struct cnif_nft_set {
    const char *name;
    uint32_t key_type;
    uint32_t key_size;
    bool verdicts;      /* a verdict map instead of a set */
    uint32_t data_type; /* a map to values of this type instead of a set; 0: none */
    uint32_t data_size;
    bool host_order; /* `nft` prints a key of this type only if told that it is in host order */
};

struct cnif_nft_element {
    const void *key;
    size_t key_size;
    const char *jump; /* in a verdict map: the chain to jump to */
    const void *data; /* in a map of values: the value */
    size_t data_size;
    const char *comment; /* may be NULL */
};

/* The generation of the ruleset. */
void cnif_nft_gen_get(struct cnif_nlbuf *buf);

/* Added again, an object that is there already is left as it is. */
void cnif_nft_table_add(struct cnif_nlbuf *buf, const struct cnif_nft_table *table);
void cnif_nft_chain_add(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                        const char *chain, const struct cnif_nft_hook *hook);
void cnif_nft_chain_get(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                        const char *chain);
void cnif_nft_chain_delete(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                           const char *chain);

void cnif_nft_set_add(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                      const struct cnif_nft_set *set);
void cnif_nft_set_get(struct cnif_nlbuf *buf, const struct cnif_nft_table *table, const char *set);
/* Dump all sets of the table. */
void cnif_nft_set_dump(struct cnif_nlbuf *buf, const struct cnif_nft_table *table);

/* Fails with EEXIST if the key is taken. */
void cnif_nft_element_add(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                          const char *set, const struct cnif_nft_element *element);
void cnif_nft_element_delete(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                             const char *set, const void *key, size_t key_size);
/* What is done with elements, in the words of `nft`. */
enum cnif_nft_verb {
    CNIF_NFT_CREATE, /* fails with EEXIST if a key is taken */
    CNIF_NFT_ADD,    /* leaves what is there */
    CNIF_NFT_DELETE,
};

/*
 * Many elements of one set in one message, put between begin and end; together no
 * more than CNIF_NFT_ELEMENTS_MAX bytes.
 */
#define CNIF_NFT_ELEMENTS_MAX ((size_t)48 * 1024)
size_t cnif_nft_elements_begin(struct cnif_nlbuf *buf, enum cnif_nft_verb verb,
                               const struct cnif_nft_table *table, const char *set);
void cnif_nft_elements_put(struct cnif_nlbuf *buf, const struct cnif_nft_element *element);
void cnif_nft_elements_end(struct cnif_nlbuf *buf, size_t list);
void cnif_nft_element_get(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                          const char *set, const void *key, size_t key_size);
void cnif_nft_element_dump(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                           const char *set);

/* Append a rule, or put it first: expressions (nft/expr.h) go between begin and end. */
size_t cnif_nft_rule_begin(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                           const char *chain);
size_t cnif_nft_rule_begin_first(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                                 const char *chain);
void cnif_nft_rule_end(struct cnif_nlbuf *buf, size_t rule, const char *comment);
/* Delete the rule `handle`; 0: all rules of the chain. */
void cnif_nft_rule_delete(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                          const char *chain, uint64_t handle);
void cnif_nft_rule_get(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                       const char *chain, uint64_t handle);
void cnif_nft_rule_dump(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                        const char *chain);

/* The number in an answer to cnif_nft_gen_get; 0 if there is none. */
uint32_t cnif_nft_gen_parse(const struct nlmsghdr *nlh);

/* Name and key size of the set that an answer is about; false if it is not about one. */
bool cnif_nft_set_parse(const struct nlmsghdr *nlh, char *name, size_t size, uint32_t *key_size);

/* An element as the kernel reports it. */
struct cnif_nft_seen_element {
    uint8_t key[CNIF_NFT_KEY_MAX];
    size_t key_size;
    char comment[CNIF_NFT_COMMENT_MAX];
    uint8_t data[CNIF_NFT_DATA_MAX];
};

/* Called for each element of an answer; a negative errno ends the walk. */
typedef int (*cnif_nft_element_seen)(const struct cnif_nft_seen_element *element, void *arg);
int cnif_nft_element_parse(const struct nlmsghdr *nlh, cnif_nft_element_seen seen, void *arg);

/* A rule as the kernel reports it. */
struct cnif_nft_seen_rule {
    uint64_t handle;
    char comment[CNIF_NFT_COMMENT_MAX];
    char jump[256];                   /* the chain it jumps or goes to, or "" */
    const struct nlattr *expressions; /* valid during the call; may be NULL */
};

bool cnif_nft_rule_parse(const struct nlmsghdr *nlh, struct cnif_nft_seen_rule *rule);

#endif
