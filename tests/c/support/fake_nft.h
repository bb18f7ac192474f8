/*
 * What nf_tables answers, for tests that play the kernel.
 */
#ifndef CNIF_TESTS_FAKE_NFT_H
#define CNIF_TESTS_FAKE_NFT_H

#include "fake_kernel.h"
#include "nft/object.h"

#define FAKE_NFT_GENID 77

/* Queue the generation, FAKE_NFT_GENID or another, as the answer to request `seq`. */
void fake_nft_generation(struct fake_kernel *fake, uint32_t seq);
void fake_nft_generation_of(struct fake_kernel *fake, uint32_t seq, uint32_t genid);
/* Queue a set. */
void fake_nft_set(struct fake_kernel *fake, uint32_t seq, const char *name, uint32_t key_size);
/* Queue an element; in a map, with its data. */
void fake_nft_element(struct fake_kernel *fake, uint32_t seq, const void *key, size_t key_size,
                      const char *comment);
void fake_nft_mapped(struct fake_kernel *fake, uint32_t seq,
                     const struct cnif_nft_element *element);
/* Queue what stands for any object that is there. */
void fake_nft_chain(struct fake_kernel *fake, uint32_t seq);
/* Queue a rule with a comment. */
void fake_nft_rule(struct fake_kernel *fake, uint32_t seq, uint64_t handle, const char *comment);
/* Queue "not there" as the answers to requests first..last. */
void fake_nft_absent(struct fake_kernel *fake, uint32_t first, uint32_t last);

/* Whether the next request that was sent is what tests/golden/nft_NAME.hex says. */
bool fake_nft_sent(struct fake_kernel *fake, const char *name);

#endif
