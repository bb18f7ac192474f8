/*
 * One 64-bit hash for keys and for block seals.
 *
 * Not cryptographic: whoever can choose keys can make them collide, so a match
 * is always verified against the file it stands for.  Two inputs of one length
 * that differ within one aligned 8-byte word never hash alike: each step is a
 * bijection.
 */
#ifndef CNIF_IPAM_HASH_H
#define CNIF_IPAM_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t cnif_hash(const void *data, size_t n, uint64_t seed);

#endif
