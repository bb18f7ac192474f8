"""A full file system, when something is to be kept: all of it is there, or what was before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.invoke.files import Draft
from cnifast.libcni.cache import DIRECTORY as CACHE
from cnifast.plugins.flannel_saved import Slot
from cnifast.plugins.lent import DIRECTORY as LENT
from cnifast.plugins.lent import Lent, all_recorded
from cnifast.plugins.tuning_backup import Backup
from cnifast.protocol.errors import CNIError
from cnifast.protocol.request import Request
from helpers import nsutil

if TYPE_CHECKING:
    from collections.abc import Callable

    from helpers.node import Node

PAGE = os.sysconf("SC_PAGE_SIZE")
ROOM = 4  # pages
FULL = r"[nN]o space left"
SMALL, LARGE = 10, (ROOM + 1) * PAGE


def lend(size: int) -> None:
    """Keep a record of about this size, and expect it to be told when it cannot be kept."""
    Lent(network="n" * size, container_id="c", ifname="eth0", device="d", mac="x").save()


def back_up(size: int) -> None:
    """Keep what tuning changes, by a network whose name has this size."""
    env = {"CNI_CONTAINERID": "c", "CNI_IFNAME": "eth0"}
    req = Request("tuning", "ADD", env, b"{}", {}, "n" * size, "1.0.0")
    Backup("/run/cni/tuning", req).save({"mtu": 1500 + size}, {"mtu": 1400})


def save(size: int) -> None:
    """Save a delegate's configuration of about this size."""
    Slot("/var/lib/cni/flannel", "c", "eth0").save(b'{"type":"bridge","n":"%s"}' % (b"n" * size))


def remember(size: int) -> None:
    """Keep a file of this size as a result is kept."""
    with Draft(f"{CACHE}/results/net-c-eth0", named=False) as draft:
        draft.commit(b"x" * size)


KEPT: dict[str, Callable[[int], None]] = {
    LENT: lend,
    "/run/cni/tuning": back_up,
    "/var/lib/cni/flannel": save,
    f"{CACHE}/results": remember,
}


@pytest.mark.parametrize("directory", KEPT)
def test_nothing_is_kept_by_half(node: Node, directory: str) -> None:
    """What does not fit is an error, and neither a part of it nor a draft is left."""
    assert node.fd >= 0
    Path(directory).mkdir(parents=True)
    nsutil.mount("tmpfs", directory, "tmpfs", options=f"size={ROOM * PAGE}")
    keep = KEPT[directory]
    for _ in range(2):
        with pytest.raises((OSError, CNIError), match=FULL):
            keep(LARGE)
        assert list(Path(directory).iterdir()) == []
    keep(SMALL)
    (there,) = Path(directory).iterdir()
    content = there.read_bytes()
    with pytest.raises((OSError, CNIError), match=FULL):
        keep(LARGE)
    assert (list(Path(directory).iterdir()), there.read_bytes()) == ([there], content)


def test_records_are_whole(node: Node) -> None:
    """A record that could only be written in part is not one."""
    assert node.fd >= 0
    Path(LENT).mkdir(parents=True)
    nsutil.mount("tmpfs", LENT, "tmpfs", options=f"size={ROOM * PAGE}")
    Lent(network="net", container_id="c", ifname="eth0", device="d", mac="x").save()
    with pytest.raises(CNIError, match=r"failed to keep a record in .*/c:eth0: no space left"):
        lend(LARGE)
    assert [lent.network for lent in all_recorded()] == ["net"]
