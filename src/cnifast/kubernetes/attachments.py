"""What network plugins have in common: attaching sandboxes by libcni, and what they end up with."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cnifast.kernel.handle import Handle
from cnifast.kernel.netns import NetNS
from cnifast.kubernetes.network_plugin import NetworkPluginError, PodNetworkStatus
from cnifast.libcni import NetworkConfigList, RuntimeConf, conf_list_from_bytes
from cnifast.protocol import ip
from cnifast.protocol.codec import dumps
from cnifast.protocol.errors import CNIError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from cnifast.kubernetes.host import DNSConfig, Host, PortMapping
    from cnifast.libcni import CNIConfig
    from cnifast.protocol.result import Result

IFNAME = "eth0"
LOOPBACK_IFNAME = "lo"

_log = logging.getLogger(__name__)
_GONE = "no such file or directory"
_SCOPE_UNIVERSE = 0


def loopback(name: str) -> NetworkConfigList:
    """Return the network that every sandbox is attached to first, by whatever loopback plugin."""
    conf = {"cniVersion": "0.4.0", "name": name, "plugins": [{"type": "loopback"}]}
    return conf_list_from_bytes(dumps(conf))


class Attachments:
    """Attaches sandboxes to a loopback network and to one other.

    Args:
        cni: how.
        loopback_name: what the loopback network is called.
    """

    def __init__(self, cni: CNIConfig, loopback_name: str) -> None:
        self.cni = cni
        self.loopback = loopback(loopback_name)

    def attach(self, net: NetworkConfigList, rt: RuntimeConf) -> Result:
        """Attach a sandbox to both networks, or to none.

        Raises:
            CNIError: a plugin refused.
        """
        lo = _beside(rt)
        was_up = self._has_loopback(lo)
        self.cni.add_network_list(self.loopback, lo)
        try:
            return self.cni.add_network_list(net, rt)
        except BaseException:
            if not was_up:
                self._detach_loopback(lo)
            raise

    def detach(self, net: NetworkConfigList, rt: RuntimeConf) -> None:
        """Detach a sandbox from both networks; one that was detached before is success.

        Raises:
            CNIError: a plugin failed.
        """
        try:
            self.cni.del_network_list(net, rt)
        except CNIError as e:
            if _GONE not in str(e):
                raise
            _log.info("%s had been detached from %s: %s", rt.container_id, net.name, e)
        finally:
            self._detach_loopback(_beside(rt))

    def detach_rest(self, rt: RuntimeConf) -> None:
        """Detach a sandbox, which no other network is known of, from the loopback network.

        Raises:
            CNIError: the records cannot be read.
            NetworkPluginError: by the records there is another network.
        """
        if self._is_attached(rt.container_id):
            raise NetworkPluginError(
                f"the network that sandbox {rt.container_id} was attached to is not known"
            )
        lo = _beside(rt)
        if self._has_loopback(lo):
            self._detach_loopback(lo)

    def _has_loopback(self, rt: RuntimeConf) -> bool:
        """Tell whether a sandbox has been attached to the loopback network by the records."""
        try:
            return self.cni.get_network_list_cached_result(self.loopback, rt) is not None
        except CNIError:
            return True  # there is a record, whatever is in it

    def _detach_loopback(self, rt: RuntimeConf) -> None:
        """Detach from the loopback network, which goes with the sandbox anyway."""
        try:
            self.cni.del_network_list(self.loopback, rt)
        except CNIError as e:
            _log.warning("detaching %s from %s: %s", rt.container_id, self.loopback.name, e)

    def collect(self, net: NetworkConfigList, live: Iterable[str]) -> None:
        """Detach all sandboxes but these, and take away what others have left.

        Raises:
            CNIError: a plugin failed; everything else is done.
        """
        live = list(live)
        try:
            self.cni.gc_network_list(net, [(id_, IFNAME) for id_ in live])
        finally:
            self.cni.gc_network_list(self.loopback, [(id_, LOOPBACK_IFNAME) for id_ in live])

    def require_new(self, rt: RuntimeConf) -> None:
        """Refuse a sandbox that is attached by the records, to whichever network.

        A record that is not in order counts as none.

        Raises:
            CNIError: the records cannot be read.
            NetworkPluginError: it is attached.
        """
        if self._is_attached(rt.container_id):
            raise NetworkPluginError(f"sandbox {rt.container_id} has been set up already")

    def _is_attached(self, id_: str) -> bool:
        """Tell whether a sandbox has been attached to any network by the records."""
        return any(found.rt.ifname == IFNAME for found in self.cni.get_cached_attachments(id_))

    def recorded(self, network: str, id_: str) -> tuple[NetworkConfigList, RuntimeConf] | None:
        """Return what a sandbox was attached to a network with by the records, None without any."""
        net = NetworkConfigList(network, "", (), b"")
        try:
            found = self.cni.get_network_list_cached_config(net, RuntimeConf(id_, "", IFNAME))
            return None if found is None else (conf_list_from_bytes(found[0]), found[1])
        except CNIError as e:
            _log.warning("what %s was attached to %s with cannot be read: %s", id_, network, e)
            return None

    def recorded_anywhere(self, id_: str) -> tuple[NetworkConfigList, RuntimeConf] | None:
        """Do the same where the network's name is not known, which takes reading all records."""
        try:
            for found in self.cni.get_cached_attachments(id_):
                if found.rt.ifname == IFNAME:
                    return conf_list_from_bytes(found.config), found.rt
        except CNIError as e:
            _log.warning("what %s was attached with cannot be read: %s", id_, e)
        return None


