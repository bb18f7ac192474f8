"""The part of a network configuration that all plugins share; they add fields by inheritance."""

from __future__ import annotations

from cnifast.protocol.errors import INVALID_NETWORK_CONFIG, CNIError, DecodeError
from cnifast.protocol.result import DNS
from cnifast.protocol.schema import (
    BOOL,
    OBJECT,
    TEXT,
    Struct,
    array,
    field,
    fold,
    mapping,
    optional,
    record,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class IPAMConf(Struct):
    """Which plugin manages addresses; the rest of the object is that plugin's own."""

    type = field("type", TEXT, "")
    """Name of the IPAM plugin; empty: none, and the interface has no address."""


class Attachment(Struct):
    """One attachment as GC names those that are still valid."""

    container_id = field("containerID", TEXT, "")
    """The container's ID."""
    ifname = field("ifname", TEXT, "")
    """Name of its interface."""


class NetConf(Struct):
    """What every plugin's configuration may have.

    ``Request`` has name, version and previous result already checked; they are declared here
    so that a value of the wrong kind is refused by whoever decodes a configuration.
    """

    cni_version = field("cniVersion", TEXT, "")
    """Version of the specification; in a list it stands beside `plugins`."""
    name = field("name", TEXT, "")
    """Name of the network, of letters, digits and `_.-`; in a list it stands beside `plugins`."""
    type = field("type", TEXT, "")
    """Name of the plugin: the binary's name in CNI_PATH."""
    capabilities = field("capabilities", mapping(BOOL), {})
    """Which capability arguments of the runtime this plugin shall get."""
    ipam = field("ipam", record(IPAMConf), IPAMConf())
    """Which plugin manages addresses, and that plugin's own keys."""
    dns = field("dns", record(DNS), DNS())
    """What the result says about DNS, where no IPAM plugin says it."""
    raw_prev_result = optional("prevResult", OBJECT)
    """Result of the plugin before, or of ADD; the runtime puts it here."""
    valid_attachments = field("cni.dev/valid-attachments", array(record(Attachment)), ())
    """What GC leaves alone; the runtime puts it here."""


_VALID = ("cni.dev/valid-attachments", "cni.dev/attachments")  # specified, and first published
_ATTACHMENTS = array(record(Attachment))


def valid_attachments(conf: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return (container ID, ifname) of the attachments that GC leaves alone; null is none.

    Raises:
        CNIError: the list is malformed, or missing: nothing would be valid then (code 7).
    """
    for key in _VALID:
        for name, value in conf.items():
            if fold(name) != key:
                continue
            try:
                entries = _ATTACHMENTS.decode([] if value is None else value, key)
            except DecodeError as e:
                raise CNIError(INVALID_NETWORK_CONFIG, str(e)) from None
            return {(entry.container_id, entry.ifname) for entry in entries}
    raise CNIError(INVALID_NETWORK_CONFIG, f"GC needs {_VALID[0]}")
