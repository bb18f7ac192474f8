"""The bridge plugin's configuration: its keys, and what makes it usable."""

from __future__ import annotations

from cnifast.plugins.base import decode, require_mtu
from cnifast.plugins.common import Args, InterfaceConf, check_mac, env_args
from cnifast.plugins.pairs import MTU_MAX, MTU_MIN
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.schema import (
    BOOL,
    INT,
    TEXT,
    Struct,
    array,
    field,
    narrowed,
    optional,
    record,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.protocol.request import Request

VLAN_MAX = 4094

_VLAN = narrowed(INT, minimum=1, maximum=VLAN_MAX)


class VlanTrunk(Struct):
    """VLANs a port passes tagged: a range, one VLAN, or both."""

    min_id = optional("minID", _VLAN)
    """First VLAN of a range, together with `maxID`."""
    max_id = optional("maxID", _VLAN)
    """Last VLAN of the range."""
    id = optional("id", _VLAN)
    """One VLAN."""


class BridgeConf(InterfaceConf):
    """The keys of the reference's bridge plugin, version 1.9."""

    bridge = field("bridge", narrowed(TEXT, minLength=1, maxLength=15), "cni0")
    """Name of the bridge; it is made when there is none."""
    is_gateway = field("isGateway", BOOL, False)
    """Give the bridge the gateway's address, and let the node forward packets."""
    is_default_gateway = field("isDefaultGateway", BOOL, False)
    """As `isGateway`, and the container's default route goes there."""
    force_address = field("forceAddress", BOOL, False)
    """Replace an address of the bridge that overlaps the gateway's."""
    ip_masq = field("ipMasq", BOOL, False)
    """Packets that leave the network get an address of the node."""
    ip_masq_backend = optional("ipMasqBackend", narrowed(TEXT, enum=["nftables", "iptables"]))
    """Who masquerades, `nftables` or `iptables`; without the key nftables."""
    mtu = field("mtu", narrowed(INT, minimum=0, maximum=MTU_MAX), 0)
    """MTU of the interfaces and, when it is made, the bridge; 0: the kernel's default."""
    hairpin_mode = field("hairpinMode", BOOL, False)
    """Let packets leave by the port that they came by."""
    promisc_mode = field("promiscMode", BOOL, False)
    """Set the bridge promiscuous; not together with `hairpinMode`."""
    vlan = field("vlan", narrowed(INT, minimum=0, maximum=VLAN_MAX), 0)
    """VLAN of the container, untagged; 0: none."""
    vlan_trunk = optional("vlanTrunk", array(record(VlanTrunk)))
    """VLANs that the container gets tagged."""
    preserve_default_vlan = field("preserveDefaultVlan", BOOL, False)
    """Leave the port in VLAN 1 beside `vlan` and `vlanTrunk`."""
    macspoofchk = field("macspoofchk", BOOL, False)
    """Drop what the container sends from another MAC address than its own."""
    enabledad = field("enabledad", BOOL, False)
    """Wait until IPv6 addresses have proved to be unique."""
    disable_container_interface = field("disableContainerInterface", BOOL, False)
    """Leave the container's interface down; not together with `ipam`."""
    port_isolation = field("portIsolation", BOOL, False)
    """No traffic between isolated ports of the bridge."""
    args = field("args", record(Args), Args())
    """Arguments of the runtime."""

    trunk: tuple[tuple[int, int], ...] = ()  # ranges (first, last)

    @property
    def gateway_wanted(self) -> bool:
        """Whether the bridge gets the gateway's address."""
        return self.is_gateway or self.is_default_gateway

    @property
    def filters_vlans(self) -> bool:
        """Whether the bridge has to look at VLAN tags."""
        return self.vlan != 0 or self.vlan_trunk is not None


def decode_conf(req: Request) -> BridgeConf:
    """Decode the configuration without asking for sense; DEL works with any.

    Raises:
        CNIError: a key has a value of the wrong kind, or CNI_ARGS is malformed.
    """
    wanted_mac(req)
    return req.derive("bridge", _decode)


def wanted_mac(req: Request) -> str:
    """Return the MAC asked for in one of three ways, empty for none.

    Raises:
        CNIError: it is not one, or CNI_ARGS is malformed.
    """
    given = env_args(req).get("MAC", "") if req.args else ""
    conf = req.derive("bridge", _decode)
    return conf.runtime_config.mac or conf.args.cni.mac or given


def load(req: Request) -> BridgeConf:
    """Decode and validate the configuration of an ADD.

    Raises:
        CNIError: the configuration is not usable.
    """
    conf = req.derive("valid bridge", _validated)
    mac = wanted_mac(req)
    if mac:
        try:
            check_mac(mac)
        except ValueError as e:
            raise CNIError(INTERNAL, str(e)) from None
    return conf


def _decode(req: Request) -> BridgeConf:
    """Decode the configuration."""
    return decode(BridgeConf, req)


def _validated(req: Request) -> BridgeConf:
    """Decode the configuration and refuse what makes no sense."""
    conf = _decode(req)
    if not 0 <= conf.vlan <= VLAN_MAX:
        raise CNIError(INTERNAL, f"invalid VLAN ID {conf.vlan} (must be between 0 and {VLAN_MAX})")
    conf.trunk = _trunk(conf.vlan_trunk or ())
    if conf.ipam_type and conf.disable_container_interface:
        raise CNIError(INTERNAL, "cannot use IPAM when DisableContainerInterface flag is set")
    if conf.hairpin_mode and conf.promisc_mode:
        raise CNIError(INTERNAL, "cannot set hairpin mode and promiscuous mode at the same time")
    require_mtu(conf.mtu, MTU_MIN, MTU_MAX)
    if not _is_bridge_name(conf.bridge):
        raise CNIError(INTERNAL, f'invalid bridge name "{conf.bridge}"')
    return conf


def _is_bridge_name(name: str) -> bool:
    """Tell whether the kernel takes a name for a link as it stands."""
    return (
        0 < len(name.encode()) <= 15
        and name not in (".", "..")
        and not any(c in "/:%\0" or c.isspace() for c in name)
    )


def _trunk(entries: tuple[VlanTrunk, ...]) -> tuple[tuple[int, int], ...]:
    """Return the VLANs of a trunk as disjoint ranges in order.

    Raises:
        CNIError: a VLAN is out of bounds, or a range lacks an end.
    """
    wanted: set[int] = set()
    for entry in entries:
        low, high = entry.min_id, entry.max_id
        if low is not None and high is not None:
            _require_vlan(low, "minID")
            _require_vlan(high, "maxID")
            if high < low:
                raise CNIError(INTERNAL, "minID is greater than maxID in trunk parameter")
            wanted.update(range(low, high + 1))
        elif low is not None or high is not None:
            missing = "minID" if low is None else "maxID"
            raise CNIError(
                INTERNAL,
                f"minID and maxID should be configured simultaneously, {missing} is missing",
            )
        if entry.id is not None:
            _require_vlan(entry.id, "id")
            wanted.add(entry.id)
    ranges: list[tuple[int, int]] = []
    for vid in sorted(wanted):
        if ranges and ranges[-1][1] == vid - 1:
            ranges[-1] = (ranges[-1][0], vid)
        else:
            ranges.append((vid, vid))
    return tuple(ranges)


def _require_vlan(vid: int, key: str) -> None:
    """Refuse a VLAN that does not exist."""
    if not 0 < vid <= VLAN_MAX:
        raise CNIError(INTERNAL, f"incorrect trunk {key} parameter")
