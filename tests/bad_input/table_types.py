"""Values of the wrong kind: every option of every plugin with what it cannot be."""

from __future__ import annotations

import math
from typing import Any

from bad_input.bad import STATIC, SUBNET, V4, Bad, without

_BOOL: dict[str, Any] = {"text": "true", "number": 1, "array": [True]}
_INT: dict[str, Any] = {
    "text": "1500",
    "fraction": 1.5,
    "bool": True,
    "huge": 2**63,
    "tiny": -(2**64),
    "infinite": math.inf,
    "object": {},
}
_TEXT: dict[str, Any] = {"number": 7, "bool": False, "array": ["x"], "object": {"x": "y"}}
_LIST: dict[str, Any] = {"text": "x", "number": 0, "object": {}}
_OBJECT: dict[str, Any] = {"text": "x", "number": 1, "array": [{}], "bool": True}
_SINCE = "came after 1.1.1"

_BRIDGE: dict[str, dict[str, Any]] = {
    "bridge": _TEXT,
    "isGateway": _BOOL,
    "isDefaultGateway": _BOOL,
    "forceAddress": _BOOL,
    "ipMasq": _BOOL,
    "ipMasqBackend": _TEXT,
    "mtu": _INT,
    "hairpinMode": _BOOL,
    "promiscMode": _BOOL,
    "vlan": _INT,
    "vlanTrunk": _LIST,
    "preserveDefaultVlan": _BOOL,
    "macspoofchk": _BOOL,
    "enabledad": _BOOL,
    "disableContainerInterface": _BOOL,
    "portIsolation": _BOOL,
}
_MACVLAN = {
    "master": _TEXT,
    "mode": _TEXT,
    "mtu": _INT,
    "mac": _TEXT,
    "linkInContainer": _BOOL,
    "bcqueuelen": {**_INT, "negative": -1, "33-bits": 2**32},
}
_PORTMAP = {
    "backend": _TEXT,
    "snat": _BOOL,
    "masqAll": _BOOL,
    "markMasqBit": _INT,
    "externalSetMarkChain": _TEXT,
    "conditionsV4": _LIST,
    "conditionsV6": {**_LIST, "of-numbers": [1]},
    "runtimeConfig": _OBJECT,
}
_MAPPING = {"hostPort": _INT, "containerPort": _INT, "protocol": _TEXT, "hostIP": _TEXT}
_INTERFACES: dict[str, dict[str, dict[str, Any]]] = {
    "ptp": {"ipMasq": _BOOL, "ipMasqBackend": _TEXT, "mtu": _INT},
    "tap": {
        "multiQueue": _BOOL,
        "mtu": _INT,
        "mac": _TEXT,
        "owner": {**_INT, "negative": -1, "33-bits": 2**32},
        "group": {**_INT, "negative": -1},
        "selinuxContext": _TEXT,
        "bridge": _TEXT,
        "runtimeConfig": _OBJECT,
    },
    "host-device": {
        "device": _TEXT,
        "hwaddr": _TEXT,
        "kernelpath": _TEXT,
        "pciBusID": _TEXT,
        "runtimeConfig": {**_OBJECT, "of-number": {"deviceID": 5}},
    },
    "ipvlan": {"master": _TEXT, "mode": _TEXT, "mtu": _INT, "linkInContainer": _BOOL},
    "vlan": {"master": _TEXT, "vlanId": _INT, "mtu": _INT, "linkInContainer": _BOOL},
}
# In 1.1.1 these are unknown keys, to all plugins.
_NEWER = (
    *("ipMasqBackend", "vlanTrunk", "disableContainerInterface", "portIsolation"),
    *("preserveDefaultVlan", "bcqueuelen", "linkInContainer", "backend", "masqAll"),
)


def _wrong(plugin: str, key: str, kinds: dict[str, Any], **more: Any) -> list[Bad]:
    """Return a case for each value that an option cannot have; an answer names the option."""
    return [
        Bad(
            f"kind-{plugin}-{key}-{kind}",
            plugin,
            {key: value},
            ("failed to load netconf", "cannot unmarshal", key),
            differs=_SINCE if key in _NEWER else "",
            **more,
        )
        for kind, value in kinds.items()
    ]


