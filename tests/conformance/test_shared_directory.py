"""One directory, used by the reference's host-local and by ours at the same time."""

from __future__ import annotations

import os
import random
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from helpers.claims import Claims
from helpers.ipam import InProcess, addresses, call, host_local
from helpers.plugin import BinaryRunner

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 4.0
SETS = [[{"subnet": "10.1.0.0/27"}], [{"subnet": "fd00::/64", "rangeEnd": "fd00::1f"}]]


def _work(runner: Any, conf: dict[str, Any], claims: Claims, name: str) -> int:
    """ADD, CHECK and DEL at random until the time is over; return how many ADDs succeeded."""
    chance = random.Random(name)  # noqa: S311
    ends = time.monotonic() + SECONDS
    held: dict[str, list[str]] = {}
    adds = 0
    while time.monotonic() < ends or held:
        ifname = f"eth{chance.randrange(4)}"
        if ifname in held:
            assert call(runner, "CHECK", conf, container_id=name, ifname=ifname).ok
            for address in held.pop(ifname):
                claims.withdraw(address)
            assert call(runner, "DEL", conf, container_id=name, ifname=ifname).ok
        elif time.monotonic() < ends:
            outcome = call(runner, "ADD", conf, container_id=name, ifname=ifname)
            assert outcome.ok, outcome
            adds += 1
            held[ifname] = [ip["address"].partition("/")[0] for ip in outcome.json["ips"]]
            for address in held[ifname]:
                claims.make(address, name)
    return adds


def _start(runner: Any, conf: dict[str, Any], claims: Claims, name: str) -> int:
    """Fork a worker and return its process ID; it exits with 0 when all went well."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        status = 0 if _work(runner, conf, claims, name) > 0 else 2
    except BaseException:  # noqa: BLE001 - a child must not go on as its parent
        traceback.print_exc(file=sys.stderr)
    os._exit(status)


def test_both_at_once(reference: str, tmp_path: Path) -> None:
    """Nobody is given what the other one handed out, and DEL of either leaves nothing."""
    conf = host_local(tmp_path / "data", ranges=SETS)
    claims = Claims(tmp_path / "claims")
    theirs, ours = BinaryRunner("reference", reference), InProcess()
    pids = [
        _start(runner, conf, claims, f"{runner.name}{i}")
        for i in range(2)
        for runner in (theirs, ours)
    ]
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * len(pids)
    assert claims.all() == []
    assert addresses(tmp_path / "data" / "net") == {}


def test_each_finds_what_the_other_made(reference: str, tmp_path: Path) -> None:
    """CHECK and DEL work on what the other one added, and ADD goes on where the other stopped."""
    conf = host_local(tmp_path, ranges=SETS)
    theirs, ours = BinaryRunner("reference", reference), InProcess()
    given = []
    for i in range(8):
        adder, other = (theirs, ours) if i % 2 else (ours, theirs)
        outcome = call(adder, "ADD", conf, container_id=f"c{i}")
        given.append(outcome.json["ips"][0]["address"])
        assert call(other, "CHECK", conf, container_id=f"c{i}").ok
        assert call(other, "ADD", conf, container_id=f"c{i}").code == 999
        assert call(other, "DEL", conf, container_id=f"c{i}").ok
        assert call(adder, "CHECK", conf, container_id=f"c{i}").code == 999
        assert call(adder, "DEL", conf, container_id=f"c{i}").ok
    assert given == [f"10.1.0.{i}/27" for i in range(2, 10)]
    assert addresses(tmp_path / "net") == {}
