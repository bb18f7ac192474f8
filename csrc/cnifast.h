/*
 * The exported ABI of the cnifast core: what the Python binding (and nothing
 * else) may call.  src/cnifast/_native/ffi.cdef.txt mirrors this header; a test
 * holds the two together.
 *
 * Conventions: a function that can fail returns 0 or a negative errno, fills
 * *reterr on failure and leaves every ret_* output alone.  A handle is used by
 * one thread at a time.  Addresses are in network byte order.  No function
 * returns in another network namespace than it was called in.
 */
#ifndef CNIFAST_H
#define CNIFAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CNIF_ERR_MSG_MAX 384

struct cnif_err {
    int code; /* errno value, positive */
    char msg[CNIF_ERR_MSG_MAX];
};

/* ---- fault: make the Nth step of an operation fail (built with CNIF_FAULTS) ---- */

#define CNIF_FAULT_KILL (-1)

/*
 * From now on count the steps that change state and fail the n-th (from 1; 0:
 * none) with errno value `code`, or kill the process there for CNIF_FAULT_KILL.
 * -EOPNOTSUPP when the core was built without CNIF_FAULTS.
 */
int cnif_fault_arm(unsigned int n, int code);
/* Steps counted since cnif_fault_arm(). */
unsigned int cnif_fault_count(void);
/* Name of the step that was made to fail, NULL if none was. */
const char *cnif_fault_failed(void);

/* ---- netns: network namespaces as file descriptors ---- */

/* Open the namespace at `path`; -EINVAL if it is something else. */
int cnif_netns_open(const char *path, int *ret_fd, struct cnif_err *reterr);
/*
 * Promise that every thread of this process stays in the namespace that the
 * calling one is in, so that each finds its way back there from all visits.
 */
int cnif_netns_settle(struct cnif_err *reterr);
/* Device and inode of the namespace `fd`, of the calling thread's own for -1. */
int cnif_netns_id(int fd, uint64_t *ret_dev, uint64_t *ret_ino, struct cnif_err *reterr);
/* Make a new namespace and pin it at `path`, which must not exist. */
int cnif_netns_create(const char *path, struct cnif_err *reterr);
/* Unpin the namespace at `path` and remove the file; absent is success. */
int cnif_netns_remove(const char *path, struct cnif_err *reterr);

/* ---- netns: programs ---- */

/*
 * Run a program in the namespace `netns_fd` (-1: here) with `input` on its
 * stdin and wait for its end; after `timeout_ms` it is killed (-ETIMEDOUT).
 * *ret_status is its exit code, 128 + the signal that ended it; `output` gets
 * what it wrote on stderr, cut to fit, always terminated.  argv[0] is a path.
 */
int cnif_netns_run(int netns_fd, const char *const *argv, const char *input, size_t input_size,
                   int timeout_ms, char *output, size_t output_size, int *ret_status,
                   struct cnif_err *reterr);

/* ---- netlink: sockets ---- */

struct cnif_nlsock;

/* A socket of a netlink protocol (NETLINK_ROUTE, ...) in the namespace `netns_fd`, -1: here. */
int cnif_nlsock_open(int protocol, int netns_fd, struct cnif_nlsock **ret, struct cnif_err *reterr);
/* Close and free; NULL is allowed. */
void cnif_nlsock_close(struct cnif_nlsock *sock);

/* ---- netns: sysctls ---- */

struct cnif_sysctl {
    const char *path; /* below /proc/sys, with slashes */
    const char *value;
    bool optional; /* a missing file or a refused write is no error */
};

/* In the namespace `netns_fd` (-1: here), give each sysctl its value; those that have it are
 * left alone. */
int cnif_sysctl_write(int netns_fd, const struct cnif_sysctl *sysctls, size_t count,
                      struct cnif_err *reterr);
/* The value without its newline, in `value`. */
int cnif_sysctl_read(int netns_fd, const char *path, char *value, size_t size,
                     struct cnif_err *reterr);

/* ---- netns: sysctls that can be put back ---- */

#define CNIF_SETTING_MAX 4096

struct cnif_setting {
    const char *path; /* below /proc/sys, with slashes */
    const char *value;
    bool has_old; /* what it was could be read, and has fit */
    char old[CNIF_SETTING_MAX];
};

/*
 * In the namespace `netns_fd` (-1: here), find all sysctls, keep what they are,
 * and write them, those that have the value already included.  On failure all
 * are as before.
 */
int cnif_settings_write(int netns_fd, struct cnif_setting *settings, size_t count,
                        struct cnif_err *reterr);
