"""Values of the right kind that make no sense, or lead where they must not."""

from __future__ import annotations

from typing import Any

from bad_input.bad import INTERNAL, STATIC, SUBNET, V4, WAITS, Bad, without

_PARTLY = "hostile input is refused, which the reference accepts in part"
_SINCE = "came after 1.1.1"
_MTU = "what is no MTU is ignored, or cut to 32 bits"


def _bridge(name: str, words: tuple[str, ...] | str, differs: str = "", **conf: Any) -> Bad:
    """Build a case about an option of the bridge plugin."""
    found = (words,) if isinstance(words, str) else words
    return Bad(f"bridge-{name}", "bridge", conf, found, differs=differs)


def _macvlan(name: str, words: str, differs: str = "", **conf: Any) -> Bad:
    """Build a case about an option of the macvlan plugin."""
    return Bad(f"macvlan-{name}", "macvlan", conf, (words,), differs=differs)


_BRIDGE = [
    *(
        _bridge(f"name-{name}", ("invalid bridge name",), differs, bridge=text)
        for name, text, differs in (
            ("empty", "", ""),
            ("dot", ".", ""),
            ("parent", "..", ""),
            ("path", "../x", ""),
            ("blank", " ", ""),
            ("colon", "a:b", ""),
            ("newline", "cni0\n", ""),
            ("nul", "cni0\0x", _PARTLY),
            ("pattern", "br%d", ""),
            ("1000-letters", "b" * 1000, ""),
            ("umlauts-of-16-bytes", "\u00e4" * 8, ""),
        )
    ),
    _bridge("name-is-lo", ('"lo" already exists but is not a bridge',), bridge="lo"),
    _bridge("name-is-port", ('"m0" already exists but is not a bridge',), bridge="m0"),
    *(
        _bridge(f"mtu-{value}", f"invalid MTU {value}", differs, mtu=value)
        for value, differs in (
            (-1, _MTU),
            (-(2**63), _MTU),
            (1, ""),
            (65536, ""),
            (2**31, ""),
            (2**32 + 1500, _MTU),
            (2**63 - 1, ""),
        )
    ),
    *(
        _bridge(f"vlan-{value}", f"invalid VLAN ID {value}", vlan=value)
        for value in (-1, 4095, 65536 + 7, 2**32 + 1, 2**63 - 1)
    ),
    *(
        _bridge(f"trunk-{name}", words, _SINCE, vlanTrunk=[trunk])
        for name, words, trunk in (
            ("zero", "incorrect trunk id", {"id": 0}),
            ("negative", "incorrect trunk id", {"id": -5}),
            ("4095", "incorrect trunk id", {"id": 4095}),
            ("32-bits", "incorrect trunk id", {"id": 2**32 + 5}),
            ("from-zero", "incorrect trunk minID", {"minID": 0, "maxID": 5}),
            ("to-4095", "incorrect trunk maxID", {"minID": 1, "maxID": 4095}),
            ("to-63-bits", "incorrect trunk maxID", {"minID": 1, "maxID": 2**63 - 1}),
            ("endless", "maxID is missing", {"minID": 1}),
        )
    ),
    _bridge(
        "masq-backend", "unknown ipmasq backend", _SINCE, ipMasq=True, ipMasqBackend="ebtables; id"
    ),
    _bridge(
        "masq-backend-case", "unknown ipmasq backend", _SINCE, ipMasq=True, ipMasqBackend="NFTables"
    ),
]

MACS = {
    "text": "blue",
    "short": "02:00:00:00:01",
    "long": "02:00:00:00:00:00:00:01",
    "half-octet": "02:00:00:00:00:1",
    "not-hexadecimal": "02:00:00:00:00:0g",
    "blank": " 02:00:00:00:00:01",
    "multicast": "01:00:5e:00:00:01",
    "broadcast": "ff:ff:ff:ff:ff:ff",
    "null": "00:00:00:00:00:00",
}


def _mac_cases() -> list[Bad]:
    """Return a case for each bad MAC by each way to ask for one."""
    found = []
    for name, mac in MACS.items():
        for plugin in ("bridge", "macvlan"):
            routes: dict[str, dict[str, Any]] = {
                "runtime": {"conf": {"runtimeConfig": {"mac": mac}}},
                "variable": {"conf": {}, "env": {"ARGS": f"IgnoreUnknown=1;MAC={mac}"}},
                "other": {"conf": {"args": {"cni": {"mac": mac}}}},
            }
            if plugin == "macvlan":
                routes["other"] = {"conf": {"mac": mac}}
            found += [
                Bad(f"mac-{name}-{plugin}-{route}", plugin, words=(mac, "MAC"), **more)
                for route, more in routes.items()
            ]
    return found


