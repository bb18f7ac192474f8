/*
 * attach_bare BRIDGE NETNS ADDRESS/LEN GATEWAY ROUNDS [[host:]SYSCTL=VALUE ...]
 * attach_bare BRIDGE NETNS ADDRESS/LEN GATEWAY CLIENTSxPODS[:PROGRAM] [[host:]SYSCTL=VALUE ...]
 *
 * The floor under a bridge attachment: the kernel calls it consists of, in C,
 * with every message laid out at compile time where it can be, no library, no
 * checks of anything but the kernel's answers, and no undo.  Shares no code
 * with csrc/.
 *
 *   attach:  RTM_NEWLINK   the pair: host end up and in the bridge, peer in the pod   (host)
 *            sysctls                                                                   (host)
 *            RTM_SETLINK   the host end's alias                                        (host)
 *            setns, socket, sysctls, setns back
 *            RTM_NEWADDR, RTM_NEWLINK up, RTM_GETLINK, RTM_NEWROUTE: one send          (pod)
 *            RTM_GETLINK of port and bridge: one send; the answer says both are up     (host)
 *   detach:  RTM_DELLINK inside the pod, sent by a thread that waits for the kernel's
 *            deferred work; over when the pod's RTM_DELLINK notification is there
 *
 * Prints a line per round: nanoseconds of attach, nanoseconds of detach.  With
 * ROUNDS 0 it attaches once and leaves the pod attached.
 *
 * With CLIENTSxPODS so many processes share the pods whose namespaces are NETNS
 * with a number behind it: each attaches and detaches its own, one after the
 * other.  Prints the nanoseconds that all of it took.  @HOST@ in a sysctl is the
 * name of the host's end.  PROGRAM is run before each attach and each detach, as
 * a runtime runs a plugin, but with nothing to read or to write.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POD_END   "eth0"
#define ALIAS     "cnifast bench 0123456789abcdef0123456789abcdef eth0"
#define SETTLE_US 30000
#define OPER_UP   6
#define WARM_UP   3
#define CLIENTS   64

struct job {
    int host_ns, pod_ns;
    uint32_t number; /* of the pod */
    char host_end[IFNAMSIZ];
    int host; /* rtnetlink socket, open all the time as a service keeps it */
    uint32_t bridge;
    struct in_addr address, gateway;
    unsigned char prefix;
    char **sysctls; /* those that begin with "host:" are for the host's namespace */
    int n_sysctls;
};

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    (void)fputs("attach_bare: ", stderr);
    (void)vfprintf(stderr, format, ap);
    (void)fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static int64_t now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* A buffer of messages, the last of which is being written. */

struct batch {
    char bytes[2048] __attribute__((aligned(4)));
    size_t length;
    size_t last;
    int replies; /* messages to come: acknowledgements, answers, echoes */
};

static void begin(struct batch *batch, uint16_t type, uint16_t flags, const void *header,
                  size_t size)
{
    struct nlmsghdr nlh = {.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + size),
                           .nlmsg_type = type,
                           .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)};

    batch->last = batch->length;
    memcpy(batch->bytes + batch->length, &nlh, sizeof(nlh));
    memcpy(batch->bytes + batch->length + NLMSG_HDRLEN, header, size);
    batch->length += NLMSG_ALIGN(nlh.nlmsg_len);
    batch->replies += !!(flags & NLM_F_ACK) + !!(flags & NLM_F_ECHO) + (type == RTM_GETLINK);
}

static size_t put(struct batch *batch, uint16_t type, const void *data, size_t size)
{
    struct rtattr rta = {.rta_len = (uint16_t)RTA_LENGTH(size), .rta_type = type};
    size_t at = batch->length;
    uint32_t length;

    memset(batch->bytes + at, 0, RTA_SPACE(size));
    memcpy(batch->bytes + at, &rta, sizeof(rta));
    memcpy(batch->bytes + at + RTA_LENGTH(0), data, size);
    batch->length += RTA_SPACE(size);
    length = (uint32_t)(batch->length - batch->last);
    memcpy(batch->bytes + batch->last, &length, sizeof(length));
    return at;
}

static void put_u32(struct batch *batch, uint16_t type, uint32_t value)
{
    (void)put(batch, type, &value, sizeof(value));
}

static void put_text(struct batch *batch, uint16_t type, const char *text)
{
    (void)put(batch, type, text, strlen(text) + 1);
}

static void end_nest(struct batch *batch, size_t at)
{
    uint16_t length = (uint16_t)(batch->length - at);

    memcpy(batch->bytes + at, &length, sizeof(length));
}

