/*
 * The host's routes to a container, against a kernel that the test plays: what becomes of those
 * that lead elsewhere where they change meanwhile.  Whether the order is right the real kernel
 * tells, in test_attach_faults.c.
 */
#include "attach/routed.h"
#include "check.h"
#include "fake_kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define OURS 7

static struct fake_kernel fake;
static struct cnif_err err;

static struct cnif_ip ip(const char *text)
{
    struct cnif_ip made = {.family = AF_INET6, .prefix = 128};

    (void)inet_pton(AF_INET6, text, made.bytes);
    return made;
}

/* A route to an address by a link, as the second request's answer. */
static void answer_route(const char *to, uint32_t oif, uint32_t priority)
{
    uint8_t data[128] __attribute__((aligned(8)));
    const struct cnif_ip dst = ip(to);
    struct cnif_nlbuf buf;
    struct rtmsg *rtm;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    rtm = cnif_nlmsg_begin(&buf, RTM_NEWROUTE, NLM_F_MULTI, sizeof(*rtm), "route");
    rtm->rtm_family = AF_INET6;
    rtm->rtm_dst_len = 128;
    rtm->rtm_table = RT_TABLE_MAIN;
    cnif_nlattr_put(&buf, RTA_DST, dst.bytes, 16);
    cnif_nlattr_put_u32(&buf, RTA_OIF, oif);
    cnif_nlattr_put_u32(&buf, RTA_PRIORITY, priority);
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(&fake, &buf, 2);
}

/*
 * Lead a route past one that is there; the answers to what is then sent of the two are given.
 * *ret is what comes of it.
 */
static const char *lead(int ours, int removed, int made, int *ret)
{
    struct cnif_route route = {.dst = ip("fd05::5"), .scope = RT_SCOPE_HOST};
    const struct cnif_veth_host host = {
        .netns_fd = -1, .name = "veth0", .routes = &route, .n_routes = 1};
    struct cnif_nlsock *watch;

    memset(&err, 0, sizeof(err));
    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, 0, NULL);
    fake_kernel_ack(&fake, 1, -EEXIST, NULL);
    answer_route("fd05::4", 8, 1024);
    answer_route("fd05::5", 8, 1024);
    answer_route("fd05::5", 9, 512);
    answer_route("fd05::5", OURS, 1024);
    fake_kernel_done(&fake, 2, 0, 0);
    fake_kernel_ack(&fake, 3, ours, NULL);
    fake_kernel_ack(&fake, 4, removed, NULL);
    fake_kernel_ack(&fake, 5, made, NULL);
    *ret = cnif_routed_configure(&fake.sock, &host, OURS, &watch, &err);
    CHECK(fake_kernel_request(&fake));
    CHECK(strcmp(fake_kernel_types(&fake), " 16 24") == 0);
    CHECK(fake_kernel_request(&fake));
    CHECK(strcmp(fake_kernel_types(&fake), " 26") == 0);
    CHECK(fake_kernel_request(&fake));
    fake_kernel_close(&fake);
    return fake_kernel_types(&fake);
}

/* The one to the same address with the same priority is made anew, and no other. */
static void test_behind(void)
{
    int r;

    CHECK(strcmp(lead(0, 0, 0, &r), " 24 25 24") == 0);
    CHECK(r == 0);
}

/* One that goes away meanwhile is no reason to fail, nor is ours that is there already. */
static void test_gone_meanwhile(void)
{
    static const struct {
        int ours, removed, made;
    } cases[] = {
        {0, -ESRCH, 0}, {0, -ESRCH, -ENODEV}, {0, 0, -ENODEV}, {0, 0, -ENETDOWN}, {-EEXIST, 0, 0},
    };
    size_t i;
    int r;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)lead(cases[i].ours, cases[i].removed, cases[i].made, &r);
        CHECK(r == 0);
    }
}

/* Anything else is one, and named. */
static void test_refused(void)
{
    int r;

    (void)lead(-ENETDOWN, 0, 0, &r);
    CHECK(r == -ENETDOWN);
    CHECK(strcmp(err.msg, "add route to veth0 (fd05::5/128): network is down") == 0);
    (void)lead(0, -EPERM, 0, &r);
    CHECK(r == -EPERM);
    (void)lead(0, 0, -ENOMEM, &r);
    CHECK(r == -ENOMEM);
}

int main(void)
{
    test_behind();
    test_gone_meanwhile();
    test_refused();
    return check_failures != 0;
}
