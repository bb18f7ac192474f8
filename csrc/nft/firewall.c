#include "nft/firewall.h"

#include "base/err.h"
#include "base/grow.h"
#include "nft/change.h"
#include "nft/expr.h"
#include "nft/owner.h"
#include "nft/xtfilter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORWARD       "forward"
#define FORWARD_RULES 6
#define ISOLATION     "isolation"
#define ADMIN         "admin"
#define OBJECT_MAX    (INET6_ADDRSTRLEN + CNIF_OWNER_MAX + 8)
#define SET_MAX       32
#define OWN_MEANS     "nftables"
#define BATCH_BYTES   ((size_t)48 * 1024)

_Static_assert(CNIF_XT_ADDRESSES + 3 <= CNIF_NFT_LOOK_MAX, "one round trip looks at all");

static const struct cnif_nft_table table = {NFPROTO_INET, "cnifast-firewall"};
static const struct cnif_nft_set bridges = {.name = "bridges",
                                            .key_type = CNIF_NFT_TYPE_IFNAME,
                                            .key_size = CNIF_IFNAME_MAX,
                                            .host_order = true};
static const struct cnif_nft_set same_bridge = {
    .name = "same-bridge",
    .key_type = CNIF_NFT_TYPE_CONCAT(CNIF_NFT_TYPE_IFNAME, CNIF_NFT_TYPE_IFNAME),
    .key_size = 2 * CNIF_IFNAME_MAX};
static const struct cnif_nft_set isolated = {
    .name = "isolated",
    .key_type = CNIF_NFT_TYPE_CONCAT(CNIF_NFT_TYPE_IFNAME, CNIF_NFT_TYPE_IFNAME),
    .key_size = 2 * CNIF_IFNAME_MAX};

/* What one batch does: records of addresses first, then elements that set a policy. */
struct work {
    struct cnif_nlsock *sock;
    struct cnif_err *reterr;
    const struct cnif_firewall *firewall;
    const struct cnif_ip *ips;
    size_t n_ips; /* each of them has a look; those for the policy stand behind */
    char owner[CNIF_OWNER_MAX];
    struct cnif_nft_look looks[CNIF_NFT_LOOK_MAX];
    size_t n_looks;
    char object[OBJECT_MAX];
    bool more; /* than one batch could hold */
};

static void set_name(char name[SET_MAX], const char *means, char digit)
{
    (void)snprintf(name, SET_MAX, "%.24s%c", means, digit);
}

static void look_for_ip(struct cnif_nft_look *look, const char *means, const struct cnif_ip *ip,
                        const struct cnif_nft_family *family)
{
    memset(look, 0, sizeof(*look));
    set_name(look->set, means, family->digit);
    look->key_size = family->size;
    memcpy(look->key, ip->bytes, family->size);
}

static void look_for_bridge(struct work *work, const struct cnif_nft_set *set)
{
    struct cnif_nft_look *look = &work->looks[work->n_looks++];
    uint32_t at;

    memset(look, 0, sizeof(*look));
    (void)snprintf(look->set, sizeof(look->set), "%s", set->name);
    look->key_size = set->key_size;
    for (at = 0; at < set->key_size; at += CNIF_IFNAME_MAX)
        (void)snprintf((char *)look->key + at, CNIF_IFNAME_MAX, "%s", work->firewall->bridge);
}

static int work_init(struct work *work, struct cnif_nlsock *sock,
                     const struct cnif_firewall *firewall, const struct cnif_ip *ips, size_t count,
                     const struct cnif_owner *owner, struct cnif_err *reterr)
{
    char address[INET6_ADDRSTRLEN] = "?";
    size_t i;

    memset(work, 0, sizeof(*work));
    work->sock = sock;
    work->reterr = reterr;
    work->firewall = firewall;
    work->ips = ips;
    work->n_ips = count;
    cnif_owner_text(owner, work->owner);
    for (i = 0; i < count; i++) {
        const struct cnif_nft_family *family = cnif_nft_family_find(ips[i].family);

        if (!family)
            return cnif_err_set(reterr, EAFNOSUPPORT, "address of unknown family %u",
                                ips[i].family);
        look_for_ip(&work->looks[i], firewall->means, &ips[i], family);
    }
    work->n_looks = count;
    (void)inet_ntop(ips[0].family, ips[0].bytes, address, sizeof(address));
    (void)snprintf(work->object, sizeof(work->object), "%s (%s)", address, work->owner);
    return 0;
}

