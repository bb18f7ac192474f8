"""The store against a model of the reference's algorithm, driven by Hypothesis.

The model is a dictionary of files and a position per range set; it knows no index.  The store
meets what a node can do to it: files written and removed by others, leftovers of crashes,
damage to the index, configurations that change from call to call.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cnifast.ipam.ranges import RangeConf, complete
from cnifast.ipam.store import DuplicateError, ExhaustedError, Plan, Store, TakenError
from cnifast.protocol import ip

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIGURATIONS = [
    [[{"subnet": "10.1.0.0/29"}]],
    [[{"subnet": "10.1.0.0/28", "rangeStart": "10.1.0.3", "gateway": "10.1.0.5"}]],
    [
        [
            {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.4", "rangeEnd": "10.1.0.7"},
            {"subnet": "10.2.0.0/30"},
            {"subnet": "10.3.0.0/24", "rangeStart": "10.3.0.9", "rangeEnd": "10.3.0.9"},
        ]
    ],
    [[{"subnet": "10.1.0.0/29"}], [{"subnet": "fd00:1::/125"}]],
    [[{"subnet": "fd00:1::/64"}], [{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.200"}]],
    [[{"subnet": "10.0.0.0/8"}]],
]
PLANS = [
    Plan(complete([[RangeConf.decode(one) for one in ranges] for ranges in sets]))
    for sets in CONFIGURATIONS
]

PLAN = st.integers(0, len(PLANS) - 1)
OWNER = st.sampled_from([f"c{i}" for i in range(9)])
IFNAME = st.sampled_from(["eth0", "net1"])
ADDRESS = st.sampled_from(
    [
        "10.1.0.1",
        "10.1.0.2",
        "10.1.0.5",
        "10.1.0.6",
        "10.2.0.1",
        "10.3.0.9",
        "fd00:1::3",
        "192.0.2.7",
    ]
)


class Model:
    """What the reference would have in its directory and do with it."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.last: dict[int, tuple[int, int]] = {}

    def held(self, container_id: str, ifname: str) -> set[str]:
        """Return what an owner has; files without interface count only if there is nothing else."""
        found = {a for a, owner in self.files.items() if owner == f"{container_id}\r\n{ifname}"}
        return found or {a for a, owner in self.files.items() if owner == container_id}

    def candidates(self, plan: Plan, index: int) -> Iterator[tuple[int, int]]:
        """Yield the addresses of a set in the order in which they are tried."""
        ranges = plan.sets[index]
        spans = [(one, one.first, one.last) for one in ranges]
        family, value = self.last.get(index, (0, 0))
        for i, one in enumerate(ranges):
            if one.contains(family, value):
                spans = [*spans[i + 1 :], *spans[:i]]
                spans = [(one, value + 1, one.last), *spans, (one, one.first, value)]
        for one, first, last in spans:
            for found in range(first, last + 1):
                if (one.family, found) != one.gateway:
                    yield one.family, found

    def allocate(
        self, plan: Plan, container_id: str, ifname: str, wanted: dict[int, tuple[int, int]]
    ) -> list[str] | type[Exception]:
        """Return the addresses handed out, or the error."""
        taken: list[tuple[int, int]] = []
        both = {container_id, f"{container_id}\r\n{ifname}"}
        held = [ip.parse_ip(a) for a, owner in self.files.items() if owner in both]
        for index, ranges in enumerate(plan.sets):
            if index in wanted:
                if ip.format_ip(*wanted[index]) in self.files:
                    return TakenError
                taken.append(wanted[index])
                continue
            if any(one.contains(*address) for one in ranges for address in held):
                return DuplicateError
            order = self.candidates(plan, index)
            free = next((a for a in order if ip.format_ip(*a) not in self.files), None)
            if free is None:
                return ExhaustedError
            taken.append(free)
        for index, address in enumerate(taken):
            self.files[ip.format_ip(*address)] = f"{container_id}\r\n{ifname}"
            self.last[index] = address
        return [ip.format_ip(*address) for address in taken]


