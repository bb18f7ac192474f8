/*
 * Anti-spoofing: a port sends from its own MAC address only.
 *
 *   table bridge cnifast {
 *       set allowed { type ifname . ether_addr
 *                     elements = { "veth1" . 02:00:00:00:00:01 } }
 *       set guarded { type ifname
 *                     elements = { "veth1" comment "02:00:00:00:00:01 CONTAINER eth0 NETWORK" } }
 *       chain prerouting {
 *           type filter hook prerouting priority dstnat; policy accept;
 *           iifname . ether saddr @allowed accept
 *           iifname @guarded drop
 *       }
 *   }
 *
 * The comment of the guarded port says which element is allowed for it, so
 * that the port's name is enough to delete both.
 */
#include "nft/look.h"
#include "nft/owner.h"

#include "base/err.h"
#include "base/grow.h"
#include "nft/batch.h"
#include "nft/expr.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREROUTING "prerouting"
#define PRIORITY   (-300)
#define MAC_SIZE   6
#define MAC_OFFSET 6  /* of the source in the Ethernet header */
#define MAC_TEXT   18 /* with the blank behind it */
#define KEY_SIZE   (CNIF_IFNAME_MAX + 8)

static const struct cnif_nft_table table = {NFPROTO_BRIDGE, "cnifast"};
static const struct cnif_nft_set guarded = {.name = "guarded",
                                            .key_type = CNIF_NFT_TYPE_IFNAME,
                                            .key_size = CNIF_IFNAME_MAX,
                                            .host_order = true};
static const struct cnif_nft_set allowed = {
    .name = "allowed",
    .key_type = CNIF_NFT_TYPE_CONCAT(CNIF_NFT_TYPE_IFNAME, CNIF_NFT_TYPE_ETHERADDR),
    .key_size = KEY_SIZE};

_Static_assert(MAC_TEXT + CNIF_OWNER_MAX <= CNIF_NFT_COMMENT_MAX, "the comment fits");

/* The looks of a change: the port, and up to two elements that are or were allowed for it. */
#define LOOKS 3

struct work {
    const char *port;
    const uint8_t *mac; /* NULL: the port shall not be guarded */
    char owner[CNIF_OWNER_MAX];
    char comment[CNIF_NFT_COMMENT_MAX];
    struct cnif_nft_look looks[LOOKS]; /* the first is for the port */
    size_t count;
    size_t now;   /* which of them is for `mac`; 0: none */
    size_t stale; /* which is for what the port's comment says instead; 0: none */
};

/* The MAC at the start of a guarded port's comment; false if it has none. */
static bool read_mac(const char *comment, uint8_t mac[MAC_SIZE])
{
    int i;

    if (strnlen(comment, MAC_TEXT) < MAC_TEXT || comment[MAC_TEXT - 1] != ' ')
        return false;
    for (i = 0; i < MAC_SIZE; i++) {
        char *end;
        unsigned long byte = strtoul(comment + 3 * i, &end, 16);

        if (end != comment + 3 * i + 2 || byte > 0xff)
            return false;
        mac[i] = (uint8_t)byte;
    }
    return true;
}

/* Append a look for what is allowed for the port; its index. */
static size_t look_for_allowed(struct work *work, const uint8_t mac[MAC_SIZE])
{
    struct cnif_nft_look *look = &work->looks[work->count];

    memset(look, 0, sizeof(*look));
    (void)snprintf(look->set, sizeof(look->set), "%s", allowed.name);
    (void)snprintf((char *)look->key, CNIF_IFNAME_MAX, "%s", work->port);
    memcpy(look->key + CNIF_IFNAME_MAX, mac, MAC_SIZE);
    look->key_size = KEY_SIZE;
    return work->count++;
}

static void work_init(struct work *work, const char *port, const uint8_t *mac,
                      const struct cnif_owner *owner)
{
    struct cnif_nft_look *look = &work->looks[0];

    memset(work, 0, sizeof(*work));
    work->port = port;
    work->mac = mac;
    cnif_owner_text(owner, work->owner);
    if (mac)
        (void)snprintf(work->comment, sizeof(work->comment), "%02x:%02x:%02x:%02x:%02x:%02x %s",
                       mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], work->owner);
    (void)snprintf(look->set, sizeof(look->set), "%s", guarded.name);
    (void)snprintf((char *)look->key, CNIF_IFNAME_MAX, "%s", port);
    look->key_size = CNIF_IFNAME_MAX;
}

