#include "nft/object.h"

#include "netlink/nlparse.h"
#include "nft/batch.h"
#include "nft/expr.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

/* User data is a row of (type, length, value), libnftnl's; the comment has the same type
 * everywhere. */
#define UDATA_COMMENT            0
#define UDATA_SET_BYTEORDER      0
#define UDATA_SET_DATA_BYTEORDER 1
#define BYTEORDER_HOST           1

static void put_comment(struct cnif_nlbuf *buf, uint16_t type, const char *comment)
{
    uint8_t udata[CNIF_NFT_COMMENT_MAX + 2];
    size_t size = strlen(comment) + 1;

    if (size > CNIF_NFT_COMMENT_MAX) {
        buf->overflow = true;
        return;
    }
    udata[0] = UDATA_COMMENT;
    udata[1] = (uint8_t)size;
    memcpy(udata + 2, comment, size);
    cnif_nlattr_put(buf, type, udata, size + 2);
}

void cnif_nft_gen_get(struct cnif_nlbuf *buf)
{
    cnif_nft_begin(buf, NFT_MSG_GETGEN, 0, NFPROTO_UNSPEC, "read nftables generation");
    cnif_nlmsg_end(buf);
}

void cnif_nft_table_add(struct cnif_nlbuf *buf, const struct cnif_nft_table *table)
{
    cnif_nft_begin(buf, NFT_MSG_NEWTABLE, NLM_F_CREATE, table->family, "add nftables table");
    cnif_nlattr_put_str(buf, NFTA_TABLE_NAME, table->name);
    cnif_nlmsg_end(buf);
}

void cnif_nft_chain_add(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                        const char *chain, const struct cnif_nft_hook *hook)
{
    cnif_nft_begin(buf, NFT_MSG_NEWCHAIN, NLM_F_CREATE, table->family, "add nftables chain");
    cnif_nlattr_put_str(buf, NFTA_CHAIN_TABLE, table->name);
    cnif_nlattr_put_str(buf, NFTA_CHAIN_NAME, chain);
    if (hook) {
        size_t nest;

        cnif_nlattr_put_str(buf, NFTA_CHAIN_TYPE, hook->type);
        nest = cnif_nlattr_nest(buf, NFTA_CHAIN_HOOK);
        cnif_nlattr_put_be32(buf, NFTA_HOOK_HOOKNUM, hook->hook);
        cnif_nlattr_put_be32(buf, NFTA_HOOK_PRIORITY, (uint32_t)hook->priority);
        cnif_nlattr_nest_end(buf, nest);
    }
    cnif_nlmsg_end(buf);
}

static void chain_request(struct cnif_nlbuf *buf, uint16_t type, const struct cnif_nft_table *table,
                          const char *chain, const char *step)
{
    cnif_nft_begin(buf, type, 0, table->family, step);
    cnif_nlattr_put_str(buf, NFTA_CHAIN_TABLE, table->name);
    cnif_nlattr_put_str(buf, NFTA_CHAIN_NAME, chain);
    cnif_nlmsg_end(buf);
}

void cnif_nft_chain_get(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                        const char *chain)
{
    chain_request(buf, NFT_MSG_GETCHAIN, table, chain, "look up nftables chain");
}

void cnif_nft_chain_delete(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                           const char *chain)
{
    chain_request(buf, NFT_MSG_DELCHAIN, table, chain, "delete nftables chain");
}

