/*
 * Whole veth attachments on the real kernel, in a private node: what is there afterwards, and
 * that nothing is when a step fails.
 */
#include "check.h"
#include "kernel_node.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IF_OPER_UP 6

static struct kernel_node node;
static struct cnif_err err;

static struct cnif_veth_host host_end(void)
{
    return (struct cnif_veth_host){.netns_fd = -1,
                                   .name = "veth0",
                                   .alias = "cnifast net pod eth0",
                                   .bridge = node.bridge,
                                   .has_mac = true,
                                   .mac = {2, 0, 0, 0, 0, 1}};
}

static struct cnif_endpoint container_end(void)
{
    return (struct cnif_endpoint){.netns_fd = node.pod,
                                  .ifname = "eth0",
                                  .up = true,
                                  .has_mac = true,
                                  .mac = {2, 0, 0, 0, 0, 2}};
}

/* Attach; whatever comes of it, no descriptor or namespace is left behind. */
static int attach(const struct cnif_veth_host *host, const struct cnif_endpoint *endpoint,
                  struct cnif_attached *attached)
{
    struct kernel_node_traces before = kernel_node_traces();
    int r;

    memset(&err, 0, sizeof(err));
    r = cnif_attach_veth(node.host, host, endpoint, CNIF_LINGER_THREAD, attached, &err);
    CHECK(kernel_node_clean(&before));
    return r;
}

/* Attach what must fail with this code and beginning of a message, and change nothing. */
static bool refused(const struct cnif_veth_host *host, const struct cnif_endpoint *endpoint,
                    int code, const char *message)
{
    struct cnif_attached attached = {.index = -77};
    char before[NODE_TEXT], after[NODE_TEXT];
    int r;

    kernel_node_state(&node, before);
    r = attach(host, endpoint, &attached);
    kernel_node_state(&node, after);
    if (r != -code || err.code != code || strncmp(err.msg, message, strlen(message)) != 0)
        (void)fprintf(stderr, "returned %d, error %d: %s\n", r, err.code, err.msg);
    else if (strcmp(before, after) != 0)
        (void)fprintf(stderr, "before:\n%safter:\n%s", before, after);
    else
        return attached.index == -77;
    return false;
}

static struct cnif_link link_of(int netns, const char *name)
{
    struct cnif_link link = {0};
    struct cnif_nlsock *sock;

    CHECK(cnif_nlsock_open(NETLINK_ROUTE, netns, &sock, NULL) == 0);
    CHECK(cnif_link_get(sock, name, 0, &link, NULL) == 0);
    cnif_nlsock_close(sock);
    return link;
}

/* The flags of the container's address, -1 if it has none like that. */
static int64_t address_flags(const char *text, uint8_t prefix)
{
    struct cnif_ip wanted = kernel_node_ip(text, prefix);
    struct cnif_address *addresses;
    struct cnif_nlsock *sock;
    int64_t flags = -1;
    size_t count, i;

    CHECK(cnif_nlsock_open(NETLINK_ROUTE, node.pod, &sock, NULL) == 0);
    CHECK(cnif_addr_dump(sock, 0, 0, &addresses, &count, NULL) == 0);
    for (i = 0; i < count; i++) {
        if (memcmp(&addresses[i].ip, &wanted, sizeof(wanted)) == 0)
            flags = addresses[i].flags;
    }
    cnif_free(addresses);
    cnif_nlsock_close(sock);
    return flags;
}

static size_t count_routes(void)
{
    struct cnif_route *routes;
    struct cnif_nlsock *sock;
    size_t count = 0;

    CHECK(cnif_nlsock_open(NETLINK_ROUTE, node.pod, &sock, NULL) == 0);
    CHECK(cnif_route_dump(sock, 0, AF_INET, RT_TABLE_MAIN, &routes, &count, NULL) == 0);
    cnif_free(routes);
    cnif_nlsock_close(sock);
    return count;
}

static void start(void)
{
    kernel_node_open(&node);
}

static void finish(void)
{
    kernel_node_close(&node);
}

