"""Network namespaces from Python: opening, making, removing, and sysctls inside them."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.kernel import KernelError, NetNS, NoSuchObjectError, netns

if TYPE_CHECKING:
    from collections.abc import Callable

    from helpers.node import Node

OWN = "/proc/thread-self/ns/net"
FORWARD = "net/ipv4/ip_forward"


def identity(path: str) -> tuple[int, int]:
    """Return what names a namespace."""
    status = Path(path).stat()
    return status.st_dev, status.st_ino


def open_descriptors() -> int:
    """Return how many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def test_an_open_namespace_is_identified_by_its_inode(node: Node) -> None:
    """Two handles of a namespace have one identity, the one of its file; others have another."""
    container = node.new_container()
    with NetNS(container.path) as one, NetNS(f"/proc/self/fd/{container.fd}") as other:
        assert one.ident == other.ident == identity(container.path)
        assert one.ident == netns.identify(one.fileno())
        assert one.ident != netns.identify() == identity(OWN)
        assert one.path == container.path
        assert repr(one) == f"<NetNS {container.path}>"


def test_a_closed_namespace_refuses_to_be_used(node: Node) -> None:
    """Once closed, a second time without effect, it has neither descriptor nor identity."""
    space = NetNS(node.new_container().path)
    space.close()
    space.close()
    with pytest.raises(ValueError, match="is closed"):
        space.fileno()
    with pytest.raises(ValueError, match="is closed"):
        _ = space.ident


def test_a_dropped_namespace_closes_its_descriptor(node: Node) -> None:
    """No descriptor stays open when a handle is dropped, or could not be made."""
    path = node.new_container().path
    before = open_descriptors()
    for _ in range(3):
        NetNS(path)
        with pytest.raises(KernelError):
            NetNS("/dev/null")
    assert open_descriptors() == before


