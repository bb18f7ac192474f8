"""What the flannel plugin refuses: files that flanneld did not write so, and delegates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bad_input.bad import INTERNAL, Bad
from helpers import flannel

CONFIG, VERSION = 7, 1
_DIRECTORY = "/run/flannel"
_LOAD = "failed to load flannel's subnet file"
_PASSED_ON = "the code is the delegate's; the reference makes it 999"
_PARTLY = "hostile input is refused, which the reference accepts in part"


def _env(**values: str | None) -> str:
    """Return the text of a subnet file with values replaced; None takes a line away."""
    wanted = {**flannel.V4, **{f"FLANNEL_{key}": value for key, value in values.items()}}
    return "".join(f"{key}={value}\n" for key, value in wanted.items() if value is not None)


# By name: what is in the file, and words of the refusal.
_FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "empty": ("", ("lacks", "FLANNEL_NETWORK", "FLANNEL_SUBNET", "FLANNEL_MTU", "FLANNEL_IPMASQ")),
    "no-network": (_env(NETWORK=None), ("lacks FLANNEL_NETWORK or FLANNEL_IPV6_NETWORK",)),
    "no-subnet": (_env(SUBNET=None), ("lacks FLANNEL_SUBNET or FLANNEL_IPV6_SUBNET",)),
    "no-mtu": (_env(MTU=None), ("lacks FLANNEL_MTU",)),
    "no-masq": (_env(IPMASQ=None), ("lacks FLANNEL_IPMASQ",)),
    "network-empty": (_env(NETWORK=""), ("FLANNEL_NETWORK: invalid CIDR address",)),
    "network-comma": (_env(NETWORK="10.1.0.0/16,"), ("FLANNEL_NETWORK: invalid CIDR address",)),
    "network-spaces": (_env(NETWORK="10.1.0.0/16, 10.2.0.0/16"), ("invalid CIDR address:  10.2",)),
    "network-quoted": (_env(NETWORK='"10.1.0.0/16"'), ("FLANNEL_NETWORK: invalid CIDR",)),
    "network-v6-odd": (_env(IPV6_NETWORK="fd01::/129"), ("FLANNEL_IPV6_NETWORK: invalid CIDR",)),
    "subnet-list": (_env(SUBNET="10.1.17.1/24,10.1.18.1/24"), ("FLANNEL_SUBNET: invalid CIDR",)),
    "subnet-no-prefix": (_env(SUBNET="10.1.17.1"), ("FLANNEL_SUBNET: invalid CIDR",)),
    "subnet-v6-text": (_env(IPV6_SUBNET="none"), ("FLANNEL_IPV6_SUBNET: invalid CIDR",)),
    "mtu-text": (_env(MTU="big"), ('FLANNEL_MTU="big"', "not a number")),
    "mtu-empty": (_env(MTU=""), ('FLANNEL_MTU=""', "not a number")),
    "mtu-negative": (_env(MTU="-1"), ('FLANNEL_MTU="-1"', "not a number")),
    "mtu-33-bits": (_env(MTU=str(2**32)), ("FLANNEL_MTU", "not a number of 32 bits")),
    "mtu-blank": (_env(MTU=" 1450"), ('FLANNEL_MTU=" 1450"', "not a number")),
    "mtu-digits": (_env(MTU="9" * 5000), ("FLANNEL_MTU", "not a number of 32 bits")),
    "rubbish": ("\0\1\2\xff" * 100, ("lacks FLANNEL_NETWORK",)),
    "mtu-too-large": (_env(MTU="70000"), ("invalid MTU 70000",)),
    "subnet-too-small": (_env(SUBNET="10.1.17.1/32"), ("10.1.17.1",)),
}


def prepare() -> None:
    """Write every file that a case names."""
    flannel.flanneld()
    for name, (text, _) in _FILES.items():
        Path(_DIRECTORY, f"{name}.env").write_text(text)


def _bad(name: str, conf: dict[str, Any], *words: str, **more: Any) -> Bad:
    """Build a case."""
    return Bad(f"flannel-{name}", "flannel", conf, words, **more)


_TYPES = [
    _bad(
        f"{key}-{kind}",
        {key: value},
        "failed to load netconf",
        f"cannot unmarshal {kind}",
        f"into field {key} of type {wanted}",
    )
    for wanted, keys, values in (
        ("string", ("subnetFile", "dataDir"), {"number": 1, "array": [], "object": {}}),
        (
            "object",
            ("delegate", "ipam", "runtimeConfig"),
            {"string": "x", "array": [], "bool": True},
        ),
    )
    for key in keys
    for kind, value in values.items()
]

_PLACES = [
    _bad("file-missing", {"subnetFile": f"{_DIRECTORY}/none"}, _LOAD, "no such file or directory"),
    _bad("file-directory", {"subnetFile": _DIRECTORY}, _LOAD, "is a directory"),
    _bad("file-below-file", {"subnetFile": "/etc/passwd/x"}, _LOAD, "not a directory"),
    _bad("file-endless", {"subnetFile": "/dev/zero"}, _LOAD, "larger than 1 MiB"),
    _bad("file-pipe", {"subnetFile": "/run/pipe"}, _LOAD, "a pipe is no file", differs="for ever"),
    _bad("file-empty-name", {"subnetFile": ""}, "subnetFile is empty"),
    _bad("file-nul", {"subnetFile": "/run/\0"}, _LOAD, "null byte"),
    _bad("data-empty-name", {"dataDir": ""}, "dataDir is empty"),
    _bad("data-below-file", {"dataDir": "/etc/passwd/x"}, "failed to save", "not a directory"),
    _bad("data-device", {"dataDir": "/dev/null"}, "failed to save", "not a directory"),
]

_DELEGATES = [
    _bad("delegate-name", {"delegate": {"name": "n"}}, '"delegate" must not have "name"'),
    _bad("delegate-name-null", {"delegate": {"name": None}}, 'must not have "name"'),
    _bad("delegate-ipam", {"delegate": {"ipam": {}}}, '"delegate" must not have "ipam"'),
    _bad("delegate-ipam-case", {"delegate": {"IPAM": {}}}, 'must not have "ipam"', differs=_PARTLY),
    *(
        _bad(f"delegate-type-{kind}", {"delegate": {"type": value}}, '"type" that is not a string')
        for kind, value in {"number": 1, "null": None, "object": {}, "array": ["bridge"]}.items()
    ),
    *(
        _bad(
            f"delegate-path-{name}",
            {"delegate": {key: text}},
            *("invalid plugin name in delegate.type", text),
            code=CONFIG,
            differs=_PASSED_ON if key == "type" else _PARTLY,
        )
        for name, key, text in (
            ("up", "type", "../../bin/sh"),
            ("absolute", "type", "/bin/sh"),
            ("dots", "type", ".."),
            ("backslash", "type", "a\\b"),
            ("other-case", "Type", "../x"),
        )
    ),
    _bad("delegate-nobody", {"delegate": {"type": "nobody"}}, "failed to find plugin", '"nobody"'),
    _bad("delegate-empty", {"delegate": {"type": ""}}, "no plugin name"),
    _bad("delegate-self", {"delegate": {"type": "flannel"}}, "delegate for ever"),
    _bad("delegate-refuses", {"delegate": {"vlan": 5000}}, "invalid VLAN ID 5000"),
    _bad("delegate-option-type", {"delegate": {"mtu": "x"}}, "cannot unmarshal string", "mtu"),
    _bad(
        "delegate-version",
        {"delegate": {"type": "firewall"}, "cniVersion": "0.3.1"},
        *("incompatible CNI versions", "0.3.1"),
        code=VERSION,
        differs=_PASSED_ON,
    ),
    _bad("routes-text", {"ipam": {"routes": "x"}}, "ipam.routes"),
    _bad("routes-number", {"ipam": {"routes": [1]}}, "ipam.routes[0]"),
    _bad("routes-destination", {"ipam": {"routes": [{"dst": "x"}]}}, "invalid CIDR address: x"),
    _bad(
        "routes-gateway", {"ipam": {"routes": [{"dst": "::/0", "gw": "y"}]}}, "invalid IP address"
    ),
    _bad("ipam-path", {"ipam": {"type": "../x"}}, "ipam.type", code=CONFIG, differs=_PARTLY),
    _bad("ipam-type", {"ipam": {"type": 5}}, "type"),
    _bad("ipam-nobody", {"ipam": {"type": "nobody"}}, "failed to find plugin", '"nobody"'),
]

TABLE = [
    *(
        _bad(name, {"subnetFile": f"{_DIRECTORY}/{name}.env"}, *words)
        for name, (_, words) in _FILES.items()
    ),
    *_TYPES,
    *_PLACES,
    *_DELEGATES,
]
assert all(case.code in (INTERNAL, CONFIG, VERSION) for case in TABLE)
