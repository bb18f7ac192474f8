/*
 * A batch: nf_tables changes that happen together or not at all.
 *
 *   | BATCH_BEGIN [genid] | change | change | ... | BATCH_END |
 *     ^ cnif_nft_batch_begin                        ^ cnif_nft_batch_commit
 *
 * The kernel works a batch off within the send.  It reports every change that
 * failed and, here, acknowledges the last one only; the sequence number of an
 * answer leads back to the step.
 *
 * A batch that fails half-way is dear (the kernel waits for an RCU grace
 * period, 15 ms), so callers look first and change afterwards.  A batch that
 * depends on what was seen carries the generation it was seen in: if anything
 * has changed since, the kernel refuses it at once, cheaply, with ERESTART.
 */
#ifndef CNIF_NFT_BATCH_H
#define CNIF_NFT_BATCH_H

#include "netlink/nlsock.h"

/* How often a caller looks again after ERESTART before it gives up. */
#define CNIF_NFT_ATTEMPTS 200

/* Open a batch in an empty buffer; with a `genid` other than 0 it holds for that generation only.
 */
void cnif_nft_batch_begin(struct cnif_nlbuf *buf, uint32_t genid);

/*
 * Close the batch, send it and see it through.  -ERESTART: the generation is
 * not the one the batch holds for; nothing was done.  `object` names what the
 * batch works on.
 */
int cnif_nft_batch_commit(struct cnif_nlsock *sock, struct cnif_nlbuf *buf, const char *object,
                          struct cnif_err *reterr);

/* Begin a request of the nf_tables subsystem. */
void cnif_nft_begin(struct cnif_nlbuf *buf, uint16_t type, uint16_t flags, uint8_t family,
                    const char *step);

#endif