_MACVLAN = [
    _macvlan("master-missing", 'failed to lookup master "nobody"', master="nobody"),
    _macvlan("master-path", "failed to lookup master", master="../m0"),
    _macvlan("master-too-long", "failed to lookup master", master="m" * 300),
    _macvlan("master-nul", "embedded NUL", _PARTLY, master="m0\0"),
    _macvlan("master-pattern", "failed to lookup master", master="m%d"),
    _macvlan("no-default-route", "no default route interface found", master=""),
    _macvlan(
        "master-in-container",
        'failed to lookup master "m0"',
        master="m0",
        linkInContainer=True,
        differs=_SINCE,
    ),
    _macvlan("mode-unknown", 'unknown macvlan mode: "vepa "', mode="vepa "),
    _macvlan("mode-number", 'unknown macvlan mode: "8"', mode="8"),
    _macvlan("mtu-negative", "invalid MTU -1", mtu=-1),
    _macvlan("mtu-too-large", "invalid MTU 9000, must be [0, master MTU(1500)]", mtu=9000),
    _macvlan("mtu-32-bits", "invalid MTU 4294968796", mtu=2**32 + 1500),
]

_RANGES: dict[str, tuple[dict[str, Any], str]] = {
    "subnet-empty": ({"subnet": ""}, "invalid CIDR address"),
    "subnet-no-length": ({"subnet": "10.1.0.0"}, "invalid CIDR address: 10.1.0.0"),
    "subnet-33": ({"subnet": "10.1.0.0/33"}, "invalid CIDR address"),
    "subnet-negative": ({"subnet": "10.1.0.0/-1"}, "invalid CIDR address"),
    "subnet-mask": ({"subnet": "10.1.0.0/255.255.0.0"}, "invalid CIDR address"),
    "subnet-256": ({"subnet": "10.1.0.256/24"}, "invalid CIDR address"),
    "subnet-octal": ({"subnet": "010.1.0.0/24"}, "invalid CIDR address"),
    "subnet-zone": ({"subnet": "fe80::%1/64"}, "invalid CIDR address"),
    "subnet-129": ({"subnet": "fd00::/129"}, "invalid CIDR address"),
    "subnet-text": ({"subnet": "ten/8"}, "invalid CIDR address"),
    "subnet-newline": ({"subnet": "10.1.0.0/24\n"}, "invalid CIDR address"),
    "subnet-nul": ({"subnet": "10.1.0.0/24\0"}, "invalid CIDR address"),
    "subnet-host-bits": ({"subnet": "10.1.0.7/24"}, "host bits set"),
    "subnet-one-address": ({"subnet": "10.1.0.0/32"}, "too small"),
    "subnet-two-v6": ({"subnet": "fd00::/127"}, "too small"),
    "subnet-mapped": ({"subnet": "::ffff:10.1.0.0/120"}, "written as an IPv6 network"),
    "start-outside": ({**V4, "rangeStart": "10.2.0.1"}, "RangeStart 10.2.0.1 not in"),
    "end-outside": ({**V4, "rangeEnd": "10.0.255.255"}, "RangeEnd 10.0.255.255 not in"),
    "start-of-other-family": ({**V4, "rangeStart": "fd00::1"}, "RangeStart fd00::1 not in"),
    "end-of-other-family": ({**V4, "rangeEnd": "fd00::1"}, "RangeEnd fd00::1 not in"),
    "reversed": ({**V4, "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.8"}, "10.1.0.9"),
    "start-with-length": ({**V4, "rangeStart": "10.1.0.9/24"}, "invalid IP address: 10.1.0.9/24"),
    "gateway-text": ({**V4, "gateway": "router"}, "invalid IP address: router"),
    "gateway-with-length": ({**V4, "gateway": "10.1.0.1/24"}, "invalid IP address"),
    "no-set": ({"ranges": []}, "no IP ranges specified"),
    "empty-set": ({"ranges": [[]]}, "empty range set"),
    "empty-range": ({"ranges": [[{}]]}, "a range has no subnet"),
    "second-bad": ({**V4, "ranges": [[{"subnet": "10.2.0.0/31"}]]}, "invalid range set 1"),
    "mixed": ({"ranges": [[{"subnet": SUBNET}, {"subnet": "fd00::/64"}]]}, "mixed address famil"),
    "overlap-in-set": ({"ranges": [[{"subnet": SUBNET}, {"subnet": "10.1.0.0/16"}]]}, "overlap"),
    "overlap": ({"ranges": [[{"subnet": SUBNET}], [{"subnet": "10.0.0.0/8"}]]}, "overlaps with 1"),
    "same-twice": ({"ranges": [[{"subnet": SUBNET}], [{"subnet": SUBNET}]]}, "overlaps with 1"),
    "route-bad": ({**V4, "routes": [{"dst": "default"}]}, "invalid CIDR address: default"),
    "route-gateway-bad": ({**V4, "routes": [{"dst": "0.0.0.0/0", "gw": "x"}]}, "address: x"),
}
_ALSO = ("subnet-empty", "subnet-newline", "subnet-nul", "reversed", "overlap", "route-bad")
_HOST_LOCAL = [
    Bad(
        f"range-{name}-{plugin}-{command.lower()}",
        plugin,
        {"ipam": {"type": "host-local", **ipam}},
        (words,),
        command=command,
    )
    for plugin, command in (("host-local", "ADD"), ("bridge", "ADD"), ("host-local", "DEL"))
    for name, (ipam, words) in _RANGES.items()
    if (plugin == "host-local" and command == "ADD") or name in _ALSO
]

