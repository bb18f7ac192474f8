/*
 * Every step of an attachment or a deletion made to fail, one after the other, on the real
 * kernel: the call says so, and the node is as it was, also where a link that is somebody else's
 * stands under the name.  Needs a core built with CNIF_FAULTS.
 */
#include "attach_macvlan.h"
#include "check.h"
#include "kernel_node.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define STEPS_MAX 100

static struct kernel_node node;
static struct cnif_err err;

/* An operation to make fail, and how it ends where nothing does. */
struct operation {
    const char *name;
    const char *on_host;      /* what is there before, as shell commands; NULL: nothing more */
    const char *in_container; /* the same in the container */
    int (*run)(void);
    int expected;
};

static struct cnif_ip addresses[2];
static struct cnif_route route;
static const char *gateway = "10.1.0.1";
static const struct cnif_sysctl inside[] = {{"net/ipv4/conf/eth0/arp_notify", "1", false}};

static struct cnif_endpoint container_end(void)
{
    addresses[0] = kernel_node_ip("10.1.0.5", 16);
    addresses[1] = kernel_node_ip("fd00::5", 64);
    route = (struct cnif_route){
        .dst = kernel_node_ip("10.9.0.0", 16), .gateway = kernel_node_ip(gateway, 32), .scope = -1};
    return (struct cnif_endpoint){.netns_fd = node.pod,
                                  .ifname = "eth0",
                                  .up = true,
                                  .has_mac = true,
                                  .mac = {2, 0, 0, 0, 0, 2},
                                  .sysctls = inside,
                                  .n_sysctls = 1,
                                  .addresses = addresses,
                                  .n_addresses = 2,
                                  .routes = &route,
                                  .n_routes = 1};
}

static int attach_veth(void)
{
    struct cnif_veth_host host = {.netns_fd = -1,
                                  .name = "veth0",
                                  .alias = "mine",
                                  .bridge = node.bridge,
                                  .has_mac = true,
                                  .mac = {2, 0, 0, 0, 0, 1},
                                  .hairpin = true,
                                  .isolated = true};
    struct cnif_endpoint endpoint = container_end();
    struct cnif_attached attached;

    return cnif_attach_veth(node.host, &host, &endpoint, CNIF_LINGER_THREAD, &attached, &err);
}

/* A pair without a bridge: the host routes to the container through it. */
static int attach_routed(void)
{
    struct cnif_ip gateways[] = {kernel_node_ip("10.5.0.1", 32), kernel_node_ip("fd05::1", 128)};
    struct cnif_route to_pod[] = {
        {.dst = kernel_node_ip("10.5.0.5", 32), .scope = RT_SCOPE_HOST},
        {.dst = kernel_node_ip("fd05::5", 128), .scope = RT_SCOPE_HOST},
    };
    struct cnif_veth_host host = {.netns_fd = -1,
                                  .name = "veth0",
                                  .alias = "mine",
                                  .addresses = gateways,
                                  .n_addresses = 2,
                                  .routes = to_pod,
                                  .n_routes = 2};
    struct cnif_endpoint endpoint = container_end();
    struct cnif_attached attached;

    return cnif_attach_veth(node.host, &host, &endpoint, CNIF_LINGER_THREAD, &attached, &err);
}

static int attach_macvlan(void)
{
    struct macvlan_host host = {.parent = node.bridge, .mode = MACVLAN_MODE_BRIDGE};
    struct cnif_endpoint endpoint = container_end();
    struct cnif_attached attached;

    return attach_macvlan_link(node.host, &host, &endpoint, CNIF_LINGER_THREAD, &attached, &err);
}

/* With a route that the kernel refuses when all the rest is done. */
static int badly(int (*attach)(void))
{
    int r;

    gateway = "10.200.0.1";
    r = attach();
    gateway = "10.1.0.1";
    return r;
}

static int attach_veth_badly(void)
{
    return badly(attach_veth);
}

static int attach_routed_badly(void)
{
    return badly(attach_routed);
}

static int attach_macvlan_badly(void)
{
    return badly(attach_macvlan);
}

static int attach_macvlan_inside(void)
{
    struct cnif_endpoint endpoint = container_end();
    struct macvlan_host host = {.mode = MACVLAN_MODE_BRIDGE, .parent_in_container = true};
    struct cnif_attached attached;
    struct cnif_link below = {0};
    struct cnif_nlsock *sock;
    int r;

    if (cnif_nlsock_open(NETLINK_ROUTE, node.pod, &sock, &err) < 0)
        return -err.code;
    r = cnif_link_get(sock, "br7", 0, &below, &err);
    cnif_nlsock_close(sock);
    if (r < 0)
        return r;
    host.parent = below.index;
    return attach_macvlan_link(node.host, &host, &endpoint, CNIF_LINGER_THREAD, &attached, &err);
}

static int detach(void)
{
    bool found;

    return cnif_detach(-1, "veth0", "mine", CNIF_LINGER_THREAD, &found, &err);
}

static int detach_by_child(void)
{
    bool found;

    return cnif_detach(-1, "veth0", "mine", CNIF_LINGER_PROCESS, &found, &err);
}

static int detach_inside(void)
{
    bool found;

    return cnif_detach(node.pod, "eth0", NULL, CNIF_LINGER_THREAD, &found, &err);
}

#define PAIR "ip link add veth0 type veth peer name veth1; ip link set veth0 alias mine"
/* Two links to which the host routes what it is to route to the container. */
#define LED_TO(name)                                                                               \
    "ip link add " name " type veth peer name " name "p; ip link set " name "p up;"                \
    "ip link set " name " up; ip route prepend 10.5.0.5 dev " name ";"                             \
    "ip -6 route prepend fd05::5 mtu 1400 dev " name ";"
