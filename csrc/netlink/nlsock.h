/*
 * A netlink socket and the three ways to use it: a transaction (many requests,
 * one send, every acknowledgement attributed to its step), a dump, and
 * receiving notifications.
 *
 * The socket owns its receive buffer; a handle serves one thread at a time.
 */
#ifndef CNIF_NETLINK_NLSOCK_H
#define CNIF_NETLINK_NLSOCK_H

#include "cnifast.h"
#include "netlink/nlbuf.h"

struct nlmsghdr;

struct cnif_nlsock {
    int fd;
    uint32_t seq;
    uint32_t portid;
    size_t rx_size;
    uint8_t *rx;
};

/* Called for each message that is not an acknowledgement; a negative errno is an error. */
typedef int (*cnif_nlsock_reply)(const struct nlmsghdr *nlh, unsigned index, void *arg);

/*
 * Send all messages of `buf` at once and wait until each that asked for it
 * (NLM_F_ACK) is acknowledged or, for requests without it, answered.  The
 * error is that of the first message that failed; *ret_failed (may be NULL)
 * is its index, buf->refused has all that the kernel refused.  `object` names
 * what the transaction works on.
 */
int cnif_nlsock_talk(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                     cnif_nlsock_reply reply, void *arg, unsigned *ret_failed,
                     struct cnif_err *reterr);

/*
 * Run the one NLM_F_DUMP request in `buf` to its end.  -EAGAIN: the dump was
 * interrupted by a change (NLM_F_DUMP_INTR); start over.
 */
int cnif_nlsock_dump(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                     cnif_nlsock_reply reply, void *arg, struct cnif_err *reterr);

/* Give the messages of `buf` their sequence numbers and send them. */
int cnif_nlsock_send(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                     struct cnif_err *reterr);

/*
 * Receive one datagram from the kernel into sock->rx; its size, or a negative
 * errno: -EAGAIN if flags has MSG_DONTWAIT and nothing is there.
 */
int cnif_nlsock_recv(struct cnif_nlsock *sock, int flags, const char *object,
                     struct cnif_err *reterr);

/* The (negative) errno value in an NLMSG_ERROR or NLMSG_DONE message, and the kernel's words. */
int cnif_nlmsg_error(const struct nlmsghdr *nlh, char *words, size_t size);

/* Make the error of message `index` out of the NLMSG_ERROR or NLMSG_DONE that answers it. */
int cnif_nlmsg_failed(const struct cnif_nlbuf *buf, unsigned index, const char *object,
                      const struct nlmsghdr *nlh, struct cnif_err *reterr);

#endif