/* Undo that, last one first; all are tried, the first failure is reported. */
int cnif_settings_restore(int netns_fd, const struct cnif_setting *settings, size_t count,
                          struct cnif_err *reterr);

/* ---- rtnl: links, addresses, routes ---- */

#define CNIF_IFNAME_MAX 16
#define CNIF_ALIAS_MAX  256
#define CNIF_MAC_MAX    32

struct cnif_ip {
    uint8_t family; /* AF_INET, AF_INET6; 0: none */
    uint8_t prefix;
    uint8_t bytes[16]; /* network order, IPv4 in the first four */
};

struct cnif_link {
    int32_t index;
    int32_t master; /* 0: none */
    int32_t parent; /* IFLA_LINK: the peer of a veth, the lower device of a macvlan; 0: none */
    int32_t parent_netnsid; /* -1: the same namespace */
    uint32_t flags;         /* IFF_* */
    uint32_t mtu;
    uint32_t txqlen;
    uint32_t group;
    uint32_t promiscuity;
    uint16_t type; /* ARPHRD_* */
    uint8_t operstate;
    uint8_t mac_len;
    uint8_t mac[CNIF_MAC_MAX];
    char name[CNIF_IFNAME_MAX];
    char kind[CNIF_IFNAME_MAX];
    char alias[CNIF_ALIAS_MAX];
    /* where the link is a bridge port */
    bool is_port, hairpin, isolated;
    /* where it is a bridge */
    bool vlan_filtering;
    uint32_t macvlan_mode, bcqueuelen; /* where it is a macvlan; MACVLAN_MODE_* */
    uint16_t ipvlan_mode, vlan_id;     /* where it is one */
    uint32_t vrf_table;
    int64_t tap_owner, tap_group; /* where it is a tap: who may open it, -1: anybody */
    bool tap_multi_queue;
};

/* What a new link shall be.  Zero, NULL and -1 (fds) leave a thing to the kernel. */
struct cnif_link_spec {
    const char *kind;
    const char *name;
    uint32_t mtu;
    uint32_t txqlen; /* only if has_txqlen */
    int32_t master;
    int32_t parent;
    int netns_fd;
    bool up;
    bool has_mac;
    bool has_txqlen;
    bool single_queue; /* one transmit and one receive queue, at both ends of a veth */
    uint8_t mac[6];
    struct {
        const char *name;
        uint32_t mtu;
        int netns_fd;
        bool has_mac;
        uint8_t mac[6];
    } peer; /* veth */
    struct {
        uint32_t mode;
        uint32_t bcqueuelen;
    } macvlan;
    struct {
        bool vlan_filtering;
    } bridge;
    uint16_t ipvlan_mode, vlan_id;
    uint32_t vrf_table;
};

/* What to change of a link: only what is set. */
struct cnif_link_change {
    uint32_t flags; /* wanted values of the IFF_* bits in flags_mask */
    uint32_t flags_mask;
    uint32_t mtu;      /* 0: keep */
    int32_t master;    /* -1: keep, 0: none */
    int netns_fd;      /* -1: keep */
    const char *name;  /* NULL: keep */
    const char *alias; /* NULL: keep */
    uint32_t txqlen;   /* only if has_txqlen */
    bool has_txqlen;
    bool has_mac;
    uint8_t mac[6];
};

struct cnif_address {
    int32_t index;
    struct cnif_ip ip;
    uint32_t flags; /* IFA_F_* */
    uint8_t scope;
};

struct cnif_route {
    struct cnif_ip dst; /* prefix 0: the default route */
    struct cnif_ip gateway;
    int32_t oif;
    uint32_t table; /* 0: main */
    uint32_t priority;
    uint32_t mtu;
    uint32_t advmss;
    int16_t scope;         /* -1: as fits */
    uint8_t protocol;      /* 0: boot */
    uint8_t type;          /* 0: unicast */
    struct cnif_ip source; /* the address that packets come from; family 0: as fits */
    bool onlink;           /* the gateway is on the link, though no route says so */
};

/* A link by name, or by index where name is NULL; -ENODEV if there is none. */
int cnif_link_get(struct cnif_nlsock *sock, const char *name, int32_t index, struct cnif_link *ret,
                  struct cnif_err *reterr);
/*
 * Create a link; -EEXIST if the name is taken.  Its index goes to `ret_index`,
 * which may be NULL: 0 if it was made in another namespace, or if the kernel
 * does not tell it (before Linux 6.2, of a link that was given another name).
 */