def _inside(plugin: str, path: str, conf: dict[str, Any], **more: Any) -> Bad:
    """Return a case for a value of the wrong kind within others, at a path that is named."""
    return Bad(
        f"kind-{plugin}-{path}", plugin, conf, ("cannot unmarshal", path.partition("=")[0]), **more
    )


_SHARED = [
    case
    for plugin in ("bridge", "macvlan", "ptp")
    for case in (
        *_wrong(plugin, "type", _TEXT),
        *_wrong(plugin, "ipam", _OBJECT),
        *_wrong(plugin, "dns", _OBJECT),
        *_wrong(plugin, "capabilities", _OBJECT),
        _inside(plugin, "ipam.type", {"ipam": {"type": 5}}),
        _inside(plugin, "dns.nameservers", {"dns": {"nameservers": "10.0.0.1"}}),
        _inside(plugin, "dns.search[1]", {"dns": {"search": ["a", 1]}}),
        _inside(plugin, "dns.domain", {"dns": {"domain": ["a"]}}),
        _inside(plugin, "capabilities.mac", {"capabilities": {"mac": "yes"}}),
    )
] + [
    case
    for plugin in ("bridge", "macvlan")
    for case in (
        *_wrong(plugin, "runtimeConfig", _OBJECT),
        _inside(plugin, "runtimeConfig.mac", {"runtimeConfig": {"mac": 2}}),
    )
]

_NESTED = [
    *_wrong("bridge", "args", _OBJECT),
    _inside("bridge", "args.cni", {"args": {"cni": []}}),
    _inside("bridge", "args.cni.mac", {"args": {"cni": {"mac": {}}}}),
    *(
        _inside(
            "bridge", f"vlanTrunk[0].{key}={value}", {"vlanTrunk": [{key: value}]}, differs=_SINCE
        )
        for key in ("id", "minID", "maxID")
        for value in ("7", 1.5)
    ),
    _inside("bridge", "vlanTrunk[0]", {"vlanTrunk": [7]}, differs=_SINCE),
]

_IPAM: dict[str, dict[str, Any]] = {
    "subnet": {"number": 10, "array": [SUBNET], "object": {}},
    "rangeStart": {"number": 10, "bool": True},
    "rangeEnd": {"number": 10, "array": []},
    "gateway": {"number": 1, "object": {}},
    "ranges": {"text": SUBNET, "object": {}, "array-of-object": [{}], "array-of-text": [SUBNET]},
    "routes": {"text": "0.0.0.0/0", "object": {}, "array-of-text": ["0.0.0.0/0"]},
    "dataDir": {"number": 1, "array": []},
    "resolvConf": {"number": 1, "bool": False},
}
_HOST_LOCAL = [
    Bad(
        f"kind-{plugin}-ipam.{key}-{kind}",
        plugin,
        {"ipam": {**V4, key: value}},
        ("cannot unmarshal", f"ipam.{key}"),
    )
    for key, kinds in _IPAM.items()
    for kind, value in kinds.items()
    for plugin in ("host-local", *(["bridge"] if kind == "number" else []))
] + [
    _inside("host-local", "ipam.routes[0].dst", {"ipam": {**V4, "routes": [{"dst": 7}]}}),
    _inside("host-local", "ipam.ranges[0][0].subnet", {"ipam": {"ranges": [[{"subnet": 1}]]}}),
    Bad("kind-host-local-ipam-array", "host-local", {"ipam": []}, ("cannot unmarshal array",)),
    Bad("kind-host-local-ipam-text", "host-local", {"ipam": "x"}, ("cannot unmarshal string",)),
    Bad("kind-host-local-no-ipam", "host-local", {"ipam": without}, ("missing 'ipam'",)),
    _inside("host-local", "args", {"args": [1]}),
    _inside("host-local", "args.cni.ips", {"args": {"cni": {"ips": "10.1.0.5"}}}),
    _inside("host-local", "args.cni.ips[0]", {"args": {"cni": {"ips": [5]}}}),
    _inside("host-local", "runtimeConfig", {"runtimeConfig": []}),
    _inside("host-local", "runtimeConfig.ips", {"runtimeConfig": {"ips": "10.1.0.5"}}),
    _inside("host-local", "runtimeConfig.ipRanges", {"runtimeConfig": {"ipRanges": SUBNET}}),
    _inside(
        "host-local", "runtimeConfig.ipRanges[0]", {"runtimeConfig": {"ipRanges": [{"subnet": 1}]}}
    ),
]

