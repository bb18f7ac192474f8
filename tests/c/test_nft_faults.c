/*
 * Every step of masquerading and guarding is made to fail, or to be the last one of the process,
 * in a network namespace of its own.  A deletion then leaves no element, and an addition works
 * with rules that are there once.
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
#include <sys/wait.h>
#include <unistd.h>

static const struct cnif_owner owner = {"c1", "eth0", "net"};
static const struct cnif_owner former = {"c0", "eth0", "net"};
static const struct cnif_ip ips[] = {{AF_INET, 16, {10, 1, 0, 5}},
                                     {AF_INET6, 64, {0xfd, 0, 0, 1, [15] = 5}}};
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t former_mac[6] = {2, 0, 0, 0, 0, 9};

static struct cnif_nlsock *open_socket(void)
{
    struct cnif_nlsock *sock = NULL;

    if (cnif_nlsock_open(NETLINK_NETFILTER, -1, &sock, NULL) < 0)
        abort();
    return sock;
}

static int add(struct cnif_nlsock *sock, struct cnif_err *err)
{
    int r = cnif_masq_add(sock, ips, 2, &owner, err);

    return r < 0 ? r : cnif_spoof_add(sock, "veth1", mac, &owner, err);
}

static int remove_all(struct cnif_nlsock *sock, struct cnif_err *err)
{
    int r = cnif_masq_delete(sock, ips, 2, &owner, err);

    return r < 0 ? r : cnif_spoof_delete(sock, "veth1", &owner, err);
}

/* What somebody else left behind, so that additions replace it. */
static void leave_former(struct cnif_nlsock *sock)
{
    CHECK(cnif_masq_add(sock, ips, 2, &former, NULL) == 0);
    CHECK(cnif_spoof_add(sock, "veth1", former_mac, &former, NULL) == 0);
}

static size_t count_elements(struct cnif_nlsock *sock)
{
    struct cnif_masq_entry *pods = NULL;
    struct cnif_spoof_entry *ports = NULL;
    size_t n_pods = 0;
    size_t n_ports = 0;

    CHECK(cnif_masq_list(sock, "net", &pods, &n_pods, NULL) == 0);
    CHECK(cnif_spoof_list(sock, &ports, &n_ports, NULL) == 0);
    cnif_free(pods);
    cnif_free(ports);
    return n_pods + n_ports;
}

/* Whatever happened before, all works now. */
static void check_usable(struct cnif_nlsock *sock)
{
    CHECK(add(sock, NULL) == 0 && count_elements(sock) == 3);
    CHECK(cnif_masq_check(sock, ips, 2, &owner, NULL) == 0);
    CHECK(cnif_spoof_check(sock, "veth1", mac, &owner, NULL) == 0);
    CHECK(remove_all(sock, NULL) == 0 && count_elements(sock) == 0);
}

/* A failure says so; success is complete. */
static void check_addition(struct cnif_nlsock *sock, int r, const struct cnif_err *err, int code)
{
    if (r < 0)
        CHECK(r == -code && err->code == code && *err->msg);
    else
        CHECK(count_elements(sock) == 3);
}

/* Make step after step fail until there is none left; how many there are. */
static unsigned fail_each(bool replaces, bool deletes, int code)
{
    const char *failed = "";
    unsigned n;

    for (n = 1; failed && n < 200; n++) {
        struct cnif_nlsock *sock;
        struct cnif_err err = {0};
        int r;

        if (unshare(CLONE_NEWNET) < 0)
            abort();
        sock = open_socket();
        if (replaces)
            leave_former(sock);
        if (deletes)
            CHECK(add(sock, NULL) == 0);
        CHECK(cnif_fault_arm(n, code) == 0);
        r = deletes ? remove_all(sock, &err) : add(sock, &err);
        failed = cnif_fault_failed();
        CHECK(cnif_fault_arm(0, 0) == 0);
        CHECK(failed || r == 0);
        if (!deletes)
            check_addition(sock, r, &err, code);
        CHECK(remove_all(sock, NULL) == 0);
        check_usable(sock);
        cnif_nlsock_close(sock);
    }
    return n;
}

/* A process dies at step after step; another one finds its way. */
static unsigned die_at_each(bool deletes)
{
    bool died = true;
    unsigned n;

    for (n = 1; died && n < 200; n++) {
        struct cnif_nlsock *sock;
        int status;
        pid_t pid;

        if (unshare(CLONE_NEWNET) < 0)
            abort();
        sock = open_socket();
        if (deletes)
            CHECK(add(sock, NULL) == 0);
        pid = fork();
        if (pid == 0) {
            struct cnif_nlsock *own = open_socket();

            (void)cnif_fault_arm(n, CNIF_FAULT_KILL);
            _exit((deletes ? remove_all(own, NULL) : add(own, NULL)) != 0);
        }
        CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
        died = WIFSIGNALED(status);
        CHECK(died || WEXITSTATUS(status) == 0);
        CHECK(remove_all(sock, NULL) == 0 && count_elements(sock) == 0);
        check_usable(sock);
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
    CHECK(fail_each(false, false, EPERM) > 10);
    CHECK(fail_each(false, false, ENOBUFS) > 10);
    CHECK(fail_each(true, false, EPERM) > 8);
    CHECK(fail_each(false, true, ENOBUFS) > 6);
    CHECK(die_at_each(false) > 10);
    CHECK(die_at_each(true) > 6);
    return check_failures != 0;
}