int cnif_link_add(struct cnif_nlsock *sock, const struct cnif_link_spec *spec, int32_t *ret_index,
                  struct cnif_err *reterr);
int cnif_link_change(struct cnif_nlsock *sock, int32_t index, const struct cnif_link_change *change,
                     struct cnif_err *reterr);
/* Delete a link and wait for the kernel to be through with it. */
int cnif_link_delete(struct cnif_nlsock *sock, int32_t index, struct cnif_err *reterr);

/* Options of a bridge port: -1 keeps, 0 and 1 set. */
int cnif_port_set(struct cnif_nlsock *sock, int32_t index, int hairpin, int isolated,
                  struct cnif_err *reterr);
/* VLANs first..last (1..4094) of a bridge port; `add` false removes them. */
int cnif_port_vlan(struct cnif_nlsock *sock, int32_t index, bool add, uint16_t first, uint16_t last,
                   bool pvid_untagged, struct cnif_err *reterr);
/* The VLANs a bridge port has, as one bit each in `bits` (512 bytes). */
int cnif_port_vlans(struct cnif_nlsock *sock, int32_t index, uint8_t *bits,
                    struct cnif_err *reterr);

/* -EEXIST if the very address is there; flags: IFA_F_*. */
int cnif_addr_add(struct cnif_nlsock *sock, int32_t index, const struct cnif_ip *ip, uint32_t flags,
                  struct cnif_err *reterr);
int cnif_addr_delete(struct cnif_nlsock *sock, int32_t index, const struct cnif_ip *ip,
                     struct cnif_err *reterr);
/* Whether the link has the very address; asked without the RTNL lock where the kernel can. */
int cnif_addr_find(struct cnif_nlsock *sock, int32_t index, const struct cnif_ip *ip,
                   bool *ret_found, struct cnif_err *reterr);
/* Add a route; `exclusive`: -EEXIST if there is one to that destination. */
int cnif_route_add(struct cnif_nlsock *sock, const struct cnif_route *route, bool exclusive,
                   struct cnif_err *reterr);
int cnif_route_delete(struct cnif_nlsock *sock, const struct cnif_route *route,
                      struct cnif_err *reterr);

/*
 * Filtered dumps, retried when a change interrupts them.  The arrays are the
 * caller's, to be released with cnif_free.
 */
int cnif_link_dump(struct cnif_nlsock *sock, int32_t master, const char *kind,
                   struct cnif_link **ret_links, size_t *ret_count, struct cnif_err *reterr);
int cnif_addr_dump(struct cnif_nlsock *sock, int32_t index, uint8_t family,
                   struct cnif_address **ret_addresses, size_t *ret_count, struct cnif_err *reterr);
int cnif_route_dump(struct cnif_nlsock *sock, int32_t oif, uint8_t family, uint32_t table,
                    struct cnif_route **ret_routes, size_t *ret_count, struct cnif_err *reterr);
void cnif_free(void *array);

/* ---- nft: masquerading and anti-spoofing ---- */

/* Whose an element is.  The three together are kept with it as its comment. */
struct cnif_owner {
    const char *container_id;
    const char *ifname;
    const char *network;
};

#define CNIF_OWNER_MAX 236

struct cnif_masq_entry {
    struct cnif_ip ip;
    char owner[CNIF_OWNER_MAX];
};

/* "CONTAINER IFNAME NETWORK", the text that elements carry: deterministic, shortened if need be. */
void cnif_owner_text(const struct cnif_owner *owner, char text[CNIF_OWNER_MAX]);

/*
 * Masquerade what comes from the addresses and leaves their subnets, multicast
 * excepted.  `sock` is a NETLINK_NETFILTER socket.  Elements of the same
 * network and address that another owner left behind are taken over.
 */
int cnif_masq_add(struct cnif_nlsock *sock, const struct cnif_ip *ips, size_t count,
                  const struct cnif_owner *owner, struct cnif_err *reterr);
/*
 * Undo cnif_masq_add.  An address with prefix 0 is looked for in all subnets of
 * the network; with no addresses at all, everything of the owner is.  What is
 * not there, or is another owner's by now, is left alone: success.
 */
int cnif_masq_delete(struct cnif_nlsock *sock, const struct cnif_ip *ips, size_t count,
                     const struct cnif_owner *owner, struct cnif_err *reterr);
/* -ENOENT unless each address is masqueraded for the owner. */
int cnif_masq_check(struct cnif_nlsock *sock, const struct cnif_ip *ips, size_t count,
                    const struct cnif_owner *owner, struct cnif_err *reterr);
