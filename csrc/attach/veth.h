/*
 * The steps of a veth attachment, for those who take them at different times.
 */
#ifndef CNIF_ATTACH_VETH_H
#define CNIF_ATTACH_VETH_H

#include "cnifast.h"

/* What the pair shall be; the strings stay those of `veth` and `endpoint`. */
void cnif_veth_describe(const struct cnif_veth_host *veth, const struct cnif_endpoint *endpoint,
                        struct cnif_link_spec *ret);

/* Configure both ends of the pair whose host end is `port`, and wait until it forwards. */
int cnif_veth_configure(struct cnif_nlsock *host, const struct cnif_veth_host *veth,
                        const struct cnif_endpoint *endpoint, const struct cnif_link *port,
                        struct cnif_attached *ret, struct cnif_err *reterr);

/*
 * Take the pair back.  Where it is not known whether there is one (port->index
 * is 0), its address tells it from somebody else's.
 */
void cnif_veth_undo(struct cnif_nlsock *host, const struct cnif_veth_host *veth,
                    struct cnif_link *port, enum cnif_linger linger);

#endif
