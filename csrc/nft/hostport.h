/*
 * Ports of the host that lead to containers.
 *
 *   table inet cnifast-hostport {
 *       map attachments { type ifname : ifname
 *           elements = { "0123456789abcde" comment "1/13/16/0 CONTAINER eth0 NETWORK" : "veth1" } }
 *       map hostports4 { type inet_proto . inet_service : ipv4_addr . inet_service
 *           elements = { tcp . 8080 comment "CONTAINER eth0 NETWORK" : 10.1.0.5 . 80 } }
 *       set masq-hostports4-16-13 { type ipv4_addr . inet_proto . inet_service
 *           elements = { 10.1.0.0 . tcp . 8080 comment "CONTAINER eth0 NETWORK" } }
 *       chain prerouting {
 *           type nat hook prerouting priority dstnat + 10; policy accept;
 *           meta nfproto ipv4 fib daddr type local jump local4
 *       }
 *       chain output { ... the same, hook output ... }
 *       chain local4 {
 *           jump dnat-hostips4             # what was asked for one address of the host
 *           jump dnat-hostports4
 *       }
 *       chain dnat-hostports4 {
 *           ip saddr & 255.255.0.0 . meta l4proto . th dport @masq-hostports4-16-13 \
 *                   meta mark set meta mark | 0x2000
 *           meta nfproto ipv4 counter dnat ip to meta l4proto . th dport map @hostports4
 *       }
 *       chain masquerade-13 {
 *           type nat hook postrouting priority srcnat - 10; policy accept;
 *           meta mark & 0x2000 == 0x2000 masquerade
 *       }
 *   }
 *
 * A port is one element, an attachment one more, and so is each source whose
 * connections to a port are masqueraded: the pod's subnet and 127.0.0.1, or all.  Rules
 * are made once per node, per source's prefix length and per mark.  Only the first
 * packet of a connection comes here, and one map says where it goes, however many
 * ports there are.
 *
 * The hooks come after those of iptables and kube-proxy, so a service that claims a
 * port has it.  The mark tells a connection that is to be masqueraded from all others,
 * as the reference's iptables rules do: neither addresses nor ports would, after
 * somebody's DNAT.
 *
 * Conditions that a network puts on its ports are a scope: chains, maps and sets
 * with "-SCOPE" behind their names.  The rules that lead to local4-SCOPE are not made here.
 */
#ifndef CNIF_NFT_HOSTPORT_H
#define CNIF_NFT_HOSTPORT_H

#include "nft/family.h"
#include "nft/look.h"
#include "nft/owner.h"

/* "inet cnifast-hostport" */
extern const struct cnif_nft_table cnif_hostport_table;

#define CNIF_HOSTPORT_ATTACHMENTS "attachments"
#define CNIF_HOSTPORT_NAME_MAX    72

/* Connections from these addresses are masqueraded. */
struct cnif_hostport_source {
    uint8_t base[16];
    uint8_t mask[16];
    char set[CNIF_HOSTPORT_NAME_MAX];
};

#define CNIF_HOSTPORT_SOURCES 2

/* Ports of a family and scope, for any address of the host or for certain ones. */
struct cnif_hostport_group {
    const struct cnif_nft_family *family;
    bool specific;
    bool scoped;
    int bit;
    char local[CNIF_HOSTPORT_NAME_MAX];
    char map[CNIF_HOSTPORT_NAME_MAX];
    char chain[CNIF_HOSTPORT_NAME_MAX];
    char masquerade[CNIF_HOSTPORT_NAME_MAX];
    struct cnif_hostport_source sources[CNIF_HOSTPORT_SOURCES];
    size_t n_sources;
};

/*
 * The group whose ports lead to `pod`, and what is masqueraded for it: nothing with
 * bit -1, everything if the pod's prefix length is 0.
 */
void cnif_hostport_group_init(struct cnif_hostport_group *group, uint8_t family, bool specific,
                              const char *scope, int bit, const struct cnif_ip *pod);

/* Whether the port is one of the group's. */
bool cnif_hostport_in_group(const struct cnif_hostport_group *group,
                            const struct cnif_hostport *port);

/* The key of a port in the group's map, and in the set of one of its sources; its size. */
size_t cnif_hostport_key(const struct cnif_hostport_group *group, const struct cnif_hostport *port,
                         uint8_t key[CNIF_NFT_KEY_MAX]);
size_t cnif_hostport_source_key(const struct cnif_hostport_group *group,
                                const struct cnif_hostport_source *source,
                                const struct cnif_hostport *port, uint8_t key[CNIF_NFT_KEY_MAX]);

/* Where a port leads, as the map has it; its size. */
size_t cnif_hostport_data(const struct cnif_hostport_group *group, const struct cnif_ip *pod,
                          uint16_t port, uint8_t data[CNIF_NFT_DATA_MAX]);

/* The port and pod in an element of a set; false if that is none of the maps. */
bool cnif_hostport_parse(const char *set, const uint8_t *key, const uint8_t *data,
                         struct cnif_hostport_entry *entry);

/* What the comment of an attachment says: how many ports there are, and what is masqueraded. */
struct cnif_hostport_record {
    unsigned n_ports;
    int bit;
    uint8_t prefixes[2];
    const char *owner;
};

/* The key of an attachment: 15 digits. */
void cnif_hostport_attachment(const char *owner, uint8_t key[CNIF_IFNAME_MAX]);
void cnif_hostport_record_put(const struct cnif_hostport_record *record,
                              char comment[CNIF_NFT_COMMENT_MAX]);
/* False if it is no such comment; record->owner points into it. */
bool cnif_hostport_record_parse(const char *comment, struct cnif_hostport_record *record);

/* Append a look for a key in a set. */
void cnif_hostport_look(struct cnif_nft_look *look, const char *set, const uint8_t *key,
                        size_t size);

/* Elements of one set in a batch, in as many messages as they need; all zeros but for the first. */
struct cnif_hostport_list {
    struct cnif_nlbuf *buf;
    enum cnif_nft_verb verb;
    const char *set;
    size_t at;
    bool open;
};

void cnif_hostport_list_put(struct cnif_hostport_list *list,
                            const struct cnif_nft_element *element);
void cnif_hostport_list_end(struct cnif_hostport_list *list);

/* Bytes that are enough for a batch with so many elements of ports, and their attachment. */
size_t cnif_hostport_batch_size(size_t n_elements);

/* "tcp", ... */
const char *cnif_hostport_protocol(uint8_t protocol);

/*
 * Make what of the fixed part is missing for a group, all in one batch.  Several
 * callers may do so at once.
 */
int cnif_hostport_ensure(struct cnif_nlsock *sock, const struct cnif_hostport_group *group,
                         struct cnif_err *reterr);

/* -ENOENT if a chain of the fixed part has lost its rules. */
int cnif_hostport_check_rules(struct cnif_nlsock *sock, const struct cnif_hostport_group *group,
                              struct cnif_err *reterr);

#endif
