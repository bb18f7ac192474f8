/*
 * Every step of making the rules of a cluster's node is made to fail, in a network namespace of its
 * own.  The next attempt then has them as they shall be.
 *
 * Exits with 77 where the core was built without CNIF_FAULTS, or namespaces cannot be made.
 */
#include "check.h"
#include "cnifast.h"

#include <linux/netlink.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>

static const struct cnif_ip pods = {AF_INET, 24, {10, 244, 1, 0}};
static const struct cnif_ip former = {AF_INET, 24, {10, 244, 9, 0}};
static const struct cnif_ip inside = {AF_INET, 8, {10}};
static const struct cnif_ip gateway = {AF_INET, 24, {10, 244, 1, 1}};
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

static struct cnif_nlsock *open_socket(void)
{
    struct cnif_nlsock *sock = NULL;

    if (cnif_nlsock_open(NETLINK_NETFILTER, -1, &sock, NULL) < 0)
        abort();
    return sock;
}

static int make(struct cnif_nlsock *sock, struct cnif_err *err)
{
    int r = cnif_cluster_masq(sock, &pods, 1, &inside, 1, err);

    return r < 0 ? r : cnif_cluster_guard(sock, mac, &gateway, 1, err);
}

/* How many steps it takes to have the rules that are there already. */
static unsigned steps(struct cnif_nlsock *sock)
{
    CHECK(cnif_fault_arm(0, 0) == 0);
    CHECK(make(sock, NULL) == 0); /* only looks */
    return cnif_fault_count();
}

/* Make step after step fail until there is none left; how many there are. */
static unsigned fail_each(bool replaces, int code)
{
    const char *failed = "";
    unsigned looking = 0;
    unsigned n;

    for (n = 1; failed && n < 100; n++) {
        struct cnif_nlsock *sock;
        struct cnif_err err = {0};
        int r;

        if (unshare(CLONE_NEWNET) < 0)
            abort();
        sock = open_socket();
        if (replaces)
            CHECK(cnif_cluster_masq(sock, &former, 1, &inside, 1, NULL) == 0);
        CHECK(cnif_fault_arm(n, code) == 0);
        r = make(sock, &err);
        failed = cnif_fault_failed();
        CHECK(failed ? r == -code && err.code == code && *err.msg : r == 0);
        CHECK(cnif_fault_arm(0, 0) == 0);
        CHECK(make(sock, NULL) == 0);
        if (!looking)
            looking = steps(sock);
        CHECK(steps(sock) == looking);
        cnif_nlsock_close(sock);
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
    CHECK(fail_each(false, EPERM) > 6);
    CHECK(fail_each(true, ENOBUFS) > 6);
    return check_failures != 0;
}
