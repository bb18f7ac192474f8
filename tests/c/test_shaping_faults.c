/*
 * Bandwidth limits on the real kernel, and every step of making them made to fail, one after the
 * other: the call says so, and links and queueing disciplines are as they were, also where
 * somebody else's are in the way.  Needs a core built with CNIF_FAULTS.
 */
#include "check.h"
#include "kernel_node.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 100
#define TEXT      (2 * NODE_TEXT)
#define SUBNETS   40 /* more than fit into one transaction */
#define LIMITED   "tc qdisc add dev veth0 root tbf rate 8mbit burst 10kb limit 10kb"

static struct kernel_node node;
static struct cnif_err err;
static struct cnif_ip subnets[SUBNETS];

struct operation {
    const char *name;
    const char *before; /* what is there, as shell commands; NULL: nothing more */
    int (*run)(void);
    int expected;
};

static const struct cnif_bucket bucket = {.rate = 1000000, .burst = 1562500, .limit = 125000};
static const struct cnif_bucket empty = {.rate = 1000000, .limit = 125000}; /* which is refused */

static struct cnif_shaping shaping(void)
{
    struct cnif_shaping made = {.name = "veth0",
                                .mtu = 1400,
                                .ingress = bucket,
                                .egress = bucket,
                                .ifb = "bwp0",
                                .alias = "mine",
                                .mac = {2, 0, 0, 0, 0, 7},
                                .subnets = subnets};
    size_t i;

    made.index = (int32_t)if_nametoindex("veth0"); /* no step of ours */
    for (i = 0; i < SUBNETS; i++) {
        subnets[i] = i % 2 ? kernel_node_ip("fd00::", 64) : kernel_node_ip("10.0.0.0", 16);
        subnets[i].bytes[1] = (uint8_t)i;
    }
    return made;
}

static int add_both(void)
{
    struct cnif_shaping made = shaping();

    return cnif_shaping_add(node.host, &made, &err);
}

static int add_ingress(void)
{
    struct cnif_shaping made = shaping();

    made.egress.rate = 0;
    return cnif_shaping_add(node.host, &made, &err);
}

static int add_egress(void)
{
    struct cnif_shaping made = shaping();

    made.ingress.rate = 0;
    return cnif_shaping_add(node.host, &made, &err);
}

static int add_but_subnets(void)
{
    struct cnif_shaping made = shaping();

    made.n_subnets = 2;
    return cnif_shaping_add(node.host, &made, &err);
}

static int add_for_subnets(void)
{
    struct cnif_shaping made = shaping();

    made.n_subnets = SUBNETS;
    made.only_subnets = true;
    return cnif_shaping_add(node.host, &made, &err);
}

static int add_bad_ingress(void)
{
    struct cnif_shaping made = shaping();

    made.ingress = empty;
    return cnif_shaping_add(node.host, &made, &err);
}

static int add_bad_egress(void)
{
    struct cnif_shaping made = shaping();

    made.egress = empty;
    return cnif_shaping_add(node.host, &made, &err);
}

static const struct operation operations[] = {
    {"both", NULL, add_both, 0},
    {"ingress", NULL, add_ingress, 0},
    {"egress", NULL, add_egress, 0},
    {"all but subnets", NULL, add_but_subnets, 0},
    {"nothing but subnets", NULL, add_for_subnets, 0},
    {"ingress, egress is somebody else's", "tc qdisc add dev veth0 ingress", add_ingress, 0},
    {"egress, ingress is somebody else's", LIMITED, add_egress, 0},
    {"both, ingress is somebody else's", LIMITED, add_both, -EEXIST},
    {"both, egress is somebody else's", "tc qdisc add dev veth0 ingress", add_both, -EEXIST},
    {"both, egress has clsact", "tc qdisc add dev veth0 clsact", add_both, -EEXIST},
    {"subnets, ingress is somebody else's", LIMITED, add_but_subnets, -EEXIST},
    {"both, the device is there", "ip link add bwp0 type ifb", add_both, -EEXIST},
    {"egress, the name is another device's", "ip link add bwp0 type bridge", add_egress, -EEXIST},
    {"ingress refused", NULL, add_bad_ingress, -EINVAL},
    {"egress refused", NULL, add_bad_egress, -EINVAL},
};

