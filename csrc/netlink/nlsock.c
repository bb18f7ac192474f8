#include "netlink/nlsock.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "netlink/nlparse.h"
#include "netns/netns.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel's own limit of errno values. */
#define ERRNO_MAX 4095

/* The kernel fills a dump datagram up to what one receive call offers, 32 KiB at most. */
#define RX_SIZE ((size_t)32 * 1024)

static int enable(int fd, int option)
{
    int on = 1;

    return setsockopt(fd, SOL_NETLINK, option, &on, sizeof(on));
}

static int open_here(int protocol, struct cnif_nlsock *sock, struct cnif_err *reterr)
{
    struct sockaddr_nl addr = {.nl_family = AF_NETLINK};
    socklen_t len = sizeof(addr);

    int code = cnif_fault("open netlink socket");

    if (code)
        return cnif_err_errno(reterr, code, "open netlink socket");
    sock->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (sock->fd < 0)
        return cnif_err_errno(reterr, errno, "open netlink socket");
    if (enable(sock->fd, NETLINK_EXT_ACK) < 0 || enable(sock->fd, NETLINK_CAP_ACK) < 0)
        return cnif_err_errno(reterr, errno, "set up netlink socket");
    /* Strict checking is rtnetlink's, since Linux 4.20; without it filters are ignored. */
    if (protocol == NETLINK_ROUTE)
        (void)enable(sock->fd, NETLINK_GET_STRICT_CHK);
    if (bind(sock->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        getsockname(sock->fd, (struct sockaddr *)&addr, &len) < 0)
        return cnif_err_errno(reterr, errno, "bind netlink socket");
    sock->portid = addr.nl_pid;
    return 0;
}

int cnif_nlsock_open(int protocol, int netns_fd, struct cnif_nlsock **ret, struct cnif_err *reterr)
{
    struct cnif_nlsock *sock = calloc(1, sizeof(*sock));
    struct cnif_netns_visit visit;
    int r;

    if (!sock)
        return cnif_err_errno(reterr, ENOMEM, "open netlink socket");
    sock->fd = -1;
    sock->rx_size = RX_SIZE;
    sock->rx = malloc(RX_SIZE);
    if (!sock->rx) {
        cnif_nlsock_close(sock);
        return cnif_err_errno(reterr, ENOMEM, "open netlink socket");
    }
    r = cnif_netns_enter(&visit, netns_fd, reterr);
    if (r == 0) {
        r = open_here(protocol, sock, reterr);
        cnif_netns_leave(&visit);
    }
    if (r < 0) {
        cnif_nlsock_close(sock);
        return r;
    }
    *ret = sock;
    return 0;
}

void cnif_nlsock_close(struct cnif_nlsock *sock)
{
    if (sock) {
        cnif_closep(&sock->fd);
        free(sock->rx);
        free(sock);
    }
}

int cnif_nlmsg_error(const struct nlmsghdr *nlh, char *words, size_t size)
{
    const struct nlattr *attrs[NLMSGERR_ATTR_MAX + 1];
    const int32_t *code = cnif_nlmsg_header(nlh, sizeof(*code));
    size_t header = sizeof(*code);

    if (size)
        words[0] = '\0';
    if (!code || *code > 0 || *code < -ERRNO_MAX)
        return -EBADMSG;
    if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
        return *code;
    if (nlh->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *err = cnif_nlmsg_header(nlh, sizeof(*err));

        if (!err)
            return *code;
        header = sizeof(*err);
        if (!(nlh->nlmsg_flags & NLM_F_CAPPED) && err->msg.nlmsg_len > NLMSG_HDRLEN) {
            if (err->msg.nlmsg_len > nlh->nlmsg_len)
                return *code;
            header += err->msg.nlmsg_len - NLMSG_HDRLEN;
        }
    }
    cnif_nlattr_parse(nlh, header, attrs, NLMSGERR_ATTR_MAX);
    (void)cnif_nlattr_str(attrs[NLMSGERR_ATTR_MSG], words, size);
    return *code;
}

/* " (10.1.0.0/16)" after the object of a message that is about that; "" for others. */
static void name_subject(const struct cnif_ip *ip, char *text, size_t size)
{
    char address[INET6_ADDRSTRLEN];

    text[0] = '\0';
    if (ip->family && inet_ntop(ip->family, ip->bytes, address, sizeof(address)))
        (void)snprintf(text, size, " (%s/%u)", address, ip->prefix);
}

int cnif_nlmsg_failed(const struct cnif_nlbuf *buf, unsigned index, const char *object,
                      const struct nlmsghdr *nlh, struct cnif_err *reterr)
{
    char words[160];
    int code = -cnif_nlmsg_error(nlh, words, sizeof(words));
    char text[64], subject[64];

    (void)cnif_errno_text(code, text, sizeof(text));
    name_subject(&buf->about[index], subject, sizeof(subject));
    if (words[0])
        return cnif_err_set(reterr, code, "%s %s%s: %s (%s)", buf->steps[index], object, subject,
                            text, words);
    return cnif_err_set(reterr, code, "%s %s%s: %s", buf->steps[index], object, subject, text);
}

/* Have the socket take requests of that size. */
static bool make_room(int fd, size_t used)
{
    int size = (int)used;

    /* The kernel doubles what it is given. */
    return used < INT32_MAX / 2 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) == 0;
}

