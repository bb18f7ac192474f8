"""Devices of the host that containers have: what they were before, so that they become it again.

One file per attachment, /run/cni/host-device/ID:IFNAME, since a device does not outlive a boot in
its container.  The device itself carries the name it had as its alias, which is all that the
reference knows: either can take back what the other has lent.
"""

from __future__ import annotations

import os

from cnifast.invoke import files
from cnifast.protocol.codec import DecodeError, dumps, loads
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.schema import BOOL, TEXT, Struct, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = "/run/cni/host-device"
_MODE = 0o600
_DIRECTORY_MODE = 0o700


class Lent(Struct):
    """A device: whose it is, and name, address, alias and state that it had on the host."""

    network = field("network", TEXT, "")
    container_id = field("containerID", TEXT, "")
    ifname = field("ifname", TEXT, "")
    device = field("device", TEXT, "")
    mac = field("mac", TEXT, "")
    alias = field("alias", TEXT, "")
    up = field("up", BOOL, False)

    def save(self) -> None:
        """Have it on record.

        Raises:
            CNIError: it cannot be written.
        """
        keys = {known.key: known.attr for known in self.FIELDS.values()}
        content = dumps({key: getattr(self, attr) for key, attr in keys.items()})
        path = _path(self.container_id, self.ifname)
        draft = f"{DIRECTORY}/.{self.container_id}:{self.ifname}"
        try:
            fd = _create(draft)
            try:
                os.write(fd, content)
                os.rename(draft, path)
            finally:
                os.close(fd)
        except OSError as e:
            why = (e.strerror or str(e)).lower()
            raise CNIError(INTERNAL, f"failed to keep a record in {path}: {why}") from e

    def forget(self) -> None:
        """Take it off the record.

        Raises:
            OSError: the file cannot be removed.
        """
        try:
            os.unlink(_path(self.container_id, self.ifname))
        except FileNotFoundError:
            return
        try:
            os.rmdir(DIRECTORY)
            os.rmdir(os.path.dirname(DIRECTORY))
        except OSError:
            return  # there are other records, or other files beside them


def _create(draft: str) -> int:
    """Return the descriptor of a new file; its directory may go with the last record meanwhile."""
    while True:
        os.makedirs(DIRECTORY, _DIRECTORY_MODE, exist_ok=True)
        try:
            return os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        except FileNotFoundError:
            continue


def recorded(container_id: str, ifname: str) -> Lent | None:
    """Return the device an attachment has by the records, None where they say nothing of it."""
    return _load(_path(container_id, ifname))


def all_recorded() -> Iterator[Lent]:
    """Yield all devices that are lent by the records."""
    try:
        names = os.listdir(DIRECTORY)
    except FileNotFoundError:
        return
    for name in names:
        found = None if name.startswith(".") else _load(f"{DIRECTORY}/{name}")
        if found is not None:
            yield found


def _path(container_id: str, ifname: str) -> str:
    """Return the path of a record; neither part can have a slash or a colon in it."""
    return f"{DIRECTORY}/{container_id}:{ifname}"


def _load(path: str) -> Lent | None:
    """Return what a record says; one that cannot be read says nothing."""
    try:
        found = Lent.decode(loads(files.read(path)))
    except (OSError, ValueError, DecodeError):
        return None
    return found if found.device and found.mac else None
