/*
 * Taking back a link that an attachment has made.
 */
#ifndef CNIF_ATTACH_DETACH_H
#define CNIF_ATTACH_DETACH_H

#include "cnifast.h"

/*
 * Delete `link` of the namespace `netns_fd` as cnif_detach does; if that cannot
 * be had, the slow way through `sock`, a socket of that namespace, which needs
 * nothing more.
 */
void cnif_undo_link(int netns_fd, struct cnif_nlsock *sock, const struct cnif_link *link,
                    enum cnif_linger linger);

#endif
