"""cni: pods on the network that a configuration directory is for, by whatever plugins it names."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from cnifast.kubernetes.attachments import (
    IFNAME,
    Attachments,
    dns_settings,
    given,
    netns_of,
    port_mappings,
    require_netns,
    status_in_netns,
)
from cnifast.kubernetes.bandwidth import bandwidth_of
from cnifast.kubernetes.calls import PodCalls
from cnifast.kubernetes.confdir import load_default_network
from cnifast.kubernetes.kubenet_conf import parse_pod_cidrs
from cnifast.kubernetes.network_plugin import (
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR,
    NetworkPluginError,
)
from cnifast.kubernetes.watch import DirectoryWatch
from cnifast.libcni import CNIConfig, InProcessExec, RuntimeConf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from cnifast.invoke.call import Exec
    from cnifast.kubernetes.host import Host
    from cnifast.kubernetes.network_plugin import PodNetworkStatus
    from cnifast.libcni import NetworkConfigList

NAME = "cni"
LOOPBACK_NAME = "cni-loopback"
DEFAULT_CONF_DIR = "/etc/cni/net.d"
DEFAULT_BIN_DIR = "/opt/cni/bin"

_log = logging.getLogger(__name__)


class CNINetworkPlugin:
    """See `cnifast.kubernetes.NetworkPlugin`.

    Args:
        conf_dir: the directory with the network's configuration.
        bin_dirs: the directories with the plugins' programs.
        exec: how plugins are run; those of ours in this process, others as programs, by default.
        cache_dir: where libcni keeps what pods were attached with.
        on_change: called after the directory has changed, with what `status` says from then on.
    """

    def __init__(
        self,
        conf_dir: str = DEFAULT_CONF_DIR,
        bin_dirs: Sequence[str] = (DEFAULT_BIN_DIR,),
        exec: Exec | None = None,  # noqa: A002 - what CNIConfig calls it
        cache_dir: str = "",
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._conf_dir = conf_dir
        self._on_change = on_change
        cni = CNIConfig(bin_dirs, InProcessExec() if exec is None else exec, cache_dir)
        self._attachments = Attachments(cni, LOOPBACK_NAME)
        self._calls = PodCalls(NAME)
        self._used: dict[str, tuple[NetworkConfigList, RuntimeConf]] = {}
        self._loading = threading.Lock()
        self._network: NetworkConfigList | NetworkPluginError = NetworkPluginError(
            f"{conf_dir} has not been read yet"
        )
        self._pod_cidrs: tuple[str, ...] = ()
        self._watch: DirectoryWatch | None = None

    def init(self, host: Host, hairpin_mode: str, non_masquerade_cidr: str, mtu: int) -> None:  # noqa: ARG002
        """Get ready; what the other arguments say is a matter of the network's configuration.

        Raises:
            OSError: the directory cannot be watched.
        """
        self._host = host
        self._watch = DirectoryWatch(self._conf_dir, self._reload)
        self._load()

    def close(self) -> None:
        """Stop watching the directory."""
        if self._watch is not None:
            self._watch.close()

    def _load(self) -> None:
        """Take note of what the directory has now."""
        with self._loading:
            try:
                found = load_default_network(self._attachments.cni, self._conf_dir)
                _log.info("pods are attached to network %s", found.name)
                self._network = found
            except NetworkPluginError as e:
                _log.warning("pods cannot be attached: %s", e)
                self._network = e

    def _reload(self) -> None:
        """Take note of a change, and tell of it."""
        self._load()
        if self._on_change is not None:
            self._on_change()

    def event(self, name: str, details: Mapping[str, object]) -> None:
        """Take note of the node's pod CIDRs, for networks that want them; ignore other events."""
        if name != NET_PLUGIN_EVENT_POD_CIDR_CHANGE:
            return
        detail = details.get(NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR)
        if not isinstance(detail, str) or not detail:
            _log.warning("event %s has no pod CIDR", name)
            return
        try:
            self._pod_cidrs = parse_pod_cidrs(detail)
        except NetworkPluginError as e:
            _log.warning("event %s is ignored: %s", name, e)

    def name(self) -> str:
        """Return the name that the plugin is chosen by."""
        return NAME

    def capabilities(self) -> frozenset[int]:
        """Return that there are none: what a network can do, its configuration says."""
        return frozenset()

    def status(self) -> None:
        """Raise while there is no network that can be used.

        Raises:
            NetworkPluginError: why not.
        """
        if self._watch is not None and self._watch.failed:
            self._load()
        self._require_network()

    def _require_network(self) -> NetworkConfigList:
        """Return the network that pods are attached to."""
        network = self._network
        if isinstance(network, NetworkPluginError):
            raise NetworkPluginError(f"cni has no network: {network}")
        if "ipRanges" in network.capabilities and not self._pod_cidrs:
            raise NetworkPluginError(
                f"network {network.name} needs ipRanges, but the node's pod CIDR is not known yet"
            )
        return network

    def _usable_network(self) -> NetworkConfigList | None:
        """Return the network that pods are attached to, None while there is none."""
        try:
            return self._require_network()
        except NetworkPluginError as e:
            _log.info("going on without a network: %s", e)
            return None

    def set_up_pod(
        self,
        namespace: str,
        name: str,
        id: str,  # noqa: A002
        annotations: Mapping[str, str],
    ) -> None:
        """Attach a sandbox: first its loopback interface, then eth0.

        Raises:
            NetworkPluginError: it cannot be attached; nothing is left behind.
        """
        with self._calls.call("set up", namespace, name):
            net = self._require_network()
            rt = RuntimeConf(
                id,
                require_netns(self._host, id),
                IFNAME,
                _pod_args(namespace, name, id),
                self._capability_args(id, annotations),
            )
            self._attachments.require_new(rt)
            self._attachments.attach(net, rt)
            self._used[id] = net, rt

    def _capability_args(self, id_: str, annotations: Mapping[str, str]) -> Mapping[str, Any]:
        """Return what plugins are told that declare a capability for it."""
        host = self._host
        return given(
            portMappings=port_mappings(host.get_pod_port_mappings(id_)),
            bandwidth=bandwidth_of(annotations),
            ipRanges=[[{"subnet": cidr}] for cidr in self._pod_cidrs],
            dns=dns_settings(host.get_pod_dns(id_)),
            mac=host.get_pod_mac(id_),
        )

    def tear_down_pod(self, namespace: str, name: str, id: str) -> None:  # noqa: A002
        """Detach a sandbox from the network it was attached to; also one that has ended.

        Where that is not known it is the one in use; without that either, there is nothing to do.

        Raises:
            NetworkPluginError: a plugin failed, or what libcni kept makes no sense.
        """
        with self._calls.call("tear down", namespace, name):
            net, rt = self._known(namespace, name, id)
            if net is None:
                self._attachments.detach_rest(rt)
            else:
                self._attachments.detach(net, rt)
            self._used.pop(id, None)

    def _known(
        self, namespace: str, name: str, id_: str
    ) -> tuple[NetworkConfigList | None, RuntimeConf]:
        """Return what a sandbox was attached with, as far as it is known, and its namespace."""
        netns = netns_of(self._host, id_)
        found = self._used.get(id_)
        current = self._network
        if found is None and not isinstance(current, NetworkPluginError):
            found = self._attachments.recorded(current.name, id_)
        if found is None:
            found = self._attachments.recorded_anywhere(id_)
        if found is None:
            return self._usable_network(), RuntimeConf(
                id_,
                netns,
                IFNAME,
                _pod_args(namespace, name, id_),
                self._capability_args(id_, {}),
            )
        net, rt = found
        return net, RuntimeConf(id_, netns, IFNAME, rt.args, rt.capability_args)

    def get_pod_network_status(
        self,
        namespace: str,
        name: str,
        id: str,  # noqa: A002
    ) -> PodNetworkStatus:
        """Return the addresses that a sandbox's eth0 has.

        Raises:
            NetworkPluginError: there is no such sandbox, or it has no addresses.
        """
        with self._calls.call("tell the addresses of", namespace, name):
            return status_in_netns(require_netns(self._host, id))


def _pod_args(namespace: str, name: str, id_: str) -> tuple[tuple[str, str], ...]:
    """Return what plugins are told of the pod that a sandbox is for."""
    return (
        ("IgnoreUnknown", "1"),
        ("K8S_POD_NAMESPACE", namespace),
        ("K8S_POD_NAME", name),
        ("K8S_POD_INFRA_CONTAINER_ID", id_),
    )
