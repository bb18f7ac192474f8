"""The firewall plugin: lets the container's packets through, and keeps bridges and pods apart.

Every option of the reference's firewall plugin, version 1.9.  What differs on purpose is listed in
docs/differences.md.
"""

from __future__ import annotations

from cnifast.plugins import firewalls
from cnifast.plugins.base import Failures, Session, decode, required_prev_result
from cnifast.plugins.firewall_conf import (
    NFTABLES,
    FirewallConf,
    addresses_of,
    bridge_of,
    load,
)
from cnifast.protocol.errors import PLUGIN_NOT_AVAILABLE, CNIError
from cnifast.protocol.netconf import valid_attachments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result


def add(req: Request) -> Result:
    """Let the container's addresses through; return the previous result as it is.

    Raises:
        CNIError: the configuration is not usable.
        OSError: the kernel, firewalld or iptables refused; nothing is left behind.
        RunCold: programs and firewalld have to be looked for where the caller is.
    """
    conf, result, bridge = _wanted(req)
    addresses = addresses_of(result)
    if addresses:
        with Session(req) as session:
            plan = firewalls.Plan.of(conf, firewalls.choose(conf), bridge)
            firewalls.setup(session, plan, addresses)
    return result


def _wanted(req: Request) -> tuple[FirewallConf, Result, str]:
    """Return the configuration, the result of the plugin before, and the bridge with a policy.

    Raises:
        CNIError: one of them is not usable.
        RunCold: programs and firewalld have to be looked for where the caller is.
    """
    conf = load(req)
    result = required_prev_result(req)
    bridge = bridge_of(conf, result)
    _require_place(req, conf)
    return conf, result, bridge


def _require_place(req: Request, conf: FirewallConf) -> None:
    """Refuse to ask for a firewalld or an iptables that is not the caller's."""
    if conf.backend != NFTABLES:
        req.place.require_paths("firewall")


def check(req: Request) -> None:
    """Raise unless the container's addresses are let through.

    Raises:
        CNIError: they are not, or there is no previous result to compare with.
        RunCold: programs and firewalld have to be looked for where the caller is.
    """
    conf, result, bridge = _wanted(req)
    addresses = addresses_of(result)
    if addresses:
        firewalls.check(req, conf, addresses, bridge)


def delete(req: Request) -> None:
    """Undo ADD but for the policy of the bridge, which other pods may have need of.

    Neither the namespace nor the previous result need to be known.

    Raises:
        CNIError: a step failed; the others were done all the same.
        RunCold: programs and firewalld have to be looked for where the caller is.
    """
    failures = Failures()
    found: list[FirewallConf] = []
    failures.attempt(lambda: found.append(decode(FirewallConf, req)))
    conf = found[0] if found else FirewallConf()
    _require_place(req, conf)
    addresses: list[str] = []
    failures.attempt(lambda: addresses.extend(_known_addresses(req)))
    failures.attempt(firewalls.teardown, req, conf, addresses)
    failures.report()


def _known_addresses(req: Request) -> list[str]:
    """Return the container's addresses, none where nobody says."""
    result = req.prev_result()
    return addresses_of(result) if result else []


def gc(req: Request) -> None:
    """Stop letting through attachments outside "cni.dev/valid-attachments".

    Raises:
        CNIError: the list is missing or malformed.
        OSError: a step failed; the others were done all the same.
        RunCold: programs and firewalld have to be looked for where the caller is.
    """
    conf = decode(FirewallConf, req)
    _require_place(req, conf)
    firewalls.gc(req, conf, valid_attachments(req.conf))


def status(req: Request) -> None:
    """Ask for what the configured backend needs.

    Raises:
        CNIError: it is not there, or the configuration is not usable.
        RunCold: programs and firewalld have to be looked for where the caller is.
    """
    conf = load(req)
    _require_place(req, conf)
    try:
        firewalls.require(req, conf)
    except OSError as e:
        raise CNIError(PLUGIN_NOT_AVAILABLE, str(e)) from None
