"""Where cnifast differs from the reference on purpose: how its record differs from the golden one.

docs/differences.md tells users the same.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helpers.case import Case


_IPAM = {"host-local", "static"}
_PORT_RA = re.compile(r"[+-] host sysctl <peer of .*> ipv6\.accept_ra=0$")


def expected(case: Case, lines: list[str]) -> list[str]:
    """Return the record that cnifast is to have of a case where the golden one is `lines`."""
    # The lock file is not executable.
    lines = [re.sub(r"(/lock) 0750 ", r"\1 0640 ", line) for line in lines]
    if not case.conf.get("enabledad"):
        # IPv6 addresses are usable at once: no duplicate address detection.
        lines = [
            re.sub(r"(addr .*:.* scope global)( tentative)?$", r"\1 nodad", line) for line in lines
        ]
    if case.plugin == "ptp":
        # The route to an address's network is never made, instead of removed.
        pattern = r"(pod\d addr eth0 .* scope global.*|pod\d addr net1.5 .*)$"
        lines = [re.sub(pattern, r"\1 noprefixroute", line) for line in lines]
        # Hence a neighbour has to be said to be one.
        pattern = r"( via (10\.1\.0\.9|fd01::9) .*)$"
        lines = [re.sub(pattern, r"\1 onlink", line) for line in lines]
    if case.plugin in {"tap", "ipvlan", "vlan"}:
        # The reference makes another link, and leaves that, whether it then fails or not.
        lines = _replaced(lines, "== ADD pod1 again", ["error 999"])
    if case.name == "vlan-in-container":
        # DEL of the reference wants to see the master, which went with the container.
        address = r'- file /var/lib/cni/networks/net/10.1.0.3 0600 "pod2\r\neth0"'
        lines = _replaced(lines, "== DEL pod1 without namespace and prevResult", [])
        lines = _replaced(lines, "== DEL pod2, whose namespace is gone", [address])
        lines = _replaced(lines, "== DEL pod2 without namespace and prevResult", [])
    if case.name == "ipvlan-default-master":
        # CHECK of the reference looks for a device without a name.
        lines = _check_succeeds(lines)
    if case.plugin == "host-device":
        # A device that is back already is no error.
        lines = _replaced(lines, "== DEL pod1 again", [])
    # The bridge's port has no IPv6 address of its own.
    if case.plugin == "bridge":
        lines = _each_followed(lines, _PORT_RA, "ipv6.accept_ra=0", "ipv6.addr_gen_mode=1")
    lines = _firewall_cleaned(lines)
    if case.plugin == "tuning":
        lines = _tuned(case, lines)
    if case.plugin == "sbr":
        lines = _routed_by_source(case, lines)
    version = case.conf.get("cniVersion", "1.0.0")
    if case.plugin == "loopback" and version < "1.0.0" and "prevResult" not in case.conf:
        # The reference prints today's result with the old version's number.
        return _as_version(version, lines)
    if case.name == "route-table":
        # CHECK of the reference looks into the main table only.
        return _check_succeeds(lines)
    if case.name == "route-metrics":
        # The reference ignores mtu and advmss.
        metrics = ' metrics {"advmss": 1200, "mtu": 1300}'
        return [line + metrics if " route v4 10.6.0.0/16 " in line else line for line in lines]
    if case.plugin == "bridge" and not (case.conf.get("ipam") or {}).get("type"):
        # CHECK of the reference calls an IPAM plugin even where none is configured.
        return _check_succeeds(lines)
    return lines


def without_made(lines: list[str]) -> list[str]:
    """Return a record of cnifast without what its tuning has made of an interface.

    That follows from the configuration, and is different in each case.
    """
    return [re.sub(r',\\"made\\":\{[^}]*\}', "", line) for line in lines]


def expected_codes(case: Case, lines: list[str]) -> list[str]:
    """Return the outcomes that cnifast is to have of a refused case with this golden record."""
    codes = [line for line in lines if line[0] not in "+-"]
    if (case.plugin == "tuning" and case.args) or case.name == "sbr-prev-result-malformed":
        # Neither at CNI_ARGS, nor does it need the previous result.
        return codes[:-1]
    if case.plugin == "bridge" and case.conf.keys() & {"vlan", "vlanTrunk"}:
        # DEL does not look at options that it has no use for.
        return codes[:-1]
    if case.plugin == "bandwidth" and case.full_conf["cniVersion"] == "1.0.0":
        # The same, and it needs no previous result.
        return codes[: codes.index("== DEL pod1") + 1]
    if case.plugin in {"host-device", "ipvlan", "vlan"}:
        # DEL needs neither the device nor a configuration that makes sense.
        return codes[:-1] if codes[-2] == "== DEL pod1" else codes
    if case.name.endswith("-no-ipam") and case.plugin not in _IPAM and codes[-2] == "== DEL pod1":
        # DEL has no need of addresses.
        return codes[:-1]
    return codes


def _firewall_cleaned(lines: list[str]) -> list[str]:
    """Return a record whose DEL cleans the firewall without a namespace; the reference fails."""
    gone = "== DEL pod2, whose namespace is gone"
    if gone not in lines:
        return lines
    added = lines[lines.index("== ADD pod2") : lines.index("== ADD pod1 again")]
    rules = [f"-{line[1:]}" for line in added if line.startswith("+ host firewall")]
    at = lines.index(gone) + 1
    end = lines.index("== DEL pod2 without namespace and prevResult")
    return [*lines[:at], *sorted([*lines[at:end], *rules]), *lines[end:]]


def _replaced(lines: list[str], title: str, section: list[str]) -> list[str]:
    """Return a record in which a step, if there is one of that title, did something else."""
    if title not in lines:
        return lines
    start = lines.index(title) + 1
    ends = [at for at in range(start, len(lines)) if lines[at].startswith("== ")]
    return [*lines[:start], *section, *lines[min(ends, default=len(lines)) :]]


def _each_followed(lines: list[str], which: re.Pattern[str], text: str, other: str) -> list[str]:
    """Return lines with a copy behind each that matches, in which one text is another."""
    found = []
    for line in lines:
        found += [line, line.replace(text, other)] if which.fullmatch(line) else [line]
    return found


def _tuned(case: Case, lines: list[str]) -> list[str]:
    """Return a record of tuning with our backup files, and MACs as the kernel writes them."""
    # Who is not root can use the directory, and GC knows whose a file is.
    lines = [re.sub(r"(/tuning/) 0600$", r"\1 0700", line) for line in lines]
    mark = json.dumps({"network": "net", "containerID": "pod1", "ifname": "eth0"})
    mark = json.dumps(f',\n "cnifast": {mark.replace(", ", ",").replace(": ", ":")}\n}}')[1:]
    lines = [re.sub(r'\\n}"$', lambda _: mark, line) for line in lines]
    mac = str(case.conf.get("mac", ""))
    if mac != mac.lower().replace("-", ":"):
        lines = _check_succeeds([line.replace(f'"{mac}"', '"<its own>"') for line in lines])
    return lines


_TABLE_OF = re.compile(r'\+ pod1 rule .*"src": "([^"]*)", "table": "(\d+)"')


def _routed_by_source(case: Case, lines: list[str]) -> list[str]:
    """Return a record of sbr whose tables have routes of the family that looks into them."""
    family = {m[2]: "v6" if ":" in m[1] else "v4" for m in map(_TABLE_OF.match, lines) if m}
    kept = []
    for line in lines:
        route = re.match(r"\+ pod1 route (v4|v6) .* table (\d+) ", line)
        if not route or family.get(route[2]) == route[1]:
            kept.append(line)
    for gateway in case.conf.get("gateways", ()):
        # What the configuration names is not replaced by what was in the main table.
        usual = gateway.replace(".9", ".1").replace("::9", "::1")
        kept = [
            re.sub(rf"^(\+ .* default via ){usual} (.* table )", rf"\g<1>{gateway} \2", line)
            for line in kept
        ]
    # DEL needs no namespace, and no interface.
    at = kept.index("== DEL pod1 without namespace and prevResult")
    if case.name == "sbr-table-without-interface":
        rule = next(line for line in kept if line.startswith("+ pod1 rule"))
        kept.insert(kept.index("== DEL pod1") + 1, f"-{rule[1:]}")
        at += 1
    return kept[: at + 1]


def _as_version(version: str, lines: list[str]) -> list[str]:
    """Return a record of loopback with its results as the old version has them."""
    if version < "0.3.0":
        result = ["= dns {}", '= ip4.ip "127.0.0.1/8"', '= ip6.ip "::1/128"']
        lines = [line for line in lines if not line.startswith(("= interfaces", "= ips"))]
        return _after(lines, "= cniVersion ", result)
    for index in range(2):
        family = f'= ips[{index}].version "{"46"[index]}"'
        lines = _after(lines, f"= ips[{index}].interface ", [family])
    return _after(lines, "= cniVersion ", ["= dns {}"])


def _after(lines: list[str], start: str, more: list[str]) -> list[str]:
    """Return lines with some more after each line that starts so."""
    found = []
    for line in lines:
        found += [line, *more] if line.startswith(start) else [line]
    return found


def _check_succeeds(lines: list[str]) -> list[str]:
    """Return a record whose CHECK is no error."""
    at = lines.index("== CHECK pod1") + 1
    return lines[:at] + lines[at + 1 :] if lines[at] == "error 999" else lines


# What an ADD that is refused may leave: the store's own files, which hold no address; that the
# turn has passed to the next address; an empty directory; what a third party's plugin does.
_TRACES = re.compile(
    r"\+ file (/var/lib/cni/(networks/(\S*/)?(lock|last_reserved_ip\.\d)?|tuning/)"
    r"|\S+/fakeipam\.log) .*"
)


# Found out after attaching, it is undone as DEL does it, which leaves the bridge.
_LATE = {"version-0.2.0-l2": re.compile(r"\+ host (link|sysctl) cni0 .*")}


def beyond_refusal(case: Case, changes: list[str]) -> list[str]:
    """Return those of the changes made by a refused ADD that it should have undone."""
    allowed = [_TRACES, *([_LATE[case.name]] if case.name in _LATE else [])]
    return [line for line in changes if not any(some.fullmatch(line) for some in allowed)]
