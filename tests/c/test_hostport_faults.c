/*
 * Every step of adding and deleting host ports is made to fail, or to be the last one of the
 * process, in a network namespace of its own.  A deletion then leaves no element, and an addition
 * works with rules that are there once.
 *
 * Exits with 77 where the core was built without CNIF_FAULTS, or namespaces cannot be made.
 */
#include "check.h"
#include "cnifast.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct cnif_owner owner = {"c1", "eth0", "net"};
static const struct cnif_owner other = {"c0", "eth0", "net"};
static const struct cnif_hostport ports[] = {
    {IPPROTO_TCP, 8080, 80, {0}},
    {IPPROTO_UDP, 53, 53, {AF_INET, 32, {192, 0, 2, 1}}},
    {IPPROTO_SCTP, 1, 65535, {AF_INET6, 128, {0}}},
};
static const struct cnif_hostport others[] = {{IPPROTO_TCP, 8081, 80, {0}}};
static const struct cnif_hostports want = {
    .ports = ports,
    .n_ports = 3,
    .pods = {{AF_INET, 16, {10, 1, 0, 5}}, {AF_INET6, 64, {0xfd, [15] = 5}}},
    .scopes = {"", ""},
    .link = "veth1",
    .mark_bit = 13,
};
/* 8080 by both families, 53 by IPv4, 1 by IPv6, what is masqueraded for them, the attachment. */
#define PORTS    4
#define ELEMENTS (PORTS + 1)

static struct cnif_nlsock *open_socket(void)
{
    struct cnif_nlsock *sock = NULL;

    if (cnif_nlsock_open(NETLINK_NETFILTER, -1, &sock, NULL) < 0)
        abort();
    return sock;
}

static int add(struct cnif_nlsock *sock, struct cnif_err *err)
{
    struct cnif_hostport_entry rival;

    return cnif_hostport_add(sock, &want, &owner, &rival, err);
}

static int remove_ports(struct cnif_nlsock *sock, bool known, struct cnif_err *err)
{
    struct cnif_hostport_entry *removed = NULL;
    size_t count;
    int r = cnif_hostport_delete(sock, known ? &want : NULL, &owner, &removed, &count, err);

    cnif_free(removed);
    return r;
}

/* How many elements of maps there are of an owner. */
static size_t count_elements(struct cnif_nlsock *sock, const char *text)
{
    struct cnif_hostport_entry *entries = NULL;
    size_t count = 0;
    size_t found = 0;
    size_t i;

    CHECK(cnif_hostport_list(sock, &entries, &count, NULL) == 0);
    for (i = 0; i < count; i++)
        found += strcmp(entries[i].owner, text) == 0;
    cnif_free(entries);
    return found;
}

/* Whatever happened before, all works now, and the other one's ports are as they were. */
static void check_usable(struct cnif_nlsock *sock)
{
    struct cnif_hostports alone = want;

    CHECK(add(sock, NULL) == 0 && count_elements(sock, "c1 eth0 net") == ELEMENTS);
    CHECK(cnif_hostport_check(sock, &want, &owner, NULL) == 0);
    CHECK(remove_ports(sock, true, NULL) == 0 && count_elements(sock, "c1 eth0 net") == 0);
    alone.ports = others;
    alone.n_ports = 1;
    CHECK(cnif_hostport_check(sock, &alone, &other, NULL) == 0);
}

/* A fresh namespace in which somebody else has a port, and the owner too if that is wanted. */
static struct cnif_nlsock *begin(bool empty, bool added)
{
    struct cnif_hostports alone = want;
    struct cnif_hostport_entry rival;
    struct cnif_nlsock *sock;

    if (unshare(CLONE_NEWNET) < 0)
        abort();
    sock = open_socket();
    alone.ports = others;
    alone.n_ports = 1;
    if (!empty)
        CHECK(cnif_hostport_add(sock, &alone, &other, &rival, NULL) == 0);
    if (added)
        CHECK(add(sock, NULL) == 0);
    return sock;
}

enum what { ADD_FIRST, ADD, ADD_AGAIN, DELETE_KNOWN, DELETE_UNKNOWN };

static int run(struct cnif_nlsock *sock, enum what what, struct cnif_err *err)
{
    return what <= ADD_AGAIN ? add(sock, err) : remove_ports(sock, what == DELETE_KNOWN, err);
}

/* The end of a turn: nothing of the owner is left after a deletion. */
static void finish(struct cnif_nlsock *sock, enum what what)
{
    CHECK(remove_ports(sock, what == ADD, NULL) == 0);
    CHECK(count_elements(sock, "c1 eth0 net") == 0);
    if (what == ADD_FIRST) {
        struct cnif_hostports alone = want;
        struct cnif_hostport_entry rival;

        alone.ports = others;
        alone.n_ports = 1;
        CHECK(cnif_hostport_add(sock, &alone, &other, &rival, NULL) == 0);
    }
    check_usable(sock);
    cnif_nlsock_close(sock);
}

/* Make step after step fail until there is none left; how many there are. */
static unsigned fail_each(enum what what, int code)
{
    const char *failed = "";
    unsigned n;

    for (n = 1; failed && n < 200; n++) {
        struct cnif_nlsock *sock = begin(what == ADD_FIRST, what >= ADD_AGAIN);
        struct cnif_err err = {0};
        int r;

        CHECK(cnif_fault_arm(n, code) == 0);
        r = run(sock, what, &err);
        failed = cnif_fault_failed();
        CHECK(cnif_fault_arm(0, 0) == 0);
        CHECK(failed || r == 0);
        CHECK(r == 0 || (r == -code && err.code == code && *err.msg));
        if (r == 0)
            CHECK(count_elements(sock, "c1 eth0 net") == (what <= ADD_AGAIN ? ELEMENTS : 0));
        finish(sock, what);
    }
    return n;
}

/* A process dies at step after step; another one finds its way. */
static unsigned die_at_each(enum what what)
{
    bool died = true;
    unsigned n;

    for (n = 1; died && n < 200; n++) {
        struct cnif_nlsock *sock = begin(what == ADD_FIRST, what >= ADD_AGAIN);
        int status;
        pid_t pid = fork();

        if (pid == 0) {
            struct cnif_nlsock *own = open_socket();

            (void)cnif_fault_arm(n, CNIF_FAULT_KILL);
            _exit(run(own, what, NULL) != 0);
        }
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        died = WIFSIGNALED(status);
        CHECK(died || WEXITSTATUS(status) == 0);
        finish(sock, what);
    }
    return n;
}

int main(void)
{
    if (cnif_fault_arm(0, 0) < 0) {
        (void)puts("built without CNIF_FAULTS");
        return 77;
    }
    if (unshare(CLONE_NEWNET) < 0) {
        perror("no network namespace of its own");
        return 77;
    }
    CHECK(fail_each(ADD_FIRST, EPERM) > 15);
    CHECK(fail_each(ADD, ENOBUFS) > 6);
    CHECK(fail_each(ADD_AGAIN, EPERM) > 8);
    CHECK(fail_each(DELETE_KNOWN, EPERM) > 4);
    CHECK(fail_each(DELETE_UNKNOWN, ENOBUFS) > 6);
    CHECK(die_at_each(ADD_FIRST) > 15);
    CHECK(die_at_each(ADD_AGAIN) > 8);
    CHECK(die_at_each(DELETE_KNOWN) > 4);
    CHECK(die_at_each(DELETE_UNKNOWN) > 6);
    return check_failures != 0;
}