/* ---- the fixed part ---- */

static void put_pair(struct cnif_nlbuf *buf, const struct cnif_nft_set *set, int32_t code)
{
    size_t rule = cnif_nft_rule_begin(buf, &table, ISOLATION);

    cnif_nft_expr_meta(buf, NFT_META_IIFNAME, NFT_REG_1);
    cnif_nft_expr_meta(buf, NFT_META_OIFNAME, NFT_REG_2);
    cnif_nft_expr_lookup(buf, set->name, NFT_REG_1);
    cnif_nft_expr_verdict(buf, code, NULL);
    cnif_nft_rule_end(buf, rule, NULL);
}

static void put_jump(struct cnif_nlbuf *buf, const char *chain)
{
    size_t rule = cnif_nft_rule_begin(buf, &table, FORWARD);

    cnif_nft_expr_verdict(buf, NFT_JUMP, chain);
    cnif_nft_rule_end(buf, rule, NULL);
}

/* "ip daddr @nftables4 ct state established,related accept", "ip saddr @nftables4 accept" */
static void put_accept(struct cnif_nlbuf *buf, const struct cnif_nft_family *family, bool answers)
{
    char set[SET_MAX];
    size_t rule = cnif_nft_rule_begin(buf, &table, FORWARD);

    set_name(set, OWN_MEANS, family->digit);
    cnif_nft_expr_family(buf, family);
    cnif_nft_expr_payload(buf, NFT_PAYLOAD_NETWORK_HEADER, answers ? family->daddr : family->saddr,
                          family->size, NFT_REG_1);
    cnif_nft_expr_lookup(buf, set, NFT_REG_1);
    if (answers)
        cnif_nft_expr_ct_state(buf,
                               NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
    cnif_nft_expr_verdict(buf, NF_ACCEPT, NULL);
    cnif_nft_rule_end(buf, rule, NULL);
}

static void write_rules(struct cnif_nlbuf *buf)
{
    static const struct cnif_nft_hook hook = {"filter", NF_INET_FORWARD, 0};
    size_t rule;
    size_t i;

    cnif_nft_set_add(buf, &table, &bridges);
    cnif_nft_set_add(buf, &table, &same_bridge);
    cnif_nft_set_add(buf, &table, &isolated);
    cnif_nft_chain_add(buf, &table, ADMIN, NULL);
    cnif_nft_chain_add(buf, &table, ISOLATION, NULL);
    cnif_nft_chain_add(buf, &table, FORWARD, &hook);
    put_pair(buf, &isolated, NF_DROP);
    put_pair(buf, &same_bridge, NFT_RETURN);
    rule = cnif_nft_rule_begin(buf, &table, ISOLATION);
    cnif_nft_expr_meta(buf, NFT_META_IIFNAME, NFT_REG_1);
    cnif_nft_expr_lookup(buf, bridges.name, NFT_REG_1);
    cnif_nft_expr_meta(buf, NFT_META_OIFNAME, NFT_REG_1);
    cnif_nft_expr_lookup(buf, bridges.name, NFT_REG_1);
    cnif_nft_expr_verdict(buf, NF_DROP, NULL);
    cnif_nft_rule_end(buf, rule, NULL);
    put_jump(buf, ISOLATION);
    put_jump(buf, ADMIN);
    for (i = 0; i < 2; i++) {
        put_accept(buf, &cnif_nft_families[i], true);
        put_accept(buf, &cnif_nft_families[i], false);
    }
}

/* The two sets are made together, and with them the rules that look things up in them. */
static void write_sets(struct cnif_nlbuf *buf, const struct cnif_firewall *firewall)
{
    char name[SET_MAX];
    size_t i;

    cnif_nft_table_add(buf, &table);
    for (i = 0; i < 2; i++) {
        const struct cnif_nft_family *family = &cnif_nft_families[i];
        struct cnif_nft_set set = {
            .name = name, .key_type = family->key_type, .key_size = family->size};

        set_name(name, firewall->means, family->digit);
        cnif_nft_set_add(buf, &table, &set);
    }
    if (firewall->rules == CNIF_FIREWALL_OWN_TABLE)
        write_rules(buf);
}

/* ---- adding ---- */

static void write_element(struct cnif_nlbuf *buf, const struct cnif_nft_look *look,
                          const char *comment)
{
    struct cnif_nft_element element = {
        .key = look->key, .key_size = look->key_size, .comment = comment};

    if (look->found && (!comment || strcmp(look->comment, comment) == 0))
        return;
    if (look->found)
        cnif_nft_element_delete(buf, &table, look->set, look->key, look->key_size);
    cnif_nft_element_add(buf, &table, look->set, &element);
}

/* Whether any of the addresses is of the family. */
static bool has_family(const struct work *work, uint8_t family)
{
    size_t i;

    for (i = 0; i < work->n_ips; i++) {
        if (work->ips[i].family == family)
            return true;
    }
    return false;
}

/* See what iptables has; *ret_complete if nothing of the fixed part is missing. */
static int look_at_iptables(const struct work *work, struct cnif_xt_filter filters[2],
                            bool *ret_complete)
{
    size_t i;

    for (i = 0; i < 2; i++) {
        const struct cnif_nft_family *family = &cnif_nft_families[i];
        int r;

        filters[i] = (struct cnif_xt_filter){.family = family, .complete = true};
        if (work->firewall->rules != CNIF_FIREWALL_IPTABLES || !has_family(work, family->family))
            continue;
        cnif_xt_filter_init(&filters[i], family, work->firewall, work->ips, work->n_ips);
        r = cnif_xt_filter_look(work->sock, &filters[i], work->reterr);
        if (r < 0)
            return r;
    }
    *ret_complete = filters[0].complete && filters[1].complete;
    return 0;
}

/*
 * The generation matters where something is replaced, and where rules are added whose
 * absence was seen: they must not be there twice.
 */
static int write_add(struct cnif_nlbuf *buf, uint32_t genid, void *arg)
{
    const struct work *work = arg;
    struct cnif_xt_filter filters[2];
    bool complete;
    bool tied;
    size_t i;
    int r = look_at_iptables(work, filters, &complete);

    if (r < 0)
        return r;
    tied = !complete || !work->looks[0].set_found;
    for (i = 0; i < work->n_looks; i++)
        tied |= i < work->n_ips && work->looks[i].found &&
                strcmp(work->looks[i].comment, work->owner) != 0;
    cnif_nft_batch_begin(buf, tied ? genid : 0);
    if (!work->looks[0].set_found)
        write_sets(buf, work->firewall);
    for (i = 0; i < work->n_looks; i++)
        write_element(buf, &work->looks[i], i < work->n_ips ? work->owner : NULL);
    cnif_xt_filter_write(buf, &filters[0]);
    cnif_xt_filter_write(buf, &filters[1]);
    return tied ? CNIF_NFT_TIED : CNIF_NFT_LOOSE;
}

static int change(struct work *work, const char *verb, cnif_nft_write write)
{
    _Alignas(8) uint8_t data[BATCH_BYTES];
    struct cnif_nft_change wanted = {&table, work->looks, work->n_looks, verb, work->object};
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    return cnif_nft_change(work->sock, &wanted, &buf, write, work, work->reterr);
}

/* Do the same for all addresses, as many at a time as one batch takes. */
static int each_some(struct cnif_nlsock *sock, const struct cnif_firewall *firewall,
                     const struct cnif_ip *ips, size_t count, const struct cnif_owner *owner,
                     int (*some)(struct work *work), struct cnif_err *reterr)
{
    size_t done;
    int r = 0;

    for (done = 0; done < count && r == 0; done += CNIF_XT_ADDRESSES) {
        size_t left = count - done;
        struct work work;

        r = work_init(&work, sock, firewall, ips + done,
                      left < CNIF_XT_ADDRESSES ? left : CNIF_XT_ADDRESSES, owner, reterr);
        if (r == 0)
            r = some(&work);
    }
    return r;
}

static void look_for_policy(struct work *work)
{
    if (work->firewall->rules != CNIF_FIREWALL_OWN_TABLE || !work->firewall->bridge)
        return;
    look_for_bridge(work, &bridges);
    look_for_bridge(work, &same_bridge);
    if (work->firewall->isolated)
        look_for_bridge(work, &isolated);
}

static int add_some(struct work *work)
{
    look_for_policy(work);
    return change(work, "let through", write_add);
}

int cnif_firewall_add(struct cnif_nlsock *sock, const struct cnif_firewall *firewall,
                      const struct cnif_ip *ips, size_t count, const struct cnif_owner *owner,
                      struct cnif_err *reterr)
{
    return each_some(sock, firewall, ips, count, owner, add_some, reterr);
}

/* ---- removing ---- */

static bool is_others(const struct work *work, const struct cnif_nft_look *look)
{
    return look->found && strcmp(look->comment, work->owner) != 0;
}

static int remove_rules(struct work *work, struct cnif_nlbuf *buf)
{
    struct cnif_firewall plain = *work->firewall;
    struct cnif_ip ips[CNIF_XT_ADDRESSES];
    size_t count = 0;
    size_t i;
    int r = 0;

    for (i = 0; i < work->n_ips; i++) {
        if (!is_others(work, &work->looks[i]))
            ips[count++] = work->ips[i];
    }
    plain.bridge = NULL;
    for (i = 0; i < 2 && r == 0; i++) {
        struct cnif_xt_filter filter;

        if (!has_family(work, cnif_nft_families[i].family))
            continue;
        cnif_xt_filter_init(&filter, &cnif_nft_families[i], &plain, ips, count);
        r = cnif_xt_filter_remove(work->sock, buf, &filter, &work->more, work->reterr);
    }
    return r;
}

static int write_delete(struct cnif_nlbuf *buf, uint32_t genid, void *arg)
{
    struct work *work = arg;
    size_t i;
    int r = 0;

    work->more = false;
    cnif_nft_batch_begin(buf, genid);
    if (work->firewall->rules == CNIF_FIREWALL_IPTABLES && work->firewall->admin)
        r = remove_rules(work, buf);
    for (i = 0; i < work->n_ips && !work->more; i++) {
        const struct cnif_nft_look *look = &work->looks[i];

        if (look->found && !is_others(work, look))
            cnif_nft_element_delete(buf, &table, look->set, look->key, look->key_size);
    }
    return r < 0 ? r : CNIF_NFT_TIED;
}

static int delete_some(struct work *work)
{
    int r;

    do
        r = change(work, "stop letting through", write_delete);
    while (r == 0 && work->more);
    return r;
}

int cnif_firewall_delete(struct cnif_nlsock *sock, const struct cnif_firewall *firewall,
                         const struct cnif_ip *ips, size_t count, const struct cnif_owner *owner,
                         struct cnif_err *reterr)
{
    return each_some(sock, firewall, ips, count, owner, delete_some, reterr);
}

/* ---- looking ---- */

static int check_iptables(struct work *work)
{
    struct cnif_xt_filter filters[2];
    bool complete;
    int r = look_at_iptables(work, filters, &complete);

    if (r == 0)
        r = cnif_xt_filter_require(&filters[0], work->reterr);
    return r < 0 ? r : cnif_xt_filter_require(&filters[1], work->reterr);
}

static int check_own(struct work *work)
{
    unsigned rules = 0;
    uint32_t genid;
    size_t i;
    int r;

    look_for_policy(work);
    r = cnif_nft_look(work->sock, &table, work->looks, work->n_looks, work->object, &genid,
                      work->reterr);
    if (r == 0)
        r = cnif_nft_count_rules(work->sock, &table, FORWARD, &rules, work->reterr);
    if (r < 0)
        return r;
    if (rules < FORWARD_RULES)
        return cnif_err_set(work->reterr, ENOENT, "rules of nftables chain inet %s %s are gone",
                            table.name, FORWARD);
    for (i = 0; i < work->n_ips; i++) {
        if (!work->looks[i].found || is_others(work, &work->looks[i]))
            return cnif_err_set(work->reterr, ENOENT, "%s is not let through", work->object);
    }
    for (; i < work->n_looks; i++) {
        if (!work->looks[i].found)
            return cnif_err_set(work->reterr, ENOENT, "bridge %s is not in nftables set inet %s %s",
                                work->firewall->bridge, table.name, work->looks[i].set);
    }
    return 0;
}

static int check_some(struct work *work)
{
    return work->firewall->rules == CNIF_FIREWALL_OWN_TABLE ? check_own(work)
                                                            : check_iptables(work);
}

int cnif_firewall_check(struct cnif_nlsock *sock, const struct cnif_firewall *firewall,
                        const struct cnif_ip *ips, size_t count, const struct cnif_owner *owner,
                        struct cnif_err *reterr)
{
    return each_some(sock, firewall, ips, count, owner, check_some, reterr);
}

struct list {
    const char *owner; /* whose; NULL: everybody's */
    uint8_t family;
    struct cnif_masq_entry *entries;
    size_t count;
    size_t room;
};

static int keep_entry(const struct cnif_nft_seen_element *element, void *arg)
{
    struct list *list = arg;
    struct cnif_masq_entry *entry;

    if (list->owner && strcmp(list->owner, element->comment) != 0)
        return 0;
    if (cnif_grow(&list->entries, &list->room, list->count, sizeof(*list->entries)) < 0)
        return -ENOMEM;
    entry = &list->entries[list->count++];
    memset(entry, 0, sizeof(*entry));
    entry->ip.family = list->family;
    memcpy(entry->ip.bytes, element->key, sizeof(entry->ip.bytes));
    memcpy(entry->owner, element->comment, sizeof(entry->owner) - 1);
    return 0;
}

int cnif_firewall_list(struct cnif_nlsock *sock, const char *means, const struct cnif_owner *owner,
                       struct cnif_masq_entry **ret_entries, size_t *ret_count,
                       struct cnif_err *reterr)
{
    char text[CNIF_OWNER_MAX];
    struct list list = {.owner = owner ? text : NULL};
    size_t i;
    int r = 0;

    if (owner)
        cnif_owner_text(owner, text);
    for (i = 0; i < 2 && r == 0; i++) {
        char name[SET_MAX];

        set_name(name, means, cnif_nft_families[i].digit);
        list.family = cnif_nft_families[i].family;
        r = cnif_nft_each_element(sock, &table, name, keep_entry, &list, reterr);
    }
    if (r < 0) {
        free(list.entries);
        return r;
    }
    *ret_entries = list.entries;
    *ret_count = list.count;
    return 0;
}

static int find_one(struct cnif_nlsock *sock, const char *const *means, size_t n_means,
                    const struct cnif_ip *ip, struct cnif_masq_entry *entries,
                    struct cnif_err *reterr)
{
    const struct cnif_nft_family *family = cnif_nft_family_find(ip->family);
    struct cnif_nft_look looks[CNIF_NFT_LOOK_MAX];
    uint32_t genid;
    size_t i;
    int r;

    if (!family || n_means > CNIF_NFT_LOOK_MAX)
        return cnif_err_set(reterr, EINVAL, "look up who is let through: no such address");
    for (i = 0; i < n_means; i++)
        look_for_ip(&looks[i], means[i], ip, family);
    r = cnif_nft_look(sock, &table, looks, n_means, table.name, &genid, reterr);
    for (i = 0; i < n_means && r == 0; i++) {
        memset(&entries[i], 0, sizeof(entries[i]));
        entries[i].ip = *ip;
        if (looks[i].found)
            memcpy(entries[i].owner, looks[i].comment, sizeof(entries[i].owner) - 1);
    }
    return r;
}

int cnif_firewall_find(struct cnif_nlsock *sock, const char *const *means, size_t n_means,
                       const struct cnif_ip *ips, size_t count, struct cnif_masq_entry *entries,
                       struct cnif_err *reterr)
{
    size_t i;
    int r = 0;

    for (i = 0; i < count && r == 0; i++)
        r = find_one(sock, means, n_means, &ips[i], entries + i * n_means, reterr);
    return r;
}
