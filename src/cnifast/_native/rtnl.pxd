# What the decoder needs of csrc/cnifast.h.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t

cdef extern from "cnifast.h" nogil:
    struct cnif_ip:
        uint8_t family
        uint8_t prefix
        uint8_t bytes[16]

    struct cnif_link:
        int32_t index
        int32_t master
        int32_t parent
        int32_t parent_netnsid
        uint32_t flags
        uint32_t mtu
        uint32_t txqlen
        uint32_t group
        uint32_t promiscuity
        uint16_t type
        uint8_t operstate
        uint8_t mac_len
        uint8_t mac[32]
        char name[16]
        char kind[16]
        char alias[256]
        bint is_port
        bint hairpin
        bint isolated
        bint vlan_filtering
        uint32_t macvlan_mode
        uint32_t bcqueuelen
        uint32_t vrf_table
        uint16_t ipvlan_mode
        uint16_t vlan_id
        int64_t tap_owner
        int64_t tap_group
        bint tap_multi_queue

    struct cnif_route:
        cnif_ip dst
        cnif_ip gateway
        int32_t oif
        uint32_t table
        uint32_t priority
        uint32_t mtu
        uint32_t advmss
        int16_t scope
        uint8_t protocol
        uint8_t type
        cnif_ip source
