/*
 * Finding the host's end of a pair against a kernel that the test plays: what is asked, and which
 * answers make a pair.
 */
#include "check.h"
#include "fake_kernel.h"
#include "golden.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define NO_FD 9999 /* nobody may want to go there */

static struct fake_kernel fake;
static struct cnif_err err;

static void answer_number(int32_t number)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    (void)cnif_nlmsg_begin(&buf, RTM_NEWNSID, 0, sizeof(struct rtgenmsg), "number");
    cnif_nlattr_put_u32(&buf, NETNSA_NSID, (uint32_t)number);
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(&fake, &buf, 0);
}

static void answer_link(uint32_t seq, int32_t index, int32_t other, const char *kind)
{
    uint8_t data[128] __attribute__((aligned(8)));
    struct ifinfomsg *ifi;
    struct cnif_nlbuf buf;
    size_t info;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    ifi = cnif_nlmsg_begin(&buf, RTM_NEWLINK, 0, sizeof(*ifi), "link");
    ifi->ifi_index = index;
    cnif_nlattr_put_u32(&buf, IFLA_LINK, (uint32_t)other);
    info = cnif_nlattr_nest(&buf, IFLA_LINKINFO);
    cnif_nlattr_put_str(&buf, IFLA_INFO_KIND, kind);
    cnif_nlattr_nest_end(&buf, info);
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(&fake, &buf, seq);
}

/* Look for the peer of eth0; its index, or a negative errno. */
static int find(void)
{
    struct cnif_link peer;
    int r = cnif_veth_peer(&fake.sock, NO_FD, "eth0", &peer, &err);

    return r < 0 ? r : peer.index;
}

/* The namespace's number is asked for, then the link in it, then the other end here. */
static void test_what_is_asked(void)
{
    fake_kernel_open(&fake);
    answer_number(3);
    answer_link(1, 2, 7, "veth");
    answer_link(2, 7, 2, "veth");
    CHECK(find() == 7);
    CHECK(fake_kernel_request(&fake) && golden_equal("nsid-get", fake.request, fake.size));
    CHECK(fake_kernel_request(&fake) && golden_equal("link-get-afar", fake.request, fake.size));
    CHECK(fake_kernel_request(&fake) && fake.size == 40);
    CHECK(!fake_kernel_request(&fake));
    fake_kernel_close(&fake);
}

static int with(const char *kind, int32_t other, const char *kind_here, int32_t other_here)
{
    int r;

    fake_kernel_open(&fake);
    answer_number(0);
    answer_link(1, 2, other, kind);
    answer_link(2, 7, other_here, kind_here);
    r = find();
    fake_kernel_close(&fake);
    return r;
}

/* Both have to be veths, and each the other's end. */
static void test_what_is_no_pair(void)
{
    CHECK(with("veth", 7, "veth", 2) == 7);
    CHECK(with("macvlan", 7, "veth", 2) == -ENODEV && strstr(err.msg, "eth0 has no veth peer"));
    CHECK(with("veth", 0, "veth", 2) == -ENODEV && strstr(err.msg, "eth0 has no veth peer"));
    CHECK(with("veth", 7, "bridge", 2) == -ENODEV && strstr(err.msg, "not in the host's"));
    CHECK(with("veth", 7, "veth", 3) == -ENODEV && strstr(err.msg, "not in the host's"));
}

/* What the kernel refuses says which step it was. */
static void test_refusals(void)
{
    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, -EINVAL, NULL);
    CHECK(find() == -EINVAL);
    CHECK(strcmp(err.msg, "get number of the container's namespace: invalid argument") == 0);
    fake_kernel_close(&fake);

    fake_kernel_open(&fake);
    answer_number(3);
    fake_kernel_ack(&fake, 1, -ENODEV, NULL);
    CHECK(find() == -ENODEV);
    CHECK(strstr(err.msg, "the container's interface: get link eth0: no such device"));
    fake_kernel_close(&fake);

    fake_kernel_open(&fake);
    answer_number(3);
    answer_link(1, 2, 7, "veth");
    fake_kernel_ack(&fake, 2, -ENODEV, NULL);
    CHECK(find() == -ENODEV);
    CHECK(strstr(err.msg, "veth peer of container interface eth0: get link index 7"));
    fake_kernel_close(&fake);

    fake_kernel_open(&fake);
    answer_link(0, 2, 7, "veth"); /* no number */
    CHECK(find() == -EBADMSG);
    fake_kernel_close(&fake);
}

/* A namespace without a number has to be entered, which this one cannot be. */
static void test_without_a_number(void)
{
    fake_kernel_open(&fake);
    answer_number(NETNSA_NSID_NOT_ASSIGNED);
    CHECK(find() == -EBADF);
    fake_kernel_close(&fake);
}

int main(void)
{
    test_what_is_asked();
    test_what_is_no_pair();
    test_refusals();
    test_without_a_number();
    return check_failures != 0;
}
