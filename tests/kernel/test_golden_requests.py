"""The golden requests are right: iproute2 sends the same for the same operation.

Each file in tests/golden/netlink begins with the command it stands for.  The command is run under
strace, and what it sends is decoded and compared: message type, flags, family header and the tree
of attributes.  Left out is what does not matter to the kernel (the order of attributes, whether a
nest is marked as one, how a string ends, numbers of file descriptors) and what DIFFERENCES says.
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.node import need_tools

if TYPE_CHECKING:
    from helpers.node import Node

GOLDEN = Path(__file__).parents[1] / "golden" / "netlink"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.hex"))
OWN = {"link-get-index", "route-append", "route-find"}  # requests that no command sends
OWN |= {"qdisc-get", "class-get", "nsid-get", "link-get-afar", "rule-delete"}
OWN |= {"qdisc-tbf-64"}  # tc computes the burst from the 32 bits of the rate

# (message kind, path of attribute types) of nests.
LINK, ADDR, ROUTE, BRIDGE, TRAFFIC = "link", "addr", "route", "bridge", "traffic"
NESTS = {
    (LINK, (18,)),  # IFLA_LINKINFO
    (LINK, (18, 2)),  # IFLA_INFO_DATA
    (BRIDGE, (12,)),  # IFLA_PROTINFO
    (BRIDGE, (26,)),  # IFLA_AF_SPEC
    (ROUTE, (8,)),  # RTA_METRICS
}
# The same of traffic control, by what is in TCA_KIND: TCA_OPTIONS; in those of u32 TCA_U32_ACT, an
# action, and TCA_ACT_OPTIONS.
TRAFFIC_NESTS = {
    b"tbf": {(2,)},
    b"htb": {(2,)},
    b"u32": {(2,), (2, 7), (2, 7, 1), (2, 7, 1, 2)},
}
# Structs that say rates: where those stand.
RATES = {(b"tbf", (2, 1)): (0, 12), (b"htb", (2, 1)): (0, 12)}
VETH_INFO_PEER = (18, 2, 1)
STRINGS = {(18, 1), (2, 7, 1, 1)}  # IFLA_INFO_KIND, TCA_ACT_KIND: terminated or not
KINDS = {16: LINK, 17: LINK, 18: LINK, 19: LINK, 20: ADDR, 21: ADDR, 22: ADDR}
KINDS.update(dict.fromkeys(range(36, 48), TRAFFIC))
HEADER_SIZES = {LINK: 16, BRIDGE: 16, ADDR: 8, ROUTE: 12, TRAFFIC: 20}
NLM_F_ECHO = 8
NET_NS_FD = 28
EXT_MASK = 29
AF_BRIDGE = 7
AF_PACKET = 17
IFA_FLAGS = 8
TCA_KIND = 1
TCA_TBF_RTAB, TCA_TBF_BURST = 2, 6
TCA_HTB_CTAB, TCA_HTB_RTAB = 3, 4

# Attributes that iproute2 adds or leaves out, and why that is the same to the kernel.
DIFFERENCES = {
    "link-dump": {(EXT_MASK,)},  # it also asks for virtual functions
    "link-dump-filtered": {(EXT_MASK,)},
    "link-get-name": {(EXT_MASK,)},
    "qdisc-delete": {(TCA_KIND,)},  # ours is sure that it is one of our kind
    "ipvlan": {(18, 2, 2)},  # it says that there are no IFLA_IPVLAN_FLAGS
    "addr-restore": {(2,)},  # it says that the link has the address, as if there could be a peer
}
# The same within options: tables that the kernel computes itself since Linux 3.8, and the burst
# in bytes, which repeats the one in ticks.
OPTIONS = {
    "qdisc-tbf": {TCA_TBF_RTAB, TCA_TBF_BURST},
    "class-htb": {TCA_HTB_CTAB, TCA_HTB_RTAB},
    "class-htb-64": {TCA_HTB_CTAB, TCA_HTB_RTAB},
}


class Message:
    """A request: type, flags, family header, and {path of attribute types: [values]}."""

    def __init__(self, data: bytes) -> None:
        size, self.type, self.flags = struct.unpack_from("<IHH", data)
        self.size = size
        self.kind = KINDS.get(self.type, ROUTE)
        if self.kind == LINK and data[16] == AF_BRIDGE:
            self.kind = BRIDGE
        end_of_header = 16 + HEADER_SIZES[self.kind]
        self.header = bytearray(data[16:end_of_header])
        self.attributes: dict[tuple[int, ...], list[bytes]] = {}
        self._walk(data[end_of_header:size], ())
        self._simplify()

    def _walk(self, data: bytes, above: tuple[int, ...]) -> None:
        while data:
            size, kind = struct.unpack_from("<HH", data)
            assert 4 <= size <= len(data)
            path = (*above, kind & 0x3FFF)
            value = data[4:size]
            if path == VETH_INFO_PEER and self.attributes[18, 1][0].rstrip(b"\0") == b"veth":
                assert value[:16] == bytes(16)
                self._walk(value[16:], path)
            elif (self.kind, path) in NESTS or path in TRAFFIC_NESTS.get(self._traffic_kind, ()):
                self._walk(value, path)
            else:
                self.attributes.setdefault(path, []).append(value)
            data = data[(size + 3) & ~3 :]

    @property
    def _traffic_kind(self) -> bytes:
        """TCA_KIND, as far as it was seen; nothing for other messages."""
        found = self.attributes.get((TCA_KIND,), [b""]) if self.kind == TRAFFIC else [b""]
        return found[0].rstrip(b"\0")

    def _simplify(self) -> None:
        """Bring to one form what can be said in two."""
        for (kind, path), places in RATES.items():
            if kind == self._traffic_kind and path in self.attributes:
                value = bytearray(self.attributes[path][0])
                for at in places:  # the shape of a table, and how its packets are aligned
                    value[at] = 0
                    value[at + 4 : at + 6] = bytes(2)
                self.attributes[path] = [bytes(value)]
        if self.kind == LINK and self.header[0] == AF_PACKET:
            self.header[0] = 0  # links are no matter of a family
        if self.kind == ADDR and (IFA_FLAGS,) in self.attributes:
            (flags,) = struct.unpack("<I", self.attributes[IFA_FLAGS,][0])
            if flags < 256:  # otherwise only the attribute can hold them
                self.header[2] = flags
                del self.attributes[IFA_FLAGS,]

    def facts(self, left_out: set[tuple[int, ...]], options: set[int]) -> list[str]:
        """Return what the request says, one fact per line."""
        found = [f"type {self.type} flags {self.flags & ~NLM_F_ECHO:#x}", self.header.hex()]
        for path, values in sorted(self.attributes.items()):
            if path in left_out:
                continue
            if path[:1] == (2,) and path[1:2] and path[1] in options:
                continue
            shown = [value.hex() for value in values]
            if path[-1] == NET_NS_FD:
                shown = ["a descriptor"]
            elif path in STRINGS:
                shown = [value.rstrip(b"\0").hex() for value in values]
            found.append(f"{path} {shown}")
        return found


def golden(name: str) -> tuple[str, bytes]:
    """Return the command that a golden file stands for, and its bytes."""
    lines = (GOLDEN / f"{name}.hex").read_text().splitlines()
    return lines[0].removeprefix("# "), bytes.fromhex("".join(x.split("#")[0] for x in lines))


def sent_messages(trace: str) -> list[bytes]:
    """Return the buffers that strace shows in hexadecimal."""
    found: list[bytes] = []
    for line in trace.splitlines():
        if line.startswith(" | 00000 "):
            found.append(b"")
        if line.startswith(" | "):
            found[-1] += bytes.fromhex(line[9:59])
    return found


def sent_by(node: Node, command: str, log: Path, kind: int) -> bytes:
    """Run a command under strace and return the last request of a type that it sent."""
    words = ["strace", "-f", "-o", str(log), "-e", "trace=sendmsg,sendto"]
    node.run([*words, "-e", "write=3,4,5,6", *command.split()], check=False)
    trace = log.read_text()
    of_type = [m for m in sent_messages(trace) if len(m) > 16 and m[4:6] == struct.pack("<H", kind)]
    assert of_type, f"{command} sent nothing of type {kind}:\n{trace}"
    return of_type[-1]


@pytest.fixture
def prepared(node: Node, request: pytest.FixtureRequest) -> Node:
    """A node with what the commands work on: br0 (index 7), v0 (index 8), a container pod."""
    need_tools("strace", "ip", "bridge")
    name = request.getfixturevalue("name")
    node.new_container("pod")
    if "index 7" in (GOLDEN / f"{name}.hex").read_text() or "br0" in golden(name)[0]:
        node.ip("link add name br0 index 7 type bridge")
        node.ip("link set br0 up")
        node.ip("addr add 10.1.0.2/16 dev br0")
        node.ip("addr add fd00::2/64 dev br0 nodad")
    if "index 8" in (GOLDEN / f"{name}.hex").read_text():
        node.ip("link add name v0 index 8 type veth peer name v9 index 9")
        node.ip("link add name br8 type bridge")
        node.ip("link set v0 master br8")
    return node


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OWN])
def test_iproute2_sends_the_same(prepared: Node, name: str, tmp_path: Path) -> None:
    """A golden request says what iproute2 says for the command in its first line."""
    command, data = golden(name)
    ours = Message(data)
    assert ours.size == len(data)
    theirs = Message(sent_by(prepared, command, tmp_path / "trace", ours.type))
    left_out = DIFFERENCES.get(name, set()), OPTIONS.get(name, set())
    assert ours.facts(*left_out) == theirs.facts(*left_out)


def test_every_file_has_its_command() -> None:
    """Golden files begin with the command they stand for, unless no command sends the like."""
    for name in NAMES:
        command, data = golden(name)
        assert struct.unpack_from("<I", data)[0] == len(data)
        assert name in OWN or shutil.which(command.split()[0], path="/sbin:/usr/sbin:/bin")
