"""Ports of the host that lead to an attachment: setting up, removing, checking, collecting.

By nftables over netlink unless the configuration asks for iptables.  Removing does not ask what was
configured: it cleans up after either backend, and after the reference plugins, and executes a
program only where legacy iptables has a chain of the container.
"""

from __future__ import annotations

from cnifast._native.errors import UnreachableError
from cnifast.kernel import foreign, hostports, iptables_ports, program
from cnifast.kernel.address import format_address
from cnifast.kernel.conntrack import Flow, forget
from cnifast.kernel.iptables import COMMANDS
from cnifast.kernel.netns import write_sysctls
from cnifast.kernel.nft import Owner
from cnifast.plugins.base import digest
from cnifast.plugins.filters import (
    HostFilter,
    attempt_all,
    require_iptables,
    require_program,
)
from cnifast.plugins.portmap_conf import IPTABLES, NFTABLES
from cnifast.protocol import ip as _ip
from cnifast.protocol.errors import INTERNAL, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from cnifast.kernel.hostports import HostPort, MappedPort
    from cnifast.kernel.nft import NftSocket
    from cnifast.plugins.base import Session
    from cnifast.plugins.portmap_conf import PortmapConf
    from cnifast.protocol.request import Request

_EVICTIONS_MAX = 64  # other attachments whose ports one ADD takes


def setup(session: Session, conf: PortmapConf, pods: Sequence[str], link: str) -> None:
    """Have the configured ports lead to pods, addresses such as "10.1.0.5/16", one of a family.

    ``link`` is the host's end of the attachment.  All is undone if the session ends with an error.

    Raises:
        CNIError: a port is taken by an attachment that lives.
        OSError: the kernel or a program refused.
    """
    req = session.req
    session.on_error(lambda: teardown(req, conf, conf.ports, pods))
    with HostFilter(req) as nft:
        if conf.chosen == IPTABLES:
            iptables_ports.add(nft, req.name, req.container_id, pods, _by_iptables(conf))
        else:
            _add_conditions(nft, conf, pods)
            _add(session, nft, conf, pods, link)
        forget(nft, _former_flows(session, conf.ports, pods))
        if conf.snat and ":" not in pods[0]:
            _route_localnet(session, pods[0])


def _by_iptables(conf: PortmapConf) -> iptables_ports.Wanted:
    """Return what the ports come to with iptables."""
    return iptables_ports.Wanted(
        conf.ports,
        mark_bit=conf.mark_bit,
        mark_chain=conf.external_set_mark_chain,
        masq_all=conf.masq_all,
        conditions=conf.conditions,
    )


def _add_conditions(nft: NftSocket, conf: PortmapConf, pods: Sequence[str]) -> None:
    """Have the conditions of the pods' families looked at, where there are such."""
    for family, words in conf.conditions.items():
        if words and any((":" in pod) == (family == 6) for pod in pods):
            hostports.add_conditions(nft, family, _scope(words), " ".join(words))


def _add(
    session: Session, nft: NftSocket, conf: PortmapConf, pods: Sequence[str], link: str
) -> None:
    """Have the ports lead to pods by nftables; attachments that are gone give theirs up."""
    owner = _owner(session.req)
    ports = _described(conf, conf.ports, pods, link)
    for _ in range(_EVICTIONS_MAX):
        try:
            hostports.add(nft, ports, owner)
        except hostports.PortTakenError as e:
            if not _is_stale(session, e.rival, pods):
                raise CNIError(INTERNAL, _taken(e.rival)) from None
            _evict(nft, e.rival)
        else:
            return
    raise CNIError(INTERNAL, "too many host ports of other attachments are in the way")


def _is_stale(session: Session, rival: MappedPort, pods: Sequence[str]) -> bool:
    """Tell whether the attachment that a port leads to is gone: its link, or its address.

    Its address is ours by now if we are of one network.
    """
    ours = {pod.partition("/")[0] for pod in pods}
    if rival.pod in ours and _network(rival.owner) == _network(_owner(session.req).text):
        return True
    if not rival.link:
        return False
    try:
        session.host.link(rival.link)
    except FileNotFoundError:
        return True
    return False


