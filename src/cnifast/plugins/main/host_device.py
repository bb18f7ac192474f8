"""The host-device plugin: a device of the host's that is the container's for as long as it lives.

Every option of the reference's host-device plugin, version 1.9.  What differs on purpose is
listed in docs/differences.md.
"""

from __future__ import annotations

import os

from cnifast.ipam.delegate import resolve
from cnifast.kernel.handle import Handle
from cnifast.kernel.links import attach_existing
from cnifast.plugins import devices, inner
from cnifast.plugins.base import (
    Failures,
    Session,
    allocate,
    decode,
    refuse_existing,
    required_prev_result,
)
from cnifast.plugins.lending import move_in, restore_on_host, take_back
from cnifast.plugins.lent import DIRECTORY, Lent, all_recorded, recorded
from cnifast.protocol.errors import INTERNAL, CNIError, RunCold
from cnifast.protocol.netconf import NetConf, valid_attachments
from cnifast.protocol.request import validate_interface_name
from cnifast.protocol.result import Interface, Result
from cnifast.protocol.schema import TEXT, Struct, field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.ipam.delegate import IPAM
    from cnifast.kernel import Link
    from cnifast.kernel.attach import Attached, Endpoint
    from cnifast.protocol.request import Request


class DeviceRuntimeConfig(Struct):
    """The capability argument of a device plugin."""

    device_id = field("deviceID", TEXT, "")
    """Name of a device on the PCI or auxiliary bus (capability `deviceID`)."""


class HostDeviceConf(NetConf):
    """The keys of the reference's host-device plugin, version 1.9."""

    device = field("device", TEXT, "")
    """Name of the device."""
    hwaddr = field("hwaddr", TEXT, "")
    """Its MAC address."""
    kernelpath = field("kernelpath", TEXT, "")
    """Its path below `/sys/devices/`."""
    pci_bus_id = field("pciBusID", TEXT, "")
    """Its address on the PCI bus; a driver for programs such as `vfio-pci` keeps it where it is."""
    runtime_config = field("runtimeConfig", record(DeviceRuntimeConfig), DeviceRuntimeConfig())
    """Capability arguments."""

    auxiliary = ""  # the device on the auxiliary bus
    dpdk = False  # whether the device has no link


def _decode(req: Request) -> HostDeviceConf:
    """Decode the configuration without asking for sense; DEL works with any.

    Raises:
        CNIError: a key has a value of the wrong kind.
        RunCold: the records are the caller's.
    """
    req.place.require_paths("host-device", DIRECTORY)
    return decode(HostDeviceConf, req)


def _load(req: Request) -> HostDeviceConf:
    """Decode the configuration of an ADD and find out which device is meant.

    Raises:
        CNIError: the configuration is not usable.
        RunCold: devices have to be looked for as the caller sees them.
    """
    conf = _decode(req)
    if conf.kernelpath or conf.pci_bus_id or conf.runtime_config.device_id:
        req.place.require_paths("host-device", "/sys")
    _resolve_device_id(conf)
    if not (conf.device or conf.hwaddr or conf.kernelpath or conf.pci_bus_id or conf.auxiliary):
        raise CNIError(INTERNAL, 'specify either "device", "hwaddr", "kernelpath" or "pciBusID"')
    if conf.kernelpath:
        devices.require_kernel_path(conf.kernelpath)
    if conf.hwaddr:
        devices.mac_text(conf.hwaddr)
    if (conf.kernelpath or conf.pci_bus_id or conf.auxiliary) and req.place.host_netns is not None:
        raise RunCold("/sys shows the links of the namespace that it was mounted in")
    if conf.pci_bus_id:
        devices.require_name(conf.pci_bus_id, "pciBusID")
        conf.dpdk = devices.has_userspace_driver(conf.pci_bus_id)
    return conf


def _resolve_device_id(conf: HostDeviceConf) -> None:
    """Find the bus of the device that the runtime has chosen.

    Raises:
        CNIError: it is on none.
    """
    chosen = conf.runtime_config.device_id
    if not chosen:
        return
    devices.require_name(chosen, "deviceID")
    if os.path.exists(f"{devices.PCI}/{chosen}"):
        conf.pci_bus_id = chosen
    elif os.path.exists(f"{devices.AUXILIARY}/{chosen}"):
        conf.pci_bus_id, conf.auxiliary = "", chosen
    else:
        raise CNIError(INTERNAL, f"runtime config DeviceID {chosen} not found or unsupported")


def add(req: Request) -> Result:
    """Attach the container; the result names the device as it is in the container.

    Raises:
        CNIError: the configuration is not usable, or there is no such device.
        OSError: the kernel refused a step; nothing is left behind.
    """
    conf = _load(req)
    ipam = resolve(req, conf.ipam.type) if conf.ipam.type else None
    with Session(req) as session:
        if conf.dpdk:
            result = _without_link(session, ipam)
        else:
            refuse_existing(session)
            result = _with_link(session, conf, ipam)
    if ipam:
        result.dns = conf.dns
    return result


def _without_link(session: Session, ipam: IPAM | None) -> Result:
    """Have addresses assigned for a device that a program drives: there is nothing to move."""
    req = session.req
    result = allocate(session, ipam) if ipam else Result()
    result.interfaces = [Interface(req.ifname, "", sandbox=req.netns)]
    for config in result.ips:
        config.interface = 0
    return result


