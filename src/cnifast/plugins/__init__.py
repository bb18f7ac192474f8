"""The plugins: by name for the binaries, and as functions for Python programs.

A plugin is a module with ``add``, ``check``, ``delete``, ``gc`` and ``status``; none is imported
before it is asked for, because a process that answers one call pays for every import.

    from cnifast import plugins

    result = plugins.add("bridge", conf, container_id="c1", netns="/run/netns/c1", ifname="eth0")
    plugins.delete("bridge", conf, container_id="c1", netns="/run/netns/c1", ifname="eth0")

``conf`` is a plugin's configuration, decoded or as bytes.  Errors are
``cnifast.protocol.errors.CNIError``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cnifast.protocol.result import Result
    from cnifast.protocol.skel import Plugin

MODULES = {
    "bridge": "cnifast.plugins.main.bridge",
    "macvlan": "cnifast.plugins.main.macvlan",
    "loopback": "cnifast.plugins.main.loopback",
    "flannel": "cnifast.plugins.meta.flannel",
    "portmap": "cnifast.plugins.meta.portmap",
    "ptp": "cnifast.plugins.main.ptp",
    "ipvlan": "cnifast.plugins.main.ipvlan",
    "vlan": "cnifast.plugins.main.vlan",
    "dummy": "cnifast.plugins.main.dummy",
    "tap": "cnifast.plugins.main.tap",
    "host-device": "cnifast.plugins.main.host_device",
    "host-local": "cnifast.ipam.host_local",
    "static": "cnifast.ipam.static",
    "dhcp": "cnifast.ipam.dhcp.plugin",
    "bandwidth": "cnifast.plugins.meta.bandwidth",
    "tuning": "cnifast.plugins.meta.tuning",
    "sbr": "cnifast.plugins.meta.sbr",
    "vrf": "cnifast.plugins.meta.vrf",
    "firewall": "cnifast.plugins.meta.firewall",
}
NAMES = tuple(MODULES)


def load(name: str) -> Plugin:
    """Import the plugin of this name and return it.

    Raises:
        LookupError: there is no such plugin here.
    """
    try:
        path = MODULES[name]
    except KeyError:
        raise LookupError(f"no plugin named {name!r}: there are {', '.join(NAMES)}") from None
    plugin: Plugin = __import__(path, fromlist=("add",))
    return plugin


def add(
    plugin: str,
    conf: Mapping[str, Any] | bytes,
    *,
    container_id: str,
    netns: str,
    ifname: str = "eth0",
    args: str = "",
    path: str | None = None,
) -> Result:
    """Attach a container and return the result.

    ``args`` and ``path`` are what CNI_ARGS and CNI_PATH are to a binary; CNI_PATH is the default
    for ``path``.

    Raises:
        CNIError: the plugin refused; nothing is left behind.
    """
    result = _call(
        "ADD",
        plugin,
        conf,
        container_id=container_id,
        netns=netns,
        ifname=ifname,
        args=args,
        path=path,
    )
    if result is None:  # only ever so for other commands
        raise RuntimeError(f"{plugin} returned no result")
    return result


def check(
    plugin: str,
    conf: Mapping[str, Any] | bytes,
    *,
    container_id: str,
    netns: str,
    ifname: str = "eth0",
    args: str = "",
    path: str | None = None,
) -> None:
    """Compare an attachment with "prevResult" in its configuration.

    Raises:
        CNIError: something is missing or different.
    """
    _call(
        "CHECK",
        plugin,
        conf,
        container_id=container_id,
        netns=netns,
        ifname=ifname,
        args=args,
        path=path,
    )


def delete(
    plugin: str,
    conf: Mapping[str, Any] | bytes,
    *,
    container_id: str,
    netns: str = "",
    ifname: str = "eth0",
    args: str = "",
    path: str | None = None,
) -> None:
    """Detach a container; ``netns`` may be gone or unknown.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    _call(
        "DEL",
        plugin,
        conf,
        container_id=container_id,
        netns=netns,
        ifname=ifname,
        args=args,
        path=path,
    )


def gc(plugin: str, conf: Mapping[str, Any] | bytes, *, path: str | None = None) -> None:
    """Release what attachments outside "cni.dev/valid-attachments" left.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    _call("GC", plugin, conf, path=path)


def status(plugin: str, conf: Mapping[str, Any] | bytes, *, path: str | None = None) -> None:
    """Ask whether an ADD could succeed now.

    Raises:
        CNIError: it could not; code 50 or 51 of the specification.
    """
    _call("STATUS", plugin, conf, path=path)


def _call(
    command: str, plugin: str, conf: Mapping[str, Any] | bytes, **where: Any
) -> Result | None:
    """Run a command by way of the module that only Python callers need."""
    from cnifast.plugins.api import call  # noqa: PLC0415

    return call(command, plugin, conf, **where)