def _network(owner: str) -> str:
    """Return the network in the text of an owner."""
    return owner.rpartition(" ")[2]


def _evict(nft: NftSocket, rival: MappedPort) -> None:
    """Remove all ports of an attachment that is gone."""
    removed = hostports.delete(nft, None, Owner.of_text(rival.owner))
    forget(nft, _led_flows(removed))


def _taken(rival: MappedPort) -> str:
    """Return who has a port, in words."""
    container_id, _, rest = rival.owner.partition(" ")
    ifname, _, network = rest.partition(" ")
    who = f"container {container_id} ({ifname} on network {network})"
    if rival.port is None:
        return f"the place of this attachment is taken by {who}"
    where = rival.port.host_ip
    on = f" on {where}" if where and not _ip.is_unspecified(where) else ""
    return f"hostPort {rival.port.host_port}/{rival.port.protocol}{on} is taken by {who}"


def teardown(
    req: Request, conf: PortmapConf | None, ports: Sequence[HostPort], pods: Sequence[str]
) -> None:
    """Undo `setup`, whoever made it; nothing there is success.

    What is known of ``ports`` and ``pods`` saves looking for it.  ``conf`` is None where it cannot
    be decoded.

    Raises:
        OSError: the first failure; the other steps were taken nevertheless.
    """
    known = _described(conf, ports) if conf is not None and ports else None
    flows = _flows_to(ports, pods)

    def delete(nft: NftSocket) -> None:
        flows.update(_led_flows(hostports.delete(nft, known, _owner(req))))

    with HostFilter(req) as nft:
        attempt_all(
            (
                (delete, nft),
                (iptables_ports.delete, nft, req.name, req.container_id),
                (lambda: forget(nft, flows),),
            )
        )


def check(req: Request, conf: PortmapConf, pods: Sequence[str]) -> None:
    """See that the configured ports lead to pods, by whichever means.

    Raises:
        FileNotFoundError: one does not.
    """
    with HostFilter(req) as nft:
        try:
            _check(conf.chosen, req, nft, conf, pods)
        except FileNotFoundError as missing:
            if foreign.find_ports(nft, req.name, req.container_id)[1]:
                return  # by rules of the reference's own
            try:
                _check(NFTABLES if conf.chosen == IPTABLES else IPTABLES, req, nft, conf, pods)
            except FileNotFoundError:
                raise missing from None


def _check(
    backend: str, req: Request, nft: NftSocket, conf: PortmapConf, pods: Sequence[str]
) -> None:
    """See that ports lead to pods by one backend."""
    if backend == IPTABLES:
        require_iptables(req)
        iptables_ports.see(nft, req.name, req.container_id, pods, _by_iptables(conf))
        return
    hostports.see(nft, _described(conf, conf.ports, pods), _owner(req))


def gc(req: Request, valid: Collection[tuple[str, str]]) -> None:
    """Remove the ports of attachments of the network that are not (container ID, ifname) pairs.

    An iptables chain goes when none of the container's interfaces is valid.

    Raises:
        OSError: the first failure; the other steps were taken nevertheless.
    """
    spared = {Owner(container_id, ifname, req.name).text for container_id, ifname in valid}
    ours = _network(_owner(req).text)
    containers = {container_id for container_id, _ in valid}
    with HostFilter(req) as nft:
        stale = {
            entry.owner
            for entry in hostports.mapped(nft)
            if _network(entry.owner) == ours and entry.owner not in spared
        }
        attempt_all(
            (
                *((_delete_stale, nft, owner) for owner in sorted(stale)),
                (iptables_ports.collect, nft, req.name, containers),
            )
        )


def _delete_stale(nft: NftSocket, owner: str) -> None:
    """Remove all ports of an attachment."""
    forget(nft, _led_flows(hostports.delete(nft, None, Owner.of_text(owner))))


