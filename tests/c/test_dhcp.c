/*
 * Sockets of a DHCP client: what they hear and what not, where they are, and that nothing is left
 * of one that cannot be made.
 */
#include "check.h"
#include "kernel_node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 5000
#define MARK    2

static struct kernel_node node;

/* A UDP datagram of four bytes to a port, as it comes out of the link's other end. */
static void send_to(uint16_t port, uint8_t protocol, uint16_t fragment, uint8_t id)
{
    uint8_t packet[32] = {0x45, 0, 0, 32, 0, id, 0, 0, 64, 17};
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_IP),
                             .sll_ifindex = (int)if_nametoindex("outer"),
                             .sll_halen = 6};
    int fd = socket(AF_PACKET, SOCK_DGRAM, 0);

    CHECK(fd >= 0);
    memset(to.sll_addr, 0xff, 6);
    packet[9] = protocol;
    packet[6] = (uint8_t)(fragment >> 8);
    packet[7] = (uint8_t)fragment;
    packet[21] = 67;
    packet[22] = (uint8_t)(port >> 8);
    packet[23] = (uint8_t)port;
    packet[25] = 12;
    CHECK(sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)) == 32);
    (void)close(fd);
}

/* How many packets came before one that is taken. */
static int received(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    uint8_t data[64] = {0};
    int count = 0;

    send_to(68, 17, 0, MARK);
    while (poll(&polled, 1, WAIT_MS) == 1 && recv(fd, data, sizeof(data), 0) == 32) {
        if (data[5] == MARK)
            return count;
        count++;
    }
    return -1;
}

static void test_filter(int packets)
{
    send_to(67, 17, 0, 1);
    send_to(69, 17, 0, 1);
    send_to(68, 6, 0, 1);
    send_to(68, 17, 1, 1);
    CHECK(received(packets) == 0);
    send_to(68, 17, 0, 1);
    send_to(68, 17, 0x2000, 1); /* the first of several fragments: whoever reads it sees that */
    CHECK(received(packets) == 2);
}

static void test_port(int32_t index, int port)
{
    struct sockaddr_in name = {0};
    socklen_t size = sizeof(name);
    struct cnif_err err = {0};
    int again[2] = {-1, -1};

    CHECK(getsockname(port, (struct sockaddr *)&name, &size) == 0);
    CHECK(ntohs(name.sin_port) == 68 && name.sin_addr.s_addr == 0);
    /* Those of several conversations share it. */
    CHECK(cnif_dhcp_open(-1, index, again, again + 1, &err) == 0);
    CHECK(again[0] >= 0 && again[1] >= 0);
    (void)close(again[0]);
    (void)close(again[1]);
}

/* Somebody in the container has the port for itself: one can do without. */
static void test_port_taken(int32_t index)
{
    struct cnif_err err = {0};
    int first[2], second[2] = {-1, -2};
    int off = 0;

    CHECK(cnif_dhcp_open(-1, index, first, first + 1, &err) == 0);
    CHECK(setsockopt(first[1], SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off)) == 0);
    CHECK(cnif_dhcp_open(-1, index, second, second + 1, &err) == 0);
    CHECK(second[0] >= 0 && second[1] == -1);
    for (int i = 0; i < 2; i++) {
        (void)close(first[i]);
        if (second[i] >= 0)
            (void)close(second[i]);
    }
}

/* Neither a link of another namespace, nor what is no namespace. */
static void test_nowhere(int32_t index)
{
    struct kernel_node_traces before = kernel_node_traces();
    struct cnif_err err = {0};
    int fds[2] = {-5, -6};

    CHECK(cnif_dhcp_open(node.pod, index, fds, fds + 1, &err) == -ENODEV);
    CHECK(strstr(err.msg, "packet socket on link"));
    CHECK(cnif_dhcp_open(0, 1, fds, fds + 1, &err) < 0);
    CHECK(strstr(err.msg, "enter network namespace"));
    CHECK(fds[0] == -5 && fds[1] == -6);
    CHECK(kernel_node_clean(&before));
}

static void test_faults(void)
{
    struct kernel_node_traces before = kernel_node_traces();
    unsigned n;

    if (cnif_fault_arm(0, 0) < 0)
        return; /* a core without them */
    for (n = 1; n < 100; n++) {
        struct cnif_err err = {0};
        int fds[2] = {-5, -6};
        int r;

        CHECK(cnif_fault_arm(n, EIO) == 0);
        r = cnif_dhcp_open(node.pod, 1, fds, fds + 1, &err);
        if (!cnif_fault_failed())
            break;
        CHECK(r == -EIO);
        CHECK(fds[0] == -5 && fds[1] == -6);
        CHECK(kernel_node_clean(&before));
    }
    (void)cnif_fault_arm(0, 0);
    CHECK(n > 5 && n < 100);
}

int main(void)
{
    struct cnif_err err = {0};
    cpu_set_t one;
    int32_t index;
    int fds[2] = {-1, -1};

    if (!kernel_node_enter())
        return 77;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof(one), &one); /* packets keep their order */
    kernel_node_open(&node);
    /* What is sent before the carrier has settled is dropped. */
    kernel_node_run(-1, "ip link add outer up type veth peer name inner && ip link set inner up && "
                        "until ip link show outer | grep -q 'state UP'; do sleep 0.01; done");
    index = (int32_t)if_nametoindex("inner");
    CHECK(cnif_dhcp_open(-1, index, fds, fds + 1, &err) == 0);
    test_filter(fds[0]);
    test_port(index, fds[1]);
    (void)close(fds[0]);
    (void)close(fds[1]);
    test_port_taken(index);
    test_nowhere(index);
    test_faults();
    kernel_node_close(&node);
    return check_failures != 0;
}
