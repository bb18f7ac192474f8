"""What the bridge plugin is put through: its options, its IPAM, and what it refuses."""

from __future__ import annotations

from typing import Any

from helpers.case import Case

V4 = {"type": "host-local", "subnet": "10.1.0.0/24"}
V6 = {"type": "host-local", "subnet": "fd01::/64"}
DUAL = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
}
MAC = "02:11:22:33:44:55"
RESOLV = (
    "printf 'nameserver 10.0.0.2\\nsearch a.test b.test\\noptions ndots:2\\n' > /run/resolv.conf"
)
READY_BRIDGE = (
    "ip link add cni0 type bridge",
    "sysctl -qw net.ipv6.conf.cni0.accept_ra=0",
    "ip link set cni0 up",
)
BRIDGE_WITH_PORT = (
    "ip link add cni0 type bridge",
    "ip link set cni0 up",
    "ip link add other type veth peer name otherpeer",
    "ip link set other master cni0 up",
)


def _v4(**options: Any) -> dict[str, Any]:
    """Build an isGateway configuration over host-local."""
    return {"bridge": "cni0", "isGateway": True, "ipam": V4, **options}


_WIRING = [
    Case("l2", {"bridge": "cni0"}),
    Case("l2-empty-ipam", {"bridge": "cni0", "ipam": {}}),
    Case("l2-gateway", {"bridge": "cni0", "isGateway": True}),
    Case("l2-ipmasq", {"bridge": "cni0", "ipMasq": True}),
    Case("default-name", {"ipam": V4}),
    Case("other-ifname", _v4(), ifname="net1.5"),
    Case("plain", {"bridge": "cni0", "ipam": V4}),
    Case("gateway", _v4()),
    Case("default-gateway", _v4(isDefaultGateway=True)),
    Case("default-gateway-alone", {"bridge": "cni0", "isDefaultGateway": True, "ipam": V4}),
    Case(
        "default-gateway-dual",
        {"bridge": "cni0", "isDefaultGateway": True, "ipam": {**DUAL, "routes": []}},
    ),
    Case("existing-bridge", _v4(), before=BRIDGE_WITH_PORT),
    Case("existing-bridge-l2", {"bridge": "cni0"}, before=BRIDGE_WITH_PORT),
    Case(
        "existing-bridge-same-address",
        _v4(),
        before=("ip link add cni0 type bridge", "ip addr add 10.1.0.1/24 dev cni0"),
    ),
    Case(
        "force-address",
        _v4(forceAddress=True),
        before=("ip link add cni0 type bridge", "ip addr add 10.7.0.1/16 dev cni0"),
    ),
    Case(
        "second-v6-subnet",
        {"bridge": "cni0", "isGateway": True, "ipam": V6},
        before=("ip link add cni0 type bridge", "ip addr add fd77::1/64 dev cni0 nodad"),
    ),
    Case(
        "force-address-v6",
        {"bridge": "cni0", "isGateway": True, "forceAddress": True, "ipam": V6},
        before=("ip link add cni0 type bridge", "ip addr add fd01::77/64 dev cni0 nodad"),
    ),
    Case("mtu", _v4(mtu=1400)),
    Case("mtu-l2", {"bridge": "cni0", "mtu": 9000}),
    Case("mtu-existing-bridge", _v4(mtu=1400), before=BRIDGE_WITH_PORT),
    Case("hairpin", _v4(hairpinMode=True)),
    Case("promisc", _v4(promiscMode=True)),
    Case("dns", _v4(dns={"nameservers": ["10.1.0.1"], "domain": "test", "search": ["a.test"]})),
    Case("dns-options", {"bridge": "cni0", "dns": {"options": ["ndots:2"]}}),
    Case("enabledad-v4", _v4(enabledad=True)),
    Case("enabledad", {"bridge": "cni0", "isGateway": True, "enabledad": True, "ipam": V6}),
    Case("port-isolation", _v4(portIsolation=True), since="1.7"),
    Case(
        "no-container-interface",
        {"bridge": "cni0", "disableContainerInterface": True},
        since="1.4",
    ),
    Case(
        "letter-case",
        {
            "BRIDGE": "cni0",
            "isgateway": True,
            "IPAM": {"Type": "host-local", "SUBNET": "10.1.0.0/24"},
        },
    ),
    Case("null-options", _v4(mtu=None, dns=None, runtimeConfig=None, args=None, vlan=None)),
    Case("unknown-options", _v4(colour="blue", capabilities={"mac": True})),
]