/* All elements of a network; the array is the caller's, to be released with cnif_free. */
int cnif_masq_list(struct cnif_nlsock *sock, const char *network,
                   struct cnif_masq_entry **ret_entries, size_t *ret_count,
                   struct cnif_err *reterr);

struct cnif_spoof_entry {
    char port[CNIF_IFNAME_MAX];
    uint8_t mac[6];
    char owner[CNIF_OWNER_MAX];
};

/* Let the bridge port `port` send from `mac` only; what was set for it before is replaced. */
int cnif_spoof_add(struct cnif_nlsock *sock, const char *port, const uint8_t mac[6],
                   const struct cnif_owner *owner, struct cnif_err *reterr);
/* Undo cnif_spoof_add; a port that is not guarded, or not for the owner, is left alone: success. */
int cnif_spoof_delete(struct cnif_nlsock *sock, const char *port, const struct cnif_owner *owner,
                      struct cnif_err *reterr);
/* -ENOENT unless the port is guarded like that. */
int cnif_spoof_check(struct cnif_nlsock *sock, const char *port, const uint8_t mac[6],
                     const struct cnif_owner *owner, struct cnif_err *reterr);
/* All guarded ports; the array is the caller's, to be released with cnif_free. */
int cnif_spoof_list(struct cnif_nlsock *sock, struct cnif_spoof_entry **ret_entries,
                    size_t *ret_count, struct cnif_err *reterr);

#define CNIF_LEGACY_COMMENT_MAX 257

/* A rule of legacy iptables that jumps to a chain. */
struct cnif_legacy_jump {
    struct cnif_ip source;
    char comment[CNIF_LEGACY_COMMENT_MAX];
};

/*
 * Look for a chain in the nat tables of legacy iptables in the namespace
 * `netns_fd` (-1: here): *ret_found has bit 0 for IPv4, bit 1 for IPv6, and up
 * to `room` jumps to it are stored.  Tables that do not exist are not created.
 */
int cnif_legacy_find(int netns_fd, const char *chain, struct cnif_legacy_jump *jumps, size_t room,
                     size_t *ret_count, unsigned *ret_found, struct cnif_err *reterr);

/*
 * A chain CNI-..., in `chain`, that a rule leads to whose comment begins with
 * `prefix` and with none of `keep`.
 */
int cnif_legacy_find_stale(int netns_fd, const char *prefix, const char *const *keep, size_t n_keep,
                           char *chain, size_t room, bool *ret_found, struct cnif_err *reterr);

/* What other implementations call their rules for an attachment; NULL: not asked for. */
struct cnif_foreign {
    const char *masq_prefix;    /* of a comment in the reference's masquerade table */
    const char *iptables_chain; /* in the nat tables of iptables-nft */
    const char *spoof_id;       /* in the reference's anti-spoofing chains */
};

/* What there is of them, as bits: rules with that comment, and chains of those names. */
#define CNIF_FOREIGN_MASQ      1U
#define CNIF_FOREIGN_IPTABLES  2U
#define CNIF_FOREIGN_IP6TABLES 4U
#define CNIF_FOREIGN_SPOOF     8U

int cnif_foreign_find(struct cnif_nlsock *sock, const struct cnif_foreign *foreign,
                      unsigned *ret_found, struct cnif_err *reterr);
/*
 * Remove those rules and chains; costs one round trip where there are none.
 * cnif_foreign_masq_gc removes the masquerade rules whose comments begin with
 * `prefix` and with none of `keep`.
 */
int cnif_foreign_delete(struct cnif_nlsock *sock, const struct cnif_foreign *foreign,
                        struct cnif_err *reterr);
int cnif_foreign_masq_gc(struct cnif_nlsock *sock, const char *prefix, const char *const *keep,
                         size_t n_keep, struct cnif_err *reterr);
/* The same for chains CNI-... of iptables-nft that rules with such comments lead to. */
int cnif_iptables_gc(struct cnif_nlsock *sock, const char *prefix, const char *const *keep,
                     size_t n_keep, struct cnif_err *reterr);

/* ---- attach: whole attachments ---- */

/* VLANs first..last a port passes tagged. */
struct cnif_vlan_range {
    uint16_t first;
    uint16_t last;
};

