"""The choice of a network plugin by its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnifast.kubernetes.network_plugin import USE_DEFAULT_MTU, HairpinMode, NetworkPluginError
from cnifast.kubernetes.noop import NoopNetworkPlugin
from cnifast.protocol.codec import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnifast.kubernetes.host import Host
    from cnifast.kubernetes.network_plugin import NetworkPlugin

DEFAULT_NON_MASQUERADE_CIDR = "10.0.0.0/8"

_NAME = re.compile(r"[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_PREFIX = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PREFIX_MAX = 253


def init_network_plugin(
    plugins: Iterable[NetworkPlugin],
    name: str,
    host: Host,
    hairpin_mode: str = HairpinMode.NONE,
    non_masquerade_cidr: str = DEFAULT_NON_MASQUERADE_CIDR,
    mtu: int = USE_DEFAULT_MTU,
) -> NetworkPlugin:
    """Choose the plugin of a name and initialise it; no name chooses the one that does nothing.

    Raises:
        NetworkPluginError: no plugin has that name, a name is not a qualified one or is there
            twice, or the plugin cannot be initialised.
    """
    chosen = _choose(plugins, name) if name else NoopNetworkPlugin()
    try:
        chosen.init(host, hairpin_mode, non_masquerade_cidr, mtu)
    except (NetworkPluginError, OSError) as e:
        raise NetworkPluginError(
            f"network plugin {quote(chosen.name())} failed to initialise: {e}"
        ) from e
    return chosen


def _choose(plugins: Iterable[NetworkPlugin], name: str) -> NetworkPlugin:
    """Return the plugin of a name; every name has to be in order, also those of the others."""
    found: dict[str, NetworkPlugin] = {}
    faults = []
    for plugin in plugins:
        own = plugin.name()
        if not _is_qualified(own):
            faults.append(f"network plugin has invalid name {quote(own)}")
        elif own in found:
            faults.append(f"network plugin {quote(own)} was registered more than once")
        else:
            found[own] = plugin
    if name not in found:
        known = ", ".join(found) or "none"
        faults.append(f"network plugin {quote(name)} not found: there are {known}")
    if faults:
        raise NetworkPluginError("; ".join(faults))
    return found[name]


def _is_qualified(name: str) -> bool:
    """Tell whether a name is qualified as Kubernetes has it: a word, maybe behind a DNS name."""
    prefix, slash, word = name.rpartition("/")
    if slash and (len(prefix) > _PREFIX_MAX or not _PREFIX.fullmatch(prefix)):
        return False
    return _NAME.fullmatch(word) is not None
