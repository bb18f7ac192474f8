#include "fake_kernel.h"

#include "netlink/nlparse.h"

#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RX_SIZE 8192

void fake_kernel_open(struct fake_kernel *fake)
{
    int fds[2];

    memset(fake, 0, sizeof(*fake));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        abort();
    fake->sock.fd = fds[0];
    fake->sock.portid = FAKE_PORTID;
    fake->sock.rx_size = RX_SIZE;
    fake->sock.rx = malloc(RX_SIZE);
    if (!fake->sock.rx)
        abort();
    fake->fd = fds[1];
}

void fake_kernel_close(struct fake_kernel *fake)
{
    (void)close(fake->sock.fd);
    (void)close(fake->fd);
    free(fake->sock.rx);
}

void fake_kernel_datagram(struct fake_kernel *fake, const void *data, size_t size)
{
    if (send(fake->fd, data, size, MSG_DONTWAIT) != (ssize_t)size)
        abort();
}

void fake_kernel_answer(struct fake_kernel *fake, const struct cnif_nlbuf *buf, uint32_t seq)
{
    size_t at;

    for (at = 0; at < buf->used;) {
        struct nlmsghdr *nlh = (struct nlmsghdr *)(void *)(buf->data + at);

        nlh->nlmsg_flags &= (uint16_t)~NLM_F_REQUEST;
        nlh->nlmsg_seq = seq;
        nlh->nlmsg_pid = FAKE_PORTID;
        at += NLMSG_ALIGN(nlh->nlmsg_len);
    }
    fake_kernel_datagram(fake, buf->data, buf->used);
}

void fake_kernel_ack(struct fake_kernel *fake, uint32_t seq, int code, const char *words)
{
    uint8_t data[256] __attribute__((aligned(8)));
    struct nlmsgerr *err;
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    err =
        cnif_nlmsg_begin(&buf, NLMSG_ERROR, (uint16_t)(NLM_F_CAPPED | (words ? NLM_F_ACK_TLVS : 0)),
                         sizeof(*err), "acknowledge");
    err->error = code;
    if (words)
        cnif_nlattr_put_str(&buf, NLMSGERR_ATTR_MSG, words);
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(fake, &buf, seq);
}

void fake_kernel_done(struct fake_kernel *fake, uint32_t seq, int code, uint16_t flags)
{
    uint8_t data[32] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;
    int32_t value = code;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    memcpy(cnif_nlmsg_begin(&buf, NLMSG_DONE, flags | NLM_F_MULTI, sizeof(value), "end"), &value,
           sizeof(value));
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(fake, &buf, seq);
}

size_t fake_kernel_request(struct fake_kernel *fake)
{
    ssize_t n = recv(fake->fd, fake->request, sizeof(fake->request), MSG_DONTWAIT);

    fake->size = n > 0 ? (size_t)n : 0;
    return fake->size;
}

const char *fake_kernel_types(struct fake_kernel *fake)
{
    const struct nlmsghdr *nlh = cnif_nlmsg_first(fake->request, fake->size);
    size_t used = 0;

    fake->types[0] = '\0';
    for (; nlh; nlh = cnif_nlmsg_next(nlh, fake->request + fake->size)) {
        int n = snprintf(fake->types + used, sizeof(fake->types) - used, " %u", nlh->nlmsg_type);

        if (n < 0 || (size_t)n >= sizeof(fake->types) - used)
            abort();
        used += (size_t)n;
    }
    return fake->types;
}

unsigned fake_kernel_left(struct fake_kernel *fake)
{
    uint8_t data[16];
    unsigned n = 0;

    while (recv(fake->sock.fd, data, sizeof(data), MSG_DONTWAIT) >= 0)
        n++;
    return n;
}
