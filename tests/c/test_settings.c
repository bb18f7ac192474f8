/*
 * Sysctls that are written together and put back, in a container's namespace: all or nothing, and
 * the calling thread is at home afterwards.
 */
#include "check.h"
#include "kernel_node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FORWARD  "net/ipv4/ip_forward"
#define RESERVED "net/ipv4/ip_local_reserved_ports"

static struct kernel_node node;

/* The value in the container, "?" where it cannot be read. */
static const char *value_of(const char *path)
{
    static char value[256];

    if (cnif_sysctl_read(node.pod, path, value, sizeof(value), NULL) < 0)
        return "?";
    return value;
}

static bool is(const char *path, const char *value)
{
    return strcmp(value_of(path), value) == 0;
}

/* What was there comes back, an empty list and the last newline included. */
static void test_there_and_back(void)
{
    static struct cnif_setting settings[2];

    settings[0] = (struct cnif_setting){.path = FORWARD, .value = "1"};
    settings[1] = (struct cnif_setting){.path = RESERVED, .value = "8080,9000-9010"};
    CHECK(cnif_settings_write(node.pod, settings, 2, NULL) == 0);
    CHECK(is(FORWARD, "1") && is(RESERVED, "8080,9000-9010"));
    CHECK(settings[0].has_old && strcmp(settings[0].old, "0\n") == 0);
    CHECK(settings[1].has_old && strcmp(settings[1].old, "\n") == 0);
    CHECK(cnif_settings_restore(node.pod, settings, 2, NULL) == 0);
    CHECK(is(FORWARD, "0") && is(RESERVED, ""));
}

/* One that does not exist keeps all from being written; one that is refused takes them back. */
static void test_all_or_nothing(void)
{
    static struct cnif_setting settings[2];
    struct cnif_err err;

    settings[0] = (struct cnif_setting){.path = FORWARD, .value = "1"};
    settings[1] = (struct cnif_setting){.path = "net/ipv4/nothing", .value = "1"};
    CHECK(cnif_settings_write(node.pod, settings, 2, &err) == -ENOENT);
    CHECK(strcmp(err.msg, "open sysctl net/ipv4/nothing: no such file or directory") == 0);
    CHECK(is(FORWARD, "0"));
    settings[1] = (struct cnif_setting){.path = "net/ipv4/ip_default_ttl", .value = "0"};
    CHECK(cnif_settings_write(node.pod, settings, 2, &err) == -EINVAL);
    CHECK(strcmp(err.msg, "write 0 to sysctl net/ipv4/ip_default_ttl: invalid argument") == 0);
    CHECK(is(FORWARD, "0"));
}

/* Each call on the way that fails leaves all as it was, and the thread at home. */
static void test_every_step(void)
{
    static struct cnif_setting settings[2];
    struct kernel_node_traces before = kernel_node_traces();
    struct cnif_err err;
    unsigned n;

    settings[0] = (struct cnif_setting){.path = FORWARD, .value = "1"};
    settings[1] = (struct cnif_setting){.path = "net/ipv4/ip_default_ttl", .value = "65"};
    for (n = 1; n < 20; n++) {
        int r;

        CHECK(cnif_fault_arm(n, EIO) == 0);
        r = cnif_settings_write(node.pod, settings, 2, &err);
        (void)cnif_fault_arm(0, 0);
        if (r == 0)
            break;
        CHECK(r == -EIO && strstr(err.msg, "input/output error"));
        CHECK(is(FORWARD, "0") && is("net/ipv4/ip_default_ttl", "64"));
        CHECK(kernel_node_clean(&before));
    }
    CHECK(n > 3 && n < 20);
    CHECK(cnif_fault_arm(2, EIO) == 0);
    CHECK(cnif_settings_restore(node.pod, settings, 2, &err) == -EIO);
    (void)cnif_fault_arm(0, 0);
    CHECK(is(FORWARD, "0") && is("net/ipv4/ip_default_ttl", "65"));
    CHECK(cnif_settings_restore(node.pod, settings, 2, NULL) == 0);
    CHECK(is("net/ipv4/ip_default_ttl", "64"));
}

/* What can only be written is written and has nothing to come back to; what can only be read is not
 * touched. */
static void test_modes(void)
{
    static struct cnif_setting flush, read_only;

    flush = (struct cnif_setting){.path = "net/ipv4/route/flush", .value = "1"};
    CHECK(cnif_settings_write(node.pod, &flush, 1, NULL) == 0 && !flush.has_old);
    CHECK(cnif_settings_restore(node.pod, &flush, 1, NULL) == 0);
    read_only =
        (struct cnif_setting){.path = "net/ipv4/tcp_available_congestion_control", .value = "reno"};
    CHECK(cnif_settings_write(node.pod, &read_only, 1, NULL) == -EACCES);
    CHECK(cnif_settings_write(node.pod, NULL, 0, NULL) == 0);
}

int main(void)
{
    if (!kernel_node_enter())
        return 77;
    kernel_node_open(&node);
    test_there_and_back();
    test_all_or_nothing();
    test_every_step();
    test_modes();
    kernel_node_close(&node);
    return check_failures != 0;
}
