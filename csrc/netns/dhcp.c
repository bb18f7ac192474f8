/*
 * Sockets of a DHCP client.
 *
 * A link without an address can only be used below IP.  The filter is there
 * before the socket hears anything, so that nothing else is ever queued.
 */
#include "netns/dhcp.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "netns/netns.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define CLIENT_PORT 68
#define ALL         0xffff

/* An IPv4 packet, as a socket without link-layer headers sees it. */
static struct sock_filter to_client[] = {
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), /* protocol */
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 6),
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6), /* fragment offset */
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 4, 0),
    BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* length of the header */
    BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),  /* port it is for */
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLIENT_PORT, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, ALL),
    BPF_STMT(BPF_RET | BPF_K, 0),
};
static struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};

#define PROGRAM(code)                                                                              \
    {                                                                                              \
        .len = sizeof(code) / sizeof((code)[0]), .filter = (code)                                  \
    }
static const struct sock_fprog to_client_program = PROGRAM(to_client);
static const struct sock_fprog nothing_program = PROGRAM(nothing);

static int set(int fd, int level, int option, const void *value, size_t size)
{
    int code = cnif_fault("set up DHCP socket");

    if (code)
        return code;
    return setsockopt(fd, level, option, value, (socklen_t)size) < 0 ? errno : 0;
}

static int open_packets(int32_t index, int *ret_fd, struct cnif_err *reterr)
{
    static const int on = 1;
    struct sockaddr_ll where = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = index};
    int code = cnif_fault("open DHCP socket");
    cnif_cleanup_close int fd = -1;

    if (!code) {
        fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        code = fd < 0 ? errno : 0;
    }
    if (!code)
        code = set(fd, SOL_SOCKET, SO_ATTACH_FILTER, &to_client_program, sizeof(to_client_program));
    if (!code)
        code = set(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on));
    if (!code && bind(fd, (struct sockaddr *)&where, sizeof(where)) < 0)
        code = errno;
    if (code)
        return cnif_err_errno(reterr, code, "open a packet socket on link %d", index);
    *ret_fd = CNIF_TAKE_FD(fd);
    return 0;
}

static int open_port(int32_t index, int *ret_fd, struct cnif_err *reterr)
{
    static const int on = 1;
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(CLIENT_PORT)};
    cnif_cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int code = fd < 0 ? errno : 0;

    if (!code)
        code = set(fd, SOL_SOCKET, SO_ATTACH_FILTER, &nothing_program, sizeof(nothing_program));
    if (!code)
        code = set(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!code)
        code = set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof(index));
    if (!code && bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
        code = errno;
    if (code == EADDRINUSE) {
        *ret_fd = -1;
        return 0;
    }
    if (code)
        return cnif_err_errno(reterr, code, "open port %d on link %d", CLIENT_PORT, index);
    *ret_fd = CNIF_TAKE_FD(fd);
    return 0;
}

int cnif_dhcp_open(int netns_fd, int32_t index, int *ret_packets, int *ret_port,
                   struct cnif_err *reterr)
{
    struct cnif_netns_visit visit;
    cnif_cleanup_close int packets = -1;
    int port = -1;
    int r = cnif_netns_enter(&visit, netns_fd, reterr);

    if (r < 0)
        return r;
    r = open_packets(index, &packets, reterr);
    if (r == 0)
        r = open_port(index, &port, reterr);
    cnif_netns_leave(&visit);
    if (r < 0)
        return r;
    *ret_packets = CNIF_TAKE_FD(packets);
    *ret_port = port;
    return 0;
}
