/*
 * Addresses as numbers: what a range is counted in, and the canonical text
 * that names an address file.
 *
 * Not a general parser: only the one spelling that the file format uses is
 * taken (IPv6 in lower case with the longest run of zeros compressed, never
 * with a dotted quad), because any other name is some other file.
 */
#ifndef CNIF_IPAM_ADDR_H
#define CNIF_IPAM_ADDR_H

#include "cnifast.h"

__extension__ typedef unsigned __int128 cnif_u128;

struct cnif_num {
    uint8_t family; /* 4 or 6; 0: no address */
    cnif_u128 value;
};

struct cnif_num cnif_num_from(const struct cnif_ipam_addr *addr);
void cnif_num_to(const struct cnif_num *num, struct cnif_ipam_addr *ret);

bool cnif_num_equal(const struct cnif_num *a, const struct cnif_num *b);

/* Canonical text, NUL-terminated. */
void cnif_num_format(const struct cnif_num *num, char ret[CNIF_IPAM_TEXT_MAX]);

/* False when `text` is not the canonical text of an address. */
bool cnif_num_parse(const char *text, struct cnif_num *ret);

#endif
