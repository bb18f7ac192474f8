/*
 * What things are called, and what elements look like.
 */
#include "nft/hostport.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define WORD          4 /* bytes of a register; a part of a concatenation takes whole ones */
#define PORTS_MAX     999999
#define RECORD_PREFIX 18 /* "999999/31/32/128 " with its NUL */

#define PORTS "hostports"
#define IPS   "hostips"

const struct cnif_nft_table cnif_hostport_table = {NFPROTO_INET, "cnifast-hostport"};

_Static_assert(RECORD_PREFIX + CNIF_OWNER_MAX <= CNIF_NFT_COMMENT_MAX, "a record fits");
_Static_assert(2 * 16 + 2 * WORD <= CNIF_NFT_KEY_MAX, "a key fits");

static void add_source(struct cnif_hostport_group *group, const char *scope, const uint8_t *address,
                       unsigned prefix)
{
    struct cnif_hostport_source *source = &group->sources[group->n_sources++];
    uint32_t i;

    cnif_nft_family_mask(group->family, prefix, source->mask);
    for (i = 0; i < group->family->size; i++)
        source->base[i] = address[i] & source->mask[i];
    (void)snprintf(source->set, sizeof(source->set), "masq-%s%c-%u-%d%s",
                   group->specific ? IPS : PORTS, group->family->digit, prefix, group->bit, scope);
}

