"""Configurations that make no sense to dhcp, and daemons that are not there."""

from __future__ import annotations

from typing import Any

from bad_input.bad import Bad

_UNKNOWN = "neither a number from 1 to 254 nor subnet-mask"


def _bad(name: str, ipam: dict[str, Any], *words: str, plugin: str = "bridge", **more: Any) -> Bad:
    """Return a call of a plugin that has its addresses from dhcp."""
    return Bad(f"dhcp-{name}", plugin, {"ipam": {"type": "dhcp", **ipam}}, words, **more)


TABLE = [
    *(
        _bad(f"{key}-{option or 'empty'}", {key: [{"option": option}]}, f"ipam.{key}", _UNKNOWN)
        for key in ("provide", "request")
        for option in ("nonsense", "0", "255", "256", "-1", "12a")
    ),
    _bad("provide-empty", {"provide": [{}]}, "ipam.provide", _UNKNOWN),
    _bad(
        "provide-own",
        {"provide": [{"option": "53", "value": "x"}]},
        "option 53 is the client's own",
    ),
    _bad(
        "provide-too-long",
        {"provide": [{"option": "host-name", "value": "x" * 256}]},
        "the value of option host-name is 256 bytes long",
    ),
    _bad(
        "from-arg-too-long",
        {"provide": [{"option": "host-name", "fromArg": "NAME"}]},
        "the value of option host-name is 300 bytes long",
        env={"ARGS": f"IgnoreUnknown=1;NAME={'x' * 300}"},
    ),
    *(
        _bad(f"type-{key}-{number}", {key: value}, "cannot unmarshal", f"ipam.{key}")
        for key, number, value in (
            ("provide", 1, {}),
            ("provide", 2, [7]),
            ("provide", 3, [{"option": 12}]),
            ("request", 1, "121"),
            ("request", 2, [{"skipDefault": "yes"}]),
            ("priority", 1, "low"),
            ("priority", 2, 1.5),
            ("daemonSocketPath", 1, 5),
        )
    ),
    *(
        _bad(
            f"no-daemon-{plugin}",
            {"daemonSocketPath": "/run/nobody.sock"},
            "error dialing DHCP daemon: nobody listens on /run/nobody.sock",
            plugin=plugin,
        )
        for plugin in ("bridge", "macvlan", "ptp", "tap")
    ),
    _bad("daemon-is-a-pipe", {"daemonSocketPath": "/run/pipe"}, "error dialing DHCP daemon"),
    _bad("daemon-nul", {"daemonSocketPath": "/run/a\0b"}, "error dialing DHCP daemon"),
    _bad("daemon-path-too-long", {"daemonSocketPath": "/" + "x" * 200}, "too long"),
]
