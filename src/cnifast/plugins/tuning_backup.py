"""What tuning keeps of each attachment: what the interface was like before it was changed.

One file per attachment, CONTAINER_IFNAME.json, which the reference reads and writes as well.  Ours
also say, under a key that the reference ignores, whose they are, so that GC knows whom to ask
about, and what ADD made of the interface, so that a second one knows what is not its own.

A file's draft is .CONTAINER_IFNAME.json; no container ID begins with a dot.

Attributes of an interface are a dictionary of arguments for `Handle.set_link`, with those alone
that are to be changed, or were.
"""

from __future__ import annotations

import os

from cnifast.invoke import files
from cnifast.kernel.handle import IFF_ALLMULTI, IFF_PROMISC
from cnifast.plugins.base import Failures
from cnifast.protocol.codec import DecodeError, dumps, loads
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.schema import BOOL, TEXT, UINT32, Struct, field, optional, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cnifast.kernel import Link
    from cnifast.protocol.request import Request

_KEYS = {
    "mac": "mac",
    "promisc": "promisc",
    "mtu": "mtu",
    "allmulti": "allmulti",
    "txqlen": "txQLen",
}
_MARK = "cnifast"


class _Attributes(Struct):
    """Attributes in a file; an empty MAC and an MTU of 0 are none."""

    mac = field("mac", TEXT, "")
    promisc = optional("promisc", BOOL)
    mtu = field("mtu", UINT32, 0)
    allmulti = optional("allmulti", BOOL)
    txqlen = optional("txQLen", UINT32)

    @property
    def attributes(self) -> dict[str, Any]:
        """Those that are there."""
        found = {name: getattr(self, name) for name in _KEYS}
        for name, nothing in (("mac", ""), ("mtu", 0)):
            if found[name] == nothing:
                del found[name]
        return {name: value for name, value in found.items() if value is not None}


class _Owner(Struct):
    """What our mark says."""

    network = field("network", TEXT, "")
    container_id = field("containerID", TEXT, "")
    ifname = field("ifname", TEXT, "")
    made = field("made", record(_Attributes), _Attributes())


class _Kept(_Attributes):
    """What a file says."""

    owner = field(_MARK, record(_Owner), _Owner())


class Backup:
    """Where the attributes of one attachment's interface are kept."""

    __slots__ = ("_before", "_mark", "path")

    def __init__(self, directory: str, req: Request) -> None:
        self.path = os.path.join(directory, f"{req.container_id}_{req.ifname}.json")
        self._mark = {
            "network": req.name,
            "containerID": req.container_id,
            "ifname": req.ifname,
        }
        self._before: bytes | None = None

    def load(self) -> dict[str, Any]:
        """Return the attributes to restore; none where no file is, or a damaged one.

        Raises:
            OSError: it cannot be read.
            ValueError: it is a pipe, or too large.
        """
        return self._load().attributes

    def _load(self) -> _Kept:
        """Return what the file says."""
        try:
            self._before = files.read(self.path)
        except FileNotFoundError:
            return _Kept()
        try:
            return _Kept.decode(loads(self._before))
        except DecodeError:
            return _Kept()

    def save(self, now: dict[str, Any], wanted: dict[str, Any]) -> None:
        """Keep what an interface is like now, of that which is wanted of it.

        What is as an ADD before this one has made it was kept by that.

        Raises:
            CNIError: it cannot be written; what was kept before is kept still.
        """
        try:
            found = self._load()
            kept, made = found.attributes, {**wanted, **found.owner.made.attributes}
            fresh = {
                name: now[name] for name in wanted if name not in kept or now[name] != made[name]
            }
            content = _encoded({**kept, **fresh}, {**made, **wanted}, self._mark)
            if content != self._before:
                files.replace(self.path, content)
        except (OSError, ValueError) as e:
            why = str(e) if isinstance(e, ValueError) else (e.strerror or str(e)).lower()
            raise CNIError(INTERNAL, f"failed to save what is changed to {self.path}: {why}") from e

    def take_back(self) -> None:
        """Have again what was there before `save`.

        Raises:
            OSError: that cannot be done.
        """
        if self._before is None:
            self.remove()
        else:
            files.replace(self.path, self._before)

    def remove(self) -> None:
        """Remove the file, and what a process that was killed has left of it.

        Raises:
            OSError: it cannot be removed.
        """
        files.remove(self.path)


def attributes_of(link: Link) -> dict[str, Any]:
    """Return what a link has of all that can be changed."""
    return {
        "mac": link.mac,
        "promisc": bool(link.flags & IFF_PROMISC),
        "mtu": link.mtu,
        "allmulti": bool(link.flags & IFF_ALLMULTI),
        "txqlen": link.txqlen,
    }


def remove_stale(directory: str, network: str, valid: set[tuple[str, str]]) -> None:
    """Remove what is kept for attachments of a network that are not valid.

    Raises:
        CNIError: several files cannot be removed; the others were.
        OSError: the directory cannot be read, or one file not be removed.
    """
    failures = Failures()
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        path = os.path.join(directory, name)
        try:
            owner = _Kept.decode(loads(files.read(path))).owner
        except (OSError, ValueError):
            continue  # nobody knows whose it is
        if owner.network == network and (owner.container_id, owner.ifname) not in valid:
            failures.attempt(files.unlink, path)
    failures.report()


def _encoded(attributes: dict[str, Any], made: dict[str, Any], mark: dict[str, str]) -> bytes:
    """Return the content of a file: a line for each key, as the reference has it."""
    lines = [
        b' "%s": %s' % (key.encode(), dumps(attributes[name]))
        for name, key in _KEYS.items()
        if name in attributes
    ]
    told = {key: made[name] for name, key in _KEYS.items() if name in made}
    lines.append(b' "%s": %s' % (_MARK.encode(), dumps({**mark, "made": told})))
    return b"{\n%s\n}" % b",\n".join(lines)