int cnif_nlsock_send(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                     struct cnif_err *reterr)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    bool enlarged = false;
    uint8_t *at = buf->data;
    unsigned index;
    int code;

    if (buf->overflow || !buf->count)
        return cnif_err_set(reterr, EMSGSIZE, "netlink request for %s does not fit its buffer",
                            object);
    code = cnif_fault("send netlink request");
    if (code)
        return cnif_err_errno(reterr, code, "send netlink request for %s", object);
    for (index = 0; index < buf->count; index++) {
        struct nlmsghdr *nlh = (struct nlmsghdr *)(void *)at;

        nlh->nlmsg_seq = sock->seq + index;
        at += NLMSG_ALIGN(nlh->nlmsg_len);
    }
    while (sendto(sock->fd, buf->data, buf->used, 0, (struct sockaddr *)&kernel, sizeof(kernel)) <
           0) {
        code = errno;
        if (code == EMSGSIZE && !enlarged && make_room(sock->fd, buf->used))
            enlarged = true;
        else if (code != EINTR)
            return cnif_err_errno(reterr, code, "send netlink request for %s", object);
    }
    sock->seq += buf->count;
    return 0;
}

int cnif_nlsock_recv(struct cnif_nlsock *sock, int flags, const char *object,
                     struct cnif_err *reterr)
{
    for (;;) {
        struct sockaddr_nl from = {0};
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(sock->fd, sock->rx, sock->rx_size, flags | MSG_TRUNC,
                             (struct sockaddr *)&from, &len);

        if (n >= 0 && from.nl_pid != 0)
            continue; /* not from the kernel */
        if (n > (ssize_t)sock->rx_size)
            return cnif_err_set(reterr, EMSGSIZE, "netlink answer for %s has %zd bytes", object, n);
        if (n >= 0)
            return (int)n;
        if (errno == EAGAIN)
            return -EAGAIN;
        if (errno != EINTR)
            return cnif_err_errno(reterr, errno, "receive netlink answer for %s", object);
    }
}

/* What a transaction still waits for. */
struct talk {
    struct cnif_nlbuf *buf;
    const char *object;
    struct cnif_err *reterr;
    unsigned failed; /* index of the first failure; count while there is none */
    int result;
    uint64_t pending; /* one bit per message */
    uint64_t acked;   /* messages that ask for an acknowledgement */
};

_Static_assert(CNIF_NLBUF_MESSAGES <= 64, "one bit per message");

static void talk_init(struct talk *talk)
{
    const uint8_t *at = talk->buf->data;
    unsigned index;

    for (index = 0; index < talk->buf->count; index++) {
        const struct nlmsghdr *nlh = (const struct nlmsghdr *)(const void *)at;

        talk->pending |= UINT64_C(1) << index;
        if (nlh->nlmsg_flags & NLM_F_ACK)
            talk->acked |= UINT64_C(1) << index;
        at += NLMSG_ALIGN(nlh->nlmsg_len);
    }
}