/* When it returns both ends have what was asked for, and the port forwards. */
static void test_everything_at_once(void)
{
    struct cnif_ip addresses[] = {kernel_node_ip("10.1.0.5", 16), kernel_node_ip("fd00::5", 64)};
    struct cnif_route routes[] = {
        {.dst = kernel_node_ip("0.0.0.0", 0),
         .gateway = kernel_node_ip("10.1.0.1", 32),
         .scope = -1},
        {.dst = kernel_node_ip("10.9.0.0", 16),
         .gateway = kernel_node_ip("10.1.0.2", 32),
         .scope = -1,
         .mtu = 1300,
         .priority = 5},
        {.dst = kernel_node_ip("::", 0), .gateway = kernel_node_ip("fd00::1", 128), .scope = -1}};
    struct cnif_sysctl inside[] = {{"net/ipv4/conf/eth0/arp_notify", "1", false},
                                   {"net/ipv4/conf/eth0/nonsense", "1", true}};
    struct cnif_endpoint endpoint = container_end();
    struct cnif_veth_host host = host_end();
    struct cnif_attached attached;
    struct cnif_link port, eth0;
    char value[8];

    start();
    endpoint.mtu = 1400;
    endpoint.addresses = addresses;
    endpoint.n_addresses = 2;
    endpoint.routes = routes;
    endpoint.n_routes = 3;
    endpoint.sysctls = inside;
    endpoint.n_sysctls = 2;
    endpoint.netns_fd = node.pod;
    host.bridge = node.bridge;
    host.hairpin = host.isolated = true;
    CHECK(attach(&host, &endpoint, &attached) == 0);

    port = link_of(-1, "veth0");
    CHECK(port.operstate == IF_OPER_UP && port.master == node.bridge && port.mtu == 1400);
    CHECK(port.index == attached.host_index && port.parent == attached.index);
    CHECK(memcmp(port.mac, host.mac, 6) == 0 && strcmp(port.alias, host.alias) == 0);
    CHECK(port.is_port && port.hairpin && port.isolated);
    eth0 = link_of(node.pod, "eth0");
    CHECK(eth0.operstate == IF_OPER_UP && eth0.index == attached.index && eth0.mtu == 1400);
    CHECK(memcmp(eth0.mac, endpoint.mac, 6) == 0 && memcmp(attached.mac, endpoint.mac, 6) == 0);
    CHECK(attached.bridge.index == node.bridge && attached.bridge.operstate == IF_OPER_UP);
    CHECK(strcmp(attached.bridge.name, "br0") == 0);

    CHECK(address_flags("10.1.0.5", 16) == IFA_F_PERMANENT);
    CHECK(address_flags("fd00::5", 64) == (IFA_F_PERMANENT | IFA_F_NODAD));
    CHECK(count_routes() == 3); /* the subnet's own as well */
    CHECK(cnif_sysctl_read(node.pod, "net/ipv4/conf/eth0/arp_notify", value, 8, NULL) == 0);
    CHECK(strcmp(value, "1") == 0);
    finish();
}

static size_t count_addresses(int32_t index)
{
    struct cnif_address *addresses;
    size_t count;

    CHECK(cnif_addr_dump(node.host, index, 0, &addresses, &count, &err) == 0);
    cnif_free(addresses);
    return count;
}

/* An IPv6 address can be spoken to as soon as it is settled, on a busy machine as well. */
static void test_address_settled(void)
{
    struct cnif_ip address = kernel_node_ip("fd00::9", 64);
    struct cnif_ip other = kernel_node_ip("10.1.0.9", 16);
    int i;

    start();
    for (i = 0; i < 20; i++) {
        CHECK(cnif_addr_add(node.host, node.bridge, &address, IFA_F_NODAD, &err) == 0);
        CHECK(cnif_addr_settle(node.host, &address, &err) == 0);
        kernel_node_run(-1, "ip -6 route get fd00::9 | grep -q '^local fd00::9'");
        CHECK(cnif_addr_delete(node.host, node.bridge, &address, &err) == 0);
    }
    CHECK(cnif_addr_settle(node.host, &other, &err) == 0); /* IPv4 has no such state */
    finish();
}

/* It is the address that counts, not which route makes it the kernel's own. */
static void test_address_settled_by_another_route(void)
{
    struct cnif_ip address = kernel_node_ip("fd00:9::9", 64);

    start();
    kernel_node_run(-1, "(sleep 0.2; ip -6 route add local fd00:9::/64 dev lo) &");
    CHECK(cnif_addr_settle(node.host, &address, &err) == 0);
    finish();
}

/* A port has no address of its own, not even later, and takes no router advertisements. */
static void test_port_stays_out_of_ipv6(void)
{
    struct cnif_endpoint endpoint;
    struct cnif_attached attached;
    struct cnif_veth_host host;
    char value[8];

    start();
    kernel_node_run(-1, "echo 1 > /proc/sys/net/ipv6/conf/default/accept_ra");
    endpoint = container_end();
    host = host_end();
    CHECK(attach(&host, &endpoint, &attached) == 0);
    CHECK(cnif_sysctl_read(-1, "net/ipv6/conf/veth0/accept_ra", value, 8, NULL) == 0);
    CHECK(strcmp(value, "0") == 0);
    CHECK(count_addresses(attached.host_index) == 0);
    kernel_node_run(-1, "ip link set veth0 down && ip link set veth0 up");
    CHECK(count_addresses(attached.host_index) == 0);
    CHECK(count_addresses(node.bridge) == 1);
    finish();
}

