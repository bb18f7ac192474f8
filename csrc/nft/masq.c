#include "nft/pods.h"
#include "nft/subnet.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "nft/change.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define OBJECT_MAX (INET6_ADDRSTRLEN + CNIF_OWNER_MAX + 8)

/* The elements of one batch, and the words for it. */
struct work {
    const char *owner;
    size_t count;
    struct cnif_nft_look looks[CNIF_NFT_LOOK_MAX];
    char object[OBJECT_MAX];
};

static void describe(struct work *work, const struct cnif_ip *ip)
{
    char address[INET6_ADDRSTRLEN] = "?";

    (void)inet_ntop(ip->family, ip->bytes, address, sizeof(address));
    (void)snprintf(work->object, sizeof(work->object), "%s (%s)", address, work->owner);
}

/* Append the element of `ip` in `set` unless it is there already. */
static void append(struct work *work, const struct cnif_ip *ip, const char *set)
{
    struct cnif_nft_look *look = &work->looks[work->count];
    size_t i;

    memset(look, 0, sizeof(*look));
    (void)snprintf(look->set, sizeof(look->set), "%s", set);
    look->key_size = cnif_subnet_key_size(ip->family);
    memcpy(look->key, ip->bytes, look->key_size);
    for (i = 0; i < work->count; i++) {
        if (strcmp(work->looks[i].set, set) == 0 &&
            memcmp(work->looks[i].key, look->key, sizeof(look->key)) == 0)
            return;
    }
    if (work->count++ == 0)
        describe(work, ip);
}

/* Write the batch of an addition; the generation matters only where something is replaced. */
static int write_add(struct cnif_nlbuf *buf, uint32_t genid, void *arg)
{
    const struct work *work = arg;
    bool replaces = false;
    size_t i;

    for (i = 0; i < work->count; i++) {
        if (!work->looks[i].set_found)
            return -ENOENT;
    }
    for (i = 0; i < work->count; i++)
        replaces |= work->looks[i].found && strcmp(work->looks[i].comment, work->owner) != 0;
    cnif_nft_batch_begin(buf, replaces ? genid : 0);
    for (i = 0; i < work->count; i++) {
        const struct cnif_nft_look *look = &work->looks[i];
        struct cnif_nft_element element = {
            .key = look->key, .key_size = look->key_size, .comment = work->owner};

        if (look->found && strcmp(look->comment, work->owner) == 0)
            continue;
        if (look->found)
            cnif_nft_element_delete(buf, &cnif_masq_table, look->set, look->key, look->key_size);
        cnif_nft_element_add(buf, &cnif_masq_table, look->set, &element);
    }
    return replaces ? CNIF_NFT_TIED : CNIF_NFT_LOOSE;
}

static int write_delete(struct cnif_nlbuf *buf, uint32_t genid, void *arg)
{
    const struct work *work = arg;
    size_t i;

    cnif_nft_batch_begin(buf, genid);
    for (i = 0; i < work->count; i++) {
        const struct cnif_nft_look *look = &work->looks[i];

        if (look->found && strcmp(look->comment, work->owner) == 0)
            cnif_nft_element_delete(buf, &cnif_masq_table, look->set, look->key, look->key_size);
    }
    return CNIF_NFT_TIED;
}

static int change(struct cnif_nlsock *sock, struct work *work, cnif_nft_write write,
                  struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[1024 * (2 * CNIF_NFT_LOOK_MAX + 1)];
    struct cnif_nft_change wanted = {
        &cnif_masq_table, work->looks, work->count, "masquerade", work->object,
    };
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    return cnif_nft_change(sock, &wanted, &buf, write, work, reterr);
}

static int ensure_subnets(struct cnif_nlsock *sock, const struct cnif_subnet *subnets, size_t count,
                          struct cnif_err *reterr)
{
    size_t i;
    int r = 0;

    for (i = 0; i < count && r == 0; i++)
        r = cnif_subnet_ensure(sock, &subnets[i], reterr);
    return r;
}

static int add_some(struct cnif_nlsock *sock, const struct cnif_ip *ips, size_t count,
                    const char *network, const char *owner, struct cnif_err *reterr)
{
    struct cnif_subnet subnets[CNIF_NFT_LOOK_MAX];
    struct work work = {.owner = owner};
    unsigned attempt;
    size_t i;
    int r = -ENOENT;

    for (i = 0; i < count; i++) {
        r = cnif_subnet_init(&subnets[i], network, &ips[i], reterr);
        if (r < 0)
            return r;
        append(&work, &ips[i], subnets[i].set);
    }
    r = change(sock, &work, write_add, reterr);
    /* Once is enough, unless somebody removes the rules in between. */
    for (attempt = 0; attempt < 3 && r == -ENOENT; attempt++) {
        r = ensure_subnets(sock, subnets, count, reterr);
        if (r == 0)
            r = change(sock, &work, write_add, reterr);
    }
    if (r == -ENOENT)
        return cnif_err_errno(reterr, ENOENT, "masquerade %s: add nftables set", work.object);
    return r;
}

