"""What ptp, tap and host-device are put through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from table_bridge import DUAL, MAC, V4, V6

from helpers.case import case_of

if TYPE_CHECKING:
    from helpers.case import Case

STATIC = {"type": "static", "addresses": [{"address": "10.4.0.5/24", "gateway": "10.4.0.1"}]}
DEFAULT = [{"dst": "0.0.0.0/0"}]
NEIGHBOURS = [{"dst": "10.9.0.0/16", "gw": "10.1.0.9"}, {"dst": "fd09::/64", "gw": "fd01::9"}]


def _ptp(name: str, before: tuple[str, ...] = (), **given: Any) -> Case:
    """Build a ptp case."""
    return case_of("ptp", name, before, **{"ipam": V4, **given})


_PTP = [
    _ptp("plain"),
    _ptp("default-route", ipam={**V4, "routes": DEFAULT}),
    _ptp("routes", ipam={**V4, "routes": [*DEFAULT, {"dst": "10.9.0.0/16", "gw": "10.1.0.1"}]}),
    _ptp("routes-neighbours", ipam={**DUAL, "routes": NEIGHBOURS}),
    _ptp("v6", ipam=V6),
    _ptp("dual", ipam=DUAL),
    _ptp("mtu", mtu=1400),
    _ptp("other-ifname", ifname="net1.5"),
    _ptp("ipmasq", ipMasq=True, ipam={**V4, "routes": DEFAULT}),
    _ptp("ipmasq-dual", ipMasq=True, ipam=DUAL),
    _ptp("ipmasq-iptables", ipMasq=True, ipMasqBackend="iptables"),
    _ptp("ipmasq-nftables", ipMasq=True, ipMasqBackend="nftables", since="1.7"),
    _ptp("dns", dns={"nameservers": ["10.1.0.1"], "search": ["a.test"]}),
    _ptp("static", ipam=STATIC, pods=1),
    _ptp("own-gateway", ipam={**V4, "gateway": "10.1.0.254"}),
    _ptp("runtime-ips", runtimeConfig={"ips": ["10.1.0.77"]}, pods=1),
    _ptp("letter-case", IPAM={"Type": "host-local", "SUBNET": "10.1.0.0/24"}, MTU=1300),
    *(
        _ptp(f"version-{version}", cniVersion=version, pods=1)
        for version in ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0")
    ),
    _ptp("version-1.1.0", cniVersion="1.1.0", pods=1, since="1.6"),
]


def _tap(name: str, before: tuple[str, ...] = (), **given: Any) -> Case:
    """Build a tap case."""
    return case_of("tap", name, before, **{"since": "1.4", "ipam": V4, **given})


BRIDGED = tuple(
    f"ip -n {pod} link {words}" for pod in ("pod1", "pod2") for words in ("add br0 up type bridge",)
)
_TAP = [
    _tap("plain"),
    _tap("l2", ipam={}),
    _tap("v6", ipam=V6, pods=1),
    _tap("routes", ipam={**V4, "routes": [*DEFAULT, {"dst": "10.9.0.0/16"}]}),
    _tap("dns", dns={"nameservers": ["10.1.0.1"], "search": ["a.test"]}, pods=1),
    _tap("multi-queue", multiQueue=True),
    _tap("owner", owner=1000, pods=1),
    _tap("group", group=1001, multiQueue=True, pods=1),
    _tap("owner-and-group", owner=0, group=0, pods=1),
    _tap("owner-and-group-multi-queue", owner=7, group=8, multiQueue=True, pods=1),
    _tap("bridge", BRIDGED, bridge="br0", ipam={}),
    _tap("mtu", mtu=1400, pods=1),
    _tap("mac", mac=MAC, pods=1),
    _tap("mac-cni-args", args=f"IgnoreUnknown=1;MAC={MAC}", pods=1),
    _tap("mac-runtime-config", runtimeConfig={"mac": MAC}, mac="02:00:00:00:00:01", pods=1),
    _tap("other-ifname", ifname="net1.5", pods=1),
    *(
        _tap(f"version-{version}", cniVersion=version, pods=1)
        for version in ("0.2.0", "0.3.1", "0.4.0", "1.1.0")
    ),
]


DEVICE = ("ip link add d0 address 02:00:00:00:00:d0 type veth peer name d1", "ip link set d1 up")
PCI, AUX = "0000:00:1f.6", "mlx5_core.sf.4"


def _bus(*found: str) -> tuple[str, ...]:
    """Return the commands that plug d0 in: what is there below /sys/bus, drivers by their names."""
    return (
        *DEVICE,
        "mount -t tmpfs none /sys/bus",
        "mkdir -p /run/drivers/e1000e /run/drivers/vfio-pci",
        *(
            f"ln -s /run/drivers/{path.partition('=')[2]} /sys/bus/{path.partition('=')[0]}"
            if "=" in path
            else f"mkdir -p /sys/bus/{path}"
            for path in found
        ),
    )


def _device(name: str, before: tuple[str, ...] = DEVICE, **given: Any) -> Case:
    """Build a host-device case; the device can be lent only once."""
    return case_of("host-device", name, before, **{"ifname": "net1", "pods": 1, **given})


PLUGGED_IN = _bus(f"pci/devices/{PCI}/net/d0", f"pci/devices/{PCI}/driver=e1000e")
VIRTIO = _bus(f"pci/devices/{PCI}/virtio2/net/d0", f"pci/devices/{PCI}/driver=e1000e")
BY_PROGRAM = _bus(f"pci/devices/{PCI}", f"pci/devices/{PCI}/driver=vfio-pci")
AUXILIARY = _bus(f"auxiliary/devices/{AUX}/net/d0")
_HOST_DEVICE = [
    _device("device", device="d0"),
    _device("device-ipam", device="d0", ipam=V4),
    _device("device-dual", device="d0", ipam=DUAL),
    _device("same-name", device="d0", ifname="d0", ipam=V4),
    _device("hwaddr", hwaddr="02:00:00:00:00:d0"),
    _device("hwaddr-upper-case", hwaddr="02-00-00-00-00-D0"),
    _device("kernelpath", kernelpath="/sys/devices/virtual"),
    _device("pci", PLUGGED_IN, pciBusID=PCI, ipam=V4),
    _device("pci-virtio", VIRTIO, pciBusID=PCI),
    _device("device-id-pci", PLUGGED_IN, runtimeConfig={"deviceID": PCI}),
    _device("device-id-auxiliary", AUXILIARY, runtimeConfig={"deviceID": AUX}, since="1.3"),
    _device("dpdk", BY_PROGRAM, pciBusID=PCI, since="1.3"),
    _device("dpdk-ipam", BY_PROGRAM, pciBusID=PCI, ipam=STATIC, since="1.3"),
    _device("dns", device="d0", dns={"nameservers": ["10.1.0.1"]}, ipam=V4),
    _device("dns-without-ipam", device="d0", dns={"nameservers": ["10.1.0.1"]}),
    _device(
        "name-taken-in-container", (*DEVICE, "ip -n pod1 link add d0 type bridge"), device="d0"
    ),
    *(
        _device(f"version-{version}", device="d0", cniVersion=version, ipam=V4)
        for version in ("0.2.0", "0.3.1", "0.4.0")
    ),
    _device("version-1.1.0", device="d0", cniVersion="1.1.0", ipam=V4, since="1.6"),
]

LIVES = [*_PTP, *_TAP, *_HOST_DEVICE]

REFUSED = [
    _device("nothing-said", refused=True),
    _device("missing", (), device="d0", refused=True),
    _device("hwaddr-malformed", hwaddr="zz", refused=True),
    _device("hwaddr-missing", hwaddr="02:00:00:00:00:d5", refused=True),
    _device("kernelpath-elsewhere", kernelpath="/etc", refused=True),
    _device("kernelpath-empty", kernelpath="/sys/devices/system", refused=True),
    _device("pci-missing", PLUGGED_IN, pciBusID="0000:00:00.9", refused=True),
    _device("device-id-missing", runtimeConfig={"deviceID": "nobody"}, refused=True),
    _device(
        "name-taken", (*DEVICE, "ip -n pod1 link add net1 type bridge"), device="d0", refused=True
    ),
    _device("loopback", device="lo", refused=True),
    _tap("bridge-missing", bridge="br0", refused=True, pods=1),
    _tap("mac-malformed", mac="zz", refused=True, pods=1),
    _tap("mtu-too-large", mtu=70000, refused=True, pods=1),
    _tap("owner-negative", owner=-1, refused=True, pods=1),
    _tap("selinux-not-there", selinuxContext="system_u:object_r:a_t:s0", refused=True, pods=1),
    _ptp("no-ipam", ipam={}, refused=True, pods=1),
    _ptp("mtu-too-small", mtu=10, refused=True, pods=1),
    _ptp("mtu-too-large", mtu=70000, refused=True, pods=1),
    _ptp("wrong-type-mtu", mtu="1400", refused=True, pods=1),
    _ptp("wrong-type-ipmasq", ipMasq="yes", refused=True, pods=1),
    _ptp("backend-unknown", ipMasq=True, ipMasqBackend="ipfw", refused=True, pods=1, since="1.6"),
    _ptp(
        "no-gateway",
        ipam={"type": "static", "addresses": [{"address": "10.4.0.5/24"}]},
        refused=True,
        pods=1,
    ),
    _ptp(
        "exhausted",
        ipam={**V4, "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.9"},
        before=(
            "mkdir -p /var/lib/cni/networks/net",
            r"""sh -c "printf 'other\r\neth0' > /var/lib/cni/networks/net/10.1.0.9" """,
        ),
        refused=True,
        pods=1,
    ),
]
