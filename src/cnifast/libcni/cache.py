"""What is remembered of an attachment between ADD and DEL: a file in the format of Go's libcni.

    <cache_dir>/results/<network>-<container ID>-<interface>

is one JSON object, of which ``config`` is the network's configuration in base64 and ``result``
the result of ADD.  A file appears with all its content, or not at all.
"""

from __future__ import annotations

import os
from binascii import b2a_base64

from cnifast.protocol.codec import dumps
from cnifast.protocol.request import validate_container_id, validate_interface_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from cnifast.libcni.conf import RuntimeConf
    from cnifast.protocol.result import Result

DIRECTORY = "/var/lib/cni"
KIND = "cniCacheV1"
_NOT_IN_GO = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


class NewEntry:
    """A file on its way into the cache: nothing is there before ``commit``.

    A context manager; leaving it lets go of what was not committed.
    """

    __slots__ = ("_fd", "_temporary", "path")

    def __init__(self, path: str) -> None:
        """Make sure that there will be a place for the file.

        Raises:
            OSError: there will not.
        """
        self.path = path
        self._temporary = ""
        try:
            self._fd = self._open_unnamed()
        except OSError:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            try:
                self._fd = self._open_unnamed()
            except OSError:  # not every file system has files without a name
                self._temporary = self._new_name()
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
                self._fd = os.open(self._temporary, flags, 0o600)

    def _open_unnamed(self) -> int:
        """Create a file that is nowhere yet."""
        flags = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
        return os.open(os.path.dirname(self.path), flags, 0o600)

    def _new_name(self) -> str:
        """Return a name beside the path that nobody else uses."""
        return f"{self.path}.{os.urandom(8).hex()}.tmp"

    def commit(self, data: bytes) -> None:
        """Write the file and put it in place of the one that is there.

        Raises:
            OSError: it cannot be written; the one that is there stays.
        """
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        if not self._temporary:
            try:
                self._name(self.path)
            except FileExistsError:
                self._temporary = self._new_name()
                self._name(self._temporary)
            else:
                return
        os.rename(self._temporary, self.path)
        self._temporary = ""

    def _name(self, path: str) -> None:
        """Give the file a name."""
        # Symbolic links are only followed where a directory is given, which is not looked at.
        source = f"/proc/self/fd/{self._fd}"
        os.link(source, path, src_dir_fd=self._fd, follow_symlinks=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)
        if self._temporary:
            os.unlink(self._temporary)


def entry_path(directory: str, network: str, rt: RuntimeConf) -> str:
    """Return where the file of an attachment is.

    Raises:
        CNIError: a name is empty, or could lead elsewhere.
    """
    validate_container_id(rt.container_id)
    validate_interface_name(rt.ifname)
    return f"{directory}/results/{network}-{rt.container_id}-{rt.ifname}"


def encode(network: str, rt: RuntimeConf, config: str, result: Result) -> bytes:
    """Return the content of a file; ``config`` is what `encode_config` returned.

    Raises:
        TypeError: a capability argument has no JSON form.
        ValueError: neither has a NaN.
    """
    head: dict[str, Any] = {
        "kind": KIND,
        "containerId": rt.container_id,
        "config": config,
        "ifName": rt.ifname,
        "networkName": network,
    }
    if rt.netns:
        head["netns"] = rt.netns
    if rt.args:
        head["cniArgs"] = [list(pair) for pair in rt.args]
    if rt.capability_args:
        head["capabilityArgs"] = _sorted(dict(rt.capability_args))
    head["result"] = _sorted(result.to_json(result.cni_version))
    text = dumps(head).decode()
    for character, escape in _NOT_IN_GO.items():
        if character in text:
            text = text.replace(character, escape)
    return text.encode()


def encode_config(data: bytes) -> str:
    """Return a configuration as it stands in a file."""
    return b2a_base64(data, newline=False).decode()


def _sorted(value: Any) -> Any:
    """Return a value whose objects have their keys in order, as Go writes maps."""
    if type(value) is dict:
        return {key: _sorted(value[key]) for key in sorted(value)}
    if type(value) is list:
        return [_sorted(item) for item in value]
    return value


def remove(path: str) -> None:
    """Remove a file; what cannot be removed will be overwritten one day."""
    try:  # noqa: SIM105 - contextlib would cost more than the call
        os.unlink(path)
    except OSError:
        pass
