/*
 * Transactions and dumps against a kernel that the test plays: which step failed and why, what is
 * left over from earlier, what is interrupted.
 */
#include "check.h"
#include "fake_kernel.h"
#include "netlink/nlparse.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* A transaction of messages, each with this flag, under the steps "first", "second" and "third". */
static void write_messages(struct cnif_nlbuf *buf, void *data, size_t size, unsigned count,
                           uint16_t flags)
{
    static const char *const steps[] = {"first", "second", "third"};
    unsigned i;

    cnif_nlbuf_init(buf, data, size);
    for (i = 0; i < count; i++) {
        (void)cnif_nlmsg_begin(buf, RTM_GETLINK, flags, sizeof(struct ifinfomsg), steps[i]);
        cnif_nlmsg_end(buf);
    }
}

/* Queue a link with this index as an answer. */
static void answer_link(struct fake_kernel *fake, uint32_t seq, int32_t index, uint16_t flags)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct ifinfomsg *ifi;
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    ifi = cnif_nlmsg_begin(&buf, RTM_NEWLINK, flags, sizeof(*ifi), "link");
    ifi->ifi_index = index;
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(fake, &buf, seq);
}

/* What a reply callback has seen: "MESSAGE:INDEX " for each link, and what it shall return. */
struct seen {
    char text[128];
    int result;
};

static int note(const struct nlmsghdr *nlh, unsigned index, void *arg)
{
    const struct ifinfomsg *ifi = cnif_nlmsg_header(nlh, sizeof(*ifi));
    struct seen *seen = arg;
    size_t n = strlen(seen->text);

    (void)snprintf(seen->text + n, sizeof(seen->text) - n, "%u:%d ", index,
                   ifi ? ifi->ifi_index : -1);
    return seen->result;
}

/* All messages go out in one datagram with rising numbers, and each is acknowledged. */
static void test_transaction(void)
{
    uint8_t data[128] __attribute__((aligned(8)));
    struct fake_kernel fake;
    const struct nlmsghdr *nlh;
    struct cnif_nlbuf buf;
    uint32_t seq;

    fake_kernel_open(&fake);
    fake.sock.seq = UINT32_MAX - 1; /* the numbers wrap within it */
    write_messages(&buf, data, sizeof(data), 3, NLM_F_ACK);
    for (seq = 0; seq < 3; seq++)
        fake_kernel_ack(&fake, UINT32_MAX - 1 + seq, 0, NULL);
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "x", NULL, NULL, NULL, NULL) == 0);
    CHECK(fake.sock.seq == 1 && buf.refused == 0);

    CHECK(fake_kernel_request(&fake) == 96);
    nlh = cnif_nlmsg_first(fake.request, fake.size);
    for (seq = 0; nlh; seq++, nlh = cnif_nlmsg_next(nlh, fake.request + fake.size))
        CHECK(nlh->nlmsg_seq == UINT32_MAX - 1 + seq);
    CHECK(seq == 3);
    CHECK(fake_kernel_request(&fake) == 0);
    fake_kernel_close(&fake);
}

/* The first message that failed is reported, by step, object and the kernel's words; all are known.
 */
