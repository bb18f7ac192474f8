/*
 * What tests of host ports share: an owner, a port, and a kernel's answers about them.
 */
#ifndef CNIF_TESTS_HOSTPORT_FIXTURE_H
#define CNIF_TESTS_HOSTPORT_FIXTURE_H

#include "fake_nft.h"
#include "nft/hostport.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static const struct cnif_owner owner = {"c1", "eth0", "net"};
static const struct cnif_hostport tcp = {IPPROTO_TCP, 8080, 80, {0}};
/* "tcp . 8080" and "udp . 53" */
static const uint8_t key_tcp[8] = {6, 0, 0, 0, 0x1f, 0x90};
static const uint8_t key_udp[8] = {17, 0, 0, 0, 0, 53};
/* 10.1.0.5 . 80 */
static const uint8_t data_tcp[8] = {10, 1, 0, 5, 0, 80};

static inline struct cnif_hostports want(const struct cnif_hostport *ports, size_t count)
{
    struct cnif_hostports found = {.ports = ports,
                                   .n_ports = count,
                                   .pods = {{AF_INET, 16, {10, 1, 0, 5}}},
                                   .scopes = {"", ""},
                                   .link = "veth1",
                                   .mark_bit = 13};

    return found;
}

static inline void answer_mapped(struct fake_kernel *fake, uint32_t seq, const uint8_t key[8],
                                 const char *comment)
{
    struct cnif_nft_element element = {
        .key = key, .key_size = 8, .data = data_tcp, .data_size = 8, .comment = comment};

    fake_nft_mapped(fake, seq, &element);
}

/* The attachment of "c1 eth0 net" with a comment. */
static inline void answer_attachment(struct fake_kernel *fake, uint32_t seq, const char *comment)
{
    static const char link[CNIF_IFNAME_MAX] = "veth1";
    uint8_t key[CNIF_IFNAME_MAX];
    struct cnif_nft_element element = {.key = key,
                                       .key_size = sizeof(key),
                                       .data = link,
                                       .data_size = sizeof(link),
                                       .comment = comment};

    cnif_hostport_attachment("c1 eth0 net", key);
    fake_nft_mapped(fake, seq, &element);
}

#endif
