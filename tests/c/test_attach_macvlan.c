/*
 * Whole macvlan attachments on the real kernel, in a private node: what is there afterwards, also
 * where the host has a link of the same name, and that nothing is when a step fails.
 */
#include "attach_macvlan.h"
#include "check.h"
#include "kernel_node.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct kernel_node node;
static struct cnif_err err;

/* A node whose bridge is the device below. */
static void start(void)
{
    kernel_node_open(&node);
}

static void finish(void)
{
    kernel_node_close(&node);
}

static struct macvlan_host below(void)
{
    return (struct macvlan_host){.parent = node.bridge, .mode = MACVLAN_MODE_BRIDGE};
}

static struct cnif_endpoint container_end(void)
{
    return (struct cnif_endpoint){.netns_fd = node.pod, .ifname = "eth0", .up = true};
}

static int attach(const struct macvlan_host *host, const struct cnif_endpoint *endpoint,
                  struct cnif_attached *attached)
{
    struct kernel_node_traces before = kernel_node_traces();
    int r;

    memset(&err, 0, sizeof(err));
    r = attach_macvlan_link(node.host, host, endpoint, CNIF_LINGER_THREAD, attached, &err);
    CHECK(kernel_node_clean(&before));
    return r;
}

/* Attach what must fail with this code and beginning of a message, and change nothing. */
static bool refused(const struct macvlan_host *host, const struct cnif_endpoint *endpoint, int code,
                    const char *message)
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

static struct cnif_link inside(const char *name)
{
    struct cnif_link link = {0};
    struct cnif_nlsock *sock;

    CHECK(cnif_nlsock_open(NETLINK_ROUTE, node.pod, &sock, NULL) == 0);
    (void)cnif_link_get(sock, name, 0, &link, NULL);
    cnif_nlsock_close(sock);
    return link;
}

static size_t count_addresses(int32_t index)
{
    struct cnif_address *addresses;
    struct cnif_nlsock *sock;
    size_t count = 0;

    CHECK(cnif_nlsock_open(NETLINK_ROUTE, node.pod, &sock, NULL) == 0);
    CHECK(cnif_addr_dump(sock, index, 2, &addresses, &count, NULL) == 0);
    cnif_free(addresses);
    cnif_nlsock_close(sock);
    return count;
}

/* The link has the mode, MAC, MTU and addresses asked for, on top of the host's device. */
static void test_on_the_host(void)
{
    struct cnif_ip address = kernel_node_ip("10.1.0.5", 16);
    struct macvlan_host host;
    struct cnif_endpoint endpoint;
    struct cnif_attached attached;
    struct cnif_link eth0;

    start();
    host = below();
    host.bcqueuelen = 500;
    endpoint = container_end();
    endpoint.mtu = 1400;
    endpoint.has_mac = true;
    memcpy(endpoint.mac, "\x02\0\0\0\0\x05", 6);
    endpoint.addresses = &address;
    endpoint.n_addresses = 1;
    CHECK(attach(&host, &endpoint, &attached) == 0);
    eth0 = inside("eth0");
    CHECK(eth0.index == attached.index && strcmp(eth0.kind, "macvlan") == 0);
    CHECK(eth0.flags & IFF_UP && eth0.mtu == 1400 && eth0.parent == node.bridge);
    CHECK(eth0.macvlan_mode == MACVLAN_MODE_BRIDGE && eth0.bcqueuelen == 500);
    CHECK(memcmp(eth0.mac, endpoint.mac, 6) == 0 && memcmp(attached.mac, endpoint.mac, 6) == 0);
    CHECK(attached.host_index == 0 && attached.bridge.index == 0);
    CHECK(count_addresses(eth0.index) == 1);
    finish();
}

/* Every mode the kernel has is set. */
static void test_modes(void)
{
    static const uint32_t modes[] = {MACVLAN_MODE_PRIVATE, MACVLAN_MODE_VEPA, MACVLAN_MODE_BRIDGE,
                                     MACVLAN_MODE_PASSTHRU};
    struct macvlan_host host;
    struct cnif_endpoint endpoint;
    struct cnif_attached attached;
    size_t i;

    for (i = 0; i < 4; i++) {
        start();
        host = below();
        host.mode = modes[i];
        endpoint = container_end();
        CHECK(attach(&host, &endpoint, &attached) == 0);
        CHECK(inside("eth0").macvlan_mode == modes[i]);
        finish();
    }
}

