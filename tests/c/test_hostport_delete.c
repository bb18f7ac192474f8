/*
 * Deleting and listing host ports on a kernel that the test plays: what is known is deleted at
 * once, what is not is looked for, and what is somebody else's stays.
 */
#include "check.h"
#include "hostport_fixture.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

static const struct cnif_hostport twice[] = {{IPPROTO_TCP, 8080, 80, {0}},
                                             {IPPROTO_UDP, 53, 53, {AF_INET, 32, {0}}}};

/* One look, one batch: the ports, what is masqueraded for them, the attachment. */
static void test_delete(void)
{
    struct cnif_hostports had = want(twice, 2);
    struct cnif_hostport_entry *removed = NULL;
    struct fake_kernel fake;
    size_t count = 0;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_set(&fake, 1, "attachments", 16);
    answer_attachment(&fake, 2, "2/13/16/0 c1 eth0 net");
    fake_nft_set(&fake, 3, "hostports4", 8);
    answer_mapped(&fake, 4, key_tcp, "c1 eth0 net");
    answer_mapped(&fake, 5, key_udp, "c1 eth0 net");
    fake_nft_absent(&fake, 6, 7);
    fake_kernel_ack(&fake, 12, 0, NULL);
    CHECK(cnif_hostport_delete(&fake.sock, &had, &owner, &removed, &count, NULL) == 0);
    CHECK(fake_kernel_request(&fake) > 0);
    CHECK(fake_nft_sent(&fake, "hostport_delete"));
    CHECK(fake_kernel_left(&fake) == 0);
    CHECK(count == 2 && removed[1].port.protocol == IPPROTO_UDP && removed[1].port.host_port == 53);
    cnif_free(removed);
    fake_kernel_close(&fake);
}

/* Without the owner's attachment or ports nothing is deleted, nor read. */
static void test_delete_spares_others(void)
{
    static const char *const comments[] = {"2/13/16/0 c1 eth0 ne",  "2/13/16/0 c1 eth0 net2",
                                           "2/13/16 c1 eth0 net",   "c1 eth0 net",
                                           "2/99/16/0 c1 eth0 net", NULL};
    struct cnif_hostports had = want(&tcp, 1);
    size_t i;

    for (i = 0; i < sizeof(comments) / sizeof(comments[0]); i++) {
        struct cnif_hostport_entry *removed = NULL;
        struct fake_kernel fake;
        size_t count = 99;

        fake_kernel_open(&fake);
        fake_nft_generation(&fake, 0);
        fake_nft_set(&fake, 1, "attachments", 16);
        answer_attachment(&fake, 2, comments[i]);
        fake_nft_set(&fake, 3, "hostports4", 8);
        answer_mapped(&fake, 4, key_tcp, "c1 eth0 net2");
        fake_nft_absent(&fake, 5, 6);
        CHECK(cnif_hostport_delete(&fake.sock, &had, &owner, &removed, &count, NULL) == 0);
        CHECK(fake_kernel_request(&fake) > 0 && fake_kernel_request(&fake) == 0);
        CHECK(count == 0);
        cnif_free(removed);
        fake_kernel_close(&fake);
    }
}