_MAC = [
    Case("mac-cni-args", _v4(), args=f"IgnoreUnknown=1;MAC={MAC}", pods=1),
    Case("mac-args", _v4(args={"cni": {"mac": MAC}}), pods=1),
    Case("mac-runtime-config", _v4(runtimeConfig={"mac": MAC}), pods=1),
    Case(
        "mac-precedence",
        _v4(args={"cni": {"mac": "02:00:00:00:00:02"}}, runtimeConfig={"mac": MAC}),
        args="IgnoreUnknown=1;MAC=02:00:00:00:00:01",
        pods=1,
    ),
    Case("mac-l2", {"bridge": "cni0", "runtimeConfig": {"mac": MAC}}, pods=1),
    Case("mac-upper-case", _v4(runtimeConfig={"mac": "02:AA:BB:CC:DD:EE"}), pods=1),
    Case(
        "cni-args-kubernetes",
        _v4(),
        args="IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_INFRA_CONTAINER_ID=c",
        pods=1,
    ),
]

_FIREWALL = [
    Case("ipmasq", _v4(ipMasq=True)),
    Case("ipmasq-dual", {"bridge": "cni0", "isGateway": True, "ipMasq": True, "ipam": DUAL}),
    Case("ipmasq-iptables", _v4(ipMasq=True, ipMasqBackend="iptables"), since="1.6"),
    Case("ipmasq-nftables", _v4(ipMasq=True, ipMasqBackend="nftables"), since="1.6"),
    Case("macspoofchk", _v4(macspoofchk=True)),
    Case("macspoofchk-l2", {"bridge": "cni0", "macspoofchk": True}),
]

_IPAM = [
    Case("v6", {"bridge": "cni0", "isGateway": True, "ipam": V6}),
    Case("v6-plain", {"bridge": "cni0", "ipam": V6}),
    Case("dual", {"bridge": "cni0", "isGateway": True, "ipam": DUAL}),
    Case(
        "routes",
        _v4(
            ipam={
                **V4,
                "routes": [
                    {"dst": "0.0.0.0/0"},
                    {"dst": "10.9.0.0/16", "gw": "10.1.0.254"},
                    {"dst": "10.8.0.0/16"},
                ],
            }
        ),
    ),
    Case(
        "routes-no-gateway", {"bridge": "cni0", "ipam": {**V4, "routes": [{"dst": "10.8.0.0/16"}]}}
    ),
    Case(
        "default-route-given",
        _v4(
            isDefaultGateway=True,
            ipam={**V4, "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.9"}]},
        ),
    ),
    *(
        Case(name, _v4(ipam={**V4, "routes": [route]}), since="1.6")
        for name, route in (
            ("route-priority", {"dst": "10.8.0.0/16", "priority": 7}),
            ("route-table", {"dst": "10.9.0.0/16", "table": 77}),
            ("route-scope", {"dst": "10.7.0.0/16", "scope": 0}),
            ("route-metrics", {"dst": "10.6.0.0/16", "mtu": 1300, "advmss": 1200}),
        )
    ),
    Case("range-bounds", _v4(ipam={**V4, "rangeStart": "10.1.0.20", "rangeEnd": "10.1.0.30"})),
    Case("own-gateway", _v4(ipam={**V4, "gateway": "10.1.0.254"})),
    Case(
        "several-ranges",
        _v4(
            ipam={
                "type": "host-local",
                "ranges": [
                    [
                        {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.9"},
                        {"subnet": "10.2.0.0/24"},
                    ]
                ],
            },
            forceAddress=True,
        ),
    ),
    Case(
        "two-v4-sets",
        {
            "bridge": "cni0",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}]],
            },
        },
    ),
    Case(
        "resolv-conf",
        _v4(ipam={**V4, "resolvConf": "/run/resolv.conf"}),
        before=(f'sh -c "{RESOLV}"',),
    ),
    Case(
        "resolv-conf-and-dns",
        _v4(ipam={**V4, "resolvConf": "/run/resolv.conf"}, dns={"domain": "test"}),
        before=(f'sh -c "{RESOLV}"',),
    ),
    Case("data-dir", _v4(ipam={**V4, "dataDir": "/var/lib/cni/elsewhere"})),
    Case("ip-cni-args", _v4(), args="IgnoreUnknown=1;IP=10.1.0.99", pods=1),
    Case("ip-args", _v4(args={"cni": {"ips": ["10.1.0.98"]}}), pods=1),
    Case(
        "ips-runtime-config",
        _v4(ipam=DUAL, runtimeConfig={"ips": ["10.1.0.97", "fd01::97"]}),
        pods=1,
    ),
    Case("ips-with-prefix", _v4(runtimeConfig={"ips": ["10.1.0.97/24"]}), pods=1),
    Case(
        "ip-ranges",
        {
            "bridge": "cni0",
            "isGateway": True,
            "ipam": {"type": "host-local"},
            "runtimeConfig": {"ipRanges": [[{"subnet": "10.3.0.0/24"}]]},
        },
    ),
    Case(
        "static",
        _v4(
            ipam={
                "type": "static",
                "addresses": [{"address": "10.4.0.5/24", "gateway": "10.4.0.1"}],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dns": {"nameservers": ["10.4.0.1"]},
            }
        ),
        pods=1,
    ),
    Case(
        "static-dual",
        {
            "bridge": "cni0",
            "ipam": {
                "type": "static",
                "addresses": [{"address": "10.4.0.5/24"}, {"address": "fd04::5/64"}],
            },
        },
        pods=1,
    ),
    Case(
        "static-cni-args",
        {"bridge": "cni0", "ipam": {"type": "static"}},
        args="IgnoreUnknown=1;IP=10.4.0.6/24,fd04::6/64;GATEWAY=10.4.0.1",
        pods=1,
    ),
    Case(
        "static-runtime-config",
        {
            "bridge": "cni0",
            "ipam": {"type": "static", "addresses": [{"address": "10.4.0.5/24"}]},
            "runtimeConfig": {"ips": ["10.4.0.7/24"]},
        },
        pods=1,
    ),
    Case(
        "other-ipam",
        _v4(ipam={"type": "fakeipam"}),
        ipam_answer={
            "cniVersion": "1.0.0",
            "ips": [{"address": "10.5.0.5/24", "gateway": "10.5.0.1"}],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
        pods=1,
    ),
    Case(
        "other-ipam-old-version",
        _v4(ipam={"type": "fakeipam"}, cniVersion="0.4.0"),
        ipam_answer={
            "cniVersion": "0.2.0",
            "ip4": {"ip": "10.5.0.5/24", "gateway": "10.5.0.1", "routes": [{"dst": "10.8.0.0/16"}]},
        },
        pods=1,
    ),
]

