/*
 * Floods of announcements on the real kernel: who listens has a tiny buffer, and it overflows
 * before he reads.  What is lost then does not matter.
 */
#include "check.h"
#include "kernel_node.h"

#include <linux/netlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IF_OPER_UP 6

static struct kernel_node node;
static struct cnif_nlsock *bridge_changer; /* node.host belongs to whoever is attached */
static struct cnif_err err;
static int flood; /* how many changes to announce when somebody begins to listen */

/* Announce links, and addresses, in the namespace the thread is in. */
static void announce(void)
{
    struct cnif_ip address = kernel_node_ip("fd77::1", 64);
    struct cnif_nlsock *sock;

    CHECK(cnif_nlsock_open(NETLINK_ROUTE, -1, &sock, NULL) == 0);
    CHECK(cnif_addr_add(sock, 1, &address, 0, NULL) == 0);
    CHECK(cnif_addr_delete(sock, 1, &address, NULL) == 0);
    cnif_nlsock_close(sock);
}

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);

/* Whoever joins a group gets the smallest of buffers, and announcements to fill it. */
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    int r = __real_setsockopt(fd, level, option, value, size), smallest = 1, i;

    if (level != SOL_NETLINK || option != NETLINK_ADD_MEMBERSHIP)
        return r;
    if (flood)
        (void)__real_setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest));
    for (i = 0; i < flood; i++) {
        struct cnif_link_change change = {.flags = i % 2 ? IFF_PROMISC : 0,
                                          .flags_mask = IFF_PROMISC,
                                          .master = -1,
                                          .netns_fd = -1};

        CHECK(cnif_link_change(bridge_changer, node.bridge, &change, NULL) == 0);
        announce();
    }
    return r;
}

static int attach(bool wait_dad)
{
    static const struct cnif_sysctl fast[] = {
        {"net/ipv6/neigh/eth0/retrans_time_ms", "50", false},
        {"net/ipv6/conf/eth0/router_solicitation_delay", "0", false},
    };
    struct cnif_ip address = kernel_node_ip("fd00::5", 64);
    struct cnif_veth_host host = {.netns_fd = -1,
                                  .name = "veth0",
                                  .alias = "mine",
                                  .bridge = node.bridge,
                                  .has_mac = true,
                                  .mac = {2, 0, 0, 0, 0, 1}};
    struct cnif_endpoint endpoint = {.netns_fd = node.pod,
                                     .ifname = "eth0",
                                     .up = true,
                                     .wait_dad = wait_dad,
                                     .sysctls = fast,
                                     .n_sysctls = 2,
                                     .addresses = &address,
                                     .n_addresses = 1};
    struct cnif_attached attached;
    int r;

    memset(&err, 0, sizeof(err));
    r = cnif_attach_veth(node.host, &host, &endpoint, CNIF_LINGER_THREAD, &attached, &err);
    if (r < 0)
        (void)fprintf(stderr, "%d announcements: %s\n", flood, err.msg);
    return r;
}

static void start(void)
{
    kernel_node_open(&node);
    CHECK(cnif_nlsock_open(NETLINK_ROUTE, -1, &bridge_changer, &err) == 0);
}

static void finish(void)
{
    cnif_nlsock_close(bridge_changer);
    kernel_node_close(&node);
}

/* Attachments are up and deletions are done, however many announcements there were. */
static void test_attach_and_detach(void)
{
    struct cnif_link link;
    bool found;
    int i;

    start();
    for (i = 0; i < 20; i++) {
        flood = i;
        CHECK(attach(false) == 0);
        CHECK(cnif_link_get(node.host, "veth0", 0, &link, NULL) == 0);
        CHECK(link.operstate == IF_OPER_UP);
        found = false;
        memset(&err, 0, sizeof(err));
        CHECK(cnif_detach(-1, "veth0", "mine", CNIF_LINGER_THREAD, &found, &err) == 0 && found);
        if (err.code)
            (void)fprintf(stderr, "%d announcements: %s\n", i, err.msg);
        flood = 0;
        CHECK(cnif_link_get(node.host, "veth0", 0, &link, NULL) < 0);
        (void)cnif_detach(-1, "veth0", NULL, CNIF_LINGER_THREAD, &found, NULL);
    }
    finish();
}

/* The end of duplicate address detection is noticed among announcements of other addresses. */
static void test_duplicate_address_detection(void)
{
    int i;

    for (i = 0; i < 20; i += 5) {
        start();
        kernel_node_run(node.pod, "ip link set lo up");
        flood = i;
        CHECK(attach(true) == 0);
        flood = 0;
        finish();
    }
}

int main(void)
{
    if (!kernel_node_enter())
        return 77;
    test_attach_and_detach();
    test_duplicate_address_detection();
    return check_failures != 0;
}