static void test_failed_step(void)
{
    uint8_t data[128] __attribute__((aligned(8)));
    struct cnif_err err = {0};
    struct fake_kernel fake;
    struct cnif_nlbuf buf;
    unsigned failed = 99;

    fake_kernel_open(&fake);
    write_messages(&buf, data, sizeof(data), 3, NLM_F_ACK);
    fake_kernel_ack(&fake, 0, 0, NULL);
    fake_kernel_ack(&fake, 1, -EEXIST, "name is taken");
    fake_kernel_ack(&fake, 2, -ENODEV, NULL);
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "eth0", NULL, NULL, &failed, &err) == -EEXIST);
    CHECK(failed == 1 && err.code == EEXIST && buf.refused == 6);
    CHECK(strcmp(err.msg, "second eth0: file exists (name is taken)") == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* The order in which answers arrive does not matter. */
static void test_failures_out_of_order(void)
{
    uint8_t data[128] __attribute__((aligned(8)));
    struct cnif_err err = {0};
    struct fake_kernel fake;
    struct cnif_nlbuf buf;
    unsigned failed = 99;

    fake_kernel_open(&fake);
    write_messages(&buf, data, sizeof(data), 3, NLM_F_ACK);
    fake_kernel_ack(&fake, 2, -ENODEV, "third");
    fake_kernel_ack(&fake, 0, -EPERM, NULL);
    fake_kernel_ack(&fake, 1, -EEXIST, "second");
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "eth0", NULL, NULL, &failed, &err) == -EPERM);
    CHECK(failed == 0 && err.code == EPERM);
    CHECK(strcmp(err.msg, "first eth0: operation not permitted") == 0);
    fake_kernel_close(&fake);
}

/* Without a place for it neither index nor message is given. */
static void test_failure_without_interest(void)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct fake_kernel fake;
    struct cnif_nlbuf buf;

    fake_kernel_open(&fake);
    write_messages(&buf, data, sizeof(data), 1, NLM_F_ACK);
    fake_kernel_ack(&fake, 0, -EPERM, NULL);
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "eth0", NULL, NULL, NULL, NULL) == -EPERM);
    fake_kernel_close(&fake);
}

/* A code without a name of its own is an error all the same. */
static void test_unknown_code(void)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct cnif_err err = {0};
    struct fake_kernel fake;
    struct cnif_nlbuf buf;

    fake_kernel_open(&fake);
    write_messages(&buf, data, sizeof(data), 1, NLM_F_ACK);
    fake_kernel_ack(&fake, 0, -524, NULL);
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "eth0", NULL, NULL, NULL, &err) == -524);
    CHECK(strcmp(err.msg, "first eth0: unknown error") == 0);
    fake_kernel_close(&fake);
}

/* Answers go to the callback with the index of their question; an echo does not end its message. */
static void test_answers(void)
{
    uint8_t data[128] __attribute__((aligned(8)));
    struct seen seen = {0};
    struct fake_kernel fake;
    struct cnif_nlbuf buf;

    fake_kernel_open(&fake);
    write_messages(&buf, data, sizeof(data), 1, NLM_F_ACK);
    (void)cnif_nlmsg_begin(&buf, RTM_GETLINK, 0, sizeof(struct ifinfomsg), "question");
    cnif_nlmsg_end(&buf);
    answer_link(&fake, 0, 40, 0);
    answer_link(&fake, 1, 50, 0);
    fake_kernel_ack(&fake, 0, 0, NULL);
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "x", note, &seen, NULL, NULL) == 0);
    CHECK(strcmp(seen.text, "0:40 1:50 ") == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* What answers an older request, or somebody else's, is passed over. */
static void test_left_over_answers(void)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct seen seen = {0};
    struct fake_kernel fake;
    struct cnif_nlbuf buf;

    fake_kernel_open(&fake);
    fake.sock.seq = 10;
    fake_kernel_ack(&fake, 9, -EEXIST, "older");
    answer_link(&fake, 9, 1, 0);
    fake.sock.portid = FAKE_PORTID + 1;
    answer_link(&fake, 10, 2, 0); /* our number, another socket's */
    fake_kernel_datagram(&fake, "short", 5);
    write_messages(&buf, data, sizeof(data), 1, 0);
    fake_kernel_ack(&fake, 11, -EPERM, "newer");
    fake.sock.portid = FAKE_PORTID;
    answer_link(&fake, 10, 3, 0);
    fake.sock.portid = FAKE_PORTID;
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "x", note, &seen, NULL, NULL) == 0);
    CHECK(strcmp(seen.text, "0:2 ") == 0);
    fake_kernel_close(&fake);
}

