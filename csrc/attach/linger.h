/*
 * Sending away the request that takes long.
 *
 * RTM_DELLINK does its work within half a millisecond but returns only after
 * an RCU barrier, 13 to 25 ms later.  An errand is such a request on its way,
 * carried by a thread of a small pool or by a forked child.
 *
 * Both sides hold the errand: who starts it drops it once, and it may be
 * dropped while the request is still under way.
 */
#ifndef CNIF_ATTACH_LINGER_H
#define CNIF_ATTACH_LINGER_H

#include "cnifast.h"

struct cnif_errand;

/* Delete the link `index` through `sock`, which the errand owns from then on, also on failure. */
int cnif_errand_start(struct cnif_nlsock *sock, int32_t index, enum cnif_linger linger,
                      struct cnif_errand **ret);
/* Readable once the request has returned. */
int cnif_errand_fd(const struct cnif_errand *errand);
/* Wait for the request to return; 0 or a negative errno. */
int cnif_errand_outcome(struct cnif_errand *errand);
void cnif_errand_drop(struct cnif_errand *errand);

#endif
