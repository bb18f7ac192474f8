"""What is remembered of an attachment between ADD and DEL: a file in the format of Go's libcni.

    <cache_dir>/results/<network>-<container ID>-<interface>

is one JSON object, of which ``config`` is the network's configuration in base64 and ``result``
the result of ADD.  A file appears with all its content, or not at all.
"""

from __future__ import annotations

import os
from binascii import b2a_base64

from cnifast.libcni import gojson
from cnifast.protocol.request import validate_container_id, validate_interface_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cnifast.libcni.conf import RuntimeConf
    from cnifast.protocol.result import Result

DIRECTORY = "/var/lib/cni"
KIND = "cniCacheV1"


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
        head["capabilityArgs"] = gojson.in_order(dict(rt.capability_args))
    head["result"] = gojson.in_order(result.to_json(result.cni_version))
    return gojson.encode(head)


def encode_config(data: bytes) -> str:
    """Return a configuration as it stands in a file."""
    return b2a_base64(data, newline=False).decode()


def remove(path: str) -> None:
    """Remove a file; what cannot be removed will be overwritten one day."""
    try:  # noqa: SIM105 - contextlib would cost more than the call
        os.unlink(path)
    except OSError:
        pass