/* An answer that the callback cannot use fails its step, after everything was received. */
static void test_unusable_answer(void)
{
    uint8_t data[128] __attribute__((aligned(8)));
    struct seen seen = {.result = -EBADMSG};
    struct cnif_err err = {0};
    struct fake_kernel fake;
    struct cnif_nlbuf buf;

    fake_kernel_open(&fake);
    write_messages(&buf, data, sizeof(data), 2, 0);
    answer_link(&fake, 0, 1, 0);
    fake_kernel_ack(&fake, 1, -EPERM, NULL);
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "eth0", note, &seen, NULL, &err) == -EBADMSG);
    CHECK(strcmp(err.msg, "first eth0: read answer: bad message") == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

/* A request that did not fit its buffer, or is empty, is not sent. */
static void test_requests_that_cannot_be_sent(void)
{
    uint8_t data[40] __attribute__((aligned(8)));
    struct cnif_err err = {0};
    struct fake_kernel fake;
    struct cnif_nlbuf buf;

    fake_kernel_open(&fake);
    write_messages(&buf, data, sizeof(data), 2, NLM_F_ACK);
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "eth0", NULL, NULL, NULL, &err) == -EMSGSIZE);
    CHECK(strcmp(err.msg, "netlink request for eth0 does not fit its buffer") == 0);
    cnif_nlbuf_reset(&buf);
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "eth0", NULL, NULL, NULL, &err) == -EMSGSIZE);
    CHECK(cnif_nlsock_dump(&fake.sock, &buf, "eth0", NULL, NULL, &err) == -EMSGSIZE);
    CHECK(fake_kernel_request(&fake) == 0 && fake.sock.seq == 0);
    fake_kernel_close(&fake);
}

/* An answer larger than the receive buffer is an error, not half an answer. */
static void test_answer_too_large(void)
{
    uint8_t data[64] __attribute__((aligned(8))), large[9000] = {0};
    struct cnif_err err = {0};
    struct fake_kernel fake;
    struct cnif_nlbuf buf;

    fake_kernel_open(&fake);
    write_messages(&buf, data, sizeof(data), 1, NLM_F_ACK);
    fake_kernel_datagram(&fake, large, sizeof(large));
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "eth0", NULL, NULL, NULL, &err) == -EMSGSIZE);
    CHECK(strcmp(err.msg, "netlink answer for eth0 has 9000 bytes") == 0);
    fake_kernel_close(&fake);
}

static struct fake_kernel *alarmed;
static volatile sig_atomic_t alarms;

/* The first alarm only interrupts, the second one answers. */
static void on_alarm(int number)
{
    (void)number;
    if (++alarms == 2)
        fake_kernel_ack(alarmed, 0, 0, NULL);
}

/* A signal in the middle of waiting does not end the wait. */
static void test_signal_while_waiting(void)
{
    const struct itimerval soon = {.it_interval = {.tv_usec = 10000},
                                   .it_value = {.tv_usec = 10000}};
    uint8_t data[64] __attribute__((aligned(8)));
    struct fake_kernel fake;
    struct cnif_nlbuf buf;

    fake_kernel_open(&fake);
    alarmed = &fake;
    alarms = 0;
    (void)sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
    (void)setitimer(ITIMER_REAL, &soon, NULL);
    write_messages(&buf, data, sizeof(data), 1, NLM_F_ACK);
    CHECK(cnif_nlsock_talk(&fake.sock, &buf, "x", NULL, NULL, NULL, NULL) == 0);
    (void)setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    CHECK(alarms >= 2);
    fake_kernel_close(&fake);
}

/* Asked not to wait, receiving tells that there is nothing, without a message. */
static void test_nothing_to_receive(void)
{
    struct cnif_err err = {0};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    CHECK(cnif_nlsock_recv(&fake.sock, MSG_DONTWAIT, "x", &err) == -EAGAIN);
    CHECK(err.code == 0 && err.msg[0] == '\0');
    fake_kernel_close(&fake);
}