/* The container's side of an attachment, whatever the kind of link. */
struct cnif_endpoint {
    int netns_fd;
    const char *ifname;
    uint32_t mtu; /* 0: the kernel's choice */
    bool has_mac;
    uint8_t mac[6];
    bool up;                /* false: leave the link down and without addresses */
    bool wait_dad;          /* do not return before duplicate address detection has ended */
    bool arp_notify;        /* announce the addresses when the link comes up */
    uint32_t address_flags; /* IFA_F_* for all addresses */
    const struct cnif_sysctl *sysctls; /* in the container, before the link is up */
    size_t n_sysctls;
    const struct cnif_ip *addresses;
    size_t n_addresses;
    const struct cnif_route *routes; /* oif is filled in */
    size_t n_routes;
};

/*
 * The host's end of a veth pair, which takes no router advertisements: a port of `bridge`, without
 * an IPv6 address; or (0) one with addresses and routes.
 */
struct cnif_veth_host {
    int netns_fd; /* -1: here */
    const char *name;
    const char *alias;
    int32_t bridge;
    bool has_mac;
    uint8_t mac[6];
    bool hairpin;
    bool isolated;
    bool keep_default_vlan;
    uint16_t vlan; /* 0: none */
    const struct cnif_vlan_range *trunk;
    size_t n_trunk;
    /* where there is no bridge: what it has of its own; looked at by cnif_pair_attach alone */
    const struct cnif_ip *addresses;
    size_t n_addresses;
    const struct cnif_route *routes; /* oif is filled in */
    size_t n_routes;
};

struct cnif_attached {
    int32_t index;           /* in the container */
    uint8_t mac[6];          /* of the container's link */
    int32_t host_index;      /* veth only */
    uint8_t host_mac[6];     /* veth only */
    struct cnif_link bridge; /* veth only: as it is now */
};

/* How the part of a deletion that takes the kernel longest is waited for. */
enum cnif_linger {
    CNIF_LINGER_THREAD,  /* a thread of this process; for processes that live on */
    CNIF_LINGER_PROCESS, /* a forked child without stdio; for processes about to exit */
};

/*
 * Create a veth pair between the bridge and the container, configure the
 * container's end and wait until the port forwards.  `host` is a rtnetlink
 * socket in the bridge's namespace.  On failure nothing is left.  -EEXIST: a
 * link of either name is there already.
 */
int cnif_attach_veth(struct cnif_nlsock *host, const struct cnif_veth_host *veth,
                     const struct cnif_endpoint *endpoint, enum cnif_linger linger,
                     struct cnif_attached *ret, struct cnif_err *reterr);

/*
 * The first in two steps: the pair is made, and its host's end configured, by
 * another thread, while the caller finds out what the container's end shall
 * have.  `endpoint` needs netns_fd, ifname, mtu and mac for the first step, and
 * all of it for the second.  `sock` and `veth` are the pair's as long as it lives.
 * A MAC that is not given (has_mac) is made, and is in `veth` or `endpoint` then.
 */
struct cnif_pair;

int cnif_pair_begin(struct cnif_nlsock *sock, struct cnif_veth_host *veth,
                    struct cnif_endpoint *endpoint, struct cnif_pair **ret,
                    struct cnif_err *reterr);
/* Wait until the pair is there; its failure is reported again by cnif_pair_attach. */
int cnif_pair_wait(struct cnif_pair *pair, struct cnif_err *reterr);
/* As cnif_attach_veth from then on.  The pair is released, whatever comes of it. */
int cnif_pair_attach(struct cnif_pair *pair, const struct cnif_endpoint *endpoint,
                     enum cnif_linger linger, struct cnif_attached *ret, struct cnif_err *reterr);
/* Undo cnif_pair_begin.  The pair is released; NULL is allowed. */
void cnif_pair_cancel(struct cnif_pair *pair, enum cnif_linger linger);

/*
 * Wait until the kernel takes packets for an address that was just added; it
 * does so for one of IPv6 only after a while.
 */
int cnif_addr_settle(struct cnif_nlsock *sock, const struct cnif_ip *ip, struct cnif_err *reterr);

/*
 * Delete the link `name` in the namespace `netns_fd` (-1: here) and return as
 * soon as its name and addresses are free, while the kernel finishes behind
 * `linger`.  With `alias`, only if the link has that one or none.  *ret_found tells whether
 * there was one; absent is success.
 */
int cnif_detach(int netns_fd, const char *name, const char *alias, enum cnif_linger linger,
                bool *ret_found, struct cnif_err *reterr);

/*
 * Give a container a link of the kind, parent and options in `spec`; it is made in there, or not at
 * all (-EEXIST: it has one of that name).
 * `host` is a socket where the parent is; NULL: in the container.
 */
