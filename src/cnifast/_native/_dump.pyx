# cython: language_level=3, boundscheck=False, wraparound=False
"""Python objects over what a dump yields: each holds a C struct and decodes a field when asked."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uintptr_t

from cnifast._native.rtnl cimport cnif_ip, cnif_link, cnif_route

cdef extern from "arpa/inet.h" nogil:
    const char *inet_ntop(int family, const void *src, char *dst, unsigned int size)

cdef enum:
    INET = 2
    INET6 = 10
    TEXT_MAX = 46  # INET6_ADDRSTRLEN


cdef object _packed(const cnif_ip *ip):
    return PyBytes_FromStringAndSize(<const char *>ip.bytes, 16 if ip.family == INET6 else 4)


cdef str _text(const cnif_ip *ip):
    cdef char room[TEXT_MAX]
    inet_ntop(INET6 if ip.family == INET6 else INET, ip.bytes, room, TEXT_MAX)
    return room.decode("ascii")


cdef int _family(const cnif_ip *ip):
    return 6 if ip.family == INET6 else 4


cdef class Link:
    """A network interface as the kernel reported it (RTM_NEWLINK, linux/if_link.h).

    ``kind`` is empty for devices that are not of a link kind, ``operstate`` an RFC 2863 state
    (6: up), ``master`` and ``parent`` indexes (0: none), ``parent_netnsid`` the ID of the
    namespace ``parent`` is in, None for the same one.
    """

    cdef cnif_link c

    @property
    def index(self):
        return self.c.index

    @property
    def name(self):
        return self.c.name.decode("utf-8", "surrogateescape")

    @property
    def kind(self):
        return self.c.kind.decode("utf-8", "surrogateescape")

    @property
    def alias(self):
        return self.c.alias.decode("utf-8", "surrogateescape")

    @property
    def mac(self):
        cdef const uint8_t *m = self.c.mac
        if self.c.mac_len != 6:
            return ":".join([f"{m[i]:02x}" for i in range(self.c.mac_len)])
        return "%02x:%02x:%02x:%02x:%02x:%02x" % (m[0], m[1], m[2], m[3], m[4], m[5])

    @property
    def mtu(self):
        return self.c.mtu

    @property
    def txqlen(self):
        return self.c.txqlen

    @property
    def flags(self):
        return self.c.flags

    @property
    def is_up(self):
        return bool(self.c.flags & 1)

    @property
    def operstate(self):
        return self.c.operstate

    @property
    def master(self):
        return self.c.master

    @property
    def parent(self):
        return self.c.parent

    @property
    def parent_netnsid(self):
        return None if self.c.parent_netnsid < 0 else self.c.parent_netnsid

    @property
    def group(self):
        return self.c.group

    @property
    def promiscuity(self):
        return self.c.promiscuity

    @property
    def type(self):
        return self.c.type

    @property
    def is_port(self):
        return bool(self.c.is_port)

    @property
    def hairpin(self):
        return bool(self.c.hairpin)

    @property
    def isolated(self):
        return bool(self.c.isolated)

    @property
    def vlan_filtering(self):
        return bool(self.c.vlan_filtering)

    @property
    def macvlan_mode(self):
        return self.c.macvlan_mode

    @property
    def bcqueuelen(self):
        return self.c.bcqueuelen

    @property
    def vrf_table(self):
        return self.c.vrf_table

    @property
    def ipvlan_mode(self):
        return self.c.ipvlan_mode

    @property
    def vlan_id(self):
        return self.c.vlan_id

    @property
    def tap_owner(self):
        return None if self.c.tap_owner < 0 else self.c.tap_owner

    @property
    def tap_group(self):
        return None if self.c.tap_group < 0 else self.c.tap_group

    @property
    def tap_multi_queue(self):
        return bool(self.c.tap_multi_queue)

    def __repr__(self):
        return f"<Link {self.c.index} {self.name} {self.kind or 'device'}>"


cdef class Route:
    """A route (RTM_NEWROUTE, linux/rtnetlink.h).

    ``dst``, ``gateway`` and ``source`` are in network order; ``destination`` and ``via`` are the
    first two as text, such as "10.1.0.0/16" and "10.1.0.1", "" for no gateway.
    """

    cdef cnif_route c

    @property
    def family(self):
        return _family(&self.c.dst)

    @property
    def dst(self):
        return _packed(&self.c.dst)

    @property
    def prefixlen(self):
        return self.c.dst.prefix

    @property
    def gateway(self):
        return _packed(&self.c.gateway) if self.c.gateway.family else None

    @property
    def destination(self):
        return f"{_text(&self.c.dst)}/{self.c.dst.prefix}"

    @property
    def via(self):
        return _text(&self.c.gateway) if self.c.gateway.family else ""

    @property
    def source(self):
        return _packed(&self.c.source) if self.c.source.family else None

    @property
    def oif(self):
        return self.c.oif

    @property
    def table(self):
        return self.c.table

    @property
    def priority(self):
        return self.c.priority

    @property
    def mtu(self):
        return self.c.mtu

    @property
    def advmss(self):
        return self.c.advmss

    @property
    def scope(self):
        return self.c.scope

    @property
    def protocol(self):
        return self.c.protocol

    @property
    def type(self):
        return self.c.type

    def __repr__(self):
        return f"<Route {self.destination} dev {self.c.oif}>"


def links(uintptr_t array, Py_ssize_t count):
    """Return a Link for each of the cnif_link structs at an address; they are copied."""
    cdef const cnif_link *at = <const cnif_link *>array
    cdef Link link
    cdef list found = []
    cdef Py_ssize_t i
    for i in range(count):
        link = Link.__new__(Link)
        link.c = at[i]
        found.append(link)
    return found


def routes(uintptr_t array, Py_ssize_t count):
    """Return a Route for each of the cnif_route structs at an address; they are copied."""
    cdef const cnif_route *at = <const cnif_route *>array
    cdef Route route
    cdef list found = []
    cdef Py_ssize_t i
    for i in range(count):
        route = Route.__new__(Route)
        route.c = at[i]
        found.append(route)
    return found