/* Whether the port is guarded, and for whom the work is done. */
static bool is_owned(const struct work *work)
{
    const struct cnif_nft_look *port = &work->looks[0];

    return port->found && strlen(port->comment) >= MAC_TEXT &&
           strcmp(port->comment + MAC_TEXT, work->owner) == 0;
}

/*
 * See what is there: the port, what is to be allowed for it, and what its
 * comment says is allowed instead.  -ERESTART: it changed between two looks.
 */
static int look(struct cnif_nlsock *sock, struct work *work, uint32_t *ret_genid,
                struct cnif_err *reterr)
{
    const struct cnif_nft_look *port = &work->looks[0];
    char before[CNIF_NFT_COMMENT_MAX];
    uint8_t mac[MAC_SIZE];
    int r;

    work->count = 1;
    work->stale = 0;
    work->now = work->mac ? look_for_allowed(work, work->mac) : 0;
    r = cnif_nft_look(sock, &table, work->looks, work->count, work->port, ret_genid, reterr);
    if (r < 0 || !port->found || !read_mac(port->comment, mac) ||
        (work->mac && memcmp(mac, work->mac, MAC_SIZE) == 0))
        return r;
    memcpy(before, port->comment, sizeof(before));
    work->stale = look_for_allowed(work, mac);
    r = cnif_nft_look(sock, &table, work->looks, work->count, work->port, ret_genid, reterr);
    if (r == 0 && (!port->found || strcmp(port->comment, before) != 0))
        return -ERESTART;
    return r;
}

static void delete_found(struct cnif_nlbuf *buf, const struct cnif_nft_look *look)
{
    if (look->found)
        cnif_nft_element_delete(buf, &table, look->set, look->key, look->key_size);
}

static void add_element(struct cnif_nlbuf *buf, const struct cnif_nft_look *look,
                        const char *comment)
{
    struct cnif_nft_element element = {
        .key = look->key, .key_size = look->key_size, .comment = comment};

    cnif_nft_element_add(buf, &table, look->set, &element);
}

static void write_add(struct cnif_nlbuf *buf, const struct work *work)
{
    const struct cnif_nft_look *port = &work->looks[0];
    const struct cnif_nft_look *now = &work->looks[work->now];
    bool same = port->found && strcmp(port->comment, work->comment) == 0;

    if (!same)
        delete_found(buf, port);
    if (work->stale)
        delete_found(buf, &work->looks[work->stale]);
    if (!same)
        add_element(buf, port, work->comment);
    if (!now->found)
        add_element(buf, now, NULL);
}

static void write_delete(struct cnif_nlbuf *buf, const struct work *work)
{
    delete_found(buf, &work->looks[0]);
    if (work->stale)
        delete_found(buf, &work->looks[work->stale]);
}

/* "iifname . ether saddr @allowed accept", "iifname @guarded drop" */
static void write_rules(struct cnif_nlbuf *buf)
{
    static const struct cnif_nft_hook hook = {"filter", NF_BR_PRE_ROUTING, PRIORITY};
    size_t rule;

    cnif_nft_table_add(buf, &table);
    cnif_nft_set_add(buf, &table, &guarded);
    cnif_nft_set_add(buf, &table, &allowed);
    cnif_nft_chain_add(buf, &table, PREROUTING, &hook);
    rule = cnif_nft_rule_begin(buf, &table, PREROUTING);
    cnif_nft_expr_meta(buf, NFT_META_IIFNAME, NFT_REG_1);
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_LL_HEADER, MAC_OFFSET, MAC_SIZE, NFT_REG_2);
    cnif_nft_expr_lookup(buf, allowed.name, NFT_REG_1);
    cnif_nft_expr_verdict(buf, NF_ACCEPT, NULL);
    cnif_nft_rule_end(buf, rule, NULL);
    rule = cnif_nft_rule_begin(buf, &table, PREROUTING);
    cnif_nft_expr_meta(buf, NFT_META_IIFNAME, NFT_REG_1);
    cnif_nft_expr_lookup(buf, guarded.name, NFT_REG_1);
    cnif_nft_expr_verdict(buf, NF_DROP, NULL);
    cnif_nft_rule_end(buf, rule, NULL);
}