/* Link attributes of an answer that matter here. */
struct link {
    uint32_t index;
    uint32_t peer;
    unsigned char state;
};

static void read_link(const struct nlmsghdr *nlh, struct link *link)
{
    const struct ifinfomsg *ifi = NLMSG_DATA(nlh);
    const struct rtattr *rta = IFLA_RTA(ifi);
    int left = (int)IFLA_PAYLOAD(nlh);

    link->index = (uint32_t)ifi->ifi_index;
    for (; RTA_OK(rta, left); rta = RTA_NEXT(rta, left)) {
        if (rta->rta_type == IFLA_LINK)
            memcpy(&link->peer, RTA_DATA(rta), sizeof(link->peer));
        else if (rta->rta_type == IFLA_OPERSTATE)
            link->state = *(const unsigned char *)RTA_DATA(rta);
    }
}

/* Send the batch, take every reply; links answered go to `links`. */
static void talk(int fd, struct batch *batch, struct link *links, const char *what)
{
    char answer[16384] __attribute__((aligned(4)));

    if (send(fd, batch->bytes, batch->length, 0) < 0)
        die("%s: %s", what, strerror(errno));
    for (int left = batch->replies; left > 0;) {
        ssize_t n = recv(fd, answer, sizeof(answer), 0);
        unsigned size = (unsigned)n;

        if (n < 0)
            die("%s: %s", what, strerror(errno));
        for (struct nlmsghdr *nlh = (void *)answer; NLMSG_OK(nlh, size);
             nlh = NLMSG_NEXT(nlh, size)) {
            left--;
            if (nlh->nlmsg_type == NLMSG_ERROR) {
                int error = ((struct nlmsgerr *)NLMSG_DATA(nlh))->error;

                if (error)
                    die("%s: %s", what, strerror(-error));
            } else if (links) {
                read_link(nlh, links++);
            }
        }
    }
}

static int open_socket(unsigned groups)
{
    struct sockaddr_nl local = {.nl_family = AF_NETLINK, .nl_groups = groups};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), one = 1;

    if (fd < 0 || bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0 ||
        setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)) < 0 ||
        setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one)) < 0)
        die("rtnetlink socket: %s", strerror(errno));
    return fd;
}

static void enter(int netns)
{
    if (setns(netns, CLONE_NEWNET) < 0)
        die("setns: %s", strerror(errno));
}

/* The steps of an attachment. */

static void create_pair(const struct job *job, struct link *host_end)
{
    struct batch batch = {0};
    struct ifinfomsg up = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP}, peer = {0};
    unsigned char mac[6] = {
        0x02, 0, 0, 0, (unsigned char)(job->number >> 8), (unsigned char)job->number};
    size_t info, data, peer_at;

    begin(&batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO | NLM_F_ACK, &up, sizeof(up));
    put_text(&batch, IFLA_IFNAME, job->host_end);
    (void)put(&batch, IFLA_ADDRESS, mac, sizeof(mac));
    put_u32(&batch, IFLA_MASTER, job->bridge);
    put_u32(&batch, IFLA_NUM_TX_QUEUES, 1);
    put_u32(&batch, IFLA_NUM_RX_QUEUES, 1);
    info = put(&batch, IFLA_LINKINFO | NLA_F_NESTED, "", 0);
    put_text(&batch, IFLA_INFO_KIND, "veth");
    data = put(&batch, IFLA_INFO_DATA | NLA_F_NESTED, "", 0);
    peer_at = put(&batch, VETH_INFO_PEER | NLA_F_NESTED, &peer, sizeof(peer));
    put_text(&batch, IFLA_IFNAME, POD_END);
    mac[1] = 1;
    (void)put(&batch, IFLA_ADDRESS, mac, sizeof(mac));
    put_u32(&batch, IFLA_NUM_TX_QUEUES, 1);
    put_u32(&batch, IFLA_NUM_RX_QUEUES, 1);
    put_u32(&batch, IFLA_NET_NS_FD, (uint32_t)job->pod_ns);
    end_nest(&batch, peer_at);
    end_nest(&batch, data);
    end_nest(&batch, info);
    talk(job->host, &batch, host_end, "create the pair");
}

static void set_alias(const struct job *job, uint32_t index)
{
    struct batch batch = {0};
    struct ifinfomsg ifi = {.ifi_index = (int)index};

    begin(&batch, RTM_SETLINK, NLM_F_ACK, &ifi, sizeof(ifi));
    (void)put(&batch, IFLA_IFALIAS, ALIAS, strlen(ALIAS));
    talk(job->host, &batch, NULL, "set the alias");
}

