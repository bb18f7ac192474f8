#include "nft/batch.h"

#include "base/err.h"
#include "base/fault.h"
#include "netlink/nlparse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

static void begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, uint8_t family,
                  uint16_t resource, const char *step)
{
    struct nfgenmsg *header = cnif_nlmsg_begin(buf, type, flags, sizeof(*header), step);

    header->nfgen_family = family;
    header->version = NFNETLINK_V0;
    header->res_id = htons(resource);
}

void cnif_nft_begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, uint8_t family,
                    const char *step)
{
    begin(buf, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, family, 0, step);
}

void cnif_nft_batch_begin(struct cnif_nlbuf *buf, uint32_t genid)
{
    begin(buf, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, "commit nftables batch");
    if (genid)
        cnif_nlattr_put_be32(buf, NFNL_BATCH_GENID, genid);
    cnif_nlmsg_end(buf);
}

/* What came back: the first step that failed, and whether the last one got through. */
struct answers {
    struct cnif_nlbuf *buf;
    const char *object;
    struct cnif_err *reterr;
    uint32_t first;
    unsigned last;
    unsigned failed;
    bool done;
    int result;
};

static void answer(struct answers *answers, const struct nlmsghdr *nlh)
{
    unsigned index = nlh->nlmsg_seq - answers->first;

    if (nlh->nlmsg_type != NLMSG_ERROR || index > answers->last)
        return;
    if (index == answers->last)
        answers->done = true;
    if (cnif_nlmsg_error(nlh, NULL, 0) != 0 && index < answers->failed) {
        answers->failed = index;
        answers->result =
            cnif_nlmsg_failed(answers->buf, index, answers->object, nlh, answers->reterr);
    }
}

int cnif_nft_batch_commit(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                          struct cnif_err *reterr)
{
    struct answers answers = {.buf = buf, .object = object, .reterr = reterr, .first = sock->seq};
    int r;

    if (!buf->overflow && buf->count > 1) {
        struct nlmsghdr *last = (struct nlmsghdr *)(void *)(buf->data + buf->open);

        last->nlmsg_flags |= NLM_F_ACK;
    }
    answers.failed = buf->count;
    answers.last = buf->count - 1;
    begin(buf, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, "end nftables batch");
    cnif_nlmsg_end(buf);
    r = cnif_nlsock_send(sock, buf, object, reterr);
    if (r < 0)
        return r;
    r = -cnif_fault("receive netlink answer");
    if (r < 0)
        return cnif_err_errno(reterr, -r, "receive netlink answer for %s", object);
    /* Everything there is to say has been queued within the send, the last change's answer last. */
    while (!answers.done && answers.failed != 0) {
        const struct nlmsghdr *nlh;
        int n = cnif_nlsock_recv(sock, MSG_DONTWAIT, object, reterr);

        if (n == -EAGAIN)
            break;
        if (n < 0)
            return n;
        for (nlh = cnif_nlmsg_first(sock->rx, (size_t)n); nlh;
             nlh = cnif_nlmsg_next(nlh, sock->rx + n)) {
            if (nlh->nlmsg_pid == sock->portid)
                answer(&answers, nlh);
        }
    }
    if (answers.result == 0 && !answers.done)
        return cnif_err_set(reterr, EBADMSG, "commit nftables batch %s: no answer", object);
    return answers.result;
}
