"""Asking a service what it is, without having it do anything."""

from __future__ import annotations

import os
import socket

from cnifast.kernel.intake import own_root
from cnifast.protocol import wire
from cnifast.service.listener import peer

PROBE_SECONDS = 5
NO_BUILD = ""  # older than any: the service says which build it is, and stays
_OF_NO_BUILD = ", the plugin is "  # what it says of ours then


def probe(path: str) -> str:
    """Return what the service at a socket says about itself.

    Raises:
        OSError: nobody listens there, or not for us, or nothing comes back.
        WireError: what comes back is not an answer.
    """
    request = wire.WireRequest(own_root(), NO_BUILD, "doctor", {}, b"")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PROBE_SECONDS)
        sock.connect(path)
        pid, uid = peer(sock)
        if uid not in (0, os.geteuid()):
            raise PermissionError(f"user {uid} listens there")
        socket.send_fds(sock, [wire.encode_request(request)], [2])
        header = wire.decode_header(_read(sock, wire.HEADER_SIZE))
        payload = _read(sock, header.length)
    if header.kind != wire.RUN_COLD:
        raise wire.WireError(f"an answer of kind {header.kind}")
    said = wire.decode_run_cold(payload).removesuffix(_OF_NO_BUILD)
    return f"process {pid} of user {uid}: {said}"


def _read(sock: socket.socket, size: int) -> bytes:
    """Return exactly so many bytes."""
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise ConnectionResetError("the connection ended within an answer")
        data += chunk
    return data
