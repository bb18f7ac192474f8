"""Ports of the host that lead to containers, by nftables: one map element per port.

    with NftSocket() as nft:
        ports = HostPorts([HostPort("tcp", 8080, 80)], ["10.1.0.5/16"], link="veth5", mark_bit=13)
        add(nft, ports, Owner("container-1", "eth0", "mynet"))

The first packet of a connection to an address of the host is looked up in one map, however many
ports there are.  Connections that would not find their way back, from the pod's own subnet and from
127.0.0.1, are masqueraded; a mark tells them.
"""

from __future__ import annotations

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import InUseError, KernelError, check, new_error
from cnifast.kernel import program
from cnifast.kernel.address import (
    AF_INET,
    AF_INET6,
    fill_ip,
    format_address,
    parse_address,
    parse_prefix,
)
from cnifast.kernel.conntrack import PROTOCOLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    from cnifast.kernel.nft import NftSocket, Owner

TABLE = "inet cnifast-hostport"
_NAMES = {number: name for name, number in PROTOCOLS.items()}
_FAMILIES = {4: AF_INET, 6: AF_INET6}
_EIO = 5


class HostPort:
    """A port of the host and the container's port it leads to.

    ``protocol`` is a key of conntrack.PROTOCOLS; ``host_ip`` an address of the host, "0.0.0.0" or
    "::" for any of that family, or empty for any at all.
    """

    __slots__ = ("container_port", "host_ip", "host_port", "protocol")

    def __init__(
        self, protocol: str, host_port: int, container_port: int, host_ip: str = ""
    ) -> None:
        self.protocol = protocol
        self.host_port = host_port
        self.container_port = container_port
        self.host_ip = host_ip

    def __repr__(self) -> str:
        where = f"{self.host_ip} " if self.host_ip else ""
        return f"<HostPort {where}{self.host_port}/{self.protocol} to {self.container_port}>"


class HostPorts:
    """The ports of one attachment, in the form C takes; it keeps its strings alive.

    ``pods`` are addresses such as "10.1.0.5/16", one of a family; ``link`` is the host's end, by
    which the attachment is seen to live.  ``mark_bit`` -1 masquerades nothing, ``masq_all``
    everything.  ``scopes`` name the conditions of each family, see `add_conditions`.
    """

    __slots__ = ("_kept", "ports", "raw")

    def __init__(
        self,
        ports: Sequence[HostPort],
        pods: Collection[str] = (),
        *,
        link: str = "",
        mark_bit: int = -1,
        masq_all: bool = False,
        scopes: tuple[str, str] = ("", ""),
    ) -> None:
        self.ports = ports
        array = ffi.new("struct cnif_hostport []", len(ports))
        for struct, port in zip(array, ports, strict=True):
            struct.protocol = PROTOCOLS[port.protocol]
            struct.host_port = port.host_port
            struct.container_port = port.container_port
            if port.host_ip:
                fill_ip(struct.host_ip, *parse_address(port.host_ip))
        texts = [ffi.new("char []", c_text(text)) for text in (*scopes, link)]
        raw = ffi.new("struct cnif_hostports *")
        raw.ports, raw.n_ports = array, len(ports)
        raw.scopes, raw.link = texts[:2], texts[2]
        raw.mark_bit, raw.masq_all = mark_bit, masq_all
        for pod in pods:
            family, packed, prefixlen = parse_prefix(pod)
            fill_ip(raw.pods[family == AF_INET6], family, packed, prefixlen)
        self.raw = raw
        self._kept = (array, texts)


class MappedPort:
    """A port as it is there: where it leads, whose it is; port None for an attachment as such."""

    __slots__ = ("link", "owner", "pod", "port")

    def __init__(self, port: HostPort | None, pod: str, owner: str, link: str) -> None:
        self.port = port
        self.pod = pod
        self.owner = owner
        self.link = link

    def __repr__(self) -> str:
        return f"<MappedPort {self.port!r} of {self.pod} {self.owner!r} {self.link}>"


class PortTakenError(InUseError):
    """A port is somebody else's: ``rival``."""

    rival: MappedPort


