#include "kernel_node.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void give_up(const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", what, why);
    abort();
}

bool kernel_node_enter(void)
{
    if (geteuid() != 0) {
        (void)fprintf(stderr, "SKIP: needs root\n");
        return false;
    }
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        perror("SKIP: no namespaces of our own");
        return false;
    }
    return true;
}

bool kernel_node_enter_to_fail(void)
{
    if (cnif_fault_arm(0, 0) == 0)
        return kernel_node_enter();
    (void)fprintf(stderr, "SKIP: built without CNIF_FAULTS\n");
    return false;
}

int kernel_node_container(void)
{
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), made;

    if (home < 0 || unshare(CLONE_NEWNET) < 0)
        give_up("new namespace", "refused");
    made = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (made < 0 || setns(home, CLONE_NEWNET) < 0)
        give_up("new namespace", "no way back");
    (void)close(home);
    return made;
}

void kernel_node_open(struct kernel_node *node)
{
    /* its own address, which does not follow the ports' */
    struct cnif_link_spec spec = {.kind = "bridge",
                                  .name = "br0",
                                  .netns_fd = -1,
                                  .up = true,
                                  .has_mac = true,
                                  .mac = {2, 0, 0, 0, 0, 0xfe},
                                  .peer = {.netns_fd = -1}};
    struct cnif_err err;
    struct cnif_link link;
    uint64_t dev;

    if (unshare(CLONE_NEWNET) < 0)
        give_up("new host", "refused");
    kernel_node_run(-1, "ip link set lo up");
    if (cnif_nlsock_open(NETLINK_ROUTE, -1, &node->host, &err) < 0 ||
        cnif_link_add(node->host, &spec, NULL, &err) < 0 ||
        cnif_link_get(node->host, "br0", 0, &link, &err) < 0 ||
        cnif_netns_id(-1, &dev, &node->home, &err) < 0)
        give_up("new host", err.msg);
    node->bridge = link.index;
    node->pod = kernel_node_container();
}

void kernel_node_close(struct kernel_node *node)
{
    cnif_nlsock_close(node->host);
    (void)close(node->pod);
}

void kernel_node_run(int netns, const char *command)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (netns < 0 || setns(netns, CLONE_NEWNET) == 0)
            (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
        give_up(command, "failed");
}

struct cnif_ip kernel_node_ip(const char *text, uint8_t prefix)
{
    struct cnif_ip made = {.family = strchr(text, ':') ? AF_INET6 : AF_INET, .prefix = prefix};

    if (inet_pton(made.family, text, made.bytes) != 1)
        give_up(text, "not an address");
    return made;
}

struct text {
    char *at;
    size_t used;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    text->used += (size_t)vsnprintf(text->at + text->used, NODE_TEXT - text->used, format, ap);
    va_end(ap);
    if (text->used >= NODE_TEXT)
        give_up("state", "too long");
}

static void add_ip(struct text *text, const struct cnif_ip *ip)
{
    char shown[INET6_ADDRSTRLEN] = "-";

    if (ip->family)
        (void)inet_ntop(ip->family, ip->bytes, shown, sizeof(shown));
    add(text, " %s/%u", shown, ip->prefix);
}

static void add_namespace(struct text *text, const char *label, int netns)
{
    struct cnif_address *addresses;
    struct cnif_nlsock *sock;
    struct cnif_route *routes;
    struct cnif_link *links;
    struct cnif_err err;
    size_t n_links, n_addresses, n_routes, i;

    if (cnif_nlsock_open(NETLINK_ROUTE, netns, &sock, &err) < 0 ||
        cnif_link_dump(sock, 0, NULL, &links, &n_links, &err) < 0 ||
        cnif_addr_dump(sock, 0, 0, &addresses, &n_addresses, &err) < 0 ||
        cnif_route_dump(sock, 0, 0, RT_TABLE_MAIN, &routes, &n_routes, &err) < 0)
        give_up("state", err.msg);
    for (i = 0; i < n_links; i++)
        add(text, "%s link %d %s %s %s mtu %u master %d [%s]\n", label, links[i].index,
            links[i].name, links[i].kind, links[i].flags & IFF_UP ? "up" : "down", links[i].mtu,
            links[i].master, links[i].alias);
    for (i = 0; i < n_addresses; i++) {
        if (addresses[i].scope == RT_SCOPE_LINK)
            continue;
        add(text, "%s addr %d", label, addresses[i].index);
        add_ip(text, &addresses[i].ip);
        add(text, "\n");
    }
    for (i = 0; i < n_routes; i++) {
        if (routes[i].dst.family == AF_INET6 && routes[i].dst.bytes[0] >= 0xfe)
            continue; /* link-local and multicast */
        add(text, "%s route dev %d", label, routes[i].oif);
        add_ip(text, &routes[i].dst);
        add_ip(text, &routes[i].gateway);
        add(text, "\n");
    }
    cnif_free(links);
    cnif_free(addresses);
    cnif_free(routes);
    cnif_nlsock_close(sock);
}

void kernel_node_state(const struct kernel_node *node, char text[NODE_TEXT])
{
    struct text all = {.at = text};

    add_namespace(&all, "host", -1);
    add_namespace(&all, "pod", node->pod);
}

static unsigned entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned n = 0;

    if (!dir)
        give_up(path, "not there");
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

unsigned kernel_node_threads(void)
{
    return entries("/proc/self/task") - 2; /* "." and ".." */
}

struct kernel_node_traces kernel_node_traces(void)
{
    static bool settled;
    char value[16];

    /* The process keeps one descriptor from its first sysctl on: not a leak. */
    if (!settled)
        settled = cnif_sysctl_read(-1, "net/ipv4/ip_forward", value, sizeof(value), NULL) == 0;

    struct kernel_node_traces traces = {.fds = entries("/proc/self/fd")};
    struct stat st;

    if (stat("/proc/thread-self/ns/net", &st) == 0)
        traces.netns = st.st_ino;
    return traces;
}

bool kernel_node_clean(const struct kernel_node_traces *before)
{
    struct kernel_node_traces now = kernel_node_traces();
    int waited;

    /* Who lingers does so for 20 ms or so. */
    for (waited = 0; now.fds > before->fds && waited < 5000; waited += 5) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        now = kernel_node_traces();
    }
    if (now.fds != before->fds)
        (void)fprintf(stderr, "descriptors: %u before, %u now\n", before->fds, now.fds);
    if (now.netns != before->netns)
        (void)fprintf(stderr, "the thread is in another namespace\n");
    return now.fds == before->fds && now.netns == before->netns;
}
