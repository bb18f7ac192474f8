"""A node on which flanneld has been, as the flannel plugin finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SUBNET_FILE = Path("/run/flannel/subnet.env")
SAVED = Path("/var/lib/cni/flannel")
V4 = {
    "FLANNEL_NETWORK": "10.1.0.0/16",
    "FLANNEL_SUBNET": "10.1.17.1/24",
    "FLANNEL_MTU": "1450",
    "FLANNEL_IPMASQ": "true",
}
DUAL = {**V4, "FLANNEL_IPV6_NETWORK": "fd01::/48", "FLANNEL_IPV6_SUBNET": "fd01:0:0:11::1/64"}


def flanneld(values: dict[str, str] | None = None) -> None:
    """Write what flanneld writes."""
    SUBNET_FILE.parent.mkdir(exist_ok=True)
    lines = [f"{key}={value}\n" for key, value in (V4 if values is None else values).items()]
    SUBNET_FILE.write_text("".join(lines))


def conf(**keys: Any) -> dict[str, Any]:
    """Return a configuration of the flannel plugin."""
    return {"cniVersion": "1.1.0", "name": "net", "type": "flannel", **keys}


def saved() -> set[str]:
    """Return the names of the files in the directory of what is saved."""
    return {path.name for path in SAVED.iterdir()} if SAVED.is_dir() else set()