static void talk_message(struct talk *talk, const struct nlmsghdr *nlh, unsigned index,
                         cnif_nlsock_reply reply, void *arg)
{
    uint64_t bit = UINT64_C(1) << index;
    int r;

    if (nlh->nlmsg_type == NLMSG_ERROR) {
        int code = cnif_nlmsg_error(nlh, NULL, 0);

        if (code != 0)
            talk->buf->refused |= bit;
        if (talk->buf->refused & bit && index < talk->failed) {
            talk->result = cnif_nlmsg_failed(talk->buf, index, talk->object, nlh, talk->reterr);
            talk->failed = index;
        }
        talk->pending &= ~bit;
        /* To whom nothing is allowed netfilter answers once, whatever else was sent. */
        if (index == 0 && code == -EPERM)
            talk->pending = 0;
        return;
    }
    r = reply ? reply(nlh, index, arg) : 0;
    if (r < 0 && index < talk->failed) {
        talk->result = cnif_err_errno(talk->reterr, -r, "%s %s: read answer",
                                      talk->buf->steps[index], talk->object);
        talk->failed = index;
    }
    if (!(talk->acked & bit))
        talk->pending &= ~bit;
}

int cnif_nlsock_talk(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                     cnif_nlsock_reply reply, void *arg, unsigned *ret_failed,
                     struct cnif_err *reterr)
{
    struct talk talk = {.buf = buf, .object = object, .reterr = reterr, .failed = buf->count};
    uint32_t first = sock->seq;
    int r = cnif_nlsock_send(sock, buf, object, reterr);

    if (r < 0)
        return r;
    r = -cnif_fault("receive netlink answer");
    if (r < 0)
        return cnif_err_errno(reterr, -r, "receive netlink answer for %s", object);
    talk_init(&talk);
    while (talk.pending) {
        const struct nlmsghdr *nlh;
        int n = cnif_nlsock_recv(sock, 0, object, reterr);

        if (n < 0)
            return n;
        for (nlh = cnif_nlmsg_first(sock->rx, (size_t)n); nlh;
             nlh = cnif_nlmsg_next(nlh, sock->rx + n)) {
            unsigned index = nlh->nlmsg_seq - first;

            /* Anything else is left over from a request that was given up. */
            if (index < buf->count && nlh->nlmsg_pid == sock->portid)
                talk_message(&talk, nlh, index, reply, arg);
        }
    }
    if (talk.result < 0 && ret_failed)
        *ret_failed = talk.failed;
    return talk.result;
}

int cnif_nlsock_dump(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                     cnif_nlsock_reply reply, void *arg, struct cnif_err *reterr)
{
    uint32_t seq = sock->seq;
    bool interrupted = false;
    int result = 0;
    int r = cnif_nlsock_send(sock, buf, object, reterr);

    if (r < 0)
        return r;
    for (;;) {
        const struct nlmsghdr *nlh;
        int n = cnif_nlsock_recv(sock, 0, object, reterr);

        if (n < 0)
            return n;
        for (nlh = cnif_nlmsg_first(sock->rx, (size_t)n); nlh;
             nlh = cnif_nlmsg_next(nlh, sock->rx + n)) {
            if (nlh->nlmsg_seq != seq || nlh->nlmsg_pid != sock->portid)
                continue;
            if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
                interrupted = true;
            if (nlh->nlmsg_type != NLMSG_DONE && nlh->nlmsg_type != NLMSG_ERROR) {
                if (reply && result == 0)
                    result = reply(nlh, 0, arg);
                continue;
            }
            if (cnif_nlmsg_error(nlh, NULL, 0) < 0)
                return cnif_nlmsg_failed(buf, 0, object, nlh, reterr);
            if (result < 0)
                return cnif_err_errno(reterr, -result, "%s %s: read answer", buf->steps[0], object);
            if (interrupted)
                return cnif_err_set(reterr, EAGAIN, "%s %s: interrupted by a change", buf->steps[0],
                                    object);
            return 0;
        }
    }
}