/* So it is where the kernel has no IPv6 for the port, as for one with an MTU below 1280. */
static void test_without_ipv6(void)
{
    struct cnif_endpoint endpoint;
    struct cnif_attached attached;
    struct cnif_veth_host host;

    start();
    endpoint = container_end();
    endpoint.mtu = 1000;
    host = host_end();
    CHECK(attach(&host, &endpoint, &attached) == 0);
    CHECK(strcmp(link_of(-1, "veth0").alias, host.alias) == 0);
    CHECK(count_addresses(attached.host_index) == 0);
    finish();
}

/* Without MACs and MTU some are chosen, and the result says which. */
static void test_chosen(void)
{
    struct cnif_endpoint endpoint;
    struct cnif_attached attached;
    struct cnif_veth_host host;
    struct cnif_link port, eth0;

    start();
    endpoint = container_end();
    endpoint.has_mac = false;
    host = host_end();
    host.has_mac = false;
    CHECK(attach(&host, &endpoint, &attached) == 0);
    port = link_of(-1, "veth0");
    CHECK(memcmp(port.mac, attached.host_mac, 6) == 0 && memcmp(port.mac, host.mac, 6) != 0);
    CHECK((port.mac[0] & 3) == 2);
    eth0 = link_of(node.pod, "eth0");
    CHECK((eth0.mac[0] & 3) == 2);
    CHECK(memcmp(eth0.mac, attached.mac, 6) == 0 && memcmp(eth0.mac, endpoint.mac, 6) != 0);
    CHECK(eth0.mtu == 1500);
    finish();
}

/* A link that shall stay down is left down, and nothing is waited for. */
static void test_left_down(void)
{
    struct cnif_endpoint endpoint;
    struct cnif_attached attached;
    struct cnif_veth_host host;

    start();
    endpoint = container_end();
    endpoint.up = false;
    host = host_end();
    CHECK(attach(&host, &endpoint, &attached) == 0);
    CHECK(!(link_of(node.pod, "eth0").flags & IFF_UP));
    CHECK(link_of(-1, "veth0").flags & IFF_UP);
    finish();
}

/* The host may be another namespace than the one the call is made in. */
static void test_host_elsewhere(void)
{
    char value[8];
    int elsewhere;
    struct cnif_endpoint endpoint;
    struct cnif_attached attached;
    struct cnif_veth_host host;
    struct cnif_nlsock *sock, *kept;
    struct cnif_link bridge = {0};

    start();
    elsewhere = kernel_node_container();
    kernel_node_run(elsewhere, "ip link add br7 up type bridge");
    CHECK(cnif_nlsock_open(NETLINK_ROUTE, elsewhere, &sock, &err) == 0);
    CHECK(cnif_link_get(sock, "br7", 0, &bridge, &err) == 0);
    endpoint = container_end();
    host = host_end();
    host.netns_fd = elsewhere;
    host.bridge = bridge.index;
    kept = node.host;
    node.host = sock;
    CHECK(attach(&host, &endpoint, &attached) == 0);
    node.host = kept;
    CHECK(link_of(elsewhere, "veth0").operstate == IF_OPER_UP);
    CHECK(cnif_sysctl_read(elsewhere, "net/ipv6/conf/veth0/accept_ra", value, 8, NULL) == 0);
    CHECK(strcmp(value, "0") == 0);
    CHECK(cnif_link_get(node.host, "veth0", 0, &bridge, &err) == -ENODEV);
    cnif_nlsock_close(sock);
    (void)close(elsewhere);
    finish();
}

/* A link of either name that is there already refuses the attachment and stays. */
static void test_names_taken(void)
{
    struct cnif_endpoint endpoint;
    struct cnif_veth_host host;

    start();
    endpoint = container_end();
    host = host_end();
    kernel_node_run(node.pod, "ip link add eth0 type bridge");
    CHECK(refused(&host, &endpoint, EEXIST, "create link veth0: file exists"));
    kernel_node_run(node.pod, "ip link delete eth0");
    kernel_node_run(-1, "ip link add veth0 type bridge");
    CHECK(refused(&host, &endpoint, EEXIST, "create link veth0: file exists"));
    finish();
}

/* A bridge that is not there, or is none, refuses the attachment. */
static void test_no_bridge(void)
{
    struct cnif_endpoint endpoint;
    struct cnif_veth_host host;

    start();
    endpoint = container_end();
    host = host_end();
    host.bridge = 4711;
    CHECK(refused(&host, &endpoint, EINVAL, "create link veth0: invalid argument"));
    host.bridge = 1; /* lo */
    CHECK(refused(&host, &endpoint, EOPNOTSUPP, "create link veth0: operation not supported"));
    finish();
}