_REQUESTED = [
    Bad(
        f"ip-{name}-{plugin}-{way}",
        plugin,
        conf,
        (words,),
        env={"ARGS": f"IgnoreUnknown=1;IP={text}"} if way == "variable" else {},
    )
    for plugin in ("host-local", "macvlan")
    for name, text, words in (
        ("outside", "10.2.0.5", "failed to allocate all requested IPs: 10.2.0.5"),
        ("other-family", "fd00::5", "failed to allocate all requested IPs: fd00::5"),
        ("gateway", "10.1.0.1", "requested ip 10.1.0.1 is subnet's gateway"),
        ("broadcast", "10.1.0.255", "failed to allocate all requested IPs: 10.1.0.255"),
        ("text", "ten", "ten"),
        ("path", "../10.1.0.5", "../10.1.0.5"),
    )
    for way, conf in (
        ("variable", {}),
        ("args", {"args": {"cni": {"ips": [text]}}}),
        ("runtime", {"runtimeConfig": {"ips": [text]}}),
    )
    if plugin == "host-local" or way == "variable"
]

_FILES = [
    Bad(
        f"store-{name}-{plugin}",
        plugin,
        {"ipam": {**V4, "dataDir": path}},
        (words,),
        differs=differs,
    )
    for plugin in ("host-local", "bridge")
    for name, path, words, differs in (
        ("is-a-file", "/etc/passwd", "not a directory", ""),
        ("below-a-file", "/etc/passwd/x", "not a directory", ""),
        ("is-a-pipe", "/run/pipe", "not a directory", ""),
        ("is-a-device", "/dev/null", "not a directory", ""),
        ("in-proc", "/proc/self/x", "no such file or directory", ""),
        ("name-too-long", "/run/" + "d" * 300, "file name too long", ""),
        ("path-too-long", "/run" + "/d" * 3000, "file name too long", ""),
        ("nul", "/run/x\0y", "embedded NUL", ""),
    )
] + [
    Bad(
        f"resolv-{name}-{plugin}",
        plugin,
        {"ipam": {**V4, "resolvConf": path}},
        (words,),
        differs=differs,
    )
    for plugin in ("host-local", "bridge")
    for name, path, words, differs in (
        ("missing", "/run/nothing", "/run/nothing: no such file or directory", ""),
        ("directory", "/run", "is a directory", ""),
        ("below-a-file", "/etc/passwd/x", "not a directory", ""),
        ("nul", "/run/x\0y", "embedded null byte", ""),
        ("endless", "/dev/zero", "/dev/zero: larger than 1 MiB", ""),
        ("pipe", "/run/pipe", "/run/pipe: a pipe is no file", WAITS),
    )
]

