#include "nft/look.h"

#include "base/err.h"
#include "nft/batch.h"

#include <errno.h>
#include <string.h>

/* A dump is tried that often; after that, what all the tries together saw has to do. */
#define DUMP_ATTEMPTS 16

/* Room for one request: names and a key. */
#define REQUEST_MAX ((size_t)1024)

/*
 * Message 0 asks for the generation.  With looks the others ask for sets and
 * elements: asked[i] is the look that message i is about, and whether for its element.
 */
struct probe {
    uint32_t genid;
    uint64_t found;
    struct {
        struct cnif_nft_look *look;
        bool element;
    } asked[2 * CNIF_NFT_LOOK_MAX + 1];
};

static int keep_element(const struct cnif_nft_seen_element *element, void *arg)
{
    struct cnif_nft_look *look = arg;

    look->found = true;
    memcpy(look->comment, element->comment, sizeof(look->comment));
    memcpy(look->data, element->data, sizeof(look->data));
    return 0;
}

static int probe_reply(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    struct probe *probe = arg;

    if (index == 0) {
        probe->genid = cnif_nft_gen_parse(nlh);
        return 0;
    }
    probe->found |= UINT64_C(1) << index;
    if (index >= sizeof(probe->asked) / sizeof(probe->asked[0]) || !probe->asked[index].look)
        return 0;
    if (probe->asked[index].element)
        return cnif_nft_element_parse(nlh, keep_element, probe->asked[index].look);
    probe->asked[index].look->set_found = true;
    return 0;
}

static int run_probe(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                     struct probe *probe, struct cnif_err *reterr)
{
    int r = cnif_nlsock_talk(sock, buf, object, probe_reply, probe, NULL, reterr);

    /* The first failure is reported; what is not there fails with ENOENT, whatever it is. */
    if (r < 0 && r != -ENOENT)
        return r;
    if (!probe->genid)
        return cnif_err_set(reterr, EBADMSG, "read nftables generation %s: no answer", object);
    return 0;
}

int cnif_nft_probe(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                   uint32_t *ret_genid, uint64_t *ret_found, struct cnif_err *reterr)
{
    struct probe probe = {0};
    int r = run_probe(sock, buf, object, &probe, reterr);

    if (r < 0)
        return r;
    *ret_genid = probe.genid;
    *ret_found = probe.found;
    return 0;
}

/* A set that several looks in a row are about is asked for once. */
static bool same_set(const struct cnif_nft_look *looks, size_t i)
{
    return i > 0 && strcmp(looks[i].set, looks[i - 1].set) == 0;
}

static int look_at_some(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                        struct cnif_nft_look *looks, size_t count, const char *object,
                        uint32_t *ret_genid, struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[REQUEST_MAX * CNIF_NFT_LOOK_MAX];
    struct probe probe = {0};
    struct cnif_nlbuf buf;
    size_t i;
    int r;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_gen_get(&buf);
    for (i = 0; i < count; i++) {
        looks[i].set_found = false;
        looks[i].found = false;
        if (!same_set(looks, i)) {
            probe.asked[buf.count].look = &looks[i];
            cnif_nft_set_get(&buf, table, looks[i].set);
        }
        probe.asked[buf.count].look = &looks[i];
        probe.asked[buf.count].element = true;
        cnif_nft_element_get(&buf, table, looks[i].set, looks[i].key, looks[i].key_size);
    }
    r = run_probe(sock, &buf, object, &probe, reterr);
    if (r < 0)
        return r;
    for (i = 0; i < count; i++) {
        if (same_set(looks, i))
            looks[i].set_found = looks[i - 1].set_found;
    }
    *ret_genid = probe.genid;
    return 0;
}

int cnif_nft_look(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                  struct cnif_nft_look *looks, size_t count, const char *object,
                  uint32_t *ret_genid, struct cnif_err *reterr)
{
    uint32_t first = 0;
    bool moved = false;
    size_t done;

    for (done = 0; done < count; done += CNIF_NFT_LOOK_MAX) {
        size_t left = count - done;
        uint32_t genid;
        int r = look_at_some(sock, table, looks + done,
                             left < CNIF_NFT_LOOK_MAX ? left : CNIF_NFT_LOOK_MAX, object, &genid,
                             reterr);

        if (r < 0)
            return r;
        moved |= done && genid != first;
        first = genid;
    }
    *ret_genid = moved ? 0 : first;
    return 0;
}

/* One of the three callbacks, and its argument. */
struct each {
    cnif_nft_element_seen element;
    cnif_nft_set_seen set;
    cnif_nft_rule_seen rule;
    void *arg;
};

static int each_reply(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    struct each *each = arg;
    struct cnif_nft_seen_rule rule;
    char name[CNIF_NFT_NAME_MAX];
    uint32_t key_size;

    (void)index;
    if (each->element)
        return cnif_nft_element_parse(nlh, each->element, each->arg);
    if (each->set && cnif_nft_set_parse(nlh, name, sizeof(name), &key_size))
        return each->set(name, key_size, each->arg);
    if (each->rule && cnif_nft_rule_parse(nlh, &rule))
        return each->rule(&rule, each->arg);
    return 0;
}

static int run_dump(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                    struct each *each, struct cnif_err *reterr)
{
    unsigned attempt;
    int r = -EAGAIN;

    for (attempt = 0; attempt < DUMP_ATTEMPTS && r == -EAGAIN; attempt++)
        r = cnif_nlsock_dump(sock, buf, object, each_reply, each, reterr);
    return r == -EAGAIN || r == -ENOENT ? 0 : r;
}

int cnif_nft_each_element(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                          const char *set, cnif_nft_element_seen seen, void *arg,
                          struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[REQUEST_MAX];
    struct each each = {.element = seen, .arg = arg};
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_element_dump(&buf, table, set);
    return run_dump(sock, &buf, set, &each, reterr);
}

int cnif_nft_each_set(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                      cnif_nft_set_seen seen, void *arg, struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[REQUEST_MAX];
    struct each each = {.set = seen, .arg = arg};
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_set_dump(&buf, table);
    return run_dump(sock, &buf, table->name, &each, reterr);
}

int cnif_nft_each_rule(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                       const char *chain, cnif_nft_rule_seen seen, void *arg,
                       struct cnif_err *reterr)
{
    _Alignas(8) uint8_t data[REQUEST_MAX];
    struct each each = {.rule = seen, .arg = arg};
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_rule_dump(&buf, table, chain);
    return run_dump(sock, &buf, chain, &each, reterr);
}

static int count_rule(const struct cnif_nft_seen_rule *rule, void *arg)
{
    unsigned *count = arg;

    (void)rule;
    (*count)++;
    return 0;
}

int cnif_nft_count_rules(struct cnif_nlsock *sock, const struct cnif_nft_table *table,
                         const char *chain, unsigned *ret_count, struct cnif_err *reterr)
{
    unsigned count = 0;
    int r = cnif_nft_each_rule(sock, table, chain, count_rule, &count, reterr);

    if (r == 0)
        *ret_count = count;
    return r;
}
