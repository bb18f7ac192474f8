"""Bridged packets and the firewall: whether the rules for routed packets see them as well."""

from __future__ import annotations

import logging

from cnifast.kernel.netns import read_sysctl, write_sysctls

_log = logging.getLogger(__name__)
_SYSCTL = {4: "net/bridge/bridge-nf-call-iptables", 6: "net/bridge/bridge-nf-call-ip6tables"}


def filter_bridged_packets() -> None:
    """Have packets between ports of a bridge pass the rules for routed ones.

    A pod's packet to a service whose endpoint is on the same bridge needs them.  A kernel that
    cannot do that is reported and no error: other implementations of services do without.
    """
    for sysctl in _SYSCTL.values():
        try:
            write_sysctls([(sysctl, "1", False)])
        except OSError as e:
            _log.warning("bridged packets will not be filtered (load br_netfilter): %s", e)


def are_bridged_packets_filtered(family: int) -> bool:
    """Tell whether bridged packets of a family pass the rules for routed ones."""
    try:
        return read_sysctl(_SYSCTL[family]) == "1"
    except OSError:
        return False
