"""Run on a node: tell of each port of the host whether it leads to a pod.

    ports_probe.py NETNS ADDRESS PROTOCOL:HOSTPORT:PORT...

A word for each mapping is printed: "led" or "not-led".
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000
SECONDS = 5
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def inside(netns: str, kind: int) -> socket.socket:
    """Return a socket in another namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(netns, os.O_RDONLY)
    libc = ctypes.CDLL(None)
    assert libc.setns(there, CLONE_NEWNET) == 0
    made = socket.socket(socket.AF_INET, kind)
    assert libc.setns(home, CLONE_NEWNET) == 0
    os.close(home)
    os.close(there)
    return made


def leads(netns: str, address: str, protocol: str, host_port: int, port: int) -> bool:
    """Tell whether what is sent to a port of the host arrives at the pod's."""
    with inside(netns, KINDS[protocol]) as server, socket.socket(type=KINDS[protocol]) as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("", port))
        server.settimeout(SECONDS)
        client.settimeout(SECONDS)
        if protocol == "tcp":
            server.listen()
        try:
            client.connect((address, host_port))
            client.send(b"?")
            if protocol == "tcp":
                server.accept()[0].close()
                return True
            # The host answers a datagram for a port that nobody has with an error.
            data, peer = server.recvfrom(16) if not _is_refused(client) else (b"", None)
            if peer:
                server.sendto(data, peer)
                return client.recv(16) == b"?"
        except ConnectionRefusedError:
            return False
        return False


def _is_refused(client: socket.socket) -> bool:
    """Tell whether an error has come back by now; on one host it comes within the sending."""
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def main() -> None:
    """Probe each mapping and print."""
    netns, address, *mappings = sys.argv[1:]
    for mapping in mappings:
        protocol, host_port, port = mapping.split(":")
        led = leads(netns, address, protocol, int(host_port), int(port))
        print("led" if led else "not-led")


if __name__ == "__main__":
    main()
