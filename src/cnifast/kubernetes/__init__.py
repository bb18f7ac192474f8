"""Network plugins as kubelets had them: kubenet, cni, and one that does nothing.

    from cnifast.kubernetes import KubenetNetworkPlugin, ProcessHost, init_network_plugin

    with ProcessHost() as host:
        plugin = init_network_plugin([KubenetNetworkPlugin()], "kubenet", host)
        plugin.event("pod-cidr-change", {"pod-cidr": "10.244.1.0/24"})
        host.start_pod("c1")
        plugin.set_up_pod("default", "web", "c1", {})
        print(plugin.get_pod_network_status("default", "web", "c1").ips)
        plugin.tear_down_pod("default", "web", "c1")

``python -m cnifast.kubernetes.demo`` does that with many pods at a time.
"""

from __future__ import annotations

from cnifast.kubernetes.cni import CNINetworkPlugin
from cnifast.kubernetes.host import DNSConfig, Host, PortMapping, ProcessHost
from cnifast.kubernetes.kubenet import KubenetNetworkPlugin
from cnifast.kubernetes.network_plugin import (
    NET_PLUGIN_CAPABILITY_SHAPER,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR,
    USE_DEFAULT_MTU,
    HairpinMode,
    NetworkPlugin,
    NetworkPluginError,
    PodNetworkStatus,
)
from cnifast.kubernetes.noop import NoopNetworkPlugin
from cnifast.kubernetes.registry import DEFAULT_NON_MASQUERADE_CIDR, init_network_plugin

__all__ = [
    "DEFAULT_NON_MASQUERADE_CIDR",
    "NET_PLUGIN_CAPABILITY_SHAPER",
    "NET_PLUGIN_EVENT_POD_CIDR_CHANGE",
    "NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR",
    "USE_DEFAULT_MTU",
    "CNINetworkPlugin",
    "DNSConfig",
    "HairpinMode",
    "Host",
    "KubenetNetworkPlugin",
    "NetworkPlugin",
    "NetworkPluginError",
    "NoopNetworkPlugin",
    "PodNetworkStatus",
    "PortMapping",
    "ProcessHost",
    "init_network_plugin",
]
