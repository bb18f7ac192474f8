/*
 * What other implementations leave behind, found and removed on a kernel that the test plays.
 */
#include "check.h"
#include "fake_nft.h"

#include <errno.h>
#include <sys/socket.h>

/* Of another implementation's rules those with the attachment's comment go, by their handles. */
static void test_foreign(void)
{
    struct cnif_foreign foreign = {
        .masq_prefix = "0123-", .iptables_chain = "CNI-x", .spoof_id = "c1-eth0"};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_chain(&fake, 1);
    fake_nft_absent(&fake, 2, 5);
    fake_nft_rule(&fake, 6, 8, "0123-, net: net");
    fake_nft_rule(&fake, 6, 9, "9999-, net: other");
    fake_nft_rule(&fake, 6, 10, "0123-, net: net");
    fake_kernel_done(&fake, 6, 0, 0);
    fake_kernel_ack(&fake, 9, 0, NULL);
    CHECK(cnif_foreign_delete(&fake.sock, &foreign, NULL) == 0);
    CHECK(fake_nft_sent(&fake, "foreign_find"));
    CHECK(fake_nft_sent(&fake, "rule_dump"));
    CHECK(fake_nft_sent(&fake, "foreign_delete"));
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* Chains are emptied and deleted after the rules that lead to them. */
static void test_foreign_chain(void)
{
    struct cnif_foreign foreign = {.spoof_id = "c1-eth0"};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_absent(&fake, 1, 3);
    fake_nft_chain(&fake, 4);
    fake_nft_chain(&fake, 5);
    fake_nft_generation(&fake, 6);
    fake_nft_chain(&fake, 7);
    fake_nft_chain(&fake, 8);
    fake_kernel_done(&fake, 9, 0, 0);
    fake_kernel_ack(&fake, 14, 0, NULL);
    CHECK(cnif_foreign_delete(&fake.sock, &foreign, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) > 0 &&
          fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "foreign_chains"));
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* Of host ports the chain goes by way of those that lead to it, and rules by their whole comment.
 */
static void test_ports(void)
{
    struct cnif_foreign_ports foreign = {.iptables_chain = "CNI-DN-x", .comment = "c1"};
    struct fake_kernel fake;
    unsigned found = 0;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_chain(&fake, 1);
    fake_nft_absent(&fake, 2, 2);
    fake_nft_absent(&fake, 3, 3);
    fake_nft_chain(&fake, 4);
    fake_nft_generation(&fake, 5); /* the chain in ip nat */
    fake_nft_chain(&fake, 6);
    fake_kernel_done(&fake, 7, 0, 0);
    fake_kernel_ack(&fake, 10, 0, NULL);
    fake_nft_rule(&fake, 12, 8, "c1"); /* rules in ip6 cni_hostport */
    fake_nft_rule(&fake, 12, 9, "c11");
    fake_nft_rule(&fake, 12, 10, "c1");
    fake_kernel_done(&fake, 12, 0, 0);
    fake_kernel_ack(&fake, 15, 0, NULL);
    fake_kernel_done(&fake, 17, 0, 0);
    fake_kernel_done(&fake, 18, 0, 0);
    CHECK(cnif_foreign_ports_delete(&fake.sock, &foreign, NULL) == 0);
    CHECK(fake_nft_sent(&fake, "foreign_ports_find"));
    CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "foreign_ports_chain"));
    CHECK(fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "foreign_ports_rules"));
    CHECK(fake_kernel_left(&fake) == 0);

    fake.sock.seq = 0;
    fake_nft_generation(&fake, 0);
    fake_nft_absent(&fake, 1, 1);
    fake_nft_chain(&fake, 2);
    fake_nft_chain(&fake, 3);
    fake_nft_absent(&fake, 4, 4);
    fake_nft_rule(&fake, 5, 8, "c1");
    fake_kernel_done(&fake, 5, 0, 0);
    CHECK(cnif_foreign_ports_find(&fake.sock, &foreign, &found, NULL) == 0);
    CHECK(found == (CNIF_FOREIGN_IP6TABLES | CNIF_FOREIGN_MASQ));
    fake_kernel_close(&fake);
}

/* Where nothing is, one question is all. */
static void test_no_ports(void)
{
    struct cnif_foreign_ports foreign = {.iptables_chain = "CNI-DN-x", .comment = "c1"};
    struct fake_kernel fake;
    unsigned count = 99;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_absent(&fake, 1, 4);
    CHECK(cnif_foreign_ports_delete(&fake.sock, &foreign, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) == 0);
    fake_kernel_ack(&fake, 5, -ENOENT, NULL);
    CHECK(cnif_iptables_jumps(&fake.sock, AF_INET6, "PREROUTING", "CNI-x", &count, NULL) == 0);
    CHECK(count == 0 && fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

int main(void)
{
    test_foreign();
    test_foreign_chain();
    test_ports();
    test_no_ports();
    return check_failures != 0;
}