def _with_link(session: Session, conf: HostDeviceConf, ipam: IPAM | None) -> Result:
    """Move the device and have it configured."""
    req = session.req
    device = _find_device(session, conf)
    lent = Lent(
        network=req.name,
        container_id=req.container_id,
        ifname=req.ifname,
        device=device.name,
        mac=device.mac,
        alias=device.alias,
        up=device.is_up,
    )

    def make(end: Endpoint) -> Attached:
        lent.save()
        session.on_error(lent.forget)
        session.on_error(lambda: _back_or_note(session, lent))
        move_in(session, device, lent)
        return attach_existing(end)

    result = inner.attach(session, ipam, make, undone=True)
    result.interfaces[0].mac = lent.mac
    return result


def _back_or_note(session: Session, lent: Lent) -> None:
    """Take a device back that an ADD could not use.

    Raises:
        CNIError: it is nowhere to be seen.
    """
    if not take_back(session, lent):
        raise CNIError(INTERNAL, f"{lent.device} is gone")


def _find_device(session: Session, conf: HostDeviceConf) -> Link:
    """Return the host's link that is meant.

    Raises:
        CNIError: there is none; where the records know who has it, the text says so.
    """
    host = session.host
    try:
        if conf.device:
            return host.link(conf.device)
        if conf.hwaddr:
            return devices.by_mac(host, conf.hwaddr)
        if conf.kernelpath:
            return host.link(devices.name_in(f"{conf.kernelpath}/net"))
        if conf.pci_bus_id:
            return host.link(devices.name_by_pci(conf.pci_bus_id))
        return host.link(devices.name_in(f"{devices.AUXILIARY}/{conf.auxiliary}/net"))
    except FileNotFoundError as e:
        found = _find_lent(session, conf)
        if found is not None:
            return found
        raise CNIError(INTERNAL, f"failed to find host device: {e}") from e


def _find_lent(session: Session, conf: HostDeviceConf) -> Link | None:
    """Return a device that came back without a DEL, by the records; None if they know of none.

    Raises:
        CNIError: another container has the device.
    """
    mac = devices.mac_text(conf.hwaddr) if conf.hwaddr else ""
    for lent in all_recorded():
        if (conf.device and lent.device == conf.device) or (not conf.device and lent.mac == mac):
            if restore_on_host(session.host, lent):
                lent.forget()
                return session.host.link(lent.device)
            raise CNIError(
                INTERNAL,
                f"failed to find host device: container {lent.container_id} has {lent.device} "
                f"as {lent.ifname}",
            )
    return None


def check(req: Request) -> None:
    """Compare what the kernel has with what ADD returned.

    Raises:
        CNIError: something is missing or different.
    """
    conf = _load(req)
    if conf.dpdk:
        if conf.ipam.type:
            resolve(req, conf.ipam.type).check(req)
        required_prev_result(req)
        return
    inner.check_inner(req, conf.ipam.type, "", lambda _session, _link: None)


def delete(req: Request) -> None:
    """Undo ADD; the device becomes what it was, wherever it is, and the address is given back.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    conf = _decode(req)
    ipam = resolve(req, conf.ipam.type) if conf.ipam.type else None
    failures = Failures()
    with Session(req) as session:
        if not _is_dpdk(req):
            failures.attempt(_release, session)
        if ipam:
            failures.attempt(ipam.delete, req)
    failures.report()


def _is_dpdk(req: Request) -> bool:
    """Tell whether the device is known to have no link; False also when it is gone."""
    try:
        return _load(req).dpdk
    except CNIError:
        return False


def _release(session: Session) -> None:
    """Take the device back that the attachment has by the records, or by its alias."""
    req = session.req
    lent = recorded(req.container_id, req.ifname)
    if lent is not None:
        if take_back(session, lent) or session.has_netns():
            lent.forget()  # otherwise GC, or whoever wants it next, looks for it again
        return
    if not session.has_netns():
        return
    with Handle(session.netns) as inside:
        try:
            link = inside.link(req.ifname)
        except FileNotFoundError:
            return
    try:
        validate_interface_name(link.alias)
    except CNIError:
        return  # it is no device of the host's
    take_back(session, Lent(ifname=req.ifname, device=link.alias, mac=link.mac))


def gc(req: Request) -> None:
    """Take back the devices of attachments that are not valid, and release their addresses.

    A device that is in a namespace still comes to the host when that ends.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    conf = _decode(req)
    valid = valid_attachments(req.conf)
    failures = Failures()
    with Session(req) as session:
        for lent in all_recorded():
            if lent.network == req.name and (lent.container_id, lent.ifname) not in valid:
                failures.attempt(_take_back_for_good, session, lent)
    if conf.ipam.type:
        failures.attempt(inner.collect, req, conf.ipam.type)
    failures.report()


def _take_back_for_good(session: Session, lent: Lent) -> None:
    """Take a device back and forget it; one that cannot be found yet stays on record."""
    if take_back(session, lent):
        lent.forget()


def status(req: Request) -> None:
    """Ask for the IPAM plugin; the device may well be with a container.

    Raises:
        CNIError: it is not ready.
    """
    inner.report_status(req, _decode(req).ipam.type)
