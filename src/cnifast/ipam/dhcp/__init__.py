"""dhcp: addresses that a DHCPv4 server of the container's network leases.

message   what is on the wire, without I/O
frame     the packets that carry it
exchange  one conversation with servers: for a lease, or for more of it; without I/O
lease     what was leased, and until when; as a file, too
link      a container's link as a client uses it
acquire   getting a lease
keeper    who keeps leases: it renews, rebinds and releases them
gob, rpc  how plugins speak to a daemon, the reference's included
daemon    the socket that they speak to
plugin    what runtimes call
"""
