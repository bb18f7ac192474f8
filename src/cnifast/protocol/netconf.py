"""The part of a network configuration that all plugins share; they add fields by inheritance."""

from __future__ import annotations

from cnifast.protocol.result import DNS
from cnifast.protocol.schema import (
    BOOL,
    OBJECT,
    TEXT,
    Struct,
    array,
    field,
    mapping,
    optional,
    record,
)


class IPAMConf(Struct):
    """Which plugin manages addresses; the rest of the object is that plugin's own."""

    type = field("type", TEXT, "")


class Attachment(Struct):
    """One attachment as GC names those that are still valid."""

    container_id = field("containerID", TEXT, "")
    ifname = field("ifname", TEXT, "")


class NetConf(Struct):
    """What every plugin's configuration may have.

    ``Request`` has name, version and previous result already checked; they are declared here
    so that a value of the wrong kind is refused by whoever decodes a configuration.
    """

    cni_version = field("cniVersion", TEXT, "")
    name = field("name", TEXT, "")
    type = field("type", TEXT, "")
    capabilities = field("capabilities", mapping(BOOL), {})
    ipam = field("ipam", record(IPAMConf), IPAMConf())
    dns = field("dns", record(DNS), DNS())
    raw_prev_result = optional("prevResult", OBJECT)
    valid_attachments = field("cni.dev/valid-attachments", array(record(Attachment)), ())
