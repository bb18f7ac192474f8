/*
 * Links: request builders that compose into a transaction, and the decoder.
 *
 * The builders write one message each into the caller's buffer and know
 * nothing of sockets; the exported cnif_link_* functions are one-message
 * transactions made of them.
 */
#ifndef CNIF_RTNL_LINK_H
#define CNIF_RTNL_LINK_H

#include "cnifast.h"
#include "netlink/nlbuf.h"

struct nlmsghdr;

void cnif_link_put_get(struct cnif_nlbuf *buf, const char *name, int32_t index);
/* `flags` besides NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK. */
void cnif_link_put_add(struct cnif_nlbuf *buf, const struct cnif_link_spec *spec, uint16_t flags);
void cnif_link_put_single_queue(struct cnif_nlbuf *buf);
/* Begin an RTM_NEWLINK for an existing link; attributes may follow until cnif_nlmsg_end. */
void cnif_link_begin_change(struct cnif_nlbuf *buf, int32_t index, uint32_t flags, uint32_t mask,
                            const char *step);
void cnif_link_put_delete(struct cnif_nlbuf *buf, int32_t index);

/*
 * Create a link; with `ret` the kernel's description of it, in which a veth
 * names its peer's index as the parent (the link must then have a name and be
 * in the socket's namespace).  *ret_refused: the kernel itself said no, so that
 * there is nothing to undo; a failure without it may have left a link.
 */
int cnif_link_create(struct cnif_nlsock *sock, const struct cnif_link_spec *spec,
                     struct cnif_link *ret, bool *ret_refused, struct cnif_err *reterr);

/* Decode RTM_NEWLINK or RTM_DELLINK; false if it is neither or too short. */
bool cnif_link_parse(const struct nlmsghdr *nlh, struct cnif_link *ret);

/* A reply callback that decodes one link into `arg`, a struct cnif_link. */
int cnif_link_reply(const struct nlmsghdr *nlh, unsigned index, void *arg);

#endif