/* Where more is recorded than is known, all sets are read, and what is the owner's goes. */
static void test_delete_what_is_not_known(void)
{
    struct cnif_hostport_entry *removed = NULL;
    struct fake_kernel fake;
    size_t count = 0;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_set(&fake, 1, "attachments", 16);
    answer_attachment(&fake, 2, "1/-1/16/0 c1 eth0 net");
    fake_nft_set(&fake, 3, "attachments", 16);
    fake_nft_set(&fake, 3, "hostports4", 8);
    fake_kernel_done(&fake, 3, 0, 0);
    answer_mapped(&fake, 4, key_udp, "c2 eth0 net");
    answer_mapped(&fake, 4, key_tcp, "c1 eth0 net");
    fake_kernel_done(&fake, 4, 0, NLM_F_DUMP_INTR);
    answer_mapped(&fake, 5, key_tcp, "c1 eth0 net");
    fake_kernel_done(&fake, 5, 0, 0);
    fake_nft_generation(&fake, 6);
    fake_nft_set(&fake, 7, "hostports4", 8);
    answer_mapped(&fake, 8, key_tcp, "c1 eth0 net");
    answer_mapped(&fake, 9, key_tcp, "c1 eth0 net"); /* the dump was started over */
    fake_kernel_ack(&fake, 11, 0, NULL);
    fake_nft_generation(&fake, 13);
    fake_nft_set(&fake, 14, "attachments", 16);
    answer_attachment(&fake, 15, "1/-1/16/0 c1 eth0 net");
    fake_kernel_ack(&fake, 17, 0, NULL);
    CHECK(cnif_hostport_delete(&fake.sock, NULL, &owner, &removed, &count, NULL) == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    CHECK(count == 2 && removed[0].port.host_port == 8080);
    cnif_free(removed);
    fake_kernel_close(&fake);
}

/* A batch that the kernel refuses although nothing has changed leads to the same. */
static void test_delete_after_tampering(void)
{
    struct cnif_hostports had = want(&tcp, 1);
    struct cnif_hostport_entry *removed = NULL;
    struct fake_kernel fake;
    size_t count = 0;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_set(&fake, 1, "attachments", 16);
    answer_attachment(&fake, 2, "1/13/16/0 c1 eth0 net");
    fake_nft_set(&fake, 3, "hostports4", 8);
    answer_mapped(&fake, 4, key_tcp, "c1 eth0 net");
    fake_nft_absent(&fake, 5, 6);
    fake_kernel_ack(&fake, 9, -ENOENT, NULL);
    fake_kernel_ack(&fake, 11, 0, NULL);
    fake_kernel_done(&fake, 13, 0, 0); /* no sets at all by now */
    fake_nft_generation(&fake, 14);
    fake_nft_absent(&fake, 15, 16);
    CHECK(cnif_hostport_delete(&fake.sock, &had, &owner, &removed, &count, NULL) == 0);
    CHECK(fake_kernel_left(&fake) == 0 && count == 0);
    cnif_free(removed);
    fake_kernel_close(&fake);
}

/* What was seen in two generations is not acted on; it is looked at again. */
static void test_delete_between_changes(void)
{
    static const struct cnif_hostport four[] = {{IPPROTO_TCP, 8080, 80, {0}},
                                                {IPPROTO_TCP, 2, 80, {0}},
                                                {IPPROTO_TCP, 3, 80, {0}},
                                                {IPPROTO_TCP, 4, 80, {0}}};
    struct cnif_hostports had = want(four, 4);
    struct cnif_hostport_entry *removed = NULL;
    struct fake_kernel fake;
    size_t count = 99;

    fake_kernel_open(&fake);
    fake_nft_generation(&fake, 0);
    fake_nft_set(&fake, 1, "attachments", 16);
    answer_attachment(&fake, 2, "1/-1/16/0 c1 eth0 net");
    fake_nft_set(&fake, 3, "hostports4", 8);
    answer_mapped(&fake, 4, key_tcp, "c1 eth0 net");
    fake_nft_absent(&fake, 5, 11);
    fake_nft_generation_of(&fake, 12, FAKE_NFT_GENID + 1);
    fake_nft_absent(&fake, 13, 14);
    fake_nft_generation(&fake, 15);
    fake_nft_absent(&fake, 16, 26);
    fake_nft_generation(&fake, 27);
    fake_nft_absent(&fake, 28, 29);
    CHECK(cnif_hostport_delete(&fake.sock, &had, &owner, &removed, &count, NULL) == 0);
    while (fake_kernel_request(&fake))
        CHECK(fake.request[5] == NFNL_SUBSYS_NFTABLES); /* not a batch */
    CHECK(fake_kernel_left(&fake) == 0 && count == 0);
    cnif_free(removed);
    fake_kernel_close(&fake);
}

/* All that is there, attachments with their links first. */
static void test_list(void)
{
    struct cnif_hostport_entry *entries = NULL;
    struct fake_kernel fake;
    size_t count = 0;

    fake_kernel_open(&fake);
    fake_nft_set(&fake, 0, "attachments", 16);
    fake_nft_set(&fake, 0, "masq-hostports4-16-13", 12);
    fake_nft_set(&fake, 0, "hostports4", 8);
    fake_nft_set(&fake, 0, "hostports5", 8);
    fake_kernel_done(&fake, 0, 0, 0);
    answer_attachment(&fake, 1, "1/13/16/0 c1 eth0 net");
    answer_attachment(&fake, 1, "somebody's own");
    fake_kernel_done(&fake, 1, 0, 0);
    answer_mapped(&fake, 2, key_tcp, "c1 eth0 net");
    fake_kernel_done(&fake, 2, 0, 0);
    answer_mapped(&fake, 3, key_tcp, "c1 eth0 net");
    fake_kernel_done(&fake, 3, 0, 0);
    answer_mapped(&fake, 4, key_udp, "c1 eth0 net");
    fake_kernel_done(&fake, 4, 0, 0);
    CHECK(cnif_hostport_list(&fake.sock, &entries, &count, NULL) == 0);
    CHECK(count == 2 && !entries[0].port.protocol && strcmp(entries[0].link, "veth1") == 0);
    CHECK(count == 2 && entries[1].port.host_port == 8080 && entries[1].pod.family == AF_INET);
    CHECK(count == 2 && strcmp(entries[0].owner, "c1 eth0 net") == 0 &&
          strcmp(entries[1].owner, "c1 eth0 net") == 0);
    cnif_free(entries);
    fake_kernel_close(&fake);
}

int main(void)
{
    test_delete();
    test_delete_spares_others();
    test_delete_what_is_not_known();
    test_delete_after_tampering();
    test_delete_between_changes();
    test_list();
    return check_failures != 0;
}