int cnif_attach_link(struct cnif_nlsock *host, const struct cnif_link_spec *spec,
                     const struct cnif_endpoint *endpoint, enum cnif_linger linger,
                     struct cnif_attached *ret, struct cnif_err *reterr);
/* Configure the link endpoint->ifname, which the container has; its MTU and MAC stay. */
int cnif_attach_existing(const struct cnif_endpoint *endpoint, struct cnif_attached *ret,
                         struct cnif_err *reterr);

/* ---- ipam: the host-local store, a directory with one file per address in use ---- */

#define CNIF_IPAM_TEXT_MAX 40

struct cnif_ipam_addr {
    uint8_t family;                /* 4 or 6; 0: no address */
    uint8_t bytes[16];             /* IPv4 in the first four */
    char text[CNIF_IPAM_TEXT_MAX]; /* canonical, filled in by the core */
};

/* One range; ranges of one set stand together, sets in ascending order from 0. */
struct cnif_ipam_range {
    uint32_t set;
    struct cnif_ipam_addr first, last, gateway; /* inclusive; the gateway is never handed out */
};

/* Where a network's addresses are kept, and how long to wait for its lock. */
struct cnif_ipam_dir {
    const char *data_dir;
    const char *network;
    int lock_wait_ms;
};

/* The owner of an address: a container ID and an interface name. */
struct cnif_ipam_owner {
    const char *container_id;
    const char *ifname;
};

/* An address that was handed out, and the index of the range it is from. */
struct cnif_ipam_grant {
    struct cnif_ipam_addr addr;
    uint32_t range;
};

/* Addresses on the heap; release with cnif_ipam_list_free(). */
struct cnif_ipam_list {
    struct cnif_ipam_addr *addrs;
    size_t n;
};

struct cnif_ipam_usage {
    uint64_t capacity; /* addresses that can be handed out, UINT64_MAX for that many or more */
    uint64_t taken;
};

#define CNIF_IPAM_EXHAUSTED 1 /* the set has no address left */
#define CNIF_IPAM_TAKEN     2 /* the requested address is not free */
#define CNIF_IPAM_DUPLICATE 3 /* the owner has an address of the set */

/* Why nothing was handed out: the set, and the address it is about, if any. */
struct cnif_ipam_refusal {
    int reason; /* 0: a failure of the system */
    uint32_t set;
    struct cnif_ipam_addr addr;
};

/*
 * Hand out one address from each set, or none at all.  requested[set] asks for
 * a certain one (family 0: any, next after the last one handed out).
 * -EADDRNOTAVAIL, -EADDRINUSE, -EALREADY: refused for the three reasons above.
 * -EAGAIN: the lock is held too long.
 */
int cnif_ipam_allocate(const struct cnif_ipam_dir *dir, const struct cnif_ipam_owner *owner,
                       const struct cnif_ipam_range *ranges, size_t n_ranges,
                       const struct cnif_ipam_addr *requested, size_t n_sets,
                       struct cnif_ipam_grant *ret_grants, struct cnif_ipam_refusal *reterr_refusal,
                       struct cnif_err *reterr);

/* Release all that the owner has; nothing to release is success. */
int cnif_ipam_release(const struct cnif_ipam_dir *dir, const struct cnif_ipam_owner *owner,
                      struct cnif_ipam_list *ret_released, struct cnif_err *reterr);

/* What the owner has. */
int cnif_ipam_lookup(const struct cnif_ipam_dir *dir, const struct cnif_ipam_owner *owner,
                     struct cnif_ipam_list *ret_held, struct cnif_err *reterr);

/* Release all that none of the `valid` owners has. */
int cnif_ipam_gc(const struct cnif_ipam_dir *dir, const struct cnif_ipam_owner *valid,
                 size_t n_valid, struct cnif_ipam_list *ret_released, struct cnif_err *reterr);

/* How full each set is. */
int cnif_ipam_usage(const struct cnif_ipam_dir *dir, const struct cnif_ipam_range *ranges,
                    size_t n_ranges, size_t n_sets, struct cnif_ipam_usage *ret_usage,
                    struct cnif_err *reterr);

void cnif_ipam_list_free(struct cnif_ipam_list *list);

/* ---- rtnl: bandwidth limits ---- */

#define CNIF_TICK_NS 64 /* the unit in which traffic control counts time */

