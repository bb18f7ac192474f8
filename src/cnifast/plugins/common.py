"""Keys that the configurations of interface plugins share."""

from __future__ import annotations

from cnifast.kernel.address import mac_bytes
from cnifast.protocol.args import load_args
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.netconf import NetConf
from cnifast.protocol.schema import TEXT, Struct, field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.protocol.request import Request

# Keys of CNI_ARGS that some plugin in a chain understands: none of them is unknown to another.
KNOWN_ARGS = ("IP", "MAC", "GATEWAY")


class RuntimeConfig(Struct):
    """Capability arguments of interface plugins."""

    mac = field("mac", TEXT, "")
    """MAC address of the container's interface (capability `mac`)."""


class CniArgs(Struct):
    """Conventional arguments under "args"."""

    mac = field("mac", TEXT, "")
    """MAC address of the container's interface."""


class Args(Struct):
    """Arguments of the runtime within the configuration."""

    cni = field("cni", record(CniArgs), CniArgs())
    """Conventional arguments."""


class InterfaceConf(NetConf):
    """What every interface plugin reads."""

    runtime_config = field("runtimeConfig", record(RuntimeConfig), RuntimeConfig())
    """Capability arguments; the runtime puts them here."""

    @property
    def ipam_type(self) -> str:
        """The IPAM plugin, empty for an interface without addresses."""
        return self.ipam.type


def check_mac(text: str) -> None:
    """Refuse what the kernel does not take for an interface's own address.

    It would be found out only when there is an address already.

    Raises:
        ValueError: it is no MAC address, or a group's, or all zeros.
    """
    octets = mac_bytes(text)
    if octets[0] & 1 or not any(octets):
        raise ValueError(f"address {text}: not a unicast MAC address")


def require_mac(text: str) -> None:
    """Refuse a MAC that an interface cannot have; an empty one is none.

    Raises:
        CNIError: it is malformed, or a group's, or all zeros.
    """
    if not text:
        return
    try:
        check_mac(text)
    except ValueError as e:
        raise CNIError(INTERNAL, f"invalid args {text} for MAC addr: {e}") from None


def runtime_mac(req: Request, conf: InterfaceConf) -> str:
    """Return the MAC that the runtime gives as a capability or in CNI_ARGS, empty for none.

    Raises:
        CNIError: CNI_ARGS is malformed.
    """
    given = env_args(req).get("MAC", "") if req.args else ""
    return conf.runtime_config.mac or given


def env_args(req: Request) -> dict[str, str]:
    """Return the known arguments in CNI_ARGS.

    Raises:
        CNIError: they are malformed, or one is unknown and IgnoreUnknown is not set.
    """
    try:
        return load_args(req.args, KNOWN_ARGS)
    except DecodeError as e:
        raise CNIError(INTERNAL, str(e)) from None
