"""Finding a device of the host: by name, by MAC, or by where it is plugged in.

What stands in a configuration becomes a path below /sys, so none of it may lead elsewhere.
"""

from __future__ import annotations

import os

from cnifast.protocol.errors import INTERNAL, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.kernel import Handle, Link

PCI = "/sys/bus/pci/devices"
AUXILIARY = "/sys/bus/auxiliary/devices"
KERNEL = "/sys/devices/"
# A device that one of these has is driven by a program of the container's; it has no link.
USERSPACE_DRIVERS = ("vfio-pci", "uio_pci_generic", "igb_uio")
_MAC_SIZES = (6, 8, 20)  # Ethernet, EUI-64, IP over InfiniBand


def require_name(text: str, key: str) -> None:
    """Refuse what is not the plain name of a device on a bus.

    Raises:
        CNIError: it could lead elsewhere.
    """
    if text in (".", "..") or "/" in text or "\0" in text:
        raise CNIError(INTERNAL, f'{key} "{text}" is not the name of a device')


def require_kernel_path(text: str) -> None:
    """Refuse a path that is not one of a device below /sys/devices.

    Raises:
        CNIError: it is none.
    """
    if not text.startswith(KERNEL) or ".." in text.split("/") or "\0" in text:
        raise CNIError(
            INTERNAL, f'kernel device path "{text}" must be absolute and begin with {KERNEL}'
        )


def mac_text(text: str) -> str:
    """Return a hardware address of any kind the way the kernel's are shown.

    Raises:
        CNIError: it is none.
    """
    plain = text.replace("-", ":").split(":")
    if "." in text:
        plain = [part[i : i + 2] for part in text.split(".") for i in (0, 2) if len(part) == 4]
    good = all(len(part) == 2 and not part.strip("0123456789abcdefABCDEF") for part in plain)
    if not good or len(plain) not in _MAC_SIZES:
        raise CNIError(INTERNAL, f'failed to parse MAC address "{text}"')
    return ":".join(plain).lower()


def has_userspace_driver(pci: str) -> bool:
    """Tell whether a PCI device is driven by a program.

    Raises:
        CNIError: there is no such device, or it has no driver.
    """
    try:
        driver = os.readlink(f"{PCI}/{pci}/driver")
    except OSError as e:
        raise CNIError(INTERNAL, f"error with host device {pci}: {_why(e)}") from e
    return os.path.basename(driver) in USERSPACE_DRIVERS


def by_mac(host: Handle, mac: str) -> Link:
    """Return the host's first link with a hardware address.

    Raises:
        FileNotFoundError: there is none.
    """
    wanted = mac_text(mac)
    for link in sorted(host.links(), key=lambda link: link.index):
        if link.mac == wanted:
            return link
    raise FileNotFoundError(f"no link of the host has the address {wanted}")


def name_by_pci(pci: str) -> str:
    """Return the name of the link of a PCI device, which may be a virtio device within it.

    Raises:
        CNIError: it has none.
    """
    directory = f"{PCI}/{pci}"
    if not os.path.isdir(f"{directory}/net"):
        try:
            inner = sorted(name for name in os.listdir(directory) if name.startswith("virtio"))
        except OSError:
            inner = []
        inner = [name for name in inner if os.path.isdir(f"{directory}/{name}/net")]
        if not inner:
            raise CNIError(INTERNAL, f"no net directory under pci device {pci}")
        directory = f"{directory}/{inner[0]}"
    return name_in(f"{directory}/net")


def name_in(directory: str) -> str:
    """Return the name of the first link in a directory of /sys.

    Raises:
        CNIError: there is none.
    """
    try:
        names = sorted(os.listdir(directory))
    except OSError as e:
        raise CNIError(INTERNAL, f"failed to read directory {directory}: {_why(e)}") from e
    if not names:
        raise CNIError(INTERNAL, f"failed to find network device in path {directory}")
    return names[0]


def _why(e: OSError) -> str:
    """Return the kernel's words."""
    return (e.strerror or str(e)).lower()
