"""What flanneld may have written, and what a configuration of the flannel plugin may say.

`golden/flannel/CASE.json` is the configuration that the delegate is given then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PLAIN = """FLANNEL_NETWORK=10.1.0.0/16
FLANNEL_SUBNET=10.1.17.1/24
FLANNEL_MTU=1472
FLANNEL_IPMASQ=true
"""
V6 = """FLANNEL_IPV6_NETWORK=fd01::/48
FLANNEL_IPV6_SUBNET=fd01:0:0:11::1/64
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
"""
DUAL = """FLANNEL_NETWORK=10.1.0.0/16
FLANNEL_SUBNET=10.1.17.1/24
FLANNEL_IPV6_NETWORK=fd01::/48
FLANNEL_IPV6_SUBNET=fd01:0:0:11::1/64
FLANNEL_MTU=1450
FLANNEL_IPMASQ=false
"""


@dataclass(frozen=True)
class FlannelCase:
    """A situation.

    Attributes:
        name: unique.
        conf: network configuration; name, cniVersion 1.0.0 and type are added where missing.
        env: what is in the subnet file.
        subnet_file: where that is.
        data_dir: where the delegate's configuration is saved.
    """

    name: str
    conf: dict[str, Any]
    env: str = PLAIN
    subnet_file: str = "/run/flannel/subnet.env"
    data_dir: str = "/var/lib/cni/flannel"

    @property
    def full_conf(self) -> dict[str, Any]:
        """The configuration as it is sent; a key that is None is left out."""
        conf = {"cniVersion": "1.0.0", "name": "net", "type": "flannel", **self.conf}
        return {key: value for key, value in conf.items() if value is not None}

    def __str__(self) -> str:
        return self.name


def _delegate(name: str, **options: Any) -> FlannelCase:
    """Build a case with options for the delegate."""
    return FlannelCase(name, {"delegate": options})


CASES = [
    FlannelCase("plain", {}),
    FlannelCase("masquerade", {}, PLAIN.replace("=true", "=false")),
    FlannelCase("masquerade-odd", {}, PLAIN.replace("=true", "=True")),
    FlannelCase("v6", {}, V6),
    FlannelCase("dual", {}, DUAL),
    FlannelCase(
        "networks",
        {},
        PLAIN.replace("10.1.0.0/16", "10.1.0.0/16,10.2.7.7/16,10.1.3.0/16,172.16.0.0/12"),
    ),
    FlannelCase("networks-v6", {}, V6.replace("fd01::/48", "fd01::/48,fd02::/48,FD01:0:0::/48")),
    FlannelCase("line-ends", {}, PLAIN.replace("\n", "\r\n")),
    FlannelCase("no-line-end", {}, PLAIN.rstrip("\n")),
    FlannelCase("other-lines", {}, f"# by hand\n\nFLANNELD_X=1\nexport A\n{PLAIN} FLANNEL_MTU=1\n"),
    FlannelCase("last-counts", {}, f"{PLAIN}FLANNEL_MTU=1400\nFLANNEL_SUBNET=10.1.18.1/24\n"),
    FlannelCase("mtu-0", {}, PLAIN.replace("1472", "0")),
    _delegate("bridge-name", bridge="mynet0", hairpinMode=True, isDefaultGateway=True),
    _delegate("overridden", mtu=1400, ipMasq=True, isGateway=False),
    _delegate("overridden-by-null", mtu=None, ipMasq=None, isGateway=None),
    _delegate("macvlan", type="macvlan", master="m0"),
    _delegate("bridge-by-name", type="bridge"),
    _delegate("third-party", type="someplugin", deep={"a": [1, {"b": None}], "c": 1.5}),
    _delegate("own-version", cniVersion="0.3.1"),
    FlannelCase("delegate-null", {"delegate": {}, "ipam": {}, "runtimeConfig": {}}),
    FlannelCase(
        "ipam-routes",
        {"ipam": {"routes": [{"dst": "10.9.0.0/16", "gw": "10.1.17.9"}, {"dst": "0.0.0.0/0"}]}},
    ),
    FlannelCase(
        "ipam-options",
        {"ipam": {"dataDir": "/run/store", "resolvConf": "/run/r", "subnet": "10.7.0.0/24"}},
        DUAL,
    ),
    FlannelCase("ipam-ranges", {"ipam": {"ranges": [[{"subnet": "10.8.0.0/24"}]]}}),
    FlannelCase("ipam-type", {"ipam": {"type": "someipam", "x": {"y": [None, True]}}}),
    FlannelCase(
        "runtime-config",
        {
            "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80}]},
            "capabilities": {"portMappings": True},
            "dns": {"nameservers": ["10.1.0.10"]},
        },
    ),
    FlannelCase(
        "runtime-config-twice",
        {"runtimeConfig": {"mac": "02:00:00:00:00:01"}, "delegate": {"runtimeConfig": {"a": 1}}},
    ),
    _delegate("runtime-config-own", runtimeConfig={"a": 1}),
    FlannelCase("no-version", {"cniVersion": None}),
    FlannelCase("version-0.3.1", {"cniVersion": "0.3.1"}),
    FlannelCase("version-wins", {"cniVersion": "0.4.0", "delegate": {"cniVersion": "0.3.1"}}),
    FlannelCase(
        "elsewhere",
        {"subnetFile": "/run/other.env", "dataDir": "/var/lib/cni/other"},
        subnet_file="/run/other.env",
        data_dir="/var/lib/cni/other",
    ),
]