_MAPPINGS = [
    *(
        _inside(
            "portmap",
            f"runtimeConfig.portMappings[0].{key}={kind}",
            {"runtimeConfig": {"portMappings": [{key: value}]}},
        )
        for key, kinds in _MAPPING.items()
        for kind, value in kinds.items()
    ),
    _inside("portmap", "runtimeConfig.portMappings", {"runtimeConfig": {"portMappings": {}}}),
    _inside("portmap", "runtimeConfig.portMappings[0]", {"runtimeConfig": {"portMappings": [8]}}),
]

_ADDRESSES = {"text": "10.4.0.5/24", "object": {}, "array-of-text": ["10.4.0.5/24"]}
_STATIC = [
    *(
        Bad(
            f"kind-static-ipam.{key}-{kind}",
            "static",
            {"ipam": {**STATIC, key: value}},
            ("cannot unmarshal", f"ipam.{key}"),
        )
        for key, kinds in {
            "addresses": _ADDRESSES,
            "routes": {"text": "0.0.0.0/0", "object": {}},
            "dns": _OBJECT,
        }.items()
        for kind, value in kinds.items()
    ),
    _inside("static", "ipam.addresses[0].address", {"ipam": {"addresses": [{"address": 4}]}}),
    _inside(
        "static",
        "ipam.addresses[0].gateway",
        {"ipam": {"addresses": [{"address": "10.4.0.5/24", "gateway": 4}]}},
    ),
    Bad("kind-static-no-ipam", "static", {"ipam": without}, ("missing 'ipam'",)),
    _inside("static", "ipam", {"ipam": "10.4.0.5/24"}),
    _inside("static", "args.cni.ips", {"args": {"cni": {"ips": "10.4.0.5/24"}}}),
    _inside("static", "runtimeConfig.ips", {"runtimeConfig": {"ips": 5}}),
]

_PREVIOUS: dict[str, Any] = {
    "text": "x",
    "number": 4,
    "array": [],
    "ips-text": {"ips": "10.1.0.5/24"},
    "ips-of-text": {"ips": ["10.1.0.5/24"]},
    "address-number": {"ips": [{"address": 5}]},
    "interface-text": {"ips": [{"address": "10.1.0.5/24", "interface": "eth0"}]},
    "interfaces-object": {"interfaces": {"name": "eth0"}},
    "mac-number": {"interfaces": [{"name": "eth0", "mac": 5}]},
    "routes-text": {"routes": "0.0.0.0/0"},
    "dns-array": {"dns": []},
    "version-number": {"cniVersion": 1},
}
_BEFORE = [
    Bad(
        f"kind-{plugin}-prevResult-{kind}-{command.lower()}",
        plugin,
        {"prevResult": value},
        ("prevResult",) if isinstance(value, dict) else ("cannot unmarshal", "prevResult"),
        command=command,
    )
    for plugin, command in (("loopback", "ADD"), ("static", "CHECK"), ("portmap", "ADD"))
    for kind, value in _PREVIOUS.items()
]

TABLE = [
    *(case for key, kinds in _BRIDGE.items() for case in _wrong("bridge", key, kinds)),
    *(case for key, kinds in _MACVLAN.items() for case in _wrong("macvlan", key, kinds)),
    *(case for key, kinds in _PORTMAP.items() for case in _wrong("portmap", key, kinds)),
    *_MAPPINGS,
    *(
        case
        for plugin, options in _INTERFACES.items()
        for key, kinds in options.items()
        for case in _wrong(plugin, key, kinds)
    ),
    *_SHARED,
    *_NESTED,
    *_HOST_LOCAL,
    *_STATIC,
    *_BEFORE,
]
