#include "fake_nft.h"

#include "golden.h"
#include "nft/batch.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>

void fake_nft_generation_of(struct fake_kernel *fake, uint32_t seq, uint32_t genid)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_begin(&buf, NFT_MSG_NEWGEN, 0, 0, "generation");
    cnif_nlattr_put_be32(&buf, NFTA_GEN_ID, genid);
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(fake, &buf, seq);
}

void fake_nft_generation(struct fake_kernel *fake, uint32_t seq)
{
    fake_nft_generation_of(fake, seq, FAKE_NFT_GENID);
}

void fake_nft_set(struct fake_kernel *fake, uint32_t seq, const char *name, uint32_t key_size)
{
    uint8_t data[512] __attribute__((aligned(8)));
    struct cnif_nft_table table = {NFPROTO_INET, "cnifast"};
    struct cnif_nft_set set = {.name = name, .key_size = key_size};
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_set_add(&buf, &table, &set);
    fake_kernel_answer(fake, &buf, seq);
}

void fake_nft_mapped(struct fake_kernel *fake, uint32_t seq, const struct cnif_nft_element *element)
{
    uint8_t data[512] __attribute__((aligned(8)));
    struct cnif_nft_table table = {NFPROTO_INET, "cnifast"};
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_element_add(&buf, &table, "x", element);
    fake_kernel_answer(fake, &buf, seq);
}

void fake_nft_element(struct fake_kernel *fake, uint32_t seq, const void *key, size_t key_size,
                      const char *comment)
{
    struct cnif_nft_element element = {.key = key, .key_size = key_size, .comment = comment};

    fake_nft_mapped(fake, seq, &element);
}

void fake_nft_chain(struct fake_kernel *fake, uint32_t seq)
{
    uint8_t data[64] __attribute__((aligned(8)));
    struct cnif_nlbuf buf;

    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_begin(&buf, NFT_MSG_NEWCHAIN, 0, NFPROTO_INET, "chain");
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(fake, &buf, seq);
}

void fake_nft_absent(struct fake_kernel *fake, uint32_t first, uint32_t last)
{
    for (; first <= last; first++)
        fake_kernel_ack(fake, first, -ENOENT, NULL);
}

void fake_nft_rule(struct fake_kernel *fake, uint32_t seq, uint64_t handle, const char *comment)
{
    uint8_t data[512] __attribute__((aligned(8)));
    uint8_t udata[128] = {0};
    struct cnif_nlbuf buf;

    udata[1] = (uint8_t)(strlen(comment) + 1);
    memcpy(udata + 2, comment, udata[1]);
    cnif_nlbuf_init(&buf, data, sizeof(data));
    cnif_nft_begin(&buf, NFT_MSG_NEWRULE, 0, NFPROTO_INET, "rule");
    cnif_nlattr_put_be64(&buf, NFTA_RULE_HANDLE, handle);
    cnif_nlattr_put(&buf, NFTA_RULE_USERDATA, udata, (size_t)udata[1] + 2);
    cnif_nlmsg_end(&buf);
    fake_kernel_answer(fake, &buf, seq);
}

bool fake_nft_sent(struct fake_kernel *fake, const char *name)
{
    char file[64];

    (void)snprintf(file, sizeof(file), "../nft_%s", name);
    return fake_kernel_request(fake) > 0 && golden_equal(file, fake->request, fake->size);
}