class StoreMachine(RuleBasedStateMachine):
    """The store and the model, put through the same."""

    def __init__(self) -> None:
        super().__init__()
        self.data_dir = Path(tempfile.mkdtemp(prefix="cnifast-model-"))
        self.directory = self.data_dir / "net"
        self.directory.mkdir()
        self.index = self.data_dir / ".cnifast" / "net.index"
        self.store = Store("net", str(self.data_dir))
        self.model = Model()

    def teardown(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.data_dir)

    @rule(plan=PLAN, container_id=OWNER, ifname=IFNAME, asked=st.none() | ADDRESS)
    def allocate(self, plan: int, container_id: str, ifname: str, asked: str | None) -> None:
        """ADD, with or without an address asked for."""
        wanted = {}
        if asked is not None:
            address = ip.parse_ip(asked)
            found = PLANS[plan].range_for(*address)
            if found is not None and address != found[1].gateway:
                wanted = {found[0]: address}
        expected = self.model.allocate(PLANS[plan], container_id, ifname, wanted)
        if isinstance(expected, type):
            with pytest.raises(expected):
                self.store.allocate(PLANS[plan], container_id, ifname, wanted)
        else:
            grants = self.store.allocate(PLANS[plan], container_id, ifname, wanted)
            assert [grant.address.partition("/")[0] for grant in grants] == expected

    @rule(container_id=OWNER, ifname=IFNAME)
    def release(self, container_id: str, ifname: str) -> None:
        """DEL."""
        expected = self.model.held(container_id, ifname)
        for address in expected:
            del self.model.files[address]
        assert set(self.store.release(container_id, ifname)) == expected

    @rule(container_id=OWNER, ifname=IFNAME)
    def lookup(self, container_id: str, ifname: str) -> None:
        """CHECK."""
        expected = self.model.held(container_id, ifname)
        assert set(self.store.lookup(container_id, ifname)) == expected

    @rule(valid=st.lists(st.tuples(OWNER, IFNAME), max_size=9))
    def gc(self, valid: list[tuple[str, str]]) -> None:
        """GC."""
        kept = {f"{c}\r\n{i}" for c, i in valid} | {c for c, _ in valid}
        expected = {a for a, owner in self.model.files.items() if owner not in kept}
        for address in expected:
            del self.model.files[address]
        assert set(self.store.gc(valid)) == expected

    @rule(plan=PLAN)
    def usage(self, plan: int) -> None:
        """STATUS."""
        for ranges, usage in zip(PLANS[plan].sets, self.store.usage(PLANS[plan]), strict=True):
            taken = 0
            for text in self.model.files:
                address = ip.parse_ip(text)
                taken += any(r.contains(*address) and address != r.gateway for r in ranges)
            assert usage.taken == taken

    @rule(address=ADDRESS, container_id=OWNER, ifname=st.none() | IFNAME)
    def foreign_file(self, address: str, container_id: str, ifname: str | None) -> None:
        """Somebody else takes an address, in the new format or the old one."""
        owner = container_id if ifname is None else f"{container_id}\r\n{ifname}"
        (self.directory / address).unlink(missing_ok=True)
        (self.directory / address).write_bytes(owner.encode())
        self.model.files[address] = owner

    @rule(address=ADDRESS)
    def foreign_removal(self, address: str) -> None:
        """Somebody else releases an address."""
        (self.directory / address).unlink(missing_ok=True)
        self.model.files.pop(address, None)

    @rule(address=ADDRESS, content=st.sampled_from([b"", b" \n", b"\0\0\0\0"]))
    def leftover(self, address: str, content: bytes) -> None:
        """A crash leaves a file that names nobody."""
        if address not in self.model.files:
            (self.directory / address).unlink(missing_ok=True)
            (self.directory / address).write_bytes(content)

    @rule(
        index=st.integers(0, 1),
        last=st.sampled_from(
            ["", "x", "10.1.0.3", "10.1.0.6", "10.2.0.2", "fd00:1::7", "10.9.9.9"]
        ),
    )
    def foreign_last(self, index: int, last: str) -> None:
        """The record of the last address is replaced."""
        (self.directory / f"last_reserved_ip.{index}").write_text(last)
        self.model.last[index] = ip.parse_ip(last) if ":" in last or "." in last else (0, 0)

    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        """The index loses, gains or changes bytes."""
        if not self.index.exists():
            return
        content = bytearray(self.index.read_bytes())
        if data.draw(st.booleans()) and content:
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        else:
            content = content[: data.draw(st.integers(0, len(content)))]
        self.index.write_bytes(content)

    @invariant()
    def same_files(self) -> None:
        """The files that name somebody are the model's."""
        found = {}
        for path in self.directory.iterdir():
            if path.name != "lock" and not path.name.startswith("last_"):
                content = path.read_bytes().strip(b" \n\0").decode()
                if content:
                    found[path.name] = content
        assert found == self.model.files


class TestStore(StoreMachine.TestCase):  # type: ignore[misc, name-defined]
    """The store does what the model of the reference does."""

    settings = settings(
        max_examples=60,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
