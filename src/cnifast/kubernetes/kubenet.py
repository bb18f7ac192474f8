"""kubenet: pods on a bridge of the node, with addresses from the node's pod CIDRs.

The bridge, host-local, portmap and bandwidth plugins do the work, in this process; kubenet makes
their configuration of what the kubelet says, and adds what concerns all pods together:
masquerading outside of the cluster, and the guard that a promiscuous bridge needs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cnifast.ipam.listing import entries
from cnifast.kubernetes.attachments import (
    IFNAME,
    Attachments,
    given,
    netns_of,
    port_mappings,
    require_netns,
    status_in_netns,
    status_of_result,
)
from cnifast.kubernetes.bandwidth import bandwidth_of
from cnifast.kubernetes.calls import PodCalls
from cnifast.kubernetes.cbr0 import MTU_MAX, Cbr0
from cnifast.kubernetes.gate import Gate
from cnifast.kubernetes.kubenet_conf import (
    NAME,
    PodNetwork,
    parse_cidrs,
    parse_pod_cidrs,
    subnet_of,
)
from cnifast.kubernetes.network_plugin import (
    NET_PLUGIN_CAPABILITY_SHAPER,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR,
    USE_DEFAULT_MTU,
    HairpinMode,
    NetworkPluginError,
)
from cnifast.libcni import CNIConfig, InProcessExec, RuntimeConf
from cnifast.protocol import ip
from cnifast.protocol.codec import quote
from cnifast.protocol.errors import CNIError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnifast.invoke.call import Exec
    from cnifast.kubernetes.host import Host
    from cnifast.kubernetes.network_plugin import PodNetworkStatus
    from cnifast.libcni import NetworkConfigList
    from cnifast.protocol.result import Result

LOOPBACK_NAME = "kubenet-loopback"

_log = logging.getLogger(__name__)
_NO_PLUGINS = "/dev/null"  # as CNI_PATH: a place without programs, so that plugins are ours
_EXHAUSTED = "no IP addresses available"


class _Pod:
    """What a sandbox was set up with."""

    __slots__ = ("net", "rt", "status")

    def __init__(self, net: NetworkConfigList, rt: RuntimeConf, status: PodNetworkStatus) -> None:
        self.net = net
        self.rt = rt
        self.status = status


class KubenetNetworkPlugin:
    """See `cnifast.kubernetes.NetworkPlugin`.

    Args:
        exec: how the plugins are run; in this process by default.
        cache_dir: where libcni keeps what pods were attached with.
        data_dir: where host-local keeps the addresses in use.
        bridge: what is done to the bridge.
    """

    def __init__(
        self,
        exec: Exec | None = None,  # noqa: A002 - what CNIConfig calls it
        cache_dir: str = "",
        data_dir: str = "",
        bridge: Cbr0 | None = None,
    ) -> None:
        cni = CNIConfig(_NO_PLUGINS, InProcessExec() if exec is None else exec, cache_dir)
        self._attachments = Attachments(cni, LOOPBACK_NAME)
        self._data_dir = data_dir
        self._bridge = bridge or Cbr0()
        self._calls = PodCalls(NAME)
        self._pods: dict[str, _Pod] = {}
        self._gate = Gate()
        self._network: PodNetwork | None = None
        self._left: tuple[str, ...] = ()  # the bridge's addresses in former subnets

    def init(self, host: Host, hairpin_mode: str, non_masquerade_cidr: str, mtu: int) -> None:
        """Get ready; see `cnifast.kubernetes.NetworkPlugin`.

        Args:
            host: where pods are asked for.
            hairpin_mode: a `HairpinMode`.
            non_masquerade_cidr: one subnet, or one of each family with a comma between; a family
                without one is not masqueraded.
            mtu: of the pods' interfaces; USE_DEFAULT_MTU takes the smallest of the host's.

        Raises:
            NetworkPluginError: an argument makes no sense.
            OSError: the kernel refused.
        """
        try:
            self._hairpin_mode = HairpinMode(hairpin_mode)
        except ValueError:
            known = ", ".join(HairpinMode)
            raise NetworkPluginError(
                f"hairpin mode {quote(hairpin_mode)} is none of {known}"
            ) from None
        if not 0 <= mtu <= MTU_MAX:
            raise NetworkPluginError(f"MTU {mtu} is not between 0 and {MTU_MAX}")
        self._cluster = parse_cidrs(non_masquerade_cidr, "non-masquerade CIDR")
        self._host = host
        self._mtu = self._bridge.least_mtu() if mtu == USE_DEFAULT_MTU else mtu
        self._bridge.filter_packets()
        if self._hairpin_mode != HairpinMode.PROMISCUOUS_BRIDGE:
            self._bridge.leave_promiscuous()

    def name(self) -> str:
        """Return the name that the plugin is chosen by."""
        return NAME

    def capabilities(self) -> frozenset[int]:
        """Return that a pod's bandwidth is limited as its annotations ask for."""
        return frozenset({NET_PLUGIN_CAPABILITY_SHAPER})

    def status(self) -> None:
        """Raise until the node's pod CIDR is known.

        Raises:
            NetworkPluginError: it is not.
        """
        self._require_network()

    def _require_network(self) -> PodNetwork:
        """Return the network of the node's pods."""
        network = self._network
        if network is None:
            raise NetworkPluginError("kubenet has no network: the node's pod CIDR is not known yet")
        return network

    # -- the node's pod CIDRs ----------------------------------------------------------------------

    def event(self, name: str, details: Mapping[str, object]) -> None:
        """Use the node's pod CIDRs when they are known, or have changed; ignore other events.

        Pods that have addresses from former CIDRs keep them, and reach what they have reached.
        """
        if name != NET_PLUGIN_EVENT_POD_CIDR_CHANGE:
            return
        detail = details.get(NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR)
        if not isinstance(detail, str) or not detail:
            _log.warning("event %s has no pod CIDR", name)
            return
        try:
            cidrs = parse_pod_cidrs(detail)
        except NetworkPluginError as e:
            _log.warning("event %s is ignored: %s", name, e)
            return
        with self._gate.alone():  # who is being set up relies on what the bridge has now
            former = self._network
            if former is not None and former.cidrs == cidrs:
                return
            network = PodNetwork(
                cidrs,
                mtu=self._mtu,
                hairpin=self._hairpin_mode == HairpinMode.HAIRPIN_VETH,
                promisc=self._hairpin_mode == HairpinMode.PROMISCUOUS_BRIDGE,
                data_dir=self._data_dir,
            )
            _log.info("pods get addresses from %s", ", ".join(cidrs))
            if former is None:
                self._collect(network)
            self._network = network
            try:
                self._readdress(network)
            except OSError as e:
                _log.warning("bridge and rules are not ready for %s: %s", detail, e)

    def _readdress(self, network: PodNetwork) -> None:
        """Give the bridge its addresses, and the pods their masquerading."""
        in_use = [ip.parse_ip(entry.address) for entry in entries(NAME, self._data_dir)]
        self._left = tuple(self._bridge.readdress(network.gateways, in_use))
        self._masquerade(network)

    def _masquerade(self, network: PodNetwork) -> None:
        """Masquerade what leaves the cluster."""
        subnets = [*network.cidrs, *(subnet_of(address) for address in self._left)]
        self._bridge.masquerade(subnets, self._cluster)

    def _forget_former(self) -> None:
        """Take what former pod CIDRs needed from the bridge once their last pod is gone."""
        with self._gate.closed():
            if self._left and self._network is not None:
                try:
                    self._readdress(self._network)
                except OSError as e:
                    _log.warning("the bridge keeps addresses of former pod CIDRs: %s", e)

    # -- pods --------------------------------------------------------------------------------------

    def set_up_pod(
        self,
        namespace: str,
        name: str,
        id: str,  # noqa: A002
        annotations: Mapping[str, str],
    ) -> None:
        """Attach a sandbox: first its loopback interface, then eth0 to the bridge.

        Raises:
            NetworkPluginError: it cannot be attached; nothing is left behind.
        """
        with self._calls.call("set up", namespace, name), self._gate.under_way(id):
            network = self._require_network()
            arguments = given(
                portMappings=port_mappings(self._host.get_pod_port_mappings(id)),
                bandwidth=bandwidth_of(annotations),
            )
            net = network.conf_list(arguments)
            rt = RuntimeConf(id, require_netns(self._host, id), IFNAME, capability_args=arguments)
            self._attachments.require_new(rt)
            self._masquerade(network)
            result = self._attach(network, net, rt)
            self._guard(network, result)
            self._pods[id] = _Pod(net, rt, status_of_result(result))

    def _attach(self, network: PodNetwork, net: NetworkConfigList, rt: RuntimeConf) -> Result:
        """Attach a sandbox; when addresses have run out, collect those that nobody has any more."""
        try:
            return self._attachments.attach(net, rt)
        except CNIError as e:
            if _EXHAUSTED not in str(e):
                raise
            _log.warning("collecting the addresses of pods that are gone: %s", e)
        self._collect(network)
        return self._attachments.attach(net, rt)

    def _collect(self, network: PodNetwork) -> None:
        """Detach sandboxes that the host does not know of, or that have ended."""
        with self._gate.closed() as under_way:
            try:
                live = under_way.union(self._host.live_pods())
                self._attachments.collect(network.whole(), live)
            except (CNIError, OSError) as e:
                _log.warning("not all that dead pods have left was collected: %s", e)
                return
            for id_ in self._pods.keys() - live:
                self._pods.pop(id_, None)

    def _guard(self, network: PodNetwork, result: Result) -> None:
        """Guard a promiscuous bridge against delivering twice, as far as that can be done."""
        if self._hairpin_mode != HairpinMode.PROMISCUOUS_BRIDGE:
            return
        try:
            self._bridge.guard(result.interfaces[0].mac, [*network.gateways, *self._left])
        except OSError as e:
            _log.warning("packets may be delivered twice: %s", e)

    def tear_down_pod(self, namespace: str, name: str, id: str) -> None:  # noqa: A002
        """Detach a sandbox; also one that has ended, is detached already or never was attached.

        Where neither the sandbox nor a pod CIDR is known there is nothing to do.

        Raises:
            NetworkPluginError: a step failed, or what libcni kept makes no sense.
        """
        with self._calls.call("tear down", namespace, name):
            net, rt = self._known(id)
            if net is None:
                self._attachments.detach_rest(rt)
            else:
                self._attachments.detach(net, rt)
            self._pods.pop(id, None)
        if self._left:
            self._forget_former()

    def _known(self, id_: str) -> tuple[NetworkConfigList | None, RuntimeConf]:
        """Return what a sandbox was attached with, as far as it is known, and its namespace."""
        pod = self._pods.get(id_)
        found = (pod.net, pod.rt) if pod else self._attachments.recorded(NAME, id_)
        netns = netns_of(self._host, id_)
        if found is None:
            whole = None if self._network is None else self._network.whole()
            return whole, RuntimeConf(id_, netns, IFNAME)
        net, rt = found
        return net, RuntimeConf(id_, netns, IFNAME, rt.args, rt.capability_args)

    def get_pod_network_status(
        self,
        namespace: str,
        name: str,
        id: str,  # noqa: A002
    ) -> PodNetworkStatus:
        """Return the addresses of a sandbox; of one set up by an earlier process, eth0's.

        Raises:
            NetworkPluginError: there is no such sandbox, or it has no addresses.
        """
        pod = self._pods.get(id)
        if pod is not None:
            return pod.status
        with self._calls.call("tell the addresses of", namespace, name):
            return status_in_netns(require_netns(self._host, id))
