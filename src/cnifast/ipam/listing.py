"""What the store's files say, for people and reports: read without lock and without index."""

from __future__ import annotations

import os

from cnifast.ipam.store import DEFAULT_DATA_DIR
from cnifast.protocol import ip
from cnifast.protocol.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTENT_MAX = 1024  # bytes; no owner is longer


class Entry:
    """One address in use: who has it, and since when (seconds since the epoch).

    ``ifname`` is empty for a file of an old version, ``container_id`` for a file without owner.
    """

    __slots__ = ("address", "container_id", "ifname", "since")

    def __init__(self, address: str, container_id: str, ifname: str, since: float) -> None:
        self.address = address
        self.container_id = container_id
        self.ifname = ifname
        self.since = since

    def __repr__(self) -> str:
        return f"Entry({self.address!r}, {self.container_id!r}, {self.ifname!r})"


def networks(data_dir: str = "") -> list[str]:
    """Return the names of the networks that have a directory, sorted.

    Raises:
        OSError: the data directory cannot be read; one that does not exist has no networks.
    """
    try:
        with os.scandir(data_dir or DEFAULT_DATA_DIR) as found:
            return sorted(e.name for e in found if e.is_dir() and not e.name.startswith("."))
    except FileNotFoundError:
        return []


def entries(network: str, data_dir: str = "") -> list[Entry]:
    """Return the addresses in use in a network, IPv4 first, in ascending order.

    Raises:
        OSError: the network's directory cannot be read; one that does not exist has no entries.
    """
    path = os.path.join(data_dir or DEFAULT_DATA_DIR, network)
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return []
    numbers = sorted(number for number in map(_number, names) if number is not None)
    return list(_read(path, numbers))


def _number(name: str) -> tuple[int, int] | None:
    """Return (family, value) of an address file's name, None for other files."""
    try:
        number = ip.parse_ip(name)
    except DecodeError:
        return None
    return number if ip.format_ip(*number) == name else None


def _read(directory: str, numbers: list[tuple[int, int]]) -> Iterator[Entry]:
    """Read the files of these addresses; one that vanishes meanwhile is left out."""
    for number in numbers:
        address = ip.format_ip(*number)
        path = os.path.join(directory, address)
        try:
            with open(path, "rb") as file:
                content = file.read(_CONTENT_MAX)
                since = os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            continue
        container_id, _, ifname = content.decode("utf-8", "replace").strip().partition("\r\n")
        yield Entry(address, container_id, ifname, since)
