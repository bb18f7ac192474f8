#include "nft/firewall.h"
#include "nft/firewall_table.h"

#include "base/err.h"
#include "nft/change.h"
#include "nft/owner.h"
#include "nft/xtfilter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OBJECT_MAX  (INET6_ADDRSTRLEN + CNIF_OWNER_MAX + 8)
#define BATCH_BYTES ((size_t)32 * 1024)

_Static_assert(CNIF_XT_ADDRESSES + 3 <= CNIF_NFT_LOOK_MAX, "one round trip looks at all");

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
    struct cnif_nft_look *kept[2]; /* handles of rules, of each family; NULL: not looked at */
    char object[OBJECT_MAX];
    bool more; /* than one batch could hold */
};

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
        cnif_firewall_look(&work->looks[i], firewall->means, &ips[i], family);
    }
    work->n_looks = count;
    (void)inet_ntop(ips[0].family, ips[0].bytes, address, sizeof(address));
    (void)snprintf(work->object, sizeof(work->object), "%s (%s)", address, work->owner);
    return 0;
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
        cnif_nft_element_delete(buf, &cnif_firewall_table, look->set, look->key, look->key_size);
    cnif_nft_element_add(buf, &cnif_firewall_table, look->set, &element);
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

/* Whether a rule about an address of the family may be there: somebody has recorded one. */
static bool may_have_rules(const struct work *work, uint8_t family)
{
    size_t i;

    for (i = 0; i < work->n_ips; i++) {
        if (work->ips[i].family == family && work->looks[i].found)
            return true;
    }
    return false;
}

/* See what iptables has; all of it, or what is enough to add the rest. */
static int look_at_iptables(const struct work *work, struct cnif_xt_filter filters[2], bool all)
{
    size_t i;
    int r = 0;

    for (i = 0; i < 2 && r == 0; i++) {
        const struct cnif_nft_family *family = &cnif_nft_families[i];
        bool addresses = all || may_have_rules(work, family->family);

        filters[i] = (struct cnif_xt_filter){.family = family, .complete = true};
        if (work->firewall->rules != CNIF_FIREWALL_IPTABLES || !has_family(work, family->family))
            continue;
        cnif_xt_filter_init(&filters[i], family, work->firewall, work->ips, work->n_ips);
        if (work->kept[i] && work->kept[i]->found)
            r = cnif_xt_filter_recall(work->sock, &filters[i], work->kept[i]->comment,
                                      work->reterr);
        if (r == 0)
            r = cnif_xt_filter_look(work->sock, &filters[i], addresses, work->reterr);
    }
    return r;
}

/* Remember where rules have been seen. */
static void write_kept(struct cnif_nlbuf *buf, const struct cnif_nft_look *kept,
                       const struct cnif_xt_filter *filter)
{
    char text[CNIF_XT_KEPT_MAX];

    if (!kept || !kept->set_found || !filter->complete)
        return;
    cnif_xt_filter_remember(filter, kept->found ? kept->comment : "", text);
    write_element(buf, kept, text);
}

/*
 * The generation matters where something is replaced, and where rules are added that all
 * share, whose absence was seen: they must not be there twice.
 */
static int write_add(struct cnif_nlbuf *buf, uint32_t genid, void *arg)
{
    const struct work *work = arg;
    struct cnif_xt_filter filters[2];
    bool tied;
    size_t i;
    int r = look_at_iptables(work, filters, false);

    if (r < 0)
        return r;
    tied = !filters[0].complete || !filters[1].complete || !work->looks[0].set_found;
    for (i = 0; i < work->n_ips; i++)
        tied |= work->looks[i].found && strcmp(work->looks[i].comment, work->owner) != 0;
    cnif_nft_batch_begin(buf, tied ? genid : 0);
    if (!work->looks[0].set_found)
        cnif_firewall_table_write(buf, work->firewall->means,
                                  work->firewall->rules == CNIF_FIREWALL_OWN_TABLE);
    for (i = 0; i < work->n_ips; i++)
        write_element(buf, &work->looks[i], work->owner);
    for (; i < work->n_looks && work->firewall->rules == CNIF_FIREWALL_OWN_TABLE; i++)
        write_element(buf, &work->looks[i], NULL);
    for (i = 0; i < 2; i++) {
        write_kept(buf, work->kept[i], &filters[i]);
        cnif_xt_filter_write(buf, &filters[i]);
    }
    return tied ? CNIF_NFT_TIED : CNIF_NFT_LOOSE;
}

static int change(struct work *work, const char *verb, cnif_nft_write write)
{
    _Alignas(8) uint8_t data[BATCH_BYTES];
    struct cnif_nft_change wanted = {&cnif_firewall_table, work->looks, work->n_looks, verb,
                                     work->object};
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
    look_for_bridge(work, &cnif_firewall_bridges);
    look_for_bridge(work, &cnif_firewall_same_bridge);
    if (work->firewall->isolated)
        look_for_bridge(work, &cnif_firewall_isolated);
}

static void look_for_kept(struct work *work)
{
    static const struct cnif_ip nobody;
    size_t i;

    for (i = 0; i < 2 && work->firewall->rules == CNIF_FIREWALL_IPTABLES; i++) {
        if (!has_family(work, cnif_nft_families[i].family))
            continue;
        work->kept[i] = &work->looks[work->n_looks++];
        cnif_firewall_look(work->kept[i], CNIF_FIREWALL_KEPT, &nobody, &cnif_nft_families[i]);
    }
}

static int add_some(struct work *work)
{
    look_for_policy(work);
    look_for_kept(work);
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
            cnif_nft_element_delete(buf, &cnif_firewall_table, look->set, look->key,
                                    look->key_size);
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
    int r = look_at_iptables(work, filters, true);

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
    r = cnif_nft_look(work->sock, &cnif_firewall_table, work->looks, work->n_looks, work->object,
                      &genid, work->reterr);
    if (r == 0)
        r = cnif_nft_count_rules(work->sock, &cnif_firewall_table, CNIF_FIREWALL_FORWARD, &rules,
                                 work->reterr);
    if (r < 0)
        return r;
    if (rules < CNIF_FIREWALL_RULES)
        return cnif_err_set(work->reterr, ENOENT, "rules of nftables chain inet %s %s are gone",
                            cnif_firewall_table.name, CNIF_FIREWALL_FORWARD);
    for (i = 0; i < work->n_ips; i++) {
        if (!work->looks[i].found || is_others(work, &work->looks[i]))
            return cnif_err_set(work->reterr, ENOENT, "%s is not let through", work->object);
    }
    for (; i < work->n_looks; i++) {
        if (!work->looks[i].found)
            return cnif_err_set(work->reterr, ENOENT, "bridge %s is not in nftables set inet %s %s",
                                work->firewall->bridge, cnif_firewall_table.name,
                                work->looks[i].set);
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
