/*
 * Letting addresses through on the real kernel, in a network namespace of its own: every step is
 * made to fail, and nothing but what all share is left; the next attempt succeeds.
 *
 * Exits with 77 where the core was built without CNIF_FAULTS, or namespaces cannot be made.
 */
#include "check.h"
#include "cnifast.h"
#include "kernel_node.h"
#include "nft/firewall.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 10

static const struct cnif_owner owner = {"c1", "eth0", "net"};
static const struct cnif_owner rival = {"c2", "eth0", "net"};
static const struct cnif_firewall kinds[] = {
    {"iptables", CNIF_FIREWALL_IPTABLES, "CNI-ADMIN", "cni0", true},
    {"nftables", CNIF_FIREWALL_OWN_TABLE, NULL, "cni0", true},
    {"firewalld", CNIF_FIREWALL_IPTABLES, NULL, "cni0", false},
    {"legacy", CNIF_FIREWALL_ELSEWHERE, NULL, NULL, false},
};

static struct cnif_ip ips[COUNT];

static struct cnif_nlsock *open_socket(void)
{
    struct cnif_nlsock *sock = NULL;

    if (unshare(CLONE_NEWNET) < 0 || cnif_nlsock_open(NETLINK_NETFILTER, -1, &sock, NULL) < 0)
        abort();
    return sock;
}

/* How many addresses are recorded for an owner, or for anybody. */
static size_t recorded(struct cnif_nlsock *sock, const struct cnif_firewall *kind,
                       const struct cnif_owner *whose)
{
    struct cnif_masq_entry *entries;
    size_t count;

    CHECK(cnif_firewall_list(sock, kind->means, whose, &entries, &count, NULL) == 0);
    cnif_free(entries);
    return count;
}

/* Let through, seen, found, taken over, and no more. */
static void test_life(const struct cnif_firewall *kind)
{
    static const char *const means[] = {"iptables", "nftables", "firewalld", "legacy"};
    struct cnif_masq_entry found[4 * COUNT];
    struct cnif_nlsock *sock = open_socket();
    size_t owned = 0;
    size_t i;

    for (i = 0; i < 2; i++)
        CHECK(cnif_firewall_add(sock, kind, ips, COUNT, &owner, NULL) == 0);
    CHECK(cnif_firewall_check(sock, kind, ips, COUNT, &owner, NULL) == 0);
    CHECK(recorded(sock, kind, &owner) == COUNT && recorded(sock, kind, &rival) == 0);
    CHECK(cnif_firewall_find(sock, means, 4, ips, COUNT, found, NULL) == 0);
    for (i = 0; i < 4 * COUNT; i++)
        owned += strcmp(found[i].owner, "c1 eth0 net") == 0;
    CHECK(owned == COUNT);
    CHECK(cnif_firewall_delete(sock, kind, ips, COUNT, &rival, NULL) == 0);
    CHECK(recorded(sock, kind, NULL) == COUNT);
    CHECK(cnif_firewall_add(sock, kind, ips, 1, &rival, NULL) == 0);
    for (i = 0; i < 2; i++)
        CHECK(cnif_firewall_delete(sock, kind, ips, COUNT, &owner, NULL) == 0);
    CHECK(recorded(sock, kind, NULL) == 1);
    CHECK(cnif_firewall_check(sock, kind, ips, 1, &rival, NULL) == 0);
    CHECK(cnif_firewall_delete(sock, kind, ips, 1, &rival, NULL) == 0);
    CHECK(recorded(sock, kind, NULL) == 0);
    if (kind->rules == CNIF_FIREWALL_OWN_TABLE || kind->admin)
        CHECK(cnif_firewall_check(sock, kind, ips, 1, &rival, NULL) == -ENOENT);
    cnif_nlsock_close(sock);
}

/* Make step after step of adding, then of deleting, fail until there is none left. */
static unsigned fail_each(const struct cnif_firewall *kind, int code)
{
    const char *failed = "";
    unsigned n;

    for (n = 1; failed && n < 100; n++) {
        struct cnif_nlsock *sock = open_socket();
        struct cnif_err err = {0};
        int r;

        CHECK(cnif_fault_arm(n, code) == 0);
        r = cnif_firewall_add(sock, kind, ips, 2, &owner, &err);
        failed = cnif_fault_failed();
        CHECK(failed ? r == -code && err.code == code && *err.msg : r == 0);
        CHECK(cnif_fault_arm(0, 0) == 0);
        CHECK(cnif_firewall_add(sock, kind, ips, 2, &owner, NULL) == 0);
        CHECK(cnif_fault_arm(n, code) == 0);
        r = cnif_firewall_delete(sock, kind, ips, 2, &owner, &err);
        if (cnif_fault_failed())
            CHECK(r == -code && err.code == code && *err.msg);
        CHECK(cnif_fault_arm(0, 0) == 0);
        CHECK(cnif_firewall_delete(sock, kind, ips, 2, &owner, NULL) == 0);
        CHECK(recorded(sock, kind, NULL) == 0);
        cnif_nlsock_close(sock);
    }
    return n;
}

/* What cannot be is refused. */
static void test_impossible(void)
{
    static const struct cnif_ip strange = {.family = 1};
    static const char *const means[] = {"iptables"};
    struct cnif_masq_entry found;
    struct cnif_nlsock *sock = open_socket();
    struct cnif_err err;

    CHECK(cnif_firewall_add(sock, &kinds[0], &strange, 1, &owner, &err) == -EAFNOSUPPORT);
    CHECK(strcmp(err.msg, "address of unknown family 1") == 0);
    CHECK(cnif_firewall_find(sock, means, 1, &strange, 1, &found, &err) == -EINVAL);
    CHECK(cnif_firewall_add(sock, &kinds[0], NULL, 0, &owner, NULL) == 0);
    cnif_nlsock_close(sock);
}

int main(void)
{
    size_t i;

    if (!kernel_node_enter_to_fail())
        return 77;
    for (i = 0; i < COUNT; i++)
        ips[i] = kernel_node_ip(i % 2 ? "fd00::5" : "10.1.0.5", 0);
    for (i = 0; i < COUNT; i++)
        ips[i].bytes[i % 2 ? 14 : 2] = (uint8_t)i;
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        test_life(&kinds[i]);
        CHECK(fail_each(&kinds[i], EPERM) > 3);
        CHECK(fail_each(&kinds[i], ENOBUFS) > 3);
    }
    test_impossible();
    return check_failures != 0;
}