void cnif_nft_set_add(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                      const struct cnif_nft_set *set)
{
    cnif_nft_begin(buf, NFT_MSG_NEWSET, NLM_F_CREATE, table->family, "add nftables set");
    cnif_nlattr_put_str(buf, NFTA_SET_TABLE, table->name);
    cnif_nlattr_put_str(buf, NFTA_SET_NAME, set->name);
    cnif_nlattr_put_be32(buf, NFTA_SET_KEY_TYPE, set->key_type);
    cnif_nlattr_put_be32(buf, NFTA_SET_KEY_LEN, set->key_size);
    if (set->verdicts) {
        cnif_nlattr_put_be32(buf, NFTA_SET_FLAGS, NFT_SET_MAP);
        cnif_nlattr_put_be32(buf, NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
    } else if (set->data_type) {
        cnif_nlattr_put_be32(buf, NFTA_SET_FLAGS, NFT_SET_MAP);
        cnif_nlattr_put_be32(buf, NFTA_SET_DATA_TYPE, set->data_type);
        cnif_nlattr_put_be32(buf, NFTA_SET_DATA_LEN, set->data_size);
    }
    cnif_nlattr_put_be32(buf, NFTA_SET_ID, buf->count);
    if (set->host_order) {
        struct {
            uint8_t type, size;
            uint32_t value;
        } __attribute__((packed)) order[] = {{UDATA_SET_BYTEORDER, 4, BYTEORDER_HOST},
                                             {UDATA_SET_DATA_BYTEORDER, 4, BYTEORDER_HOST}};

        cnif_nlattr_put(buf, NFTA_SET_USERDATA, order,
                        set->data_type ? sizeof(order) : sizeof(order[0]));
    }
    cnif_nlmsg_end(buf);
}

static void set_request(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags,
                        const struct cnif_nft_table *table, const char *set, const char *step)
{
    cnif_nft_begin(buf, type, flags, table->family, step);
    cnif_nlattr_put_str(buf, NFTA_SET_TABLE, table->name);
    if (set)
        cnif_nlattr_put_str(buf, NFTA_SET_NAME, set);
    cnif_nlmsg_end(buf);
}

void cnif_nft_set_get(struct cnif_nlbuf *buf, const struct cnif_nft_table *table, const char *set)
{
    set_request(buf, NFT_MSG_GETSET, 0, table, set, "look up nftables set");
}

void cnif_nft_set_dump(struct cnif_nlbuf *buf, const struct cnif_nft_table *table)
{
    set_request(buf, NFT_MSG_GETSET, NLM_F_DUMP, table, NULL, "list nftables sets");
}

/* Begin a message about elements; where the list of them is closed again. */
static size_t elements_begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags,
                             const struct cnif_nft_table *table, const char *set, const char *step)
{
    cnif_nft_begin(buf, type, flags, table->family, step);
    cnif_nlattr_put_str(buf, NFTA_SET_ELEM_LIST_TABLE, table->name);
    cnif_nlattr_put_str(buf, NFTA_SET_ELEM_LIST_SET, set);
    return cnif_nlattr_nest(buf, NFTA_SET_ELEM_LIST_ELEMENTS);
}

size_t cnif_nft_elements_begin(struct cnif_nlbuf *buf, enum cnif_nft_verb verb,
                               const struct cnif_nft_table *table, const char *set)
{
    uint16_t flags = NLM_F_CREATE | (verb == CNIF_NFT_CREATE ? NLM_F_EXCL : 0);

    if (verb == CNIF_NFT_DELETE)
        return elements_begin(buf, NFT_MSG_DELSETELEM, 0, table, set, "delete nftables element");
    return elements_begin(buf, NFT_MSG_NEWSETELEM, flags, table, set, "add nftables element");
}

static void put_value(struct cnif_nlbuf *buf, uint16_t type, const void *value, size_t size)
{
    size_t nest = cnif_nlattr_nest(buf, type);

    cnif_nlattr_put(buf, NFTA_DATA_VALUE, value, size);
    cnif_nlattr_nest_end(buf, nest);
}

void cnif_nft_elements_put(struct cnif_nlbuf *buf, const struct cnif_nft_element *element)
{
    size_t item = cnif_nlattr_nest(buf, NFTA_LIST_ELEM);

    put_value(buf, NFTA_SET_ELEM_KEY, element->key, element->key_size);
    if (element->jump)
        cnif_nft_put_verdict(buf, NFTA_SET_ELEM_DATA, NFT_JUMP, element->jump);
    if (element->data)
        put_value(buf, NFTA_SET_ELEM_DATA, element->data, element->data_size);
    if (element->comment)
        put_comment(buf, NFTA_SET_ELEM_USERDATA, element->comment);
    cnif_nlattr_nest_end(buf, item);
}