static void state(char text[TEXT])
{
    FILE *shown =
        popen("tc qdisc show; tc filter show dev veth0; tc filter show dev veth0 ingress", "re");
    size_t used, n;

    kernel_node_state(&node, text);
    used = strlen(text);
    if (!shown)
        abort();
    while ((n = fread(text + used, 1, TEXT - 1 - used, shown)) > 0)
        used += n;
    text[used] = '\0';
    if (pclose(shown) != 0)
        abort();
}

static bool fail_step(const struct operation *operation, unsigned n)
{
    static char before[TEXT], after[TEXT];
    struct kernel_node_traces traces;
    const char *step;
    int r;

    state(before);
    traces = kernel_node_traces();
    memset(&err, 0, sizeof(err));
    (void)cnif_fault_arm(n, EIO);
    r = operation->run();
    step = cnif_fault_failed();
    (void)cnif_fault_arm(0, 0);
    CHECK(kernel_node_clean(&traces));
    if (!step && r == 0)
        return false;
    state(after);
    if (strcmp(before, after) != 0 || (step ? r != -EIO && r != operation->expected : false) ||
        (!step && r != operation->expected) || r == 0 || -r != err.code || !err.msg[0]) {
        (void)fprintf(stderr, "%s, step %u, \"%s\": returned %d: %s\nbefore:\n%safter:\n%s",
                      operation->name, n, step ? step : "none", r, err.msg, before, after);
        check_failures++;
    }
    return step != NULL;
}

static void test_every_step(const struct operation *operation)
{
    unsigned n = 0;
    bool failed;

    do {
        kernel_node_open(&node);
        kernel_node_run(-1, "ip link add veth0 up type veth peer name veth1");
        if (operation->before)
            kernel_node_run(-1, operation->before);
        failed = fail_step(operation, ++n);
        kernel_node_close(&node);
    } while (failed && n < STEPS_MAX);
    CHECK(n > 2 && n < STEPS_MAX);
}

/* Whichever step of a check fails, it says so; without a failure all is in order. */
static void test_check(bool with_subnets)
{
    struct cnif_shaping made;
    const char *step;
    unsigned n = 0;
    int r;

    kernel_node_open(&node);
    kernel_node_run(-1, "ip link add veth0 up type veth peer name veth1");
    made = shaping();
    made.n_subnets = with_subnets ? SUBNETS : 0;
    CHECK(cnif_shaping_add(node.host, &made, &err) == 0);
    do {
        (void)cnif_fault_arm(++n, EIO);
        r = cnif_shaping_check(node.host, &made, &err);
        step = cnif_fault_failed();
        (void)cnif_fault_arm(0, 0);
        CHECK(r == (step ? -EIO : 0));
    } while (step && n < STEPS_MAX);
    CHECK(n > 5 && n < STEPS_MAX);
    kernel_node_close(&node);
}

/* A second time is refused and changes nothing of the first. */
static void test_again(int (*add)(void))
{
    static char before[TEXT], after[TEXT];
    unsigned n = 0;
    const char *step;

    kernel_node_open(&node);
    kernel_node_run(-1, "ip link add veth0 up type veth peer name veth1");
    CHECK(add() == 0);
    state(before);
    do {
        int r;

        (void)cnif_fault_arm(++n, EIO);
        r = add();
        step = cnif_fault_failed();
        (void)cnif_fault_arm(0, 0);
        CHECK(r == (step ? -EIO : -EEXIST));
        state(after);
        CHECK(strcmp(before, after) == 0);
    } while (step && n < STEPS_MAX);
    CHECK(n > 2 && n < STEPS_MAX);
    kernel_node_close(&node);
}

int main(void)
{
    size_t i;

    if (!kernel_node_enter_to_fail())
        return 77;
    for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        test_every_step(&operations[i]);
    test_again(add_both);
    test_again(add_egress);
    test_again(add_but_subnets);
    test_check(false);
    test_check(true);
    return check_failures != 0;
}
