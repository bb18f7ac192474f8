"""What is remembered of an attachment between ADD and DEL: a file in the format of Go's libcni.

    <cache_dir>/results/<network>-<container ID>-<interface>

is one JSON object, of which ``config`` is the network's configuration in base64 and ``result``
the result of ADD.  A file appears with all its content, or not at all.
"""

from __future__ import annotations

import os
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from cnifast.libcni.conf import (
    RuntimeConf,
    conf_from_bytes,
    conf_list_from_bytes,
    conf_list_from_conf,
    is_list,
)
from cnifast.protocol.codec import DecodeError, dumps, loads, quote
from cnifast.protocol.errors import IO_FAILURE, CNIError
from cnifast.protocol.request import validate_container_id, validate_interface_name
from cnifast.protocol.result import Result
from cnifast.protocol.schema import OBJECT, TEXT, Struct, array, field, lookup, optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

    from cnifast.libcni.conf import NetworkConfigList

DIRECTORY = "/var/lib/cni"
KIND = "cniCacheV1"
_NOT_IN_GO = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


class _Entry(Struct):
    """A file of the cache."""

    kind = field("kind", TEXT, "")
    container_id = field("containerId", TEXT, "")
    config = field("config", TEXT, "")
    ifname = field("ifName", TEXT, "")
    network = field("networkName", TEXT, "")
    netns = field("netns", TEXT, "")
    args = optional("cniArgs", array(array(TEXT)))
    capability_args = optional("capabilityArgs", OBJECT)
    result = optional("result", OBJECT)


class CachedAttachment:
    """An attachment that the cache knows of, with what its ADD was given."""

    __slots__ = ("config", "network", "rt")

    def __init__(self, network: str, rt: RuntimeConf, config: bytes) -> None:
        self.network = network
        self.rt = rt
        self.config = config

    def load(self) -> NetworkConfigList:
        """Return the network that the attachment was made by.

        Raises:
            ConfigError: it is not in order.
        """
        if is_list(self.config):
            return conf_list_from_bytes(self.config)
        return conf_list_from_conf(conf_from_bytes(self.config))

    def __repr__(self) -> str:
        return f"<CachedAttachment {self.network} {self.rt.container_id} {self.rt.ifname}>"


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


def read_result(path: str, version: str) -> Result | None:
    """Return the result in a file in the form of a version, None when there is no file.

    A file may also be nothing but a result, as early libraries wrote it.

    Raises:
        CNIError: it cannot be read (code 5).
        ValueError: there is something else in it, or the result has no form in this version.
    """
    data = _read(path)
    if data is None:
        return None
    try:
        entry = _Entry.decode(loads(data))
    except DecodeError:
        entry = _Entry()
    printed = entry.result if entry.kind == KIND else loads(data)
    if printed is None:
        printed = {}
    own = lookup(printed, "cniversion") if type(printed) is dict else None
    return Result.from_json(printed, own if type(own) is str else "").as_version(version)


def read_config(path: str, network: str, rt: RuntimeConf) -> tuple[bytes, RuntimeConf] | None:
    """Return what ADD was given, None when there is no file.

    Raises:
        CNIError: it cannot be read (code 5).
        DecodeError: there is something else in it.
    """
    data = _read(path)
    if data is None:
        return None
    step = f'cached network "{network}" config'
    try:
        entry = _Entry.decode(loads(data))
        config = _config(entry)
    except DecodeError as e:
        raise DecodeError(f"failed to unmarshal {step}: {e}") from None
    if entry.kind != KIND:
        raise DecodeError(f"{step} has wrong kind: {quote(entry.kind)}")
    return config, RuntimeConf(
        rt.container_id,
        rt.netns,
        rt.ifname,
        rt.args if entry.args is None else _pairs(entry),
        entry.capability_args,
        rt.cache_dir,
    )


def remove(path: str) -> None:
    """Remove a file; what cannot be removed will be overwritten one day."""
    try:  # noqa: SIM105 - contextlib would cost more than the call
        os.unlink(path)
    except OSError:
        pass


def attachments(directory: str, container_id: str = "") -> Iterator[CachedAttachment]:
    """Yield the attachments that a cache knows of, in the order of its files' names.

    Files that are none of ours, or not in order, are left out.

    Raises:
        CNIError: the directory cannot be read (code 5).
    """
    results = f"{directory}/results"
    try:
        names = sorted(os.listdir(results))
    except FileNotFoundError:
        return
    except OSError as e:
        raise CNIError(IO_FAILURE, f"failed to read {results}: {e.strerror}") from e
    for name in names:
        if container_id and f"-{container_id}-" not in name:
            continue
        try:
            entry = _Entry.decode(loads(_read(f"{results}/{name}") or b""))
            if entry.kind != KIND or not entry.ifname or not entry.network:
                continue
            if container_id and entry.container_id != container_id:
                continue
            rt = RuntimeConf(
                entry.container_id, entry.netns, entry.ifname, _pairs(entry), entry.capability_args
            )
            yield CachedAttachment(entry.network, rt, _config(entry))
        except (CNIError, DecodeError):
            continue


def _read(path: str) -> bytes | None:
    """Return what is in a file, None when there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as e:
        raise CNIError(IO_FAILURE, f"failed to read {path}: {e.strerror}") from e


def _config(entry: _Entry) -> bytes:
    """Return the configuration in a file."""
    try:
        return a2b_base64(entry.config, strict_mode=True)
    except Base64Error as e:
        raise DecodeError(f"field config: {e}") from None


def _pairs(entry: _Entry) -> list[tuple[str, str]]:
    """Return the arguments in a file; of each, key and value."""
    pairs = []
    for pair in entry.args or ():
        if len(pair) != 2:
            raise DecodeError("field cniArgs: an argument is not a pair")
        pairs.append((pair[0], pair[1]))
    return pairs
