"""Limits that make no sense, and calls of the bandwidth plugin that have nothing to limit."""

from __future__ import annotations

import math
from typing import Any

from bad_input.bad import BEHIND, Bad

MBIT = 10**6
_LIMITED = {"egressRate": MBIT, "egressBurst": MBIT}
_UINT: dict[str, Any] = {
    "text": "1M",
    "fraction": 1e6 + 0.5,
    "bool": True,
    "65-bits": 2**64,
    "negative": -1,
    "infinite": math.inf,
    "object": {},
    "array": [1],
}
_TEXTS: dict[str, Any] = {"text": "10.0.0.0/8", "numbers": [10], "object": {"a": "10.0.0.0/8"}}
_RATES = ("ingressRate", "ingressBurst", "egressRate", "egressBurst")
_NEWER = "the reference does not know the key, or not any more"
_LATER = "1.1.1 has no such command"


def _bad(name: str, conf: dict[str, Any], *words: str, **more: Any) -> Bad:
    """Build a case."""
    return Bad(f"limits-{name}", "bandwidth", conf, words, **more)


_KINDS = [
    *(
        _bad(f"{key}-{kind}", {key: value}, "failed to load netconf", "cannot unmarshal", key)
        for key in _RATES
        for kind, value in _UINT.items()
    ),
    *(
        _bad(
            f"runtime-{key}-{kind}",
            {"runtimeConfig": {"bandwidth": {key: value}}},
            "cannot unmarshal",
            f"runtimeConfig.bandwidth.{key}",
        )
        for key in _RATES
        for kind, value in (("text", "1M"), ("negative", -1))
    ),
    *(
        _bad(f"runtime-{kind}", {"runtimeConfig": {"bandwidth": value}}, "runtimeConfig.bandwidth")
        for kind, value in {"text": "1M", "number": 1, "array": [], "bool": True}.items()
    ),
    *(
        _bad(f"{key}-{kind}", {key: value}, "cannot unmarshal", key, differs=_NEWER)
        for key in ("unshapedSubnets", "shapedSubnets")
        for kind, value in _TEXTS.items()
    ),
    *(
        _bad(f"latency-{kind}", {"latencyMs": value}, "latencyMs", differs=_NEWER)
        for kind, value in {"text": "25ms", "negative": -1, "33-bits": 2**32}.items()
    ),
]

_VALUES = [
    *(
        _bad(f"burst-alone-{command}".lower(), {"ingressBurst": 5}, words, command=command)
        for command, words in (("ADD", "needs ingressRate"), ("CHECK", "needs ingressRate"))
    ),
    _bad(
        "burst-alone-at-runtime",
        {"runtimeConfig": {"bandwidth": {"EgressBurst": 2**32 - 1}}},
        "egressBurst 4294967295 needs egressRate",
    ),
    _bad("burst-4-gib", {"egressRate": 1, "egressBurst": 2**35}, "not below 4 GiB"),
    _bad("burst-no-byte", {"egressRate": MBIT, "egressBurst": 7}, "less than one byte"),
    _bad("rate-no-byte", {"egressRate": 7, "egressBurst": MBIT}, "less than one byte per second"),
    _bad("rate-overflow", {"ingressRate": 2**64 - 1, "ingressBurst": MBIT}, "overflows"),
    _bad("rate-overflow-alone", {"ingressRate": 2**44}, "overflows", "4 GiB would wait 25 ms"),
    _bad("latency-overflow", {**_LIMITED, "latencyMs": 2**32 - 1, "egressRate": 10**10}, "overfl"),
    *(
        _bad(f"subnet-{name}", {**_LIMITED, "shapedSubnets": ["10.0.0.0/8", text]}, "bad subnet")
        for name, text in {
            "no-length": "10.0.0.0",
            "long": "10.0.0.0/33",
            "long-v6": "fd00::/129",
            "negative": "10.0.0.0/-1",
            "words": "hello",
            "empty": "",
            "nul": "10.0.0.0/8\0",
            "zone": "fe80::1%eth0/64",
        }.items()
    ),
    _bad(
        "both-subnets",
        {**_LIMITED, "shapedSubnets": ["10.0.0.0/8"], "unshapedSubnets": ["fd00::/8"]},
        "exclude each other",
    ),
    *(
        _bad(
            f"status-{key}",
            {"cniVersion": "1.1.0", key: 5},
            key[:-4] if "Rate" in key else key,
            command="STATUS",
            differs=_LATER,
        )
        for key in ("ingressRate", "egressBurst")
    ),
]

_BEFORE = [
    *(
        _bad(
            f"prev-result-{name}-{command}".lower(),
            {**_LIMITED, "prevResult": value},
            words,
            command=command,
        )
        for command in ("ADD", "CHECK")
        for name, value, words in (
            ("null", None, "prevResult missing"),
            ("number", 5, "prevResult"),
            ("text", "{}", "prevResult"),
            ("malformed", {"cniVersion": "1.0.0", "interfaces": 5}, "prevResult"),
            ("other-version", {**BEHIND, "cniVersion": "9.9.9"}, "prevResult"),
            ("old-version", {**BEHIND, "cniVersion": "0.2.0"}, "prevResult"),
            ("no-interfaces", {"cniVersion": "1.0.0"}, "no interfaces in prevResult"),
        )
    ),
    *(
        _bad(
            f"no-interface-{command}".lower(),
            _LIMITED,
            "container's interface: get link eth0: no such device",
            command=command,
        )
        for command in ("ADD", "CHECK")
    ),
    _bad("no-pair", _LIMITED, "interface lo has no veth peer", env={"IFNAME": "lo"}),
    *(
        _bad(f"netns-{name}", _LIMITED, "failed to open netns", words, env={"NETNS": path})
        for name, path, words in (
            ("missing", "/run/netns/nobody", "no such file or directory"),
            ("file", "/etc/passwd", "not a namespace"),
        )
    ),
]

_GC_KEY = "cni.dev/valid-attachments"
_GC = [
    _bad(
        f"gc-{name}",
        {"cniVersion": "1.1.0", **conf},
        _GC_KEY,
        code=7,
        command="GC",
        differs=_LATER,
    )
    for name, conf in (("no-list", {}), ("text", {_GC_KEY: "pod1"}), ("of-text", {_GC_KEY: ["a"]}))
]

TABLE = [*_KINDS, *_VALUES, *_BEFORE, *_GC]