static int dump(struct fake_kernel *fake, struct seen *seen, struct cnif_err *err)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    write_messages(&buf, data, sizeof(data), 1, NLM_F_DUMP);
    return cnif_nlsock_dump(&fake->sock, &buf, "links", note, seen, err);
}

/* A dump goes on over several datagrams until its end. */
static void test_dump(void)
{
    struct seen seen = {0};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, UINT32_MAX, -EPERM, "older");
    answer_link(&fake, 0, 1, NLM_F_MULTI);
    answer_link(&fake, 0, 2, NLM_F_MULTI);
    fake_kernel_done(&fake, 0, 0, 0);
    CHECK(dump(&fake, &seen, NULL) == 0);
    CHECK(strcmp(seen.text, "0:1 0:2 ") == 0);
    CHECK(fake_kernel_left(&fake) == 0);

    seen = (struct seen){0};
    fake_kernel_done(&fake, 1, 0, 0);
    CHECK(dump(&fake, &seen, NULL) == 0);
    CHECK(strcmp(seen.text, "") == 0);
    fake_kernel_close(&fake);
}

/* A dump that a change interrupted is read to its end and then refused. */
static void test_interrupted_dump(void)
{
    struct cnif_err err = {0};
    struct seen seen = {0};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    answer_link(&fake, 0, 1, NLM_F_MULTI | NLM_F_DUMP_INTR);
    answer_link(&fake, 0, 2, NLM_F_MULTI);
    fake_kernel_done(&fake, 0, 0, 0);
    CHECK(dump(&fake, &seen, &err) == -EAGAIN);
    CHECK(strcmp(err.msg, "first links: interrupted by a change") == 0);
    CHECK(fake_kernel_left(&fake) == 0);

    fake_kernel_done(&fake, 1, 0, NLM_F_DUMP_INTR);
    CHECK(dump(&fake, &seen, NULL) == -EAGAIN);
    fake_kernel_close(&fake);
}

/* A dump that the kernel refuses, at its start or at its end, has its words. */
static void test_refused_dump(void)
{
    struct cnif_err err = {0};
    struct seen seen = {0};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    fake_kernel_ack(&fake, 0, -EINVAL, "bad filter");
    CHECK(dump(&fake, &seen, &err) == -EINVAL);
    CHECK(strcmp(err.msg, "first links: invalid argument (bad filter)") == 0);
    answer_link(&fake, 1, 1, NLM_F_MULTI);
    fake_kernel_done(&fake, 1, -ENOBUFS, 0);
    CHECK(dump(&fake, &seen, &err) == -ENOBUFS);
    CHECK(strcmp(err.msg, "first links: no buffer space available") == 0);
    fake_kernel_close(&fake);
}

/* A dump whose entries cannot be used is read to its end, so that the next one starts clean. */
static void test_unusable_dump(void)
{
    struct seen seen = {.result = -ENOMEM};
    struct cnif_err err = {0};
    struct fake_kernel fake;

    fake_kernel_open(&fake);
    answer_link(&fake, 0, 1, NLM_F_MULTI);
    answer_link(&fake, 0, 2, NLM_F_MULTI);
    fake_kernel_done(&fake, 0, 0, 0);
    CHECK(dump(&fake, &seen, &err) == -ENOMEM);
    CHECK(strcmp(seen.text, "0:1 ") == 0);
    CHECK(strcmp(err.msg, "first links: read answer: cannot allocate memory") == 0);
    CHECK(fake_kernel_left(&fake) == 0);
    fake_kernel_close(&fake);
}

int main(void)
{
    test_transaction();
    test_failed_step();
    test_failures_out_of_order();
    test_failure_without_interest();
    test_unknown_code();
    test_answers();
    test_left_over_answers();
    test_unusable_answer();
    test_requests_that_cannot_be_sent();
    test_answer_too_large();
    test_signal_while_waiting();
    test_nothing_to_receive();
    test_dump();
    test_interrupted_dump();
    test_refused_dump();
    test_unusable_dump();
    return check_failures != 0;
}
