"""Traffic control as tc shows it: what somebody chose, without what the kernel gives every link."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

_COUNTERS = {"direct_packets_stat", "direct_qlen"}


def _tc(*words: str) -> str:
    """Run tc in the calling thread's namespace; nothing where it is not installed."""
    try:
        return subprocess.run(["tc", *words], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        return ""


def qdiscs() -> list[dict[str, Any]]:
    """Return the queueing disciplines that somebody chose, as `tc -s -j` shows them."""
    found = json.loads(_tc("-s", "-j", "qdisc", "show") or "[]")
    return [qdisc for qdisc in found if qdisc["handle"] != "0:"]


def qdisc(link: str, parent: str = "root") -> dict[str, Any]:
    """Return the one of a link; its parent is "root", "ingress" or a class.

    Raises:
        LookupError: there is none that somebody chose.
    """
    for found in qdiscs():
        if found["dev"] == link and _place(found) == parent:
            return found
    raise LookupError(f"{link} has none at {parent}: {qdiscs()}")


def _place(found: dict[str, Any]) -> str:
    """Return where a queueing discipline is: "root", "ingress" or its class."""
    if found.get("root"):
        return "root"
    parent: str = found["parent"]
    return "ingress" if parent == "ffff:fff1" else parent


def classes(link: str) -> dict[str, dict[str, Any]]:
    """Return bytes sent, and the words that describe it, of each class of a link, by number."""
    found: dict[str, dict[str, Any]] = {}
    for line in _tc("-s", "class", "show", "dev", link).splitlines():
        if match := re.match(r"class \w+ (\S+) root (?:leaf \S+ )?(.*\S)", line):
            last = found[match[1]] = {"words": match[2], "bytes": 0}
        elif match := re.match(r" Sent (\d+) bytes", line):
            last["bytes"] = int(match[1])
    return found


def filters(link: str, *where: str) -> list[str]:
    """Return the u32 filters of a link's root, or of "ingress", one line each.

    A line has protocol, priority, what is compared, and where packets go: a class or a link.
    """
    found: list[list[str]] = []
    for line in _tc("filter", "show", "dev", link, *where).splitlines():
        words = line.split()
        if line.startswith("filter ") and "order" in words:
            protocol, priority = (words[words.index(word) + 1] for word in ("protocol", "pref"))
            target = re.search(r"flowid (\d\S*:\S+)", line)
            found.append([f"{protocol} {priority}", "", target[1] if target else "-"])
        elif words[:1] == ["match"]:
            found[-1][1] += f" {words[1]}@{words[3]}"
        elif (match := re.search(r"Egress Redirect to device (\S+)\)", line)) and (
            not found[-1][2].startswith("device ")
        ):
            found[-1][2] = f"device {match[1]}"
    return [f"{head}{keys} -> {target}" for head, keys, target in found]


def lines() -> list[tuple[str, str]]:
    """Return (link, fact) of all that somebody chose."""
    found = []
    for one in qdiscs():
        link, place = one["dev"], _place(one)
        options = {key: value for key, value in one["options"].items() if key not in _COUNTERS}
        found.append((link, f"qdisc {place} {one['kind']} {json.dumps(options, sort_keys=True)}"))
        if place in ("root", "ingress"):
            where = () if place == "root" else (place,)
            found += ((link, f"filter {place} {text}") for text in filters(link, *where))
        if place == "root":
            known = classes(link).items()
            found += ((link, f"class {number} {some['words']}") for number, some in known)
    return found
