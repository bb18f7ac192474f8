"""What flannel makes of its configuration and of what flanneld wrote: the delegate's one."""

from __future__ import annotations

from cnifast.invoke import files
from cnifast.plugins.base import decode
from cnifast.protocol import ip as _ip
from cnifast.protocol.codec import DecodeError, dumps, quote
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.request import validate_plugin_type
from cnifast.protocol.result import DNS, Route, route_json
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
    from typing import Any

    from cnifast.protocol.request import Request

SELF = "flannel"

_DEFAULT_TYPE = "bridge"
_DEFAULT_IPAM = "host-local"
_MTU_MAX = 2**32 - 1
_SHOWN_MAX = 40  # characters of a value
_ROUTES = array(record(Route))
_KEYS = frozenset(
    (
        "FLANNEL_NETWORK",
        "FLANNEL_IPV6_NETWORK",
        "FLANNEL_SUBNET",
        "FLANNEL_IPV6_SUBNET",
        "FLANNEL_MTU",
        "FLANNEL_IPMASQ",
    )
)


class SubnetFileError(CNIError):
    """What flanneld writes is not there, or not in order."""

    def __init__(self, why: str) -> None:
        super().__init__(INTERNAL, f"failed to load flannel's subnet file: {why}")


class Wanted:
    """A call of the delegate: its name, and the configuration it is given."""

    __slots__ = ("plugin", "stdin")

    def __init__(self, plugin: str, stdin: bytes) -> None:
        self.plugin = plugin
        self.stdin = stdin


class FlannelConf(Struct):
    """The keys of the flannel plugin."""

    cni_version = field("cniVersion", TEXT, "")
    """Version of the specification; in a list it stands beside `plugins`."""
    name = field("name", TEXT, "")
    """Name of the network, of letters, digits and `_.-`; in a list it stands beside `plugins`."""
    type = field("type", TEXT, "")
    """Name of the plugin: the binary's name in CNI_PATH."""
    capabilities = field("capabilities", mapping(BOOL), {})
    """Which capability arguments of the runtime this plugin shall get."""
    dns = field("dns", record(DNS), DNS())
    """What the result says about DNS, where no IPAM plugin says it."""
    raw_prev_result = optional("prevResult", OBJECT)
    """Result of the plugin before, or of ADD; the runtime puts it here."""
    subnet_file = field("subnetFile", TEXT, "/run/flannel/subnet.env")
    """What flanneld says of this node."""
    data_dir = field("dataDir", TEXT, "/var/lib/cni/flannel")
    """Directory of the delegates' configurations, by which DEL works."""
    delegate = field("delegate", OBJECT, {})
    """Configuration of the plugin that attaches; what flannel knows is filled in."""
    ipam = field("ipam", OBJECT, {})
    """Keys for the delegate's IPAM plugin, in addition to the subnets."""
    runtime_config = optional("runtimeConfig", OBJECT)
    """Capability arguments, which the delegate gets."""

    made: tuple[bytes, Wanted | None] = (b"", None)  # by the last content of the subnet file


class SubnetEnv:
    """What flanneld says of this node; networks and subnets are canonical text."""

    __slots__ = ("ip_masq", "mtu", "networks", "subnets")

    def __init__(self, networks: list[str], subnets: list[str], mtu: int, ip_masq: bool) -> None:
        self.networks = networks
        self.subnets = subnets
        self.mtu = mtu
        self.ip_masq = ip_masq


def load(req: Request) -> FlannelConf:
    """Return the configuration of a request, which has to be served where its files are.

    Raises:
        CNIError: a key has a value of the wrong kind.
        RunCold: its paths mean something else here than for the caller.
    """
    conf = req.derive(SELF, _decode)
    req.place.require_paths(SELF, conf.data_dir, conf.subnet_file)
    return conf


def _decode(req: Request) -> FlannelConf:
    """Decode the configuration."""
    return decode(FlannelConf, req)


def wanted(conf: FlannelConf) -> Wanted:
    """Return the call of the delegate that flanneld's file, as it is now, stands for.

    Raises:
        SubnetFileError: flanneld's file is not there, or not in order.
        CNIError: the configuration is not usable.
    """
    for key, path in (("subnetFile", conf.subnet_file), ("dataDir", conf.data_dir)):
        if not path:
            raise CNIError(INTERNAL, f"{key} is empty")
    content = _read(conf.subnet_file)
    made_of, made = conf.made
    if made is None or content != made_of:
        try:
            env = parse(content)
        except DecodeError as e:
            raise SubnetFileError(f"{conf.subnet_file}: {e}") from None
        made = _make(conf, env)
        conf.made = (content, made)
    return made


def _read(path: str) -> bytes:
    """Return what flanneld wrote."""
    try:
        return files.read(path)
    except FileNotFoundError:
        why = f"{path}: no such file or directory; flanneld writes it when it runs"
    except OSError as e:
        why = f"{path}: {(e.strerror or str(e)).lower()}"
    except ValueError as e:
        why = str(e)
    raise SubnetFileError(why)