def add(nft: NftSocket, ports: HostPorts, owner: Owner) -> None:
    """Have ports lead to a pod, all of them or none; what the owner had before is replaced.

    Raises:
        PortTakenError: one leads to somebody else's.
        KernelError: the kernel refused.
    """
    err = new_error()
    rival = ffi.new("struct cnif_hostport_entry *")
    try:
        check(lib.cnif_hostport_add(nft.raw, ports.raw, owner.raw, rival, err), err)
    except InUseError as e:
        taken = PortTakenError(*e.args)
        taken.rival = _mapped(rival)
        raise taken from None


def delete(nft: NftSocket, ports: HostPorts | None, owner: Owner) -> list[MappedPort]:
    """Undo `add`; return what was there.

    ``ports`` are what was added; pods, link and mark are not needed.  With None, and with other
    ports than were added, everything is found by its owner, if that has any.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    removed = ffi.new("struct cnif_hostport_entry **")
    count = ffi.new("size_t *")
    known = ffi.NULL if ports is None else ports.raw
    check(lib.cnif_hostport_delete(nft.raw, known, owner.raw, removed, count, err), err)
    return _take(removed[0], count[0])


def see(nft: NftSocket, ports: HostPorts, owner: Owner) -> None:
    """See that ports are as `add` leaves them, and that the rules are there.

    Raises:
        FileNotFoundError: something is missing or different.
    """
    err = new_error()
    check(lib.cnif_hostport_check(nft.raw, ports.raw, owner.raw, err), err)


def mapped(nft: NftSocket) -> list[MappedPort]:
    """Return all ports and attachments.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    entries = ffi.new("struct cnif_hostport_entry **")
    count = ffi.new("size_t *")
    check(lib.cnif_hostport_list(nft.raw, entries, count, err), err)
    return _take(entries[0], count[0])


def add_conditions(nft: NftSocket, family: int, scope: str, conditions: str) -> None:
    """Have conditions, in the words of `nft`, lead to the ports of a scope; family is 4 or 6.

    That needs the program `nft`, once per node: what such words mean only it knows.

    Raises:
        KernelError: it is missing, or refused the conditions; its words are in the message.
    """
    if _prepare(nft, family, scope):
        return
    chain = f"local{family}-{scope}"
    rule = f"meta nfproto ipv{family} {conditions} fib daddr type local jump {chain}"
    script = (
        f"create chain {TABLE} {chain}\n"
        f"insert rule {TABLE} prerouting {rule}\n"
        f"insert rule {TABLE} output {rule}\n"
    )
    path = program.find(("nft",))
    status, said = program.run(nft.netns, [path, "-f", "/dev/stdin"], script)
    # Somebody else may have been faster.
    if status != 0 and not _prepare(nft, family, scope):
        reason = said.partition("\n")[0]
        raise KernelError(_EIO, f"{path} refused the conditions {conditions!r}: {reason}")


def _prepare(nft: NftSocket, family: int, scope: str) -> bool:
    """Make what conditions go into; tell whether they are there already."""
    err = new_error()
    ready = ffi.new("bool *")
    text = ffi.new("char []", c_text(scope))
    check(lib.cnif_hostport_prepare(nft.raw, _FAMILIES[family], text, ready, err), err)
    return bool(ready[0])


def _take(entries: Any, count: int) -> list[MappedPort]:
    """Return the Python form of an array, and release it.

    A dump that was interrupted by a change may have reported an element twice.
    """
    try:
        found = {bytes(ffi.buffer(entries + i)): entries[i] for i in range(count)}
        return [_mapped(entry) for entry in found.values()]
    finally:
        lib.cnif_free(entries)


def _mapped(entry: Any) -> MappedPort:
    """Return the Python form of a ``struct cnif_hostport_entry``."""
    owner, link = (ffi.string(text).decode(errors="replace") for text in (entry.owner, entry.link))
    raw = entry.port
    if not raw.protocol:
        return MappedPort(None, "", owner, link)
    protocol = _NAMES.get(raw.protocol, str(raw.protocol))
    port = HostPort(protocol, raw.host_port, raw.container_port, _text(raw.host_ip))
    return MappedPort(port, _text(entry.pod), owner, link)


def _text(ip: Any) -> str:
    """Return the address of a ``struct cnif_ip``."""
    return format_address(bytes(ip.bytes[0 : 4 if ip.family == AF_INET else 16]))
