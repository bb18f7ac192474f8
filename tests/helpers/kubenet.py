"""kubenet on paper: with a kubelet, plugins and a bridge that write down what is asked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnifast.kubernetes import (
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR,
    KubenetNetworkPlugin,
)

from .kubelet import FakeBridge, FakeExec, FakeHost

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

V4, BOTH = "10.244.1.0/24", "10.244.1.0/24,fd00::/64"
EXHAUSTED = "failed to allocate for range 0: no IP addresses available in range set: 10.244.1.1-.2"


class Kubenet:
    """A plugin that has not been initialised; its sandboxes are c1, c2 and c3."""

    def __init__(self, tmp_path: Path) -> None:
        self.host = FakeHost("c1", "c2", "c3")
        self.exec = FakeExec()
        self.bridge = FakeBridge()
        self.store = tmp_path / "networks"
        self.cache = tmp_path / "cache"
        self.plugin = self.again()

    def again(self) -> KubenetNetworkPlugin:
        """Return another plugin on the same node, as after a restart."""
        return KubenetNetworkPlugin(self.exec, str(self.cache), str(self.store), self.bridge)

    def init(self, hairpin: str = "none", inside: str = "10.0.0.0/8", mtu: int = 0) -> None:
        """Initialise the plugin."""
        self.plugin.init(self.host, hairpin, inside, mtu)

    def event(self, cidr: object) -> None:
        """Tell of the node's pod CIDRs."""
        self.plugin.event(
            NET_PLUGIN_EVENT_POD_CIDR_CHANGE, {NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR: cidr}
        )

    def ready(self, cidr: str = V4, **how: Any) -> None:
        """Initialise the plugin, tell of the CIDRs, and forget what that took."""
        self.init(**how)
        self.event(cidr)
        self.exec.calls.clear()
        self.bridge.done.clear()

    def up(self, id_: str = "c1", annotations: Mapping[str, str] | None = None) -> None:
        """Set up a pod."""
        self.plugin.set_up_pod("default", f"pod-{id_}", id_, annotations or {})

    def down(self, id_: str = "c1") -> None:
        """Tear down a pod."""
        self.plugin.tear_down_pod("default", f"pod-{id_}", id_)

    def ips(self, id_: str = "c1") -> tuple[str, ...]:
        """Return a pod's addresses."""
        return self.plugin.get_pod_network_status("default", f"pod-{id_}", id_).ips

    def has_address(self, text: str, owner: str = "gone") -> None:
        """Have host-local's store know an address."""
        directory = self.store / "kubenet"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / text).write_text(f"{owner}\r\neth0")