def parse(content: bytes) -> SubnetEnv:
    """Return what is in flanneld's file: lines KEY=VALUE, of equal keys the last one counts.

    Raises:
        DecodeError: a value is not what its key stands for, or a key is missing.
    """
    values: dict[str, str] = {}
    for line in content.decode("utf-8", "replace").split("\n"):
        key, assigned, value = line.removesuffix("\r").partition("=")
        if key in _KEYS:
            if not assigned:
                raise DecodeError(f"{key} has no value")
            values[key] = value
    networks: dict[str, None] = {}
    for key in ("FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK"):
        if key in values:
            networks.update((_network(key, text), None) for text in values[key].split(","))
    subnets = [
        _network(key, values[key])
        for key in ("FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET")
        if key in values
    ]
    missing = [key for key in ("FLANNEL_MTU", "FLANNEL_IPMASQ") if key not in values]
    if not subnets:
        missing[:0] = ["FLANNEL_SUBNET or FLANNEL_IPV6_SUBNET"]
    if not networks:
        missing[:0] = ["FLANNEL_NETWORK or FLANNEL_IPV6_NETWORK"]
    if missing:
        raise DecodeError(f"it lacks {', '.join(missing)}")
    mtu = values["FLANNEL_MTU"]
    if not (mtu.isascii() and mtu.isdigit()) or len(mtu) > 10 or int(mtu) > _MTU_MAX:
        raise DecodeError(f"FLANNEL_MTU={quote(mtu[:_SHOWN_MAX])} is not a number of 32 bits")
    return SubnetEnv(list(networks), subnets, int(mtu), values["FLANNEL_IPMASQ"] == "true")


def _network(key: str, text: str) -> str:
    """Return the network of an address with its prefix length."""
    try:
        family, value, prefixlen = _ip.parse_cidr(text)
    except DecodeError as e:
        raise DecodeError(f"{key}: {e}") from None
    return _ip.format_cidr(family, _ip.network(family, value, prefixlen), prefixlen)


def _make(conf: FlannelConf, env: SubnetEnv) -> Wanted:
    """Return the call of the delegate.

    Raises:
        CNIError: "delegate" says what it must not say, or "ipam" has unusable routes.
    """
    made = dict(conf.delegate)
    for key in ("name", "ipam"):
        if _has(made, key):
            raise CNIError(
                INTERNAL, f'"delegate" must not have "{key}": it is the one of the network itself'
            )
    plugin = _take(made, "type", _DEFAULT_TYPE)
    if type(plugin) is not str:
        raise CNIError(INTERNAL, '"delegate" has a "type" that is not a string')
    validate_plugin_type(plugin, "delegate.type")
    if plugin == SELF:
        raise CNIError(INTERNAL, f'"delegate" has the "type" {SELF}: it would delegate for ever')
    made["type"] = plugin
    made["name"] = conf.name
    if conf.cni_version:
        _take(made, "cniversion")
        made["cniVersion"] = conf.cni_version
    if conf.runtime_config is not None:
        _take(made, "runtimeconfig")
        made["runtimeConfig"] = conf.runtime_config
    if not _has(made, "ipmasq"):
        made["ipMasq"] = not env.ip_masq  # if flanneld does not, somebody has to
    if not _has(made, "mtu"):
        made["mtu"] = env.mtu
    if plugin == _DEFAULT_TYPE and not _has(made, "isgateway"):
        made["isGateway"] = True
    made["ipam"] = _ipam(conf.ipam, env)
    return Wanted(plugin, dumps(made))


def _ipam(given: dict[str, Any], env: SubnetEnv) -> dict[str, Any]:
    """Return the "ipam" of the delegate: what was given, this node's subnets, and routes."""
    ipam = dict(given)
    if not _has(ipam, "type"):
        ipam["type"] = _DEFAULT_IPAM
    _take(ipam, "ranges")
    ipam["ranges"] = [[{"subnet": subnet}] for subnet in env.subnets]
    try:
        routes = _ROUTES.decode(_take(ipam, "routes") or [], "ipam.routes")
    except DecodeError as e:
        raise CNIError(INTERNAL, f"failed to load netconf: {e}") from None
    own = [Route(network) for network in env.networks]
    ipam["routes"] = [route_json(route) for route in (*routes, *own)]
    return ipam


def _has(obj: dict[str, Any], key: str) -> bool:
    """Tell whether a key, given in lower case, is there regardless of case, be it null."""
    return any(fold(name) == key for name in obj)


def _take(obj: dict[str, Any], key: str, default: Any = None) -> Any:
    """Take a key, given in lower case, out regardless of case; of several the last one counts."""
    value = default
    for name in [name for name in obj if fold(name) == key]:
        value = obj.pop(name)
    return value