int cnif_masq_add(struct cnif_nlsock *sock, const struct cnif_ip *ips, size_t count,
                  const struct cnif_owner *owner, struct cnif_err *reterr)
{
    char text[CNIF_OWNER_MAX];
    int r = 0;

    cnif_owner_text(owner, text);
    while (count && r == 0) {
        size_t some = count < CNIF_NFT_LOOK_MAX ? count : CNIF_NFT_LOOK_MAX;

        r = add_some(sock, ips, some, owner->network, text, reterr);
        ips += some;
        count -= some;
    }
    return r;
}

/* Deletes as many elements at a time as a batch takes. */
static int flush(struct cnif_nlsock *sock, struct work *work, struct cnif_err *reterr)
{
    int r = work->count ? change(sock, work, write_delete, reterr) : 0;

    work->count = 0;
    return r;
}

static int delete_one(struct cnif_nlsock *sock, struct work *work, const struct cnif_ip *ip,
                      const char *set, struct cnif_err *reterr)
{
    append(work, ip, set);
    return work->count == CNIF_NFT_LOOK_MAX ? flush(sock, work, reterr) : 0;
}

/* The address in whichever subnet of the network it is. */
static int delete_anywhere(struct cnif_nlsock *sock, struct work *work,
                           const struct cnif_pod_sets *sets, const struct cnif_ip *ip,
                           struct cnif_err *reterr)
{
    size_t i;
    int r = 0;

    for (i = 0; i < sets->count && r == 0; i++) {
        if (sets->sizes[i] == cnif_subnet_key_size(ip->family))
            r = delete_one(sock, work, ip, sets->names[i], reterr);
    }
    return r;
}

static int delete_addresses(struct cnif_nlsock *sock, struct work *work, const struct cnif_ip *ips,
                            size_t count, const char *network, struct cnif_err *reterr)
{
    struct cnif_pod_sets sets = {0};
    bool searched = false;
    size_t i;
    int r = 0;

    for (i = 0; i < count && r == 0; i++) {
        struct cnif_subnet subnet;

        if (ips[i].prefix) {
            r = cnif_subnet_init(&subnet, network, &ips[i], reterr);
            if (r == 0)
                r = delete_one(sock, work, &ips[i], subnet.set, reterr);
            continue;
        }
        if (!searched)
            r = cnif_pods_find(sock, network, &sets, reterr);
        searched = true;
        if (r == 0)
            r = delete_anywhere(sock, work, &sets, &ips[i], reterr);
    }
    cnif_pods_done(&sets);
    return r;
}

static int delete_owner(struct cnif_nlsock *sock, struct work *work, const char *network,
                        struct cnif_err *reterr)
{
    struct cnif_pod_list list = {.owner = work->owner};
    struct cnif_pod_sets sets = {0};
    size_t i;
    int r = cnif_pods_find(sock, network, &sets, reterr);

    if (r == 0)
        r = cnif_pods_list(sock, &sets, &list, reterr);
    cnif_pods_done(&sets);
    if (r == 0 && list.count) {
        cnif_cleanup_free struct cnif_ip *ips = calloc(list.count, sizeof(*ips));

        if (!ips)
            r = cnif_err_errno(reterr, ENOMEM, "list nftables elements of %s", work->owner);
        for (i = 0; i < list.count && r == 0; i++)
            ips[i] = list.entries[i].ip;
        if (r == 0)
            r = delete_addresses(sock, work, ips, list.count, network, reterr);
    }
    free(list.entries);
    return r;
}

int cnif_masq_delete(struct cnif_nlsock *sock, const struct cnif_ip *ips, size_t count,
                     const struct cnif_owner *owner, struct cnif_err *reterr)
{
    char text[CNIF_OWNER_MAX];
    struct work work = {.owner = text};
    int r;

    cnif_owner_text(owner, text);
    r = count ? delete_addresses(sock, &work, ips, count, owner->network, reterr)
              : delete_owner(sock, &work, owner->network, reterr);
    return r < 0 ? r : flush(sock, &work, reterr);
}

int cnif_masq_check(struct cnif_nlsock *sock, const struct cnif_ip *ips, size_t count,
                    const struct cnif_owner *owner, struct cnif_err *reterr)
{
    char text[CNIF_OWNER_MAX];
    size_t i;

    cnif_owner_text(owner, text);
    for (i = 0; i < count; i++) {
        struct cnif_subnet subnet;
        struct work work = {.owner = text};
        uint32_t genid;
        int r = cnif_subnet_init(&subnet, owner->network, &ips[i], reterr);

        if (r < 0)
            return r;
        append(&work, &ips[i], subnet.set);
        r = cnif_nft_look(sock, &cnif_masq_table, work.looks, 1, work.object, &genid, reterr);
        if (r < 0)
            return r;
        if (!work.looks[0].found || strcmp(work.looks[0].comment, text) != 0)
            return cnif_err_set(reterr, ENOENT, "%s is not masqueraded", work.object);
        r = cnif_subnet_check(sock, &subnet, reterr);
        if (r < 0)
            return r;
    }
    return 0;
}