def require_place(req: Request, conf: PortmapConf) -> None:
    """See, before anything is done, that this is the place for the programs that are needed.

    Raises:
        RunCold: the caller's are to be executed.
    """
    if conf.chosen == IPTABLES:
        require_iptables(req)
    elif any(conf.conditions.values()):
        require_program(req, "nft")


def require(req: Request, conf: PortmapConf) -> None:
    """See that what the configured backend needs is there.

    Raises:
        OSError: it is not.
        RunCold: it may be where the caller is.
    """
    require_place(req, conf)
    with HostFilter(req) as nft:
        if conf.chosen == IPTABLES:
            program.find((f"{COMMANDS[4]}-restore",))
            return
        foreign.find_ports(nft, req.name, "")
        if any(conf.conditions.values()):
            program.find(("nft",))


def _owner(req: Request) -> Owner:
    """Return the attachment of a request as the owner of elements."""
    return Owner(req.container_id, req.ifname, req.name)


def _scope(words: Sequence[str]) -> str:
    """Return what conditions are called in the packet filter; empty for none."""
    return digest(" ".join(words), 12) if words else ""


def _described(
    conf: PortmapConf, ports: Sequence[HostPort], pods: Collection[str] = (), link: str = ""
) -> hostports.HostPorts:
    """Return ports as the kernel's face takes them."""
    conditions = conf.conditions
    scopes = ("", "")
    if conf.chosen != IPTABLES:
        scopes = (_scope(conditions[4]), _scope(conditions[6]))
    return hostports.HostPorts(
        ports,
        pods,
        link=link,
        mark_bit=conf.mark_bit,
        masq_all=conf.masq_all,
        scopes=scopes,
    )


def _udp(ports: Iterable[HostPort], family: int) -> list[HostPort]:
    """Return the ports for which a connection would go on as it began, for want of an end."""
    return [
        port
        for port in ports
        if port.protocol == "udp" and (not port.host_ip or (":" in port.host_ip) == (family == 6))
    ]


def _former_flows(session: Session, ports: Sequence[HostPort], pods: Sequence[str]) -> set[Flow]:
    """Return the connections to the ports that began before these led to the pods.

    Those to ports of the same number elsewhere are not concerned: they go on.
    """
    flows = set()
    for pod in pods:
        family = 6 if ":" in pod else 4
        local: set[str] | None = None
        for port in _udp(ports, family):
            if port.host_ip and not _ip.is_unspecified(port.host_ip):
                flows.add(Flow("udp", port.host_port, to=port.host_ip))
                continue
            if local is None:
                local = _local_addresses(session, family)
            flows.update(Flow("udp", port.host_port, to=address) for address in local)
    return flows


def _local_addresses(session: Session, family: int) -> set[str]:
    """Return the host's own addresses."""
    found = {format_address(a.packed) for a in session.host.addresses(family=family)}
    return found | {"127.0.0.1"} if family == 4 else found


def _flows_to(ports: Sequence[HostPort], pods: Sequence[str]) -> set[Flow]:
    """Return the connections that ports have led to pods."""
    return {
        _led(port, pod.partition("/")[0])
        for pod in pods
        for port in _udp(ports, 6 if ":" in pod else 4)
    }


def _led_flows(removed: Iterable[MappedPort]) -> set[Flow]:
    """Return the connections that were led by ports that are no more."""
    return {
        _led(entry.port, entry.pod)
        for entry in removed
        if entry.port is not None and entry.port.protocol == "udp"
    }


def _led(port: HostPort, pod: str) -> Flow:
    """Return the connections that a port has led to a pod."""
    to = "" if _ip.is_unspecified(port.host_ip) else port.host_ip
    return Flow("udp", port.host_port, to=to, led=pod, led_port=port.container_port)


def _route_localnet(session: Session, pod: str) -> None:
    """Let packets from 127.0.0.1 leave by the link that leads to a pod."""
    try:
        index = session.host.link_towards(pod.partition("/")[0])
        name = session.host.link(index).name
    except (UnreachableError, FileNotFoundError):
        return  # the host has no way to the pod, or no longer
    write_sysctls(((f"net/ipv4/conf/{name}/route_localnet", "1", False),), session.host_netns)
