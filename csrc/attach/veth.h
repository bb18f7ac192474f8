/*
 * The host's side of a veth attachment: the pair as it is made, and the end
 * that becomes a port of the bridge.
 */
#ifndef CNIF_ATTACH_VETH_H
#define CNIF_ATTACH_VETH_H

#include "cnifast.h"

/* Two links asked about at once: the port, then its bridge. */
struct cnif_veth_ends {
    struct cnif_link port;
    struct cnif_link bridge;
};

/*
 * Give the port its options and VLANs, and set it up only then: nothing may
 * pass it before.  `here`: the calling thread is where veth->netns_fd is meant
 * to be seen from; otherwise `sock` alone knows the namespace.
 */
int cnif_veth_configure_port(struct cnif_nlsock *sock, const struct cnif_veth_host *veth, bool here,
                             int32_t index, struct cnif_err *reterr);

/* Wait until the port forwards, if it is to be up; ret->port.index says which one it is. */
int cnif_veth_settle(struct cnif_nlsock *sock, const struct cnif_veth_host *veth, bool up,
                     struct cnif_veth_ends *ret, struct cnif_err *reterr);

/*
 * Take the pair back.  Where it is not known whether there is one (port->index
 * is 0), its address `mac` tells it from somebody else's.
 */
void cnif_veth_undo(struct cnif_nlsock *sock, const struct cnif_veth_host *veth,
                    const uint8_t mac[6], struct cnif_link *port, enum cnif_linger linger);

#endif
