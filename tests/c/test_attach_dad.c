/*
 * Duplicate address detection on the real kernel: an attachment that waits for it returns when it
 * has ended, however fast that was, and not before.
 */
#include "check.h"
#include "kernel_node.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct kernel_node node;
static struct cnif_err err;

/* Send probes without a delay and wait 100 ms for answers. */
static const struct cnif_sysctl fast[] = {
    {"net/ipv6/neigh/eth0/retrans_time_ms", "100", false},
    {"net/ipv6/conf/eth0/router_solicitation_delay", "0", false},
};

static void start(const char *settings)
{
    kernel_node_open(&node);
    kernel_node_run(node.pod, settings);
}

static int attach(int pod, const char *name, const struct cnif_ip *addresses, size_t count)
{
    struct cnif_veth_host host = {.netns_fd = -1,
                                  .name = name,
                                  .alias = "",
                                  .bridge = node.bridge,
                                  .has_mac = true,
                                  .mac = {2, 0, 0, 0, 0, 1}};
    struct cnif_endpoint endpoint = {.netns_fd = pod,
                                     .ifname = "eth0",
                                     .up = true,
                                     .wait_dad = true,
                                     .sysctls = fast,
                                     .n_sysctls = 2,
                                     .addresses = addresses,
                                     .n_addresses = count};
    struct kernel_node_traces before = kernel_node_traces();
    struct cnif_attached attached;
    int r;

    memset(&err, 0, sizeof(err));
    host.mac[4] = (uint8_t)name[4];
    r = cnif_attach_veth(node.host, &host, &endpoint, CNIF_LINGER_THREAD, &attached, &err);
    CHECK(kernel_node_clean(&before));
    return r;
}

/* How many of the container's IPv6 addresses, but for the kernel's own, have any of the flags. */
static size_t count_addresses(uint32_t any_of)
{
    static const uint8_t none[7];
    struct cnif_address *addresses;
    struct cnif_nlsock *sock;
    size_t count, i, found = 0;

    CHECK(cnif_nlsock_open(NETLINK_ROUTE, node.pod, &sock, NULL) == 0);
    CHECK(cnif_addr_dump(sock, 0, 10, &addresses, &count, NULL) == 0);
    for (i = 0; i < count; i++)
        /* Not the one that the kernel makes of a random MAC, which may end in any number. */
        found += memcmp(addresses[i].ip.bytes + 8, none, 7) == 0 &&
                 addresses[i].ip.bytes[15] <= 9 && (addresses[i].flags & any_of) != 0;
    cnif_free(addresses);
    cnif_nlsock_close(sock);
    return found;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* It returns when every address is valid, after the probes have had time to be answered. */
static void test_waits(void)
{
    struct cnif_ip addresses[] = {kernel_node_ip("fd00::5", 64), kernel_node_ip("10.1.0.5", 16),
                                  kernel_node_ip("fd00::6", 64), kernel_node_ip("fe80::7", 64)};
    int64_t began;

    start("true");
    began = now_ms();
    CHECK(attach(node.pod, "veth0", addresses, 4) == 0);
    CHECK(now_ms() - began >= 100);
    CHECK(count_addresses(IFA_F_PERMANENT) == 3);
    CHECK(count_addresses(IFA_F_TENTATIVE | IFA_F_NODAD) == 0);
    kernel_node_close(&node);
}

/* Where there is nothing to wait for, it does not wait. */
static void test_nothing_to_wait_for(void)
{
    static const char *const settings[] = {
        "echo 0 > /proc/sys/net/ipv6/conf/default/dad_transmits",
        "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad && "
        "echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad",
    };
    struct cnif_ip addresses[] = {kernel_node_ip("fd00::5", 64), kernel_node_ip("10.1.0.5", 16)};
    int64_t began;
    size_t i;

    for (i = 0; i < 2; i++) {
        start(settings[i]);
        began = now_ms();
        CHECK(attach(node.pod, "veth0", addresses, 2) == 0);
        CHECK(now_ms() - began < 2000);
        CHECK(count_addresses(IFA_F_TENTATIVE) == 0);
        kernel_node_close(&node);
    }
    start("true");
    CHECK(attach(node.pod, "veth0", addresses + 1, 1) == 0);
    kernel_node_close(&node);
}

/*
 * An address that somebody else has undoes the attachment.  Probes without a delay may be sent
 * before the port forwards, so there are three of them.
 */
static void test_duplicate(void)
{
    static const char three[] = "echo 3 > /proc/sys/net/ipv6/conf/default/dad_transmits";
    struct cnif_ip address = kernel_node_ip("fd00::5", 64);
    char before[NODE_TEXT], after[NODE_TEXT];
    int other;

    start(three);
    other = kernel_node_container();
    CHECK(attach(other, "veth1", &address, 1) == 0);
    kernel_node_state(&node, before);
    CHECK(attach(node.pod, "veth0", &address, 1) == -EADDRINUSE);
    CHECK(strcmp(err.msg, "duplicate address detection on eth0: address already in use") == 0);
    kernel_node_state(&node, after);
    CHECK(strcmp(before, after) == 0);
    (void)close(other);
    kernel_node_close(&node);
}

int main(void)
{
    if (!kernel_node_enter())
        return 77;
    test_waits();
    test_nothing_to_wait_for();
    test_duplicate();
    return check_failures != 0;
}
