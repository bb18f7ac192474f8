"""Reading the cache of results, ours and those of Go's libcni; `cnifast.libcni.cache` writes it."""

from __future__ import annotations

import os
from binascii import Error as Base64Error
from binascii import a2b_base64

from cnifast.libcni.cache import KIND
from cnifast.libcni.conf import (
    RuntimeConf,
    conf_from_bytes,
    conf_list_from_bytes,
    conf_list_from_conf,
    is_list,
)
from cnifast.protocol.codec import DecodeError, loads, quote
from cnifast.protocol.errors import IO_FAILURE, CNIError
from cnifast.protocol.result import Result
from cnifast.protocol.schema import OBJECT, TEXT, Struct, array, field, lookup, optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnifast.libcni.conf import NetworkConfigList


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
    printed = loads(data)
    if type(printed) is dict and "kind" in printed:
        entry = _Entry.decode(printed)
        if entry.kind != KIND:
            raise DecodeError(f"it is of the kind {quote(entry.kind)}")
        printed = entry.result
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