def _beside(rt: RuntimeConf) -> RuntimeConf:
    """Return the same for the loopback network, which has no use for arguments of the pod."""
    return RuntimeConf(rt.container_id, rt.netns, LOOPBACK_IFNAME, cache_dir=rt.cache_dir)


def netns_of(host: Host, id_: str) -> str:
    """Return the path of a sandbox's namespace, empty when it has ended or is unknown."""
    try:
        return host.get_netns(id_)
    except LookupError as e:
        _log.info("going on without a network namespace: %s", e)
        return ""


def require_netns(host: Host, id_: str) -> str:
    """Return the path of a sandbox's namespace.

    Raises:
        NetworkPluginError: it has ended, or is unknown.
    """
    try:
        found = host.get_netns(id_)
    except LookupError as e:
        raise NetworkPluginError(f"no network namespace: {e.args[0] if e.args else e}") from None
    if not found:
        raise NetworkPluginError(f"sandbox {id_} has no network namespace of its own")
    return found


def port_mappings(wanted: Iterable[PortMapping]) -> list[dict[str, Any]]:
    """Return the capability argument "portMappings"; ports that ask for none are left out."""
    return [
        {
            "hostPort": mapping.host_port,
            "containerPort": mapping.container_port,
            "protocol": mapping.protocol.lower(),
            "hostIP": mapping.host_ip,
        }
        for mapping in wanted
        if mapping.host_port > 0
    ]


def dns_settings(dns: DNSConfig | None) -> dict[str, list[str]]:
    """Return the capability argument "dns", empty where nothing is settled."""
    if dns is None:
        return {}
    shown = {"servers": dns.servers, "searches": dns.searches, "options": dns.options}
    return {key: list(values) for key, values in shown.items() if values}


def given(**arguments: Any) -> Mapping[str, Any]:
    """Return the capability arguments that there is something in."""
    return {name: value for name, value in arguments.items() if value}


def status_of_result(result: Result) -> PodNetworkStatus:
    """Return the addresses that a sandbox was given."""
    return PodNetworkStatus(config.address.partition("/")[0] for config in result.ips)


def status_in_netns(path: str) -> PodNetworkStatus:
    """Return the addresses of a sandbox as the kernel has them, IPv4 first.

    Raises:
        NetworkPluginError: there are none, or they cannot be read.
    """
    try:
        with NetNS(path) as netns, Handle(netns.fileno()) as inside:
            found = inside.addresses(index=inside.link(IFNAME).index)
    except OSError as e:
        raise NetworkPluginError(f"reading the addresses of {IFNAME}: {e}") from e
    ips = [
        ip.format_ip(*ip.unpacked(address.packed))
        for address in sorted(found, key=lambda address: address.family)
        if address.scope == _SCOPE_UNIVERSE
    ]
    if not ips:
        raise NetworkPluginError(f"{IFNAME} in {path} has no addresses")
    return PodNetworkStatus(ips)
