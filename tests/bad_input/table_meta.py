"""Bad input of plugins that follow another one: tuning and sbr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bad_input.bad import PREVIOUS, WAITS, Bad, without
from bad_input.table_values import MACS

if TYPE_CHECKING:
    from collections.abc import Iterable

_BOOL: dict[str, Any] = {"text": "true", "number": 1}
_INT: dict[str, Any] = {"text": "1500", "fraction": 1.5, "bool": True, "huge": 2**63}
_TEXT: dict[str, Any] = {"number": 7, "array": ["x"], "object": {"x": "y"}}
_OBJECT: dict[str, Any] = {"text": "x", "number": 1, "array": [{}]}
_SINCE = "came after 1.1.1"
_FORGETS = "1.1.1 forgets what CHECK finds"


def _kinds(
    plugin: str, options: dict[str, dict[str, Any]], newer: Iterable[str] = ()
) -> Iterable[Bad]:
    """Yield a case for each value that an option cannot have; an answer names the option."""
    for key, kinds in options.items():
        for kind, value in kinds.items():
            yield Bad(
                f"kind-{plugin}-{key}-{kind}",
                plugin,
                {key: value},
                ("failed to load netconf", "cannot unmarshal", key),
                differs=_SINCE if key in newer else "",
            )


def _previous(plugin: str) -> Iterable[Bad]:
    """Yield cases without a result that the plugin could follow."""
    for name, value in {
        "missing": None,
        "version": {"cniVersion": "9.9.9"},
        "other-version": {"cniVersion": "0.4.0", "ips": []},
        "bad-address": {"ips": [{"address": "10.1.0.5/99"}]},
        "interfaces": {"interfaces": {"name": "eth0"}},
        "number": 5,
    }.items():
        yield Bad(f"previous-{name}-{plugin}", plugin, {"prevResult": value}, ("prevResult",))


def _namespaces(plugin: str) -> Iterable[Bad]:
    """Yield cases with something else than a namespace in CNI_NETNS; DEL is another matter."""
    for name, path, words in (
        ("file", "/etc/passwd", "not a namespace"),
        ("pipe", "/run/pipe", "not a namespace"),
        ("other-kind", "/proc/self/ns/uts", "another kind of namespace"),
        ("missing", "/run/netns/nobody", "no such file or directory"),
    ):
        waits = WAITS if (name, plugin) == ("pipe", "sbr") else ""
        yield Bad(
            f"netns-{name}-{plugin}",
            plugin,
            {},
            ("failed to open netns", words),
            env={"NETNS": path},
            differs=waits,
        )


def _tuning(name: str, words: str, differs: str = "", **conf: Any) -> Bad:
    """Build a case of tuning."""
    more = {key: conf.pop(key) for key in ("env", "code", "command") if key in conf}
    return Bad(f"tuning-{name}", "tuning", conf, (words,), differs=differs, **more)


_TUNING = [
    *_kinds(
        "tuning",
        {
            "mac": _TEXT,
            "dataDir": _TEXT,
            "promisc": _BOOL,
            "mtu": _INT,
            "allmulti": _BOOL,
            "txQLen": _INT,
            "sysctl": {**_OBJECT, "value-number": {"net.x": 1}, "value-array": {"net.x": []}},
            "runtimeConfig": {**_OBJECT, "mac": {"mac": 1}},
            "args": {**_OBJECT, "cni": {"cni": []}, "mac": {"cni": {"mac": {}}}},
        },
        newer=("txQLen",),
    ),
    *_previous("tuning"),
    *_namespaces("tuning"),
    *(
        _tuning(f"sysctl-{name}", "invalid net sysctl key", differs, sysctl={text: "1"})
        for name, text, differs in (
            ("empty", "", ""),
            ("kernel", "kernel.core_pattern", ""),
            ("absolute", "/etc/passwd", ""),
            ("parent", "../../etc/passwd", ""),
            ("net-alone", "net", ""),
            ("prefix", "networks.x", ""),
            ("nul", "net.ipv4.ip_forward\0", ""),
            ("newline", "net.ipv4.ip_forward\n", ""),
            ("space", "net.ipv4.ip forward", ""),
            ("ifname-first", "IFNAME.ipv4.x", ""),
        )
    ),
    _tuning("sysctl-missing", "no such file or directory", sysctl={"net.ipv4.nothing": "1"}),
    _tuning("sysctl-directory", "is a directory", sysctl={"net.ipv4": "1"}),
    _tuning("sysctl-value", "invalid argument", sysctl={"net.ipv4.ip_forward": "on"}),
    _tuning("sysctl-value-nul", "embedded NUL", sysctl={"net.ipv4.ip_default_ttl": "6\0"}),
    _tuning("sysctl-of-nobody", "nobody", sysctl={"net.ipv4.conf.nobody.rp_filter": "1"}),
    _tuning(
        "sysctl-args", "kernel.x", args={"cni": {"sysctl": {"kernel.x": "1"}}}, sysctl={"net.x": ""}
    ),
    _tuning("interface-missing", 'failed to get "eth0"', mtu=1400),
    *(
        _tuning(f"interface-{name}", "interface name", mtu=1400, env={"IFNAME": text}, code=4)
        for name, text in (("parent", ".."), ("path", "../../kernel"), ("slash", "a/b"))
    ),
    _tuning("mtu-negative", "invalid MTU -1", mtu=-1),
    _tuning("mtu-33-bits", "invalid MTU 4294968796", mtu=2**32 + 1500),
    _tuning("mtu-args", "invalid MTU -5", args={"cni": {"mtu": -5}}),
    _tuning("txqlen-negative", "invalid txQLen -1", _SINCE, txQLen=-1, sysctl={}),
    *(
        _tuning(f"mac-{name}-{way}", mac, **conf)
        for name, mac in MACS.items()
        for way, conf in (
            ("option", {"mac": mac}),
            ("args", {"args": {"cni": {"mac": mac}}}),
            ("runtime", {"runtimeConfig": {"mac": mac}}),
            ("variable", {"env": {"ARGS": f"IgnoreUnknown=1;MAC={mac}"}}),
        )
    ),
    _tuning("args-unknown", "unknown args", env={"ARGS": "COLOUR=blue"}),
    Bad(
        "tuning-twice",
        "tuning",
        b'{"cniVersion":"1.0.0","name":"net","type":"tuning","sysctl":'
        b'{"net.ipv4.ip_forward":"1","net.ipv4.ip_forward":"0"},"prevResult":{"cniVersion":"1.0.0"}}',
        ('duplicated sysctl keys are not allowed: "net.ipv4.ip_forward"',),
        differs=_SINCE,
    ),
    Bad(
        "tuning-gc-no-list",
        "tuning",
        {"cniVersion": "1.1.0"},
        ("GC needs cni.dev/valid-attachments",),
        7,
        command="GC",
        differs="1.1.1 has no GC",
    ),
    _tuning("check-no-previous", "prevResult", command="CHECK", prevResult=None),
    _tuning(
        "check-sysctl",
        "net/ipv4/ip_forward is 0, configured is 7",
        command="CHECK",
        sysctl={"net.ipv4.ip_forward": "7"},
    ),
]


def _sbr(name: str, words: str, differs: str = "", **conf: Any) -> Bad:
    """Build a case of sbr."""
    more = {key: conf.pop(key) for key in ("code", "command") if key in conf}
    return Bad(f"sbr-{name}", "sbr", conf, (words,), differs=differs, **more)


_SBR = [
    *_kinds("sbr", {"table": _INT}),
    *_kinds(
        "sbr",
        {"gateways": {"text": "10.1.0.1", "numbers": [1]}, "addSourceHints": _BOOL},
    ),
    *_previous("sbr"),
    *_namespaces("sbr"),
    *(
        _sbr(f"table-{name}", f"invalid table {table}", table=table)
        for name, table in (("0", 0), ("negative", -1), ("33-bits", 2**32))
    ),
    *(
        _sbr(f"gateway-{name}", "invalid static gateway", gateways=[text])
        for name, text in (
            ("empty", ""),
            ("text", "router"),
            ("length", "10.1.0.1/24"),
            ("octal", "010.1.0.1"),
            ("zone", "fe80::1%eth0"),
        )
    ),
    _sbr("gateways-two", "multiple IPv4 addresses", gateways=["10.1.0.1", "10.1.0.2"]),
    _sbr("interface-missing", "cannot find network interface eth0", table=without),
    _sbr("no-address", "no IP addresses supplied", prevResult={**PREVIOUS, "ips": []}),
    _sbr(
        *("status", "invalid table 0", "1.1.1 has no STATUS"),
        cniVersion="1.1.0",
        command="STATUS",
        table=0,
    ),
]


def _vrf(name: str, words: str, differs: str = "", **conf: Any) -> Bad:
    """Build a case of vrf."""
    more = {key: conf.pop(key) for key in ("env", "code", "command") if key in conf}
    return Bad(f"vrf-{name}", "vrf", conf, (words,), differs=differs, **more)


_VRF = [
    *_kinds("vrf", {"vrfname": _TEXT, "table": {**_INT, "negative": -1, "33-bits": 2**32}}),
    *_previous("vrf"),
    *_namespaces("vrf"),
    _vrf("name-missing", "expected to have a valid vrf name", vrfname=without),
    *(
        _vrf(f"name-{name}", "invalid vrf name", vrfname=text)
        for name, text in (
            ("dot", "."),
            ("parent", "../blue"),
            ("absolute", "/blue"),
            ("colon", "blue:1"),
            ("space", "blue 1"),
            ("nul", "blue\0"),
            ("newline", "blue\n"),
            ("long", "b" * 16),
        )
    ),
    _vrf("name-of-lo", "interface eth0 is not in the container", vrfname="lo"),
    _vrf("interface-missing", "interface eth0 is not in the container"),
    _vrf("interface-path", "interface name", env={"IFNAME": "../../kernel"}, code=4),
    _vrf("interface-lo", "operation not supported", env={"IFNAME": "lo"}),
    _vrf("check-missing", "VRF blue is missing", _FORGETS, command="CHECK"),
    _vrf("check-lo", "link lo is not a VRF", _FORGETS, command="CHECK", vrfname="lo"),
    _vrf("check-no-previous", "prevResult", command="CHECK", prevResult=without),
    _vrf("del-no-name", "expected to have a valid vrf name", command="DEL", vrfname=""),
    _vrf(
        *("status", "invalid vrf name", "1.1.1 has no STATUS"),
        cniVersion="1.1.0",
        command="STATUS",
        vrfname="..",
    ),
]

TABLE = [*_TUNING, *_SBR, *_VRF]
