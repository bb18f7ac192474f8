"""Values that make no sense to ptp, tap, host-device, ipvlan, vlan and dummy."""

from __future__ import annotations

from bad_input.bad import Bad, without

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

_TAP = [
    *(
        Bad(f"tap-mtu-{value}", "tap", {"mtu": value}, (f"invalid MTU {value}",))
        for value in (-1, 1, 65536, 2**32 + 1500)
    ),
    *(
        Bad(f"tap-mac-{name}", "tap", {"mac": mac}, (mac, "MAC"))
        for name, mac in (("text", "zz"), ("group", "01:00:5e:00:00:01"))
    ),
    *(
        Bad(f"tap-bridge-{name}", "tap", {"bridge": text}, ("bridge", words))
        for name, text, words in (
            ("missing", "br0", "no such device"),
            ("of-the-host", "m0", "no such device"),
            ("path", "../m0", "no such device"),
        )
    ),
    Bad("tap-bridge-is-none", "tap", {"bridge": "lo", "ipam": REACHED}, ("change link",)),
    Bad("tap-bridge-nul", "tap", {"bridge": "br0\0"}, ("embedded NUL",)),
    Bad(
        "tap-context",
        "tap",
        {"selinuxContext": "x", "ipam": REACHED},
        ('SELinux context "x"', "invalid argument"),
    ),
    Bad("tap-context-nul", "tap", {"selinuxContext": "x\0y", "ipam": REACHED}, ("embedded NUL",)),
]

_DEVICE = [
    Bad(f"host-device-{name}", "host-device", {"device": without, **conf}, words)
    for name, conf, words in (
        ("none", {}, ("specify either",)),
        ("missing", {"device": "nobody"}, ("failed to find host device", "nobody")),
        ("path", {"device": "../m1"}, ("failed to find host device",)),
        ("too-long", {"device": "m" * 300}, ("failed to find host device",)),
        ("lo", {"device": "lo", "ipam": REACHED}, ("change link",)),
        ("hwaddr", {"hwaddr": "zz"}, ('failed to parse MAC address "zz"',)),
        ("hwaddr-nobody", {"hwaddr": "02:00:00:00:00:99"}, ("02:00:00:00:00:99",)),
        ("kernelpath", {"kernelpath": "/etc"}, ("must be absolute and begin with",)),
        ("kernelpath-up", {"kernelpath": "/sys/devices/../../etc"}, ("must be absolute",)),
        ("kernelpath-none", {"kernelpath": "/sys/devices/nobody"}, ("no such file",)),
        ("pci-path", {"pciBusID": "../../etc"}, ("is not the name of a device",)),
        ("pci-missing", {"pciBusID": "0000:00:99.9"}, ("error with host device 0000:00:99.9",)),
        ("id-path", {"runtimeConfig": {"deviceID": "../x"}}, ("is not the name of a device",)),
        ("id-missing", {"runtimeConfig": {"deviceID": "x"}}, ("DeviceID x not found",)),
    )
]

_LINKS = [
    Bad("ipvlan-mode", "ipvlan", {"mode": "l4"}, ('unknown ipvlan mode: "l4"',)),
    Bad("ipvlan-master", "ipvlan", {"master": "nobody"}, ('failed to lookup master "nobody"',)),
    Bad("ipvlan-no-route", "ipvlan", {"master": ""}, ("no default route interface found",)),
    Bad("ipvlan-no-ipam", "ipvlan", {"ipam": {}}, ("no plugin name provided",)),
    Bad("ipvlan-mtu", "ipvlan", {"mtu": 65536}, ("invalid MTU 65536",)),
    Bad(
        "ipvlan-chained",
        "ipvlan",
        {"master": "", "prevResult": {"cniVersion": "1.0.0", "interfaces": []}},
        ("prevResult does not have one interface",),
    ),
    Bad("vlan-no-master", "vlan", {"master": without}, ('"master" is required',)),
    Bad("vlan-master", "vlan", {"master": "nobody"}, ("nobody", "no such device")),
    *(
        Bad(f"vlan-id-{value}", "vlan", {"vlanId": value}, (f"invalid VLAN ID {value}",))
        for value in (-1, 4095, 65536 + 5)
    ),
    Bad("vlan-mtu", "vlan", {"mtu": 9000}, ("must be [0, master MTU(1500)]",)),
    Bad("vlan-no-ipam", "vlan", {"ipam": {}}, ("no plugin name provided",)),
    Bad("dummy-no-ipam", "dummy", {"ipam": {}}, ("requires an IPAM configuration",)),
]

TABLE = [*_PTP, *_TAP, *_DEVICE, *_LINKS]
