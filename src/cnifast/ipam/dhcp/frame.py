"""The IPv4 packets with UDP that carry DHCP, from the client's port to the server's; no I/O."""

from __future__ import annotations

from cnifast.protocol.codec import DecodeError

CLIENT_PORT, SERVER_PORT = 68, 67

_UDP = 17
_TTL = 64
_IP_SIZE, _UDP_SIZE = 20, 8


def wrap(payload: bytes, source: int, target: int) -> bytes:
    """Return the packet that carries a message from one address to another."""
    size = _UDP_SIZE + len(payload)
    addresses = source.to_bytes(4) + target.to_bytes(4)
    udp = CLIENT_PORT.to_bytes(2) + SERVER_PORT.to_bytes(2) + size.to_bytes(2)
    pseudo = addresses + bytes((0, _UDP)) + size.to_bytes(2)
    checksum = _checksum(pseudo + udp + b"\0\0" + payload) or 0xFFFF
    head = bytes((0x45, 0)) + (_IP_SIZE + size).to_bytes(2) + b"\0\0\0\0" + bytes((_TTL, _UDP))
    ip = head + _checksum(head + b"\0\0" + addresses).to_bytes(2) + addresses
    return ip + udp + checksum.to_bytes(2) + payload


def unwrap(packet: bytes, *, verify: bool) -> tuple[int, bytes]:
    """Return (source, message) of a packet from a server's port to the client's.

    Without ``verify`` the UDP checksum is not looked at: what comes from this machine may have
    none yet.

    Raises:
        DecodeError: it is another packet, or damaged.
    """
    if len(packet) < _IP_SIZE or packet[0] >> 4 != 4:
        raise DecodeError("not an IPv4 packet")
    head_size = (packet[0] & 15) * 4
    total = int.from_bytes(packet[2:4])
    if not _IP_SIZE <= head_size <= total - _UDP_SIZE or total > len(packet):
        raise DecodeError("an IPv4 packet that is cut off")
    if _checksum(packet[:head_size]):
        raise DecodeError("an IPv4 packet with a wrong checksum")
    if packet[9] != _UDP or int.from_bytes(packet[6:8]) & 0x3FFF:
        raise DecodeError("not a whole UDP datagram")
    udp = packet[head_size:total]
    size = int.from_bytes(udp[4:6])
    ports = int.from_bytes(udp[0:2]), int.from_bytes(udp[2:4])
    if ports != (SERVER_PORT, CLIENT_PORT) or not _UDP_SIZE <= size <= len(udp):
        raise DecodeError("not a DHCP server's datagram")
    udp = udp[:size]
    if verify and udp[6:8] != b"\0\0":
        pseudo = packet[12:20] + bytes((0, _UDP)) + size.to_bytes(2)
        if _checksum(pseudo + udp):
            raise DecodeError("a UDP datagram with a wrong checksum")
    return int.from_bytes(packet[12:16]), udp[_UDP_SIZE:]


def _checksum(data: bytes) -> int:
    """Return the internet checksum; 0 for data that have theirs."""
    if len(data) & 1:
        data += b"\0"
    # 2**16 is 1 modulo 2**16 - 1, so the whole is congruent to the sum of its words.
    folded = int.from_bytes(data) % 0xFFFF
    if folded == 0 and any(data):
        folded = 0xFFFF
    return 0xFFFF - folded