/* A token bucket: what passes in the long run, at once, and what may wait for that. */
struct cnif_bucket {
    uint64_t rate;  /* bytes per second; 0: no limit */
    uint32_t burst; /* ticks after which a full bucket is empty */
    uint32_t limit; /* bytes */
};

/* The limits of a container whose link is the other end of a host's veth. */
struct cnif_shaping {
    int32_t index; /* of the host's end */
    const char *name;
    uint32_t mtu;
    struct cnif_bucket ingress; /* to the container */
    struct cnif_bucket egress;  /* from it, by way of an ifb device */
    const char *ifb;            /* the device's name, alias and MAC */
    const char *alias;
    uint8_t mac[6];
    const struct cnif_ip *subnets; /* of those that the container speaks with */
    size_t n_subnets;
    bool only_subnets; /* limit traffic with the subnets; false: all but that */
};

/*
 * The other end of the veth `ifname` in the container's namespace, which must
 * be in the namespace of `host`.  -ENODEV: there is no such link, it is no
 * veth, or its other end is elsewhere.
 */
int cnif_veth_peer(struct cnif_nlsock *host, int netns_fd, const char *ifname,
                   struct cnif_link *ret, struct cnif_err *reterr);
/*
 * Limit both directions, or leave everything as it was.  Without subnets by one
 * token bucket each, else by a class each for what is limited and what is not.
 * -EEXIST: the link has a queueing discipline that somebody chose, or the ifb
 * device is there.
 */
int cnif_shaping_add(struct cnif_nlsock *sock, const struct cnif_shaping *shaping,
                     struct cnif_err *reterr);
/* -ENOENT unless all is as cnif_shaping_add makes it; the ifb device's alias and MAC may differ. */
int cnif_shaping_check(struct cnif_nlsock *sock, const struct cnif_shaping *shaping,
                       struct cnif_err *reterr);
/* ---- nft: ports of the host that lead to containers ---- */

/* A port of the host, and the container's port it leads to. */
struct cnif_hostport {
    uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
    uint16_t host_port;
    uint16_t container_port;
    struct cnif_ip host_ip; /* all zeros: any of its family; family 0: any of both */
};

#define CNIF_HOSTPORT_SCOPE_MAX 32

/* The ports of one attachment. */
struct cnif_hostports {
    const struct cnif_hostport *ports; /* no two alike */
    size_t n_ports;
    struct cnif_ip pods[2]; /* where they lead by IPv4 and by IPv6; family 0: nowhere */
    /*
     * What conditions of each family, if any, are called: a word of letters and
     * digits.  "": there are none.
     */
    const char *scopes[2];
    const char *link; /* the host's end, by which the attachment is seen to live; "": none */
    int mark_bit;     /* of packets that are to be masqueraded; -1: none are */
    bool masq_all;    /* not only what comes from the pod's subnet or from 127.0.0.1 */
};

/* What is there: a port, where it leads, and whose it is. */
struct cnif_hostport_entry {
    struct cnif_hostport port; /* protocol 0: an attachment as such, with its link */
    struct cnif_ip pod;
    char owner[CNIF_OWNER_MAX];
    char link[CNIF_IFNAME_MAX];
};

/*
 * Have the ports lead to the pods: all of them, or none.  What the owner had before
 * is replaced.  -EADDRINUSE: one is somebody else's, *ret_rival, whose attachment
 * has that link ("": unknown).
 */
int cnif_hostport_add(struct cnif_nlsock *sock, const struct cnif_hostports *want,
                      const struct cnif_owner *owner, struct cnif_hostport_entry *ret_rival,
                      struct cnif_err *reterr);
/*
 * Undo cnif_hostport_add.  With the ports and scopes that were added it takes a look and a
 * batch; what is not known (NULL, or other ports) is found by the owner.  Nothing
 * there is success.  *ret_removed is what there was, to be released with cnif_free.
 */
int cnif_hostport_delete(struct cnif_nlsock *sock, const struct cnif_hostports *had,
                         const struct cnif_owner *owner, struct cnif_hostport_entry **ret_removed,
                         size_t *ret_count, struct cnif_err *reterr);
/* -ENOENT unless all is as cnif_hostport_add leaves it. */
int cnif_hostport_check(struct cnif_nlsock *sock, const struct cnif_hostports *want,
                        const struct cnif_owner *owner, struct cnif_err *reterr);
/* All ports and attachments; the array is the caller's, to be released with cnif_free. */
int cnif_hostport_list(struct cnif_nlsock *sock, struct cnif_hostport_entry **ret_entries,
                       size_t *ret_count, struct cnif_err *reterr);