def make_fifo(path: Path) -> None:
    """Make a file that blocks whoever opens it carelessly."""
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.touch, "not a namespace"),
        (Path.mkdir, "not a namespace"),
        (make_fifo, "not a namespace"),
        (lambda path: path.symlink_to("/proc/self/ns/mnt"), "another kind of namespace"),
        (lambda path: path.symlink_to("nowhere"), "no such file or directory"),
        (lambda path: path.symlink_to(path), "too many levels of symbolic links"),
    ],
)
def test_other_files_are_no_namespaces(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    """Whatever else stands at a path is refused, in one line that names it."""
    path = tmp_path / "space"
    make(path)
    with pytest.raises(KernelError) as caught:
        NetNS(str(path))
    assert str(caught.value) == f"open network namespace {path}: {message}"


def test_a_missing_file_is_not_found() -> None:
    """A path without a file is a FileNotFoundError with its errno value."""
    with pytest.raises(FileNotFoundError) as caught:
        NetNS("/run/netns/nobody")
    assert isinstance(caught.value, NoSuchObjectError)
    assert caught.value.errno == 2
    assert str(caught.value) == (
        "open network namespace /run/netns/nobody: no such file or directory"
    )


def test_a_nul_in_a_path_is_refused() -> None:
    """C would see another path than the one that was given."""
    for call in (NetNS, netns.create, netns.remove, netns.read_sysctl):
        with pytest.raises(ValueError, match="NUL"):
            call("/proc/self/ns/net\0x")
    with pytest.raises(ValueError, match="NUL"):
        netns.write_sysctls([(FORWARD, "1\0", False)])


@pytest.mark.usefixtures("node")
def test_a_new_namespace_lives_until_it_is_removed() -> None:
    """One that is made is empty but for lo, and ends with its file once nobody has it open."""
    before = identity(OWN)
    netns.create("/run/netns/made")
    assert identity(OWN) == before
    with NetNS("/run/netns/made") as space:
        assert space.ident == identity("/run/netns/made") != before
        netns.remove("/run/netns/made")
        assert not Path("/run/netns/made").exists()
        assert netns.read_sysctl("net/ipv4/conf/lo/forwarding", space.fileno()) == "0"
    netns.remove("/run/netns/made")


@pytest.mark.usefixtures("node")
def test_a_namespace_is_not_made_over_another() -> None:
    """What is at the path stays, and no namespace is left behind."""
    netns.create("/run/netns/made")
    before = identity("/run/netns/made")
    with pytest.raises(FileExistsError) as caught:
        netns.create("/run/netns/made")
    assert str(caught.value) == "create /run/netns/made: file exists"
    assert identity("/run/netns/made") == before
    with pytest.raises(FileNotFoundError):
        netns.create("/run/nowhere/made")


@pytest.mark.usefixtures("node")
def test_only_namespaces_are_removed() -> None:
    """Mounts, directories and files of others stay; an empty file is what an old pin leaves."""
    Path("/run/netns/full").write_text("something")
    Path("/run/netns/link").symlink_to("/proc/self/ns/net")
    for path in ("/run", "/run/netns", "/run/netns/full"):
        with pytest.raises(KernelError) as caught:
            netns.remove(path)
        assert str(caught.value) == f"remove {path}: not a namespace"
    with pytest.raises(KernelError, match="unmount network namespace /run/netns/link"):
        netns.remove("/run/netns/link")
    assert sorted(os.listdir("/run/netns")) == ["full", "link"]
    Path("/run/netns/empty").touch()
    netns.remove("/run/netns/empty")
    assert not Path("/run/netns/empty").exists()


def test_sysctls_are_those_of_the_namespace(node: Node) -> None:
    """A value written in a namespace is read there, and nowhere else."""
    container = node.new_container()
    netns.write_sysctls([(FORWARD, "1", False)], container.fd)
    assert netns.read_sysctl(FORWARD, container.fd) == "1"
    assert netns.read_sysctl(FORWARD) == "0"
    with node.inside(container):
        assert Path(f"/proc/sys/{FORWARD}").read_text() == "1\n"


def test_sysctls_are_written_in_order_until_one_fails(node: Node) -> None:
    """An optional one may fail; another one ends the call, and those after it stay."""
    container = node.new_container()
    wanted = [
        ("net/ipv4/conf/lo/nonsense", "1", True),
        ("net/ipv4/conf/lo/arp_notify", "1", False),
        ("net/ipv4/conf/nowhere/arp_notify", "1", False),
        (FORWARD, "1", False),
    ]
    with pytest.raises(FileNotFoundError) as caught:
        netns.write_sysctls(wanted, container.fd)
    assert str(caught.value) == (
        "open sysctl net/ipv4/conf/nowhere/arp_notify: no such file or directory"
    )
    assert netns.read_sysctl("net/ipv4/conf/lo/arp_notify", container.fd) == "1"
    assert netns.read_sysctl(FORWARD, container.fd) == "0"


def test_a_refused_value_is_named(node: Node) -> None:
    """A value the kernel does not take is an error that says which, unless it is optional."""
    fd = node.new_container().fd
    with pytest.raises(KernelError) as caught:
        netns.write_sysctls([(FORWARD, "yes", False)], fd)
    assert str(caught.value) == f"write yes to sysctl {FORWARD}: invalid argument"
    netns.write_sysctls([(FORWARD, "yes", True)], fd)
    netns.write_sysctls([], fd)


@pytest.mark.parametrize(
    "call",
    [
        lambda fd: netns.read_sysctl(FORWARD, fd),
        lambda fd: netns.write_sysctls([(FORWARD, "0", False)], fd),
    ],
)
def test_descriptors_that_are_no_namespace_are_refused(call: Callable[[int], object]) -> None:
    """Other files, other kinds of namespaces and closed descriptors cannot be entered."""
    before = identity(OWN)
    for path in ("/dev/null", "/proc/self/ns/mnt"):
        fd = os.open(path, os.O_RDONLY)
        with pytest.raises(KernelError, match="namespace: invalid argument"):
            call(fd)
        os.close(fd)
    with pytest.raises(KernelError, match="namespace: bad file descriptor"):
        call(1000)
    assert identity(OWN) == before


def test_identifying_a_closed_descriptor_fails() -> None:
    """A descriptor that is not open has no identity."""
    with pytest.raises(KernelError, match=r"identify .*: bad file descriptor"):
        netns.identify(1000)


def test_no_call_leaves_its_thread_elsewhere(node: Node) -> None:
    """Each call, successful or not, returns in the namespace its thread was in."""
    container = node.new_container()
    calls: list[Callable[[], object]] = [
        lambda: NetNS(container.path).close(),
        lambda: NetNS("/dev/null"),
        lambda: netns.identify(container.fd),
        lambda: netns.create("/run/netns/made"),
        lambda: netns.create("/run/netns/made"),
        lambda: netns.create("/proc/made"),
        lambda: netns.remove("/run/netns/made"),
        lambda: netns.read_sysctl(FORWARD, container.fd),
        lambda: netns.read_sysctl("nonsense", container.fd),
        lambda: netns.read_sysctl("x" * 500, container.fd),
        lambda: netns.write_sysctls([(FORWARD, "1", False)], container.fd),
        lambda: netns.write_sysctls([("nonsense", "1", False)], container.fd),
        lambda: netns.write_sysctls([(FORWARD, "nonsense", False)], container.fd),
    ]
    moved = []

    def run() -> None:
        for number, call in enumerate(calls):
            before = identity(OWN)
            with suppress(KernelError):
                call()
            if identity(OWN) != before:
                moved.append(number)

    with node.inside(container):
        run()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert moved == []
