"""Records of the reference's releases, and the facts in which they differ.

`golden/CASE.txt` is the record of one case, taken from the reference 1.9.1, the release that
cnifast follows.  Debian 12 has 1.1.1; `shared` reduces a record to what both releases do, so that
the reference at hand can vouch for the golden ones.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from helpers.plugin import Outcome

FOLLOWED = (1, 9)
_LOST_DNS = "the bridge of 1.1.1 drops the dns of its IPAM plugin"
_BLIND_CHECK = "CHECK of 1.1.1 does not find a route that was asked for without a gateway"
_STRICT_DEL = "DEL of macvlan 1.1.1 wants the master to exist and the mtu to be right"
_HOST_DEVICE = "host-device of 1.1.1 moves a device before it looks what is there, and not back"
# Cases in which an older release does something else altogether: it cannot vouch for them.
OLDER = {
    "resolv-conf": _LOST_DNS,
    "static": _LOST_DNS,
    "routes": _BLIND_CHECK,
    "routes-no-gateway": _BLIND_CHECK,
    "other-ipam-old-version": _BLIND_CHECK,
    "macvlan-routes": _BLIND_CHECK,
    "ipvlan-routes": _BLIND_CHECK,
    "vlan-routes": _BLIND_CHECK,
    "macvlan-master-missing": _STRICT_DEL,
    "macvlan-no-default-route": _STRICT_DEL,
    "macvlan-mtu-larger-than-master": _STRICT_DEL,
    "macvlan-mtu-negative": _STRICT_DEL,
    "macvlan-master-gone": _STRICT_DEL,
    "sbr-interface-missing": "DEL of sbr 1.1.1 wants the interface to exist",
    "tuning-sysctl-no-number": "sysctls are set in an order that changes from call to call",
    "host-device-kernelpath": _HOST_DEVICE,
    "host-device-name-taken-in-container": _HOST_DEVICE,
    "host-device-name-taken": _HOST_DEVICE,
    "address-added": "DEL of 1.1.1 removes masquerading of addresses that it never added",
}
_DIRECTORY = Path(__file__).with_name("golden")


def load(name: str) -> list[str]:
    """Return the golden record of a case."""
    return (_DIRECTORY / f"{name}.txt").read_text().splitlines()


def store(name: str, lines: list[str]) -> None:
    """Write the golden record of a case."""
    _DIRECTORY.mkdir(exist_ok=True)
    (_DIRECTORY / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def names() -> set[str]:
    """Return the cases that have a golden record."""
    return {path.stem for path in _DIRECTORY.glob("*.txt")}


def shared(lines: list[str]) -> list[str]:
    """Reduce a record to what every release of the reference since 1.1.1 does alike."""
    kept = []
    for line in lines:
        # 1.1.1 prints an empty dns as {}.
        if line == "= dns {}":
            continue
        # Since 1.1.1 IPv6 addresses survive a link that goes down, and macvlan announces them.
        if " ipv6.keep_addr_on_down=" in line or " ipv6.ndisc_notify=" in line:
            continue
        # The temporary link that a second ADD of ipvlan leaves behind has a random name.
        named = re.sub(r" link veth[0-9a-f]{8} ipvlan ", " link <temporary> ipvlan ", line)
        # Since 1.1.1 address files are for root alone.
        kept.append(re.sub(r"(file /var/lib/cni/\S*) 0644 ", r"\1 0600 ", named))
    return kept


def require_equal(expected: list[str], seen: list[str], outcomes: Iterable[Outcome] = ()) -> None:
    """Compare two records.

    Raises:
        AssertionError: they differ; carries a unified diff, and what the errors among the
            outcomes say.
    """
    lines = difflib.unified_diff(expected, seen, "expected", "seen", "", "", 8, "")
    if difference := "\n".join(lines):
        said = "".join(f"\n{outcome.message}" for outcome in outcomes if not outcome.ok)
        raise AssertionError(f"the records differ\n{difference}{said}")