/* Descriptors that are no network namespace refuse the attachment. */
static void test_no_namespace(void)
{
    static const char *const paths[] = {"/dev/null", "/proc/self/ns/mnt"};
    struct cnif_endpoint endpoint;
    struct cnif_veth_host host;
    size_t i;

    start();
    host = host_end();
    for (i = 0; i < 2; i++) {
        endpoint = container_end();
        endpoint.netns_fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        CHECK(refused(&host, &endpoint, EINVAL, "create link veth0: invalid argument"));
        (void)close(endpoint.netns_fd);
    }
    endpoint.netns_fd = 1000; /* not open */
    CHECK(refused(&host, &endpoint, EBADF, "create link veth0: bad file descriptor"));
    finish();
}

/* An address, a route or a sysctl that the kernel refuses undoes the whole attachment. */
static void test_refused_inside(void)
{
    struct cnif_ip addresses[] = {kernel_node_ip("10.1.0.5", 16), kernel_node_ip("10.1.0.6", 33)};
    struct cnif_route route = {.dst = kernel_node_ip("10.9.0.0", 16),
                               .gateway = kernel_node_ip("10.200.0.1", 32),
                               .scope = -1};
    struct cnif_sysctl sysctls[] = {{"net/ipv4/conf/eth0/arp_notify", "1", false},
                                    {"net/ipv4/conf/eth0/nonsense", "1", false}};
    struct cnif_endpoint endpoint;
    struct cnif_veth_host host;

    start();
    host = host_end();
    endpoint = container_end();
    endpoint.addresses = addresses;
    endpoint.n_addresses = 2;
    CHECK(refused(&host, &endpoint, EINVAL, "add address to eth0 (10.1.0.6/33): invalid argument"));
    endpoint.n_addresses = 1;
    endpoint.routes = &route;
    endpoint.n_routes = 1;
    CHECK(refused(&host, &endpoint, ENETUNREACH,
                  "add route to eth0 (10.9.0.0/16): network is unreachable "
                  "(Nexthop has invalid gateway)"));
    endpoint.n_routes = 0;
    endpoint.sysctls = sysctls;
    endpoint.n_sysctls = 2;
    CHECK(refused(&host, &endpoint, ENOENT,
                  "open sysctl net/ipv4/conf/eth0/nonsense: no such file or directory"));
    finish();
}

/* A port's VLANs, where the bridge does not filter, undo the attachment; so does a long alias. */
static void test_refused_outside(void)
{
    struct cnif_endpoint endpoint;
    struct cnif_veth_host host;
    char alias[301];

    start();
    memset(alias, 'x', 300);
    alias[300] = '\0';
    endpoint = container_end();
    host = host_end();
    host.alias = alias;
    CHECK(refused(&host, &endpoint, ERANGE,
                  "set alias of veth0: numerical result out of range (Attribute failed policy "
                  "validation)"));
    alias[255] = '\0'; /* as long as it may be */
    host.vlan = 5;
    CHECK(refused(&host, &endpoint, EOPNOTSUPP, "add VLAN to bridge port"));
    finish();
}

/* As many addresses and routes as a configuration lists are set, not only what fits one send. */
static void test_many_routes(void)
{
    enum { MANY = 200 };
    struct cnif_route *routes = calloc(MANY, sizeof(*routes));
    struct cnif_ip *addresses = calloc(MANY, sizeof(*addresses));
    struct cnif_endpoint endpoint;
    struct cnif_attached attached;
    struct cnif_veth_host host;
    uint8_t i;

    if (!routes || !addresses)
        abort();
    start();
    for (i = 0; i < MANY; i++) {
        addresses[i] = kernel_node_ip("10.1.0.0", 16);
        addresses[i].bytes[3] = (uint8_t)(i + 1);
        routes[i] = (struct cnif_route){.dst = kernel_node_ip("10.9.0.0", 24),
                                        .gateway = kernel_node_ip("10.1.255.1", 32),
                                        .scope = -1};
        routes[i].dst.bytes[2] = i;
    }
    endpoint = container_end();
    endpoint.addresses = addresses;
    endpoint.n_addresses = MANY;
    endpoint.routes = routes;
    endpoint.n_routes = MANY;
    host = host_end();
    CHECK(attach(&host, &endpoint, &attached) == 0);
    CHECK(address_flags("10.1.0.200", 16) >= 0);
    CHECK(count_routes() == MANY + 1);
    free(routes);
    free(addresses);
    finish();
}

int main(void)
{
    if (!kernel_node_enter())
        return 77;
    test_everything_at_once();
    test_address_settled();
    test_address_settled_by_another_route();
    test_port_stays_out_of_ipv6();
    test_without_ipv6();
    test_chosen();
    test_left_down();
    test_host_elsewhere();
    test_names_taken();
    test_no_bridge();
    test_no_namespace();
    test_refused_inside();
    test_refused_outside();
    test_many_routes();
    return check_failures != 0;
}