/*
 * Make what rules for conditions go into.  *ret_ready: there are such for this
 * scope of the family already, which is to say the chain local4-SCOPE or local6-SCOPE.
 */
int cnif_hostport_prepare(struct cnif_nlsock *sock, uint8_t family, const char *scope,
                          bool *ret_ready, struct cnif_err *reterr);

/* ---- nft: connection tracking ---- */

/* Which tracked connections: to a port and, if given, an address; led to an address and port. */
struct cnif_flow {
    uint8_t protocol;   /* IPPROTO_* */
    uint8_t family;     /* AF_* */
    uint16_t port;      /* that was asked for */
    struct cnif_ip to;  /* that was asked for; family 0: any */
    struct cnif_ip led; /* that answers; family 0: any */
    uint16_t led_port;  /* 0: any */
};

/*
 * Forget connections, so that their next packets are looked at afresh.  A kernel that cannot
 * be told of them is none that could be asked to: success.
 */
int cnif_flow_forget(struct cnif_nlsock *sock, const struct cnif_flow *flows, size_t count,
                     struct cnif_err *reterr);

/* ---- nft: what other implementations leave of host ports ---- */

/* Chains of iptables-nft, and the comment of rules in tables ip and ip6 cni_hostport. */
struct cnif_foreign_ports {
    const char *iptables_chain;
    const char *comment;
};

/* What there is of them, as bits CNIF_FOREIGN_*: MASQ for rules of cni_hostport. */
int cnif_foreign_ports_find(struct cnif_nlsock *sock, const struct cnif_foreign_ports *foreign,
                            unsigned *ret_found, struct cnif_err *reterr);
/* Remove them; costs one round trip where there are none. */
int cnif_foreign_ports_delete(struct cnif_nlsock *sock, const struct cnif_foreign_ports *foreign,
                              struct cnif_err *reterr);
/* Remove the chains that rules lead to whose comments begin with `prefix` and none of `keep`. */
int cnif_iptables_ports_gc(struct cnif_nlsock *sock, const char *prefix, const char *const *keep,
                           size_t n_keep, struct cnif_err *reterr);
/* How many rules of a chain of the nat table of iptables-nft jump to another. */
int cnif_iptables_jumps(struct cnif_nlsock *sock, uint8_t family, const char *from, const char *to,
                        unsigned *ret_count, struct cnif_err *reterr);

/* ---- rtnl: where packets go ---- */

/* The index of the link that packets to an address leave by. */
int cnif_route_find(struct cnif_nlsock *sock, const struct cnif_ip *to, int32_t *ret_oif,
                    struct cnif_err *reterr);
/* ---- netns: becoming a program ---- */

/*
 * Become the program argv[0] (found on PATH) in the namespace `netns_fd`, with
 * a /sys that shows it.  Returns only on failure, in whatever namespace: the
 * process must end then.
 */
int cnif_netns_exec(int netns_fd, const char *const *argv, struct cnif_err *reterr);
/* ---- nft: what the pods of a cluster's node have in common ---- */

/*
 * Masquerade what comes from the subnets of the node's pods and leaves the cluster,
 * and nothing else that cnif_cluster_masq was told of before.  A family of which no
 * part of the cluster is given, or all of it, is not masqueraded.
 */
int cnif_cluster_masq(struct cnif_nlsock *sock, const struct cnif_ip *pods, size_t n_pods,
                      const struct cnif_ip *cluster, size_t n_cluster, struct cnif_err *reterr);
/*
 * Of the frames that a promiscuous bridge with that MAC sends to its veth ports drop
 * those that come from pods, which got there without it; its gateway addresses, with
 * the prefix lengths of their subnets, may go on sending.  No gateways: drop none.
 */
int cnif_cluster_guard(struct cnif_nlsock *sock, const uint8_t mac[6],
                       const struct cnif_ip *gateways, size_t count, struct cnif_err *reterr);

/* ---- netns: taps, which are there whether anybody has them open or not ---- */

struct cnif_tap {
    int64_t owner, group; /* who may open it; -1: anybody */
    bool multi_queue, vnet_hdr, packet_info;
};
/* Make a tap in the namespace `netns_fd` (-1: here); -EEXIST if the name is taken. */
int cnif_tap_create(int netns_fd, const char *name, const struct cnif_tap *tap,
                    struct cnif_err *reterr);
#include "intake/intake.h"
#include "netns/dhcp.h"
#include "nft/firewall.h"
#endif