static void write_sysctl(const struct job *job, const char *assignment)
{
    const char *value = strchr(assignment, '=') + 1, *name = strstr(assignment, "@HOST@");
    int length = (int)(value - assignment - 1);
    char path[160];
    int fd;

    if (name && name < value)
        (void)snprintf(path, sizeof(path), "/proc/sys/%.*s%s%.*s", (int)(name - assignment),
                       assignment, job->host_end, (int)(value - name - 7), name + 6);
    else
        (void)snprintf(path, sizeof(path), "/proc/sys/%.*s", length, assignment);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        die("%s: %s", path, strerror(errno));
    (void)close(fd);
}

static void write_sysctls(const struct job *job, bool of_host)
{
    for (int i = 0; i < job->n_sysctls; i++) {
        bool is_host = strncmp(job->sysctls[i], "host:", 5) == 0;

        if (is_host == of_host)
            write_sysctl(job, job->sysctls[i] + (is_host ? 5 : 0));
    }
}

static int socket_in_pod(const struct job *job)
{
    int fd;

    enter(job->pod_ns);
    fd = open_socket(0);
    write_sysctls(job, false);
    enter(job->host_ns);
    return fd;
}

static void configure_pod(const struct job *job, uint32_t index)
{
    struct batch batch = {0};
    struct ifaddrmsg address = {
        .ifa_family = AF_INET, .ifa_prefixlen = job->prefix, .ifa_index = index};
    struct ifinfomsg up = {.ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct ifinfomsg which = {.ifi_index = (int)index};
    struct rtmsg route = {.rtm_family = AF_INET,
                          .rtm_table = RT_TABLE_MAIN,
                          .rtm_protocol = RTPROT_BOOT,
                          .rtm_type = RTN_UNICAST};
    struct link answer = {0};
    int fd = socket_in_pod(job);

    begin(&batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &address, sizeof(address));
    (void)put(&batch, IFA_LOCAL, &job->address, 4);
    (void)put(&batch, IFA_ADDRESS, &job->address, 4);
    begin(&batch, RTM_NEWLINK, NLM_F_ACK, &up, sizeof(up));
    begin(&batch, RTM_GETLINK, 0, &which, sizeof(which));
    put_u32(&batch, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    begin(&batch, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &route, sizeof(route));
    (void)put(&batch, RTA_GATEWAY, &job->gateway, 4);
    put_u32(&batch, RTA_OIF, index);
    talk(fd, &batch, &answer, "configure the pod");
    (void)close(fd);
}

static void see_up(const struct job *job, uint32_t index)
{
    struct batch batch = {0};
    struct ifinfomsg port = {.ifi_index = (int)index}, bridge = {.ifi_index = (int)job->bridge};
    struct link links[2] = {0};

    begin(&batch, RTM_GETLINK, 0, &port, sizeof(port));
    put_u32(&batch, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    begin(&batch, RTM_GETLINK, 0, &bridge, sizeof(bridge));
    put_u32(&batch, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    talk(job->host, &batch, links, "look at the port");
    if (links[0].state != OPER_UP || links[1].state != OPER_UP)
        die("port or bridge is not up: Linux before 6.8 settles carriers later");
}

static int64_t attach(const struct job *job)
{
    struct link host_end = {0};
    int64_t start = now();

    create_pair(job, &host_end);
    write_sysctls(job, true);
    set_alias(job, host_end.index);
    configure_pod(job, host_end.peer);
    see_up(job, host_end.index);
    return now() - start;
}

/* Detaching. */

static void *send_delete(void *arg)
{
    struct batch batch = {0};
    struct ifinfomsg ifi = {0};

    begin(&batch, RTM_DELLINK, NLM_F_ACK, &ifi, sizeof(ifi));
    put_text(&batch, IFLA_IFNAME, POD_END);
    talk(*(int *)arg, &batch, NULL, "delete the pair");
    (void)close(*(int *)arg);
    free(arg);
    return NULL;
}

static void wait_deleted(int watch)
{
    char answer[16384] __attribute__((aligned(4)));

    for (;;) {
        ssize_t n = recv(watch, answer, sizeof(answer), 0);
        unsigned size = (unsigned)n;

        if (n < 0)
            die("watch: %s", strerror(errno));
        for (struct nlmsghdr *nlh = (void *)answer; NLMSG_OK(nlh, size);
             nlh = NLMSG_NEXT(nlh, size)) {
            if (nlh->nlmsg_type == RTM_DELLINK)
                return;
        }
    }
}

static int64_t detach(const struct job *job, bool linger)
{
    int64_t start = now(), took;
    int watch, *request = malloc(sizeof(*request));
    pthread_t sender;

    if (!request)
        die("out of memory");
    enter(job->pod_ns);
    watch = open_socket(RTMGRP_LINK);
    *request = open_socket(0);
    enter(job->host_ns);
    if (pthread_create(&sender, NULL, send_delete, request) != 0)
        die("no thread");
    wait_deleted(watch);
    (void)close(watch);
    took = now() - start;
    if (linger)
        (void)pthread_detach(sender);
    else
        (void)pthread_join(sender, NULL);
    return took;
}

static int open_netns(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        die("%s: %s", path, strerror(errno));
    return fd;
}

/* What the clients of a churn share. */
struct churn {
    const char *prefix;
    char *program; /* NULL: none */
    int clients, pods;
    int done[2]; /* a pipe; each client writes a byte */
};

static void run_program(char *program)
{
    char *argv[] = {program, NULL}, *envp[] = {NULL};
    int status, code;
    pid_t pid;

    code = posix_spawn(&pid, program, NULL, NULL, argv, envp);
    if (code)
        die("%s: %s", program, strerror(code));
    if (waitpid(pid, &status, 0) < 0 || status != 0)
        die("%s did not succeed", program);
}

/* A client: every pod whose number leaves a certain remainder. */
static void serve(struct job *job, const struct churn *churn, int client)
{
    uint32_t first = ntohl(job->address.s_addr);

    job->host = open_socket(0);
    for (int i = client; i < churn->pods; i += churn->clients) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s%d", churn->prefix, i);
        (void)snprintf(job->host_end, sizeof(job->host_end), "bare%d", i);
        job->number = (uint32_t)i;
        job->address.s_addr = htonl(first + (uint32_t)i);
        job->pod_ns = open_netns(path);
        if (churn->program)
            run_program(churn->program);
        (void)attach(job);
        if (churn->program)
            run_program(churn->program);
        (void)detach(job, true);
        (void)close(job->pod_ns);
    }
    if (write(churn->done[1], "", 1) != 1)
        die("pipe: %s", strerror(errno));
}

static int run_churn(struct job *job, struct churn *churn)
{
    int64_t start = now();
    char byte;

    if (pipe(churn->done) < 0)
        die("pipe: %s", strerror(errno));
    for (int i = 0; i < churn->clients; i++) {
        pid_t pid = fork();

        if (pid < 0)
            die("fork: %s", strerror(errno));
        if (pid == 0) {
            serve(job, churn, i);
            exit(0);
        }
    }
    (void)close(churn->done[1]);
    for (int i = 0; i < churn->clients; i++) {
        if (read(churn->done[0], &byte, 1) != 1)
            die("a client has failed");
    }
    (void)printf("%lld\n", (long long)(now() - start));
    while (wait(NULL) > 0) /* for the kernel's deferred work */
        ;
    return 0;
}

int main(int argc, char **argv)
{
    struct job job = {.host_end = "bare0"};
    char address[32];
    struct churn churn = {0};
    int rounds;

    if (argc < 6 || sscanf(argv[3], "%31[0-9.]/%hhu", address, &job.prefix) != 2 ||
        inet_pton(AF_INET, address, &job.address) != 1 ||
        inet_pton(AF_INET, argv[4], &job.gateway) != 1)
        die("usage: attach_bare BRIDGE NETNS ADDRESS/LEN GATEWAY ROUNDS|CLIENTSxPODS"
            "[:PROGRAM] [[host:]SYSCTL=VALUE ...]");
    job.bridge = if_nametoindex(argv[1]);
    if (!job.bridge)
        die("%s: %s", argv[1], strerror(errno));
    job.host_ns = open_netns("/proc/self/ns/net");
    job.sysctls = argv + 6;
    job.n_sysctls = argc - 6;
    if (sscanf(argv[5], "%dx%d", &churn.clients, &churn.pods) == 2) {
        char *program = strchr(argv[5], ':');

        if (churn.clients < 1 || churn.clients > CLIENTS)
            die("no number of clients from 1 to %d: %d", CLIENTS, churn.clients);
        churn.prefix = argv[2];
        churn.program = program ? program + 1 : NULL;
        return run_churn(&job, &churn);
    }
    job.pod_ns = open_netns(argv[2]);
    job.host = open_socket(0);
    rounds = atoi(argv[5]);
    if (rounds == 0)
        return printf("%lld\n", (long long)attach(&job)), 0;
    for (int i = -WARM_UP; i < rounds; i++) {
        int64_t attached = attach(&job), detached;

        detached = detach(&job, false);
        if (i >= 0)
            (void)printf("%lld %lld\n", (long long)attached, (long long)detached);
    }
    return 0;
}