#define RIVALS LED_TO("rival1") LED_TO("rival2")
#define TAKEN  "ip link add eth0 type bridge; ip addr add 10.7.0.1/24 dev eth0"

static const struct operation operations[] = {
    {"veth", NULL, NULL, attach_veth, 0},
    {"veth, the container's name taken", NULL, TAKEN, attach_veth, -EEXIST},
    {"veth, the host's name taken", "ip link add veth0 type bridge", NULL, attach_veth, -EEXIST},
    {"veth, the host's name taken by a pair", "ip link add veth0 type veth peer name veth1", NULL,
     attach_veth, -EEXIST},
    {"macvlan", NULL, NULL, attach_macvlan, 0},
    {"macvlan, the name on the host as well", TAKEN, NULL, attach_macvlan, 0},
    {"macvlan, the name taken", NULL, TAKEN, attach_macvlan, -EEXIST},
    {"macvlan, the name taken and on the host as well", TAKEN, TAKEN, attach_macvlan, -EEXIST},
    {"macvlan inside", NULL, "ip link add br7 type bridge", attach_macvlan_inside, 0},
    {"macvlan inside, the name taken", NULL, "ip link add br7 type bridge; " TAKEN,
     attach_macvlan_inside, -EEXIST},
    {"veth, a late refusal", NULL, NULL, attach_veth_badly, -ENETUNREACH},
    {"routed", NULL, NULL, attach_routed, 0},
    {"routed, a late refusal", NULL, NULL, attach_routed_badly, -ENETUNREACH},
    {"routed, past others", RIVALS, NULL, attach_routed, 0},
    {"routed, past one with two ways out",
     RIVALS "ip -6 route flush fd05::5; ip -6 route add fd05::5 "
            "nexthop via fe80::7 dev rival1 nexthop via fe80::8 dev rival2",
     NULL, attach_routed, -EEXIST},
    {"routed, past others, a late refusal", RIVALS, NULL, attach_routed_badly, -ENETUNREACH},
    {"macvlan, a late refusal", NULL, NULL, attach_macvlan_badly, -ENETUNREACH},
    {"macvlan, a late refusal, the name on the host as well", TAKEN, NULL, attach_macvlan_badly,
     -ENETUNREACH},
    {"macvlan, the name taken by another", NULL,
     "ip link add br7 type bridge; ip link add eth0 link br7 type macvlan", attach_macvlan,
     -EEXIST},
    {"detach", PAIR, NULL, detach, 0},
    {"detach by a child", PAIR, NULL, detach_by_child, 0},
    {"detach inside", NULL, TAKEN, detach_inside, 0},
};

/* Run an operation whose step n fails; false once there is no such step. */
static bool fail_step(const struct operation *operation, unsigned n)
{
    char before[NODE_TEXT], after[NODE_TEXT];
    struct kernel_node_traces traces;
    const char *step;
    int r;

    kernel_node_state(&node, before);
    traces = kernel_node_traces();
    memset(&err, 0, sizeof(err));
    (void)cnif_fault_arm(n, EIO);
    r = operation->run();
    step = cnif_fault_failed();
    (void)cnif_fault_arm(0, 0);
    if (!step && operation->run == detach_by_child && r == -EIO)
        step = "one of the child's";
    CHECK(kernel_node_clean(&traces));
    if (!step) {
        if (r != operation->expected) {
            (void)fprintf(stderr, "%s: returned %d: %s\n", operation->name, r, err.msg);
            check_failures++;
        }
        return false;
    }
    /* That of the host's end is optional: it may be forbidden to whoever runs in a container. */
    if ((operation->run == attach_veth || operation->run == attach_routed) && r == 0 &&
        strcmp(step, "write sysctl") == 0)
        return detach() == 0 && kernel_node_clean(&traces);
    kernel_node_state(&node, after);
    /* A step of undoing does not replace what made it necessary. */
    if (r != operation->expected || r == 0)
        CHECK(r == -EIO && err.code == EIO && strstr(err.msg, ": input/output error"));
    if (r == 0 || -r != err.code) {
        (void)fprintf(stderr, "%s, step %u, \"%s\": returned %d: %s\n", operation->name, n, step, r,
                      err.msg);
        check_failures++;
    }
    if (strcmp(before, after) != 0) {
        (void)fprintf(stderr, "%s, step %u, \"%s\": before:\n%safter:\n%s", operation->name, n,
                      step, before, after);
        check_failures++;
    }
    return true;
}

/* Whichever step fails, the operation fails with it and has changed nothing. */
static void test_every_step(const struct operation *operation)
{
    unsigned n = 1;

    do {
        kernel_node_open(&node);
        if (operation->on_host)
            kernel_node_run(-1, operation->on_host);
        if (operation->in_container)
            kernel_node_run(node.pod, operation->in_container);
    } while (fail_step(operation, n) && (kernel_node_close(&node), ++n < STEPS_MAX));
    CHECK(n > 1 && n < STEPS_MAX);
    kernel_node_close(&node);
}

int main(void)
{
    size_t i;

    if (cnif_fault_arm(0, 0) < 0) {
        (void)fprintf(stderr, "SKIP: built without CNIF_FAULTS\n");
        return 77;
    }
    if (!kernel_node_enter())
        return 77;
    for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        test_every_step(&operations[i]);
    return check_failures != 0;
}
