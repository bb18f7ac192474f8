"""Which sysctls tuning may write: those below /proc/sys/net that the node's administrator allows.

Names are configured with dots; the first IFNAME in one stands for the container's interface.
"""

from __future__ import annotations

from cnifast.invoke import files
from cnifast.protocol.codec import pairs, quote
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.schema import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnifast.protocol.request import Request

ALLOWLIST = "/etc/cni/tuning/allowlist.conf"

# What Go's expressions have and Python's have not.
_CLASSES = {
    "[:alnum:]": "0-9A-Za-z",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:punct:]": r"!-/:-@\[-`{-~",
    "[:space:]": r"\t\n\v\f\r ",
    "[:upper:]": "A-Z",
    "[:word:]": "0-9A-Za-z_",
    "[:xdigit:]": "0-9A-Fa-f",
    r"\z": r"\Z",
}


def path_of(name: str, ifname: str) -> str:
    """Return the path of a sysctl below /proc/sys.

    Raises:
        CNIError: it would not be one of the network's.
    """
    path = name.replace(".", "/").replace("IFNAME", ifname, 1)
    parts = [part for part in path.split("/") if part]
    if (
        len(parts) < 2
        or parts[0] != "net"
        or not name.isprintable()
        or " " in name
        or not {".", ".."}.isdisjoint(parts)
    ):
        raise CNIError(INTERNAL, f"invalid net sysctl key: {quote(name)}")
    return "/".join(parts)


def refuse_repeated(req: Request, names: Iterable[str]) -> None:
    """Refuse a configuration that gives a sysctl twice: whoever reads it does not see which counts.

    Raises:
        CNIError: it does.
    """
    stdin = req.stdin
    if b"\\" not in stdin and all(stdin.count(f'"{name}"'.encode()) < 2 for name in names):
        return
    seen = set()
    for key, value in pairs(stdin):
        if fold(key) != "sysctl" or type(value) is not tuple:
            continue
        for name, _ in value:
            if name in seen:
                raise CNIError(INTERNAL, f"duplicated sysctl keys are not allowed: {quote(name)}")
            seen.add(name)


def require_allowed(names: Iterable[str]) -> None:
    """Refuse sysctls that no line of the allowlist matches; without that file all are allowed.

    Raises:
        CNIError: one is not allowed, or a line is no regular expression.
        OSError: the file cannot be read.
    """
    try:
        content = files.read(ALLOWLIST)
    except FileNotFoundError:
        return
    import re  # noqa: PLC0415 - only nodes that have the file pay for it

    allowed = []
    for line in content.decode("utf-8", "replace").split("\n"):
        text = line.strip()
        if text:
            try:
                allowed.append(re.compile(_translated(text), re.ASCII))
            except re.error as e:
                raise CNIError(INTERNAL, f"{ALLOWLIST}: {quote(text)}: {e}") from None
    for name in names:
        if not any(line.search(name) for line in allowed):
            raise CNIError(
                INTERNAL, f"sysctl {quote(name)} is not allowed: no line of {ALLOWLIST} matches it"
            )


def _translated(expression: str) -> str:
    """Return a regular expression of Go in Python's language."""
    for theirs, ours in _CLASSES.items():
        expression = expression.replace(theirs, ours)
    return expression
