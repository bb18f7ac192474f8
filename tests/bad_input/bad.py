"""What a bad call is: a good one with something wrong in it, and how it is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from helpers.plugin import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBNET = "10.1.0.0/24"
V4 = {"type": "host-local", "subnet": SUBNET}
STATIC = {"type": "static", "addresses": [{"address": "10.4.0.5/24"}]}
BEHIND = {
    "cniVersion": "1.0.0",
    "interfaces": [{"name": "host1"}, {"name": "eth0", "sandbox": "/run/netns/pod1"}],
}

# What the plugin before one that follows another has answered.
PREVIOUS = {
    "cniVersion": "1.0.0",
    "interfaces": [{"name": "eth0", "sandbox": "/run/netns/pod1"}],
    "ips": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1", "interface": 0}],
}

# What succeeds as it is: on a node with a device m0 and flanneld's file, in a container that has
# none but lo.
GOOD: dict[str, dict[str, Any]] = {
    "bridge": {"bridge": "cni0", "isGateway": True, "ipam": V4},
    "macvlan": {"master": "m0", "ipam": V4},
    "loopback": {},
    "ptp": {"ipam": V4},
    "tap": {"ipam": V4},
    "host-device": {"device": "m1", "ipam": V4},
    "ipvlan": {"master": "m0", "ipam": V4},
    "vlan": {"master": "m0", "vlanId": 5, "ipam": V4},
    "dummy": {"ipam": V4},
    "host-local": {"ipam": V4},
    "static": {"ipam": STATIC},
    "flannel": {},
    "bandwidth": {"prevResult": BEHIND},
    "portmap": {
        "prevResult": {
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "eth0", "sandbox": "/run/netns/pod1"}],
            "ips": [{"address": "10.1.0.5/24", "interface": 0}],
        },
        "runtimeConfig": {
            "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
        },
    },
    "tuning": {"sysctl": {"net.ipv4.ip_default_ttl": "65"}, "prevResult": PREVIOUS},
    "sbr": {"table": 150, "prevResult": PREVIOUS},
    "firewall": {"prevResult": PREVIOUS},
}
# The same, on a kernel with VRFs and in a container with an eth0.
GOOD_ELSEWHERE: dict[str, dict[str, Any]] = {"vrf": {"vrfname": "blue", "prevResult": PREVIOUS}}

INTERNAL = 999
WAITS = "for ever"


@dataclass(frozen=True)
class Bad:
    """A call that is refused.

    Attributes:
        name: unique in all tables.
        plugin: its type.
        conf: what is sent: bytes as they are, or keys that are added to what is good.
        words: what the message has, each of them.
        code: of the error.
        env: variables that are changed; without CNI_ before them.  None takes one away.
        command: CNI_COMMAND.
        differs: why the reference, release 1.1.1, answers with another code, or WAITS.
    """

    name: str
    plugin: str
    conf: dict[str, Any] | bytes
    words: tuple[str, ...]
    code: int = INTERNAL
    env: Mapping[str, str | None] = field(default_factory=dict)
    command: str = "ADD"
    differs: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def stdin(self) -> bytes:
        """What is sent."""
        return self.conf if isinstance(self.conf, bytes) else good(self.plugin, **self.conf)

    def environment(self, path: str) -> dict[str, str]:
        """Return the variables of the call, with this CNI_PATH if nothing is wrong with it."""
        found = call_environment(self.command, path)
        for key, value in self.env.items():
            name = f"CNI_{key}"
            if value is None:
                found.pop(name, None)
            else:
                found[name] = value
        return found


def good(plugin: str, **changes: Any) -> bytes:
    """Return a configuration that succeeds, with keys changed; `without` takes a key away."""
    own = {**GOOD, **GOOD_ELSEWHERE}[plugin]
    base = {"cniVersion": "1.0.0", "name": "net", "type": plugin, **own, **changes}
    text = json.dumps({key: value for key, value in base.items() if value is not without})
    return text.replace("Infinity", "1e999").encode()  # JSON has no word for it


without = object()


def call_environment(command: str, path: str) -> dict[str, str]:
    """Return the variables of a call that is in order."""
    return environment(
        command, container_id="pod1", netns="/run/netns/pod1", ifname="eth0", path=path
    )