_ADDRESSES: dict[str, tuple[dict[str, Any], str]] = {
    "no-length": ({"address": "10.4.0.5"}, "not in CIDR notation: '10.4.0.5'"),
    "empty": ({"address": ""}, "not in CIDR notation"),
    "33": ({"address": "10.4.0.5/33"}, "not in CIDR notation"),
    "text": ({"address": "five/24"}, "not in CIDR notation"),
    "gateway": ({"address": "10.4.0.5/24", "gateway": "x"}, "invalid IP address: x"),
}
_STATIC = [
    *(
        Bad(
            f"static-{name}-{plugin}",
            plugin,
            {"ipam": {"type": "static", "addresses": [*STATIC["addresses"], address]}},
            (words,),
        )
        for plugin in ("static", "bridge")
        for name, (address, words) in _ADDRESSES.items()
    ),
    Bad("static-route", "static", {"ipam": {**STATIC, "routes": [{"dst": "10.0.0.0"}]}}, ("CIDR",)),
    *(
        Bad(
            f"route-{key}-{value}",
            "bridge",
            {"ipam": {**STATIC, "routes": [{"dst": "10.0.0.0/8", key: value}]}},
            (f"routes[0].{key}", "uint"),
            differs="not looked at, or cut to as many bits as the kernel has",
        )
        for key, value in (
            *((key, value) for key in ("mtu", "advmss", "priority") for value in (-1, 1 << 32)),
            *(("table", -1), ("table", 1 << 32), ("scope", -1), ("scope", 256)),
        )
    ),
    *(
        Bad(f"static-{way}", "static", conf, ("not in CIDR notation",), env=env)
        for way, conf, env in (
            ("args", {"args": {"cni": {"ips": ["10.4.0.5"]}}}, {}),
            ("runtime", {"runtimeConfig": {"ips": ["10.4.0.5"]}}, {}),
            ("variable", {}, {"ARGS": "IP=10.4.0.9"}),
        )
    ),
    Bad("static-gateway", "static", {}, ("gateway address",), env={"ARGS": "GATEWAY=10.4"}),
    Bad("static-none", "bridge", {"ipam": {"type": "static"}}, ("missing IP config",)),
    Bad("static-no-previous", "static", {}, ("prevResult missing",), command="CHECK"),
]

_PREVIOUS: dict[str, dict[str, Any]] = {
    "version": {"cniVersion": "9.9.9"},
    "other-version": {"cniVersion": "0.4.0", "ips": []},
    "bad-address": {"ips": [{"address": "10.1.0.5/99"}]},
    "no-address": {"ips": [{}]},
    "bad-gateway": {"ips": [{"address": "10.1.0.5/24", "gateway": "x"}]},
    "bad-route": {"routes": [{"dst": "x"}]},
}
_BEFORE = [
    Bad(
        f"previous-{name}-{plugin}",
        plugin,
        {"prevResult": value},
        ("prevResult",),
        command=command,
        differs="what is missing is taken for nothing" if name == "no-address" else "",
    )
    for plugin, command in (("loopback", "ADD"), ("static", "CHECK"))
    for name, value in _PREVIOUS.items()
]

# The attachments that are valid decide what GC takes away, so nothing is guessed about them.
_GC_KEY = "cni.dev/valid-attachments"
_GC = [
    Bad(
        f"gc-{name}-{plugin}",
        plugin,
        {"cniVersion": "1.1.0", **conf},
        (words,),
        INTERNAL if plugin == "bridge" and name != "no-list" else 7,
        command="GC",
        differs="1.1.1 has no GC",
    )
    for plugin in ("bridge", "host-local")
    for name, conf, words in (
        ("no-list", {}, f"GC needs {_GC_KEY}"),
        ("text", {_GC_KEY: "pod1"}, _GC_KEY),
        ("object", {_GC_KEY: {"containerID": "pod1"}}, _GC_KEY),
        ("of-text", {_GC_KEY: ["pod1"]}, _GC_KEY),
        ("id-number", {_GC_KEY: [{"containerID": 1, "ifname": "eth0"}]}, "containerID"),
    )
]


def _portmap(name: str, words: str, differs: str = "", **conf: Any) -> Bad:
    """Build a case about an option of the portmap plugin."""
    return Bad(f"portmap-{name}", "portmap", conf, (words,), differs=differs)


def _mapping(name: str, words: str, differs: str = "", **changes: Any) -> Bad:
    """Build a case about one port mapping."""
    mapping = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", **changes}
    return _portmap(f"mapping-{name}", words, differs, runtimeConfig={"portMappings": [mapping]})