void cnif_nft_elements_end(struct cnif_nlbuf *buf, size_t list)
{
    cnif_nlattr_nest_end(buf, list);
    cnif_nlmsg_end(buf);
}

void cnif_nft_element_add(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                          const char *set, const struct cnif_nft_element *element)
{
    size_t list = cnif_nft_elements_begin(buf, CNIF_NFT_CREATE, table, set);

    cnif_nft_elements_put(buf, element);
    cnif_nft_elements_end(buf, list);
}

void cnif_nft_element_delete(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                             const char *set, const void *key, size_t key_size)
{
    struct cnif_nft_element element = {.key = key, .key_size = key_size};
    size_t list = cnif_nft_elements_begin(buf, CNIF_NFT_DELETE, table, set);

    cnif_nft_elements_put(buf, &element);
    cnif_nft_elements_end(buf, list);
}

void cnif_nft_element_get(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                          const char *set, const void *key, size_t key_size)
{
    struct cnif_nft_element element = {.key = key, .key_size = key_size};
    size_t list =
        elements_begin(buf, NFT_MSG_GETSETELEM, 0, table, set, "look up nftables element");

    cnif_nft_elements_put(buf, &element);
    cnif_nft_elements_end(buf, list);
}

void cnif_nft_element_dump(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                           const char *set)
{
    cnif_nft_begin(buf, NFT_MSG_GETSETELEM, NLM_F_DUMP, table->family, "list nftables elements");
    cnif_nlattr_put_str(buf, NFTA_SET_ELEM_LIST_TABLE, table->name);
    cnif_nlattr_put_str(buf, NFTA_SET_ELEM_LIST_SET, set);
    cnif_nlmsg_end(buf);
}

static void rule_request(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags,
                         const struct cnif_nft_table *table, const char *chain, const char *step)
{
    cnif_nft_begin(buf, type, flags, table->family, step);
    cnif_nlattr_put_str(buf, NFTA_RULE_TABLE, table->name);
    cnif_nlattr_put_str(buf, NFTA_RULE_CHAIN, chain);
}

size_t cnif_nft_rule_begin(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                           const char *chain)
{
    rule_request(buf, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, table, chain,
                 "add nftables rule");
    return cnif_nlattr_nest(buf, NFTA_RULE_EXPRESSIONS);
}

size_t cnif_nft_rule_begin_first(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                                 const char *chain)
{
    rule_request(buf, NFT_MSG_NEWRULE, NLM_F_CREATE, table, chain, "add nftables rule");
    return cnif_nlattr_nest(buf, NFTA_RULE_EXPRESSIONS);
}

void cnif_nft_rule_end(struct cnif_nlbuf *buf, size_t rule, const char *comment)
{
    cnif_nlattr_nest_end(buf, rule);
    if (comment)
        put_comment(buf, NFTA_RULE_USERDATA, comment);
    cnif_nlmsg_end(buf);
}

void cnif_nft_rule_delete(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                          const char *chain, uint64_t handle)
{
    rule_request(buf, NFT_MSG_DELRULE, 0, table, chain, "delete nftables rule");
    if (handle)
        cnif_nlattr_put_be64(buf, NFTA_RULE_HANDLE, handle);
    cnif_nlmsg_end(buf);
}

void cnif_nft_rule_get(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                       const char *chain, uint64_t handle)
{
    rule_request(buf, NFT_MSG_GETRULE, 0, table, chain, "look up nftables rule");
    cnif_nlattr_put_be64(buf, NFTA_RULE_HANDLE, handle);
    cnif_nlmsg_end(buf);
}

void cnif_nft_rule_dump(struct cnif_nlbuf *buf, const struct cnif_nft_table *table,
                        const char *chain)
{
    rule_request(buf, NFT_MSG_GETRULE, NLM_F_DUMP, table, chain, "list nftables rules");
    cnif_nlmsg_end(buf);
}
