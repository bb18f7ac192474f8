#include "nft/family.h"

#include "nft/expr.h"
#include "nft/object.h"

#include <linux/netfilter.h>
#include <string.h>
#include <sys/socket.h>

const struct cnif_nft_family cnif_nft_families[2] = {
    {AF_INET, NFPROTO_IPV4, '4', CNIF_NFT_TYPE_IPADDR, 4, 12, 16},
    {AF_INET6, NFPROTO_IPV6, '6', CNIF_NFT_TYPE_IP6ADDR, 16, 8, 24},
};

const struct cnif_nft_family *cnif_nft_family_find(uint8_t family)
{
    size_t i;

    for (i = 0; i < sizeof(cnif_nft_families) / sizeof(cnif_nft_families[0]); i++) {
        if (cnif_nft_families[i].family == family)
            return &cnif_nft_families[i];
    }
    return NULL;
}

void cnif_nft_family_mask(const struct cnif_nft_family *family, unsigned prefix, uint8_t mask[16])
{
    uint32_t i;

    memset(mask, 0, 16);
    for (i = 0; i < family->size; i++) {
        unsigned bits = prefix > 8 * i ? prefix - 8 * i : 0;

        mask[i] = (uint8_t)(bits >= 8 ? 0xffU : 0xff00U >> bits);
    }
}

void cnif_nft_expr_family(struct cnif_nlbuf *buf, const struct cnif_nft_family *family)
{
    cnif_nft_expr_meta(buf, NFT_META_NFPROTO, NFT_REG_1);
    cnif_nft_expr_cmp(buf, NFT_CMP_EQ, &family->proto, sizeof(family->proto), NFT_REG_1);
}