/* A host with a link of the container's name does not stand in the way, and keeps it. */
static void test_name_on_the_host(void)
{
    struct cnif_ip address = kernel_node_ip("10.1.0.5", 16);
    struct cnif_sysctl sysctl = {"net/ipv4/conf/eth0/arp_notify", "1", false};
    struct macvlan_host host;
    struct cnif_endpoint endpoint;
    struct cnif_attached attached;
    struct cnif_link theirs;

    start();
    kernel_node_run(-1, "ip link add eth0 type bridge");
    host = below();
    endpoint = container_end();
    endpoint.addresses = &address;
    endpoint.n_addresses = 1;
    endpoint.sysctls = &sysctl;
    endpoint.n_sysctls = 1;
    CHECK(attach(&host, &endpoint, &attached) == 0);
    CHECK(strcmp(inside("eth0").kind, "macvlan") == 0 && inside("eth0").flags & IFF_UP);
    CHECK(inside("eth0").index == attached.index && count_addresses(attached.index) == 1);
    CHECK(cnif_link_get(node.host, "eth0", 0, &theirs, NULL) == 0);
    CHECK(strcmp(theirs.kind, "bridge") == 0);
    finish();
}

/* A link of that name in the container refuses the attachment, whatever the host has. */
static void test_name_in_the_container(void)
{
    struct macvlan_host host;
    struct cnif_endpoint endpoint;

    start();
    kernel_node_run(node.pod, "ip link add eth0 type bridge");
    host = below();
    endpoint = container_end();
    CHECK(refused(&host, &endpoint, EEXIST, "create link eth0: file exists"));
    kernel_node_run(-1, "ip link add eth0 type bridge");
    CHECK(refused(&host, &endpoint, EEXIST, "create link eth0: file exists"));
    finish();
}

/* The device below may be the container's own. */
static void test_in_the_container(void)
{
    struct macvlan_host host;
    struct cnif_endpoint endpoint;
    struct cnif_attached attached;

    start();
    kernel_node_run(node.pod, "ip link add br7 up type bridge");
    host = below();
    host.parent = inside("br7").index;
    host.parent_in_container = true;
    endpoint = container_end();
    CHECK(attach(&host, &endpoint, &attached) == 0);
    CHECK(inside("eth0").parent == host.parent);
    endpoint.ifname = "br7";
    CHECK(refused(&host, &endpoint, EEXIST, "create link br7: file exists"));
    finish();
}

/* A device that is not there, or cannot have such a link on top, refuses the attachment. */
static void test_no_device(void)
{
    struct macvlan_host host;
    struct cnif_endpoint endpoint;

    start();
    host = below();
    endpoint = container_end();
    host.parent = 4711;
    CHECK(refused(&host, &endpoint, ENODEV, "create link eth0: no such device"));
    host.parent = 0;
    CHECK(refused(&host, &endpoint, EINVAL, "create link eth0: invalid argument"));
    host.parent = 1; /* lo */
    CHECK(refused(&host, &endpoint, EINVAL, "create link eth0: invalid argument"));
    host = below();
    endpoint.mtu = 9000; /* more than below */
    CHECK(refused(&host, &endpoint, EINVAL, "create link eth0: invalid argument"));
    finish();
}

/* Descriptors that are no network namespace refuse the attachment. */
static void test_no_namespace(void)
{
    static const char *const paths[] = {"/dev/null", "/proc/self/ns/mnt"};
    struct macvlan_host host;
    struct cnif_endpoint endpoint;
    size_t i;

    start();
    host = below();
    for (i = 0; i < 2; i++) {
        endpoint = container_end();
        endpoint.netns_fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        CHECK(refused(&host, &endpoint, EINVAL, "enter network namespace: invalid argument"));
        (void)close(endpoint.netns_fd);
    }
    finish();
}

/* What the kernel refuses inside the container undoes the attachment, under either name. */
static void test_refused_inside(void)
{
    struct cnif_route route = {.dst = kernel_node_ip("10.9.0.0", 16),
                               .gateway = kernel_node_ip("10.200.0.1", 32),
                               .scope = -1};
    struct cnif_sysctl sysctl = {"net/ipv4/conf/eth0/nonsense", "1", false};
    struct macvlan_host host;
    struct cnif_endpoint endpoint;
    int with_name;

    for (with_name = 0; with_name < 2; with_name++) {
        start();
        if (with_name)
            kernel_node_run(-1, "ip link add eth0 type bridge");
        host = below();
        endpoint = container_end();
        endpoint.routes = &route;
        endpoint.n_routes = 1;
        CHECK(refused(&host, &endpoint, ENETUNREACH,
                      "add route to eth0 (10.9.0.0/16): network is unreachable "
                      "(Nexthop has invalid gateway)"));
        endpoint.sysctls = &sysctl;
        endpoint.n_sysctls = 1;
        CHECK(refused(&host, &endpoint, ENOENT,
                      "open sysctl net/ipv4/conf/eth0/nonsense: no such file or directory"));
        finish();
    }
}

int main(void)
{
    if (!kernel_node_enter())
        return 77;
    test_on_the_host();
    test_modes();
    test_name_on_the_host();
    test_name_in_the_container();
    test_in_the_container();
    test_no_device();
    test_no_namespace();
    test_refused_inside();
    return check_failures != 0;
}
