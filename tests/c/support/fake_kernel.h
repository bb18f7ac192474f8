/*
 * A netlink socket whose kernel is the test: answers are queued beforehand, and what was sent is
 * looked at afterwards.  No root, no threads.
 *
 * Underneath is a pair of SOCK_SEQPACKET sockets, which ignore the address a request is sent to.
 */
#ifndef CNIF_TESTS_FAKE_KERNEL_H
#define CNIF_TESTS_FAKE_KERNEL_H

#include "netlink/nlbuf.h"
#include "netlink/nlsock.h"

#define FAKE_PORTID 4711u

struct fake_kernel {
    struct cnif_nlsock sock; /* what the code under test uses */
    int fd;
    size_t size; /* of the last request */
    uint8_t request[16384] __attribute__((aligned(8)));
    char types[256]; /* of its messages */
};

void fake_kernel_open(struct fake_kernel *fake);
void fake_kernel_close(struct fake_kernel *fake);

/* Queue a datagram as it is. */
void fake_kernel_datagram(struct fake_kernel *fake, const void *data, size_t size);
/* Queue the messages of `buf`, all as answers to request number `seq`. */
void fake_kernel_answer(struct fake_kernel *fake, const struct cnif_nlbuf *buf, uint32_t seq);
/* Queue an acknowledgement of request number `seq`: `code` 0 or a negative errno, words or NULL. */
void fake_kernel_ack(struct fake_kernel *fake, uint32_t seq, int code, const char *words);
/* Queue the end of a dump. */
void fake_kernel_done(struct fake_kernel *fake, uint32_t seq, int code, uint16_t flags);

/* Receive what was sent into fake->request; its size, 0 if there is nothing. */
size_t fake_kernel_request(struct fake_kernel *fake);
/* The type of each message of the last request, as a text of decimal numbers: " 24 25". */
const char *fake_kernel_types(struct fake_kernel *fake);
/* How many datagrams nobody has received yet. */
unsigned fake_kernel_left(struct fake_kernel *fake);

#endif