void cnif_hostport_group_init(struct cnif_hostport_group *group, uint8_t family, bool specific,
                              const char *scope, int bit, const struct cnif_ip *pod)
{
    static const uint8_t localhost[] = {127, 0, 0, 1};
    char behind[CNIF_HOSTPORT_SCOPE_MAX + 1] = "";
    const char *kind = specific ? IPS : PORTS;
    char digit;

    memset(group, 0, sizeof(*group));
    group->family = cnif_nft_family_find(family);
    group->specific = specific;
    group->scoped = scope && *scope;
    group->bit = bit;
    digit = group->family->digit;
    if (group->scoped)
        (void)snprintf(behind, sizeof(behind), "-%.*s", CNIF_HOSTPORT_SCOPE_MAX - 1, scope);
    (void)snprintf(group->local, sizeof(group->local), "local%c%s", digit, behind);
    (void)snprintf(group->map, sizeof(group->map), "%s%c%s", kind, digit, behind);
    (void)snprintf(group->chain, sizeof(group->chain), "dnat-%s%c%s", kind, digit, behind);
    if (bit < 0)
        return;
    (void)snprintf(group->masquerade, sizeof(group->masquerade), "masquerade-%d", bit);
    add_source(group, behind, pod->bytes, pod->prefix);
    /* Nothing comes from ::1 to another host: IPv6 has no route_localnet. */
    if (family == AF_INET && pod->prefix)
        add_source(group, behind, localhost, 32);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

bool cnif_hostport_in_group(const struct cnif_hostport_group *group,
                            const struct cnif_hostport *port)
{
    if (!port->host_ip.family)
        return !group->specific;
    return port->host_ip.family == group->family->family &&
           group->specific != is_zero(port->host_ip.bytes, group->family->size);
}

/* The words of a port's key behind addresses. */
static size_t put_port(uint8_t *at, uint8_t protocol, uint16_t port)
{
    memset(at, 0, 2 * WORD);
    at[0] = protocol;
    at[WORD] = (uint8_t)(port >> 8);
    at[WORD + 1] = (uint8_t)port;
    return 2 * WORD;
}

size_t cnif_hostport_key(const struct cnif_hostport_group *group, const struct cnif_hostport *port,
                         uint8_t key[CNIF_NFT_KEY_MAX])
{
    size_t size = 0;

    if (group->specific) {
        size = group->family->size;
        memcpy(key, port->host_ip.bytes, size);
    }
    return size + put_port(key + size, port->protocol, port->host_port);
}

size_t cnif_hostport_source_key(const struct cnif_hostport_group *group,
                                const struct cnif_hostport_source *source,
                                const struct cnif_hostport *port, uint8_t key[CNIF_NFT_KEY_MAX])
{
    size_t size = group->family->size;

    memcpy(key, source->base, size);
    return size + cnif_hostport_key(group, port, key + size);
}

size_t cnif_hostport_data(const struct cnif_hostport_group *group, const struct cnif_ip *pod,
                          uint16_t port, uint8_t data[CNIF_NFT_DATA_MAX])
{
    size_t size = group->family->size;

    memcpy(data, pod->bytes, size);
    memset(data + size, 0, WORD);
    data[size] = (uint8_t)(port >> 8);
    data[size + 1] = (uint8_t)port;
    return size + WORD;
}

static uint16_t read_port(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* What follows `name` in `set`, NULL if the set is called otherwise. */
static const char *behind(const char *set, const char *name)
{
    size_t size = strlen(name);

    return strncmp(set, name, size) == 0 ? set + size : NULL;
}

bool cnif_hostport_parse(const char *set, const uint8_t *key, const uint8_t *data,
                         struct cnif_hostport_entry *entry)
{
    const char *specific = behind(set, IPS);
    const char *at = specific ? specific : behind(set, PORTS);
    const struct cnif_nft_family *family = NULL;
    size_t i;

    for (i = 0; at && i < 2; i++) {
        if (*at == cnif_nft_families[i].digit && (at[1] == '\0' || at[1] == '-'))
            family = &cnif_nft_families[i];
    }
    if (!family)
        return false;
    memset(entry, 0, sizeof(*entry));
    entry->port.host_ip.family = entry->pod.family = family->family;
    entry->port.host_ip.prefix = entry->pod.prefix = (uint8_t)(family->size * 8);
    if (specific) {
        memcpy(entry->port.host_ip.bytes, key, family->size);
        key += family->size;
    }
    entry->port.protocol = key[0];
    entry->port.host_port = read_port(key + WORD);
    memcpy(entry->pod.bytes, data, family->size);
    entry->port.container_port = read_port(data + family->size);
    return true;
}

void cnif_hostport_attachment(const char *owner, uint8_t key[CNIF_IFNAME_MAX])
{
    memset(key, 0, CNIF_IFNAME_MAX);
    (void)snprintf((char *)key, CNIF_IFNAME_MAX, "%015" PRIx64, cnif_owner_hash(owner) >> 4);
}

void cnif_hostport_record_put(const struct cnif_hostport_record *record,
                              char comment[CNIF_NFT_COMMENT_MAX])
{
    (void)snprintf(comment, CNIF_NFT_COMMENT_MAX, "%u/%d/%u/%u %s", record->n_ports, record->bit,
                   record->prefixes[0], record->prefixes[1], record->owner);
}

/* The number at *at, of digits alone, and the character behind it; false if they are not there. */
static bool read_number(const char **at, unsigned max, char behind_it, unsigned *ret)
{
    const char *digit = *at;
    unsigned number = 0;

    for (; *digit >= '0' && *digit <= '9'; digit++) {
        number = number * 10 + (unsigned)(*digit - '0');
        if (number > max)
            return false;
    }
    if (digit == *at || *digit != behind_it)
        return false;
    *at = digit + 1;
    *ret = number;
    return true;
}

bool cnif_hostport_record_parse(const char *comment, struct cnif_hostport_record *record)
{
    const char *at = comment;
    unsigned n_ports;
    unsigned bit = 0;
    unsigned v4;
    unsigned v6;
    bool none;

    if (!read_number(&at, PORTS_MAX, '/', &n_ports))
        return false;
    none = strncmp(at, "-1/", 3) == 0;
    if (none)
        at += 3;
    else if (!read_number(&at, 31, '/', &bit))
        return false;
    if (!read_number(&at, 32, '/', &v4) || !read_number(&at, 128, ' ', &v6))
        return false;
    record->n_ports = n_ports;
    record->bit = none ? -1 : (int)bit;
    record->prefixes[0] = (uint8_t)v4;
    record->prefixes[1] = (uint8_t)v6;
    record->owner = at;
    return true;
}

void cnif_hostport_look(struct cnif_nft_look *look, const char *set, const uint8_t *key,
                        size_t size)
{
    memset(look, 0, sizeof(*look));
    (void)snprintf(look->set, sizeof(look->set), "%s", set);
    memcpy(look->key, key, size);
    look->key_size = size;
}

const char *cnif_hostport_protocol(uint8_t protocol)
{
    switch (protocol) {
    case IPPROTO_TCP:
        return "tcp";
    case IPPROTO_UDP:
        return "udp";
    case IPPROTO_SCTP:
        return "sctp";
    default:
        return "?";
    }
}

void cnif_hostport_list_put(struct cnif_hostport_list *list, const struct cnif_nft_element *element)
{
    if (list->open && list->buf->used - list->at > CNIF_NFT_ELEMENTS_MAX)
        cnif_hostport_list_end(list);
    if (!list->open)
        list->at = cnif_nft_elements_begin(list->buf, list->verb, &cnif_hostport_table, list->set);
    list->open = true;
    cnif_nft_elements_put(list->buf, element);
}

void cnif_hostport_list_end(struct cnif_hostport_list *list)
{
    if (list->open)
        cnif_nft_elements_end(list->buf, list->at);
    list->open = false;
}

size_t cnif_hostport_batch_size(size_t n_elements)
{
    /* A message for each set without its elements; an element with the longest comment. */
    return 16 * (size_t)512 + (n_elements + 1) * 384;
}
