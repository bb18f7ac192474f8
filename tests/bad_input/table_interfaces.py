"""Values that make no sense to ptp."""

from __future__ import annotations

from bad_input.bad import Bad

REACHED = {"type": "static", "addresses": [{"address": "10.4.0.5/24", "gateway": "10.4.0.1"}]}
_MTU = "what is no MTU is ignored, or cut to 32 bits"

_PTP = [
    *(
        Bad(f"ptp-mtu-{value}", "ptp", {"mtu": value}, (words,), differs=differs)
        for value, words, differs in (
            (-1, "invalid MTU -1", _MTU),
            (1, "invalid MTU 1 ", ""),
            (65536, "invalid MTU 65536", ""),
            (2**32 + 1500, "invalid MTU", _MTU),
            (2**63 - 1, "invalid MTU", ""),
        )
    ),
    Bad("ptp-no-ipam", "ptp", {"ipam": {}}, ("no plugin name provided",)),
    Bad(
        "ptp-no-gateway",
        "ptp",
        {"ipam": {"type": "static", "addresses": [{"address": "10.4.0.5/24"}]}},
        ("address 10.4.0.5/24 has no gateway",),
    ),
    Bad(
        "ptp-backend",
        "ptp",
        {"ipMasq": True, "ipMasqBackend": "ipfw"},
        ('unknown ipmasq backend "ipfw"',),
        differs="came after 1.1.1",
    ),
    Bad(
        "ptp-too-many-addresses",
        "ptp",
        {
            "ipam": {
                "type": "static",
                "addresses": [
                    {"address": f"10.4.{n}.5/24", "gateway": f"10.4.{n}.1"} for n in range(80)
                ],
            }
        },
        ("does not fit",),
        differs="takes any number",
    ),
    Bad(
        "ptp-route-unreachable",
        "ptp",
        {"ipam": {**REACHED, "routes": [{"dst": "10.9.0.0/16", "gw": "10.200.0.1"}]}},
        ("add route", "eth0", "network is unreachable"),
    ),
]

TABLE = [*_PTP]
