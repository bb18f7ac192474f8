"""A node: a private host for one competitor.

A node is a new network, mount and PID namespace. It has ``lo`` and nothing else, its own
``/run``, ``/var/lib/cni``, ``/etc/cni``, ``/etc/cnifast`` and ``/sys``, and dies with this
process: the kernel kills what runs in it and takes links, rules and mounts away. Nothing in a
node can reach, or be reached from, another network.

Programs run in a node through its runner (``c/exec_runner.c``), which reads the clock itself.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

ROOT = Path(__file__).resolve().parent
BUILD = ROOT.parent / "build" / "benchmarks"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SETUP = """
set -eu
mount -t sysfs sysfs /sys
grep -oE ' /run/netns[^ ]* ' /proc/self/mounts | tac | while read -r m; do umount -l "$m"; done
for dir in /run /var/lib/cni /etc/cni /etc/cnifast; do
    mkdir -p "$dir"
    mount -t tmpfs -o mode=755 tmpfs "$dir"
done
mkdir -p /run/netns /run/lock /etc/cni/net.d
ip link set lo up
trap '' CHLD
echo ready
exec sleep infinity
"""


class NodeError(Exception):
    """A node could not be made, or a program run in it for set-up failed."""


@dataclass(slots=True, frozen=True)
class Request:
    """A program to run: its arguments, of which the first is a path, environment and input."""

    argv: Sequence[str]
    env: Mapping[str, str]
    stdin: bytes = b""


@dataclass(slots=True, frozen=True)
class Outcome:
    """What one program did: times in nanoseconds, its exit code and its output."""

    ns: int
    cpu_ns: int
    exit_code: int
    out: bytes
    err: bytes


@dataclass(slots=True, frozen=True)
class Sample:
    """One operation of a churn, all its calls: ``op`` is "A" (ADD) or "D" (DEL)."""

    op: str
    pod: int
    ns: int
    exit_code: int


@dataclass(slots=True, frozen=True)
class Churn:
    """What several clients at once did: nanoseconds in all, each operation, the first error."""

    wall_ns: int
    samples: list[Sample]
    error: str


def why_not() -> str | None:
    """Return why no node can be made here, or None when one can."""
    for tool in ("unshare", "nsenter", "setpriv", "ip", "cc"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    probe = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    return None if probe.returncode == 0 else "making namespaces needs root"


def compile_c(name: str, *options: str) -> Path:
    """Compile ``c/NAME*.c`` unless that is done already; return the program.

    Raises:
        NodeError: the compiler failed; its message is the text.
    """
    sources = sorted((ROOT / "c").glob(f"{name}*.[ch]"))
    program = BUILD / name
    changed = max(source.stat().st_mtime for source in sources)
    if program.exists() and program.stat().st_mtime > changed:
        return program
    BUILD.mkdir(parents=True, exist_ok=True)
    units = [str(source) for source in sources if source.suffix == ".c"]
    command = ["cc", "-O2", "-Wall", "-Wextra", "-o", str(program), *units, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NodeError(done.stderr)
    return program


class Node:
    """A private host; use as a context manager."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pods = 0
        holder = [
            *("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork"),
            *("--kill-child", "--propagation", "private", "--mount-proc", "sh", "-c", _SETUP),
        ]
        self._holder = subprocess.Popen(holder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            raise NodeError(f"node {name} did not come up")
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self.pid = int(children.read_text().split()[0])
        self._runner = self.popen([str(compile_c("exec_runner"))])
        links = [link["ifname"] for link in self.links()]
        if [name for name in links if name != "lo" and not _is_fallback(name)]:
            raise NodeError(f"node {name} is not private: {links}")

    def popen(self, argv: Sequence[str], **keywords: Any) -> subprocess.Popen[bytes]:
        """Start a program in this node with pipes to it; it dies with the node at the latest."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--"]
        keywords.setdefault("env", {"PATH": PATH})
        keywords.setdefault("stdin", subprocess.PIPE)
        keywords.setdefault("stdout", subprocess.PIPE)
        return subprocess.Popen([*enter, *argv], **keywords)

    def call(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, stdin: bytes = b""
    ) -> Outcome:
        """Run a program in this node and time it; ``argv[0]`` is an absolute path."""
        self._send(_encode(Request(argv, env or {}, stdin)))
        ns, cpu_ns, exit_code, out, err = (int(word) for word in self._line().split())
        return Outcome(ns, cpu_ns, exit_code, self._read(out), self._read(err))

    def do(self, *argv: str, stdin: bytes = b"") -> bytes:
        """Run a program for set-up or checking, outside of any measurement; return its output.

        Raises:
            NodeError: it failed.
        """
        program = shutil.which(argv[0], path=PATH) or argv[0]
        done = self.call([program, *argv[1:]], stdin=stdin)
        if done.exit_code:
            text = (done.out + done.err).decode(errors="replace")
            raise NodeError(f"{self.name}: {' '.join(argv)}: {text.strip()}")
        return done.out

    def make_pods(self, count: int, prefix: str = "pod") -> list[str]:
        """Make ``count`` network namespaces, as `ip netns add` does; return their paths."""
        self._send(f"pods {count} {prefix}\n".encode())
        if self._line() != "ok":
            raise NodeError(f"{self.name}: no pods")
        return [f"/run/netns/{prefix}{number}" for number in range(count)]

    def churn(
        self,
        add: Sequence[Request],
        delete: Sequence[Request],
        *,
        clients: int,
        pods: int,
        loops: int = 1,
        ops: str = "AD",
    ) -> Churn:
        """Let ``clients`` at once ADD ("A") and DEL ("D") ``pods`` pods, ``loops`` times each.

        ``add`` and ``delete`` are run one after the other; ``@POD@`` in them stands for the pod's
        number, ``@POD+N@`` for that and N, ``@PREV@`` for what was printed last for its ADD.
        """
        header = f"churn {ops} {clients} {pods} {loops} {len(add)} {len(delete)}\n"
        self._send(header.encode() + b"".join(_encode(each) for each in (*add, *delete)))
        wall_ns, operations = (int(word) for word in self._line().split())
        samples = []
        for _ in range(operations):
            op, pod, ns, exit_code = self._line().split()
            samples.append(Sample(op, int(pod), int(ns), int(exit_code)))
        return Churn(wall_ns, samples, self._read(int(self._line())).decode(errors="replace"))

    def links(self, netns: str | None = None) -> list[dict[str, Any]]:
        """Return the links of the node, or of a pod's namespace, as `ip -j addr` prints them."""
        where = ["-n", Path(netns).name] if netns else []
        links: list[dict[str, Any]] = json.loads(self.do("ip", "-j", *where, "addr") or b"[]")
        return [link for link in links if link and not _is_fallback(link["ifname"])]

    def routes(self, netns: str) -> list[dict[str, Any]]:
        """Return the IPv4 routes of a pod's namespace, as `ip -j route` prints them."""
        routes: list[dict[str, Any]] = json.loads(
            self.do("ip", "-j", "-n", Path(netns).name, "route") or b"[]"
        )
        return routes

    def find(self, *words: str) -> Path:
        """Return the folder in /proc of the process in this node whose arguments have ``words``.

        Raises:
            NodeError: there is none.
        """
        mine = Path(f"/proc/{self.pid}/ns/pid").readlink()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if (folder / "ns/pid").readlink() == mine and set(words) <= set(arguments):
                    return folder
            except OSError:
                continue
        raise NodeError(f"{self.name}: no process {' '.join(words)}")

    def path(self, inside: str) -> Path:
        """Return how this process reaches a file of the node."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def close(self) -> None:
        """End the node and everything in it."""
        for process in (self._runner, self._holder):
            process.send_signal(signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, request: bytes) -> None:
        assert self._runner.stdin is not None
        self._runner.stdin.write(request)
        self._runner.stdin.flush()

    def _line(self) -> str:
        assert self._runner.stdout is not None
        line = self._runner.stdout.readline()
        if not line:
            raise NodeError(f"{self.name}: the runner ended")
        return line.decode().rstrip("\n")

    def _read(self, length: int) -> bytes:
        assert self._runner.stdout is not None
        return self._runner.stdout.read(length)


def _encode(request: Request) -> bytes:
    env = [f"{key}={value}" for key, value in {"PATH": PATH, **request.env}.items()]
    header = f"call {len(request.argv)} {len(env)} {len(request.stdin)}\n"
    strings = "".join(f"{text}\0" for text in (*request.argv, *env))
    return header.encode() + strings.encode() + request.stdin


def _is_fallback(name: str) -> bool:
    """Tell whether a link is one the kernel puts into every new network namespace."""
    kinds = (
        "ifb",
        "tunl",
        "gre",
        "gretap",
        "erspan",
        "sit",
        "ip6tnl",
        "ip6gre",
        "ip_vti",
        "ip6_vti",
    )
    return name.rstrip("0123456789") in kinds