/* The rules are made together with the sets, so the generation of the look guards both. */
static int change(struct cnif_nlsock *sock, struct work *work, struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[4096];
    struct cnif_nlbuf buf;
    unsigned attempt;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    for (attempt = 0; attempt < CNIF_NFT_ATTEMPTS; attempt++) {
        uint32_t genid;
        int r = look(sock, work, &genid, reterr);

        if (r < 0 && r != -ERESTART)
            return r;
        if (r == -ERESTART)
            continue;
        if (!work->mac && !is_owned(work))
            return 0;
        cnif_nlbuf_reset(&buf);
        cnif_nft_batch_begin(&buf, genid);
        if (work->mac && !work->looks[0].set_found)
            write_rules(&buf);
        if (work->mac)
            write_add(&buf, work);
        else
            write_delete(&buf, work);
        if (buf.count == 1)
            return 0;
        r = cnif_nft_batch_commit(sock, &buf, work->port, reterr);
        if (r != -ERESTART)
            return r;
    }
    return cnif_err_set(reterr, EAGAIN, "guard port %s: the ruleset keeps changing", work->port);
}

int cnif_spoof_add(struct cnif_nlsock *sock, const char *port, const uint8_t mac[6],
                   const struct cnif_owner *owner, struct cnif_err *reterr)
{
    struct work work;

    work_init(&work, port, mac, owner);
    return change(sock, &work, reterr);
}

int cnif_spoof_delete(struct cnif_nlsock *sock, const char *port, const struct cnif_owner *owner,
                      struct cnif_err *reterr)
{
    struct work work;

    work_init(&work, port, NULL, owner);
    return change(sock, &work, reterr);
}

int cnif_spoof_check(struct cnif_nlsock *sock, const char *port, const uint8_t mac[6],
                     const struct cnif_owner *owner, struct cnif_err *reterr)
{
    struct work work;
    uint32_t genid;
    unsigned rules = 0;
    int r;

    work_init(&work, port, mac, owner);
    r = look(sock, &work, &genid, reterr);
    if (r == -ERESTART)
        r = 0;
    if (r == 0)
        r = cnif_nft_count_rules(sock, &table, PREROUTING, &rules, reterr);
    if (r < 0)
        return r;
    if (!work.looks[0].found || !work.looks[work.now].found ||
        strcmp(work.looks[0].comment, work.comment) != 0)
        return cnif_err_set(reterr, ENOENT, "port %s is not guarded for %s", port, work.comment);
    if (rules < 2)
        return cnif_err_set(reterr, ENOENT, "nftables rules that guard port %s are gone", port);
    return 0;
}

struct list {
    struct cnif_spoof_entry *entries;
    size_t count;
    size_t room;
};

static int keep_entry(const struct cnif_nft_seen_element *element, void *arg)
{
    struct list *list = arg;
    struct cnif_spoof_entry *entry;

    if (cnif_grow(&list->entries, &list->room, list->count, sizeof(*list->entries)) < 0)
        return -ENOMEM;
    entry = &list->entries[list->count];
    memset(entry, 0, sizeof(*entry));
    if (!read_mac(element->comment, entry->mac))
        return 0; /* not one of ours */
    memcpy(entry->port, element->key, sizeof(entry->port) - 1);
    memcpy(entry->owner, element->comment + MAC_TEXT, sizeof(entry->owner) - 1);
    list->count++;
    return 0;
}

int cnif_spoof_list(struct cnif_nlsock *sock, struct cnif_spoof_entry **ret_entries,
                    size_t *ret_count, struct cnif_err *reterr)
{
    struct list list = {0};
    int r = cnif_nft_each_element(sock, &table, guarded.name, keep_entry, &list, reterr);

    if (r < 0) {
        free(list.entries);
        return r;
    }
    *ret_entries = list.entries;
    *ret_count = list.count;
    return 0;
}
