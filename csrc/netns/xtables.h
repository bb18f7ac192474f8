/*
 * Reading the nat table of x_tables (legacy iptables) as the kernel hands it
 * out.  Nothing in it is trusted.
 */
#ifndef CNIF_NETNS_XTABLES_H
#define CNIF_NETNS_XTABLES_H

#include "cnifast.h"

/*
 * Whether `table`, `size` bytes of entries of a family, has the chain; appends
 * the jumps to it to jumps[*count], up to jumps[room].
 */
bool cnif_legacy_parse(int family, const uint8_t *table, size_t size, const char *chain,
                       struct cnif_legacy_jump *jumps, size_t room, size_t *count);

/*
 * The chain CNI-... that the first rule leads to whose comment begins with `prefix`
 * and with none of `keep`; false if there is none.
 */
bool cnif_legacy_parse_stale(int family, const uint8_t *table, size_t size, const char *prefix,
                             const char *const *keep, size_t n_keep, char *chain, size_t room);

#endif