_TWICE = [
    {"hostPort": 8080, "containerPort": port, "protocol": "tcp", "hostIP": host_ip}
    for port, host_ip in ((80, ""), (81, "0.0.0.0"))  # noqa: S104 - not bound to
]
_PORTMAP = [
    *(
        _mapping(f"{key}-{port}", f"invalid {key} {port} ", **{key: port})
        for key in ("hostPort", "containerPort")
        for port in (0, -1, 65536, 2**31, 2**32 + 80, -(2**63))
    ),
    *(
        _mapping(f"protocol-{name}", "unknown protocol", protocol=text)
        for name, text in {
            "empty": "",
            "icmp": "icmp",
            "number": "6",
            "two": "tcp,udp",
            "blank": "tcp ",
            "option": "tcp -j ACCEPT",
            "newline": "tcp\nCOMMIT",
        }.items()
        if name != "number"
    ),
    _mapping(
        "protocol-number", "unknown protocol", "iptables knows it by its number", protocol="6"
    ),
    *(
        _mapping(f"host-ip-{name}", "invalid hostIP", _PARTLY, hostIP=text)
        for name, text in {
            "name": "localhost",
            "prefix": "192.0.2.1/24",
            "zone": "fe80::1%eth0",
            "port": "192.0.2.1:80",
            "blank": " ",
        }.items()
    ),
    _portmap(
        "mapped-twice",
        "is mapped to both 80 and 81",
        "the first one counts",
        runtimeConfig={"portMappings": _TWICE},
    ),
    _portmap(
        "mapped-twice-alike",
        "is mapped to both 80 and 81",
        "the first one counts",
        runtimeConfig={"portMappings": [{**mapping, "hostIP": ""} for mapping in _TWICE]},
    ),
    *(
        _portmap(f"mark-{bit}", f"markMasqBit {bit} must be between 0 and 31", markMasqBit=bit)
        for bit in (-1, 32, 2**40)
    ),
    _portmap(
        "mark-and-chain",
        "externalSetMarkChain and markMasqBit",
        markMasqBit=5,
        externalSetMarkChain="KUBE-MARK-MASQ",
    ),
    *(
        _portmap(f"chain-{name}", "is no name of a chain", externalSetMarkChain=text)
        for name, text in {
            "empty": "",
            "long": "K" * 29,
            "blank": "A B",
            "option": "-j",
            "newline": "A\n-F",
        }.items()
    ),
    *(
        _portmap(f"backend-{name}", "unrecognized backend", _SINCE, backend=text)
        for name, text in {"empty": "", "case": "NFTables", "other": "ipvs", "path": "../x"}.items()
    ),
    _portmap(
        "iptables-with-nftables-conditions",
        "iptables backend was requested but configuration contains nftables-specific options "
        "[conditionsV4]",
        backend="iptables",
        conditionsV4=["ip", "saddr", "192.0.2.1"],
    ),
    _portmap(
        "nftables-with-iptables-options",
        "nftables backend was requested but configuration contains iptables-specific options "
        "[externalSetMarkChain conditionsV6]",
        backend="nftables",
        conditionsV6=["!", "-s", "fd00::1"],
        externalSetMarkChain="KUBE-MARK-MASQ",
    ),
    _portmap(
        "both-kinds-of-conditions",
        "iptables backend is needed but configuration contains nftables-specific options",
        _SINCE,
        conditionsV4=["-s", "192.0.2.1"],
        conditionsV6=["ip6", "saddr", "fd00::1"],
    ),
    *(
        _portmap(f"conditions-{name}", "conditionsV4: ", conditionsV4=words)
        for name, words in {
            "newline": ["ip", "saddr", "192.0.2.1\nflush ruleset"],
            "semicolon": ["ip", "saddr", "192.0.2.1;", "flush", "ruleset"],
            "comment": ["ip", "saddr", "192.0.2.1", "#"],
            "nul": ["ip\0"],
            "iptables-newline": ["-s", "192.0.2.1\nCOMMIT"],
        }.items()
    ),
    _portmap("no-previous-result", "must be called as chained plugin", prevResult=without),
    Bad(
        "portmap-check-no-previous-result",
        "portmap",
        {"prevResult": without},
        ("required prevResult missing",),
        command="CHECK",
    ),
    Bad(
        "portmap-check-nothing-there",
        "portmap",
        {},
        ("pod1 eth0 net has no host ports",),
        command="CHECK",
    ),
]

TABLE = [
    *_BRIDGE,
    *_MACVLAN,
    *_mac_cases(),
    *_HOST_LOCAL,
    *_REQUESTED,
    *_FILES,
    *_STATIC,
    *_BEFORE,
    *_GC,
    *_PORTMAP,
]
