"""Leases as files, one each, so that whoever keeps them can be another process tomorrow.

The files are beside the socket of whoever keeps them: the leases of /run/cni/dhcp.sock are in
/run/cni/dhcp.leases.  Like the namespaces that they are of, they do not outlast the boot.
"""

from __future__ import annotations

import os

from cnifast.invoke import files
from cnifast.ipam.dhcp.lease import Lease
from cnifast.protocol.codec import DecodeError

try:
    from _blake2 import blake2s  # what hashlib has, without loading OpenSSL
except ImportError:
    from hashlib import blake2s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnifast.ipam.dhcp.lease import Key

_SUFFIX = ".json"
_SIZE_MAX = 1 << 16  # bytes of a file


class Store:
    """The directory of the leases of one daemon; it is made when there is a first lease."""

    def __init__(self, socket: str) -> None:
        self.path = socket.removesuffix(".sock") + ".leases"

    def _file(self, key: Key) -> str:
        name = blake2s("\0".join(key).encode(), digest_size=16).hexdigest()
        return os.path.join(self.path, name + _SUFFIX)

    def write(self, lease: Lease) -> None:
        """Write a lease down, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        with files.Draft(self._file(lease.key), named=False) as draft:
            draft.commit(lease.dumps())

    def read(self, key: Key) -> Lease | None:
        """Return the lease of a key, None where there is none that can be read."""
        return self._read(self._file(key))

    def remove(self, key: Key) -> None:
        """Forget a lease; absent is success.

        Raises:
            OSError: its file cannot be removed.
        """
        files.unlink(self._file(key))

    def leases(self) -> Iterator[Lease]:
        """Yield every lease that can be read."""
        try:
            names = sorted(os.listdir(self.path))
        except OSError:
            return
        for name in names:
            if name.endswith(_SUFFIX):
                lease = self._read(os.path.join(self.path, name))
                if lease is not None:
                    yield lease

    def _read(self, path: str) -> Lease | None:
        """Return the lease in a file; one of another name, or that is none, does not count."""
        try:
            with open(path, "rb") as file:
                lease = Lease.loads(file.read(_SIZE_MAX))
        except (OSError, DecodeError):
            return None
        return lease if self._file(lease.key) == path else None