_VERSIONS = [
    *(Case(f"version-{version}", _v4(cniVersion=version)) for version in ("0.1.0", "0.2.0")),
    *(
        Case(f"version-{version}", _v4(cniVersion=version, ipam=DUAL, dns={"domain": "test"}))
        for version in ("0.3.0", "0.3.1", "0.4.0", "1.0.0")
    ),
    Case("version-1.1.0", _v4(cniVersion="1.1.0", ipam=DUAL, dns={"domain": "test"}), since="1.6"),
    Case("version-empty", _v4(cniVersion="")),
    Case("version-0.3.1-l2", {"bridge": "cni0", "cniVersion": "0.3.1"}),
]


def _refused(name: str, conf: dict[str, Any], **more: Any) -> Case:
    """Build a case whose ADD is an error."""
    return Case(name, conf, refused=True, pods=1, **more)


REFUSED = [
    _refused("hairpin-and-promisc", _v4(hairpinMode=True, promiscMode=True)),
    _refused("vlan-too-large", _v4(vlan=4095)),
    _refused("vlan-negative", _v4(vlan=-1)),
    _refused("trunk-id", _v4(vlanTrunk=[{"id": 0}]), since="1.4"),
    _refused("trunk-min-alone", _v4(vlanTrunk=[{"minID": 5}]), since="1.4"),
    _refused("trunk-max-alone", _v4(vlanTrunk=[{"maxID": 5}]), since="1.4"),
    _refused("trunk-reversed", _v4(vlanTrunk=[{"minID": 6, "maxID": 5}]), since="1.4"),
    _refused("no-container-interface-with-ipam", _v4(disableContainerInterface=True), since="1.4"),
    _refused("masq-backend", _v4(ipMasq=True, ipMasqBackend="pf"), since="1.6"),
    _refused("mac-malformed", _v4(runtimeConfig={"mac": "zz"})),
    _refused("mac-multicast", _v4(runtimeConfig={"mac": "01:00:5e:00:00:01"})),
    _refused("mtu-too-small", _v4(mtu=67)),
    _refused("mtu-too-large", _v4(mtu=70000)),
    _refused("not-a-bridge", _v4(), before=("ip link add cni0 type veth peer name cnipeer",)),
    _refused(
        "bridge-has-other-address",
        _v4(),
        before=(*READY_BRIDGE, "ip addr add 10.7.0.1/16 dev cni0"),
    ),
    _refused(
        "bridge-has-overlapping-v6",
        {"bridge": "cni0", "isGateway": True, "ipam": V6},
        before=(*READY_BRIDGE, "ip addr add fd01::77/64 dev cni0 nodad"),
    ),
    _refused("bridge-name-too-long", _v4(bridge="a-name-of-16-let")),
    _refused("bridge-name-slash", _v4(bridge="a/b")),
    _refused(
        "route-unreachable", _v4(ipam={**V4, "routes": [{"dst": "10.9.0.0/16", "gw": "10.77.0.1"}]})
    ),
    _refused(
        "route-scope-link-with-gateway",
        _v4(ipam={**V4, "routes": [{"dst": "10.1.0.128/32", "scope": 253}]}),
        since="1.6",
    ),
    _refused("default-route-twice", {"bridge": "cni0", "isDefaultGateway": True, "ipam": DUAL}),
    _refused("version-0.2.0-l2", {"bridge": "cni0", "cniVersion": "0.2.0"}),
    _refused("unknown-cni-arg", _v4(), args="FOO=bar"),
    _refused("malformed-cni-args", _v4(), args="MAC"),
    _refused("ipam-not-there", _v4(ipam={"type": "no-such-plugin"})),
    _refused(
        "ipam-no-address",
        _v4(ipam={"type": "fakeipam"}),
        ipam_answer={"cniVersion": "1.0.0", "ips": []},
    ),
    _refused(
        "ipam-garbage",
        _v4(ipam={"type": "fakeipam"}),
        ipam_answer={"cniVersion": "9.9.9", "ips": [{"address": "10.5.0.5/24"}]},
    ),
    _refused("subnet-missing", _v4(ipam={"type": "host-local"})),
    _refused("subnet-malformed", _v4(ipam={"type": "host-local", "subnet": "10.1.0.0/99"})),
    _refused("subnet-host-bits", _v4(ipam={"type": "host-local", "subnet": "10.1.0.5/24"})),
    _refused("subnet-too-small", _v4(ipam={"type": "host-local", "subnet": "10.1.0.0/31"})),
    _refused("range-outside", _v4(ipam={**V4, "rangeStart": "10.2.0.5"})),
    _refused(
        "range-overlap",
        _v4(
            ipam={
                "type": "host-local",
                "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.1.0.128/25"}]],
            }
        ),
    ),
    _refused(
        "range-mixed-families",
        _v4(
            ipam={
                "type": "host-local",
                "ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "fd01::/64"}]],
            }
        ),
    ),
    _refused(
        "range-exhausted",
        _v4(ipam={**V4, "rangeStart": "10.1.0.1", "rangeEnd": "10.1.0.1"}),
    ),
    _refused("ip-out-of-range", _v4(), args="IgnoreUnknown=1;IP=10.2.0.5"),
    _refused("ip-is-gateway", _v4(), args="IgnoreUnknown=1;IP=10.1.0.1"),
    _refused("ip-malformed", _v4(), args="IgnoreUnknown=1;IP=10.1.0"),
    _refused(
        "ip-taken",
        _v4(),
        args="IgnoreUnknown=1;IP=10.1.0.9",
        before=(
            "mkdir -p /var/lib/cni/networks/net",
            r"""sh -c "printf 'other\r\neth0' > /var/lib/cni/networks/net/10.1.0.9" """,
        ),
    ),
    _refused(
        "two-v4-in-0.2.0",
        {
            "bridge": "cni0",
            "cniVersion": "0.2.0",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}]],
            },
        },
    ),
    _refused(
        "static-malformed", _v4(ipam={"type": "static", "addresses": [{"address": "10.4.0.5"}]})
    ),
    _refused("static-none", _v4(ipam={"type": "static"})),
    _refused("wrong-type-mtu", _v4(mtu="1500")),
    _refused("wrong-type-gateway", _v4(isGateway="yes")),
    _refused("wrong-type-bridge", _v4(bridge=5)),
    _refused("wrong-type-ipam", _v4(ipam=[])),
    _refused("wrong-type-ranges", _v4(ipam={"type": "host-local", "ranges": {}})),
    _refused("wrong-type-dns", _v4(dns={"nameservers": "10.0.0.1"})),
    _refused("fraction-mtu", _v4(mtu=1.5)),
    _refused("version-unsupported", _v4(cniVersion="9.9.9")),
    _refused("version-malformed", _v4(cniVersion="one")),
    _refused("name-missing", _v4(name="")),
    _refused("name-hostile", _v4(name="../../etc")),
]

LIVES = [*_WIRING, *_MAC, *_FIREWALL, *_IPAM, *_VERSIONS]
