"""Bad input of the firewall plugin."""

from __future__ import annotations

from typing import Any

from bad_input.bad import Bad
from bad_input.table_meta import _kinds, _previous

_TEXT: dict[str, Any] = {"number": 7, "array": ["x"], "object": {"x": "y"}, "bool": True}
_IGNORES = "1.1.1 takes what it does not know for the default"


def _firewall(name: str, *words: str, differs: str = "", **conf: Any) -> Bad:
    """Build a case."""
    more = {key: conf.pop(key) for key in ("env", "code", "command") if key in conf}
    return Bad(f"firewall-{name}", "firewall", conf, words, differs=differs, **more)


TABLE = [
    *_kinds(
        "firewall",
        dict.fromkeys(
            ("backend", "iptablesAdminChainName", "firewalldZone", "ingressPolicy"), _TEXT
        ),
    ),
    *_previous("firewall"),
    _firewall("backend-unknown", 'unknown backend "ipfw"', differs=_IGNORES, backend="ipfw"),
    _firewall("backend-letters", "unknown backend", differs=_IGNORES, backend="Iptables"),
    _firewall(
        "backend-and-zone",
        "firewalldZone has no meaning",
        differs=_IGNORES,
        backend="nftables",
        firewalldZone="work",
    ),
    _firewall(
        "backend-and-chain",
        "iptablesAdminChainName has no meaning",
        differs=_IGNORES,
        backend="nftables",
        iptablesAdminChainName="X",
    ),
    _firewall("firewalld-missing", "no D-Bus at", backend="firewalld"),
    _firewall("policy-unknown", 'unknown ingressPolicy "closed"', ingressPolicy="closed"),
    _firewall(
        "policy-no-interface",
        "ingressPolicy",
        "must be bridge",
        ingressPolicy="isolated",
        prevResult={"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.5/24"}]},
    ),
    _firewall(
        "policy-no-name",
        "must be bridge",
        ingressPolicy="same-bridge",
        prevResult={
            "cniVersion": "1.0.0",
            "interfaces": [{"name": ""}],
            "ips": [{"address": "10.1.0.5/24"}],
        },
    ),
    _firewall("version-before-0.4.0", "incompatible CNI versions", code=1, cniVersion="0.3.1"),
    _firewall(
        "chain-of-the-plugin",
        "no chain of an administrator",
        iptablesAdminChainName="CNI-FORWARD",
    ),
    _firewall("chain-too-long", "no chain of an administrator", iptablesAdminChainName="x" * 40),
    _firewall("chain-option", "no chain of an administrator", iptablesAdminChainName="-A INPUT"),
    _firewall("check-no-previous", "prevResult", command="CHECK", prevResult=None),
    Bad(
        "firewall-gc-no-list",
        "firewall",
        {"cniVersion": "1.1.0"},
        ("GC needs cni.dev/valid-attachments",),
        7,
        command="GC",
        differs="1.1.1 has no GC",
    ),
]
