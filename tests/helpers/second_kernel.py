"""Tests that need what this machine's kernel may not have: they run on a second kernel then.

`@pytest.mark.second_kernel("ipvlan")` names one of FEATURES.  Where the kernel has it the test is
like any other.  Where it has not, all such tests are run by one pytest on a second kernel, which
is booted when the first test starts; its reports stand for those of this process.  They come last,
so that it is done by then, and with pytest-xdist all workers share it.

`@pytest.mark.kind_of("case")` is for a test with a parameter of this name, which is a plugin's name
or has one: it needs the feature of that name, if there is one.  Of many such cases `one_in=6` has
every sixth one run there.

`slow=True` is for tests that take minutes there, as plugins called by cold and warm binaries do:
`CNIFAST_TESTS=all` runs them, too.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import guest
from .effort import ALL, everything, in_sample
from .node import TOOLS_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAIR = "link add v0 type veth peer name v1"
# By name: what `ip` can do where the kernel has it.
FEATURES = {
    "bridge VLANs": ("link add probe type bridge vlan_filtering 1",),
    "bond": ("link add probe type bond",),
    "dummy": ("link add probe type dummy",),
    "ipvlan": (_PAIR, "link add link v0 name probe type ipvlan"),
    "vlan": (_PAIR, "link add link v0 name probe type vlan id 5"),
    "vrf": ("link add probe type vrf table 10",),
}
_MARKER, _KIND_OF = "second_kernel", "kind_of"
_REPORTS = "CNIFAST_SECOND_KERNEL_REPORTS"  # the file of the reports, on the second kernel
_WITHOUT = ("cacheprovider", "xdist", "hypothesispytest", "benchmark")  # cost seconds there
_SLOW_WAYS = {"cold", "warm"}
_handed = pytest.StashKey[list[str]]()
_directory = pytest.StashKey[Path]()


@cache
def kernel_has(feature: str) -> bool:
    """Tell whether this machine's kernel has a feature, by trying it in a namespace of its own."""
    script = " && ".join(f"ip {command}" for command in FEATURES[feature])
    command = ["unshare", "--net", "sh", "-c", script]
    path = f"{os.environ.get('PATH', '')}:{TOOLS_PATH}"
    done = subprocess.run(command, capture_output=True, check=False, env={"PATH": path})
    return done.returncode == 0


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    for call in (f"{_MARKER}(feature, slow=False)", f"{_KIND_OF}(parameter, one_in=1)"):
        config.addinivalue_line("markers", f"{call}: needs a kernel with this, and gets one")


def _needs(item: pytest.Item) -> Iterator[tuple[str, bool]]:
    """Yield the features that a test needs, and whether it is slow without them."""
    for mark in item.iter_markers(_MARKER):
        yield mark.args[0], mark.kwargs.get("slow", False)
    for mark in item.iter_markers(_KIND_OF):
        assert isinstance(item, pytest.Function)
        parameters = item.callspec.params
        value = parameters[mark.args[0]]
        plugin = getattr(value, "plugin", value)
        if plugin in FEATURES:
            ways = {parameters.get("runner"), parameters.get("stand")}
            chosen = in_sample(str(value), mark.kwargs.get("one_in", 1))
            yield plugin, not chosen or bool(_SLOW_WAYS & ways)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests that are for the second kernel last; skip those that it is not there for."""
    if _REPORTS in os.environ:
        return
    missing = guest.missing()
    mine: list[pytest.Item] = []
    handed: list[pytest.Item] = []
    for item in items:
        needs = [need for need in _needs(item) if not kernel_has(need[0])]
        lacking = [feature for feature, _ in needs]
        slow = any(slow for _, slow in needs)
        if not lacking:
            mine.append(item)
        elif missing or (slow and not everything()):
            why = missing or f"on another one this takes minutes: {ALL} does it"
            item.add_marker(pytest.mark.skip(f"this kernel has no {', '.join(lacking)}; {why}"))
            mine.append(item)
        else:
            handed.append(item)
    items[:] = [*mine, *handed]
    config.stash[_handed] = [item.nodeid for item in handed]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Boot the second kernel, unless another worker has, and leave it running."""
    ids = session.config.stash.get(_handed, [])
    if not ids or session.config.option.collectonly:
        return
    shared = session.config._tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    directory = session.config.stash[_directory] = shared / "second-kernel"
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # it runs
        if (directory / "run").exists():
            return  # it has run
        (directory / "run").write_text(_script(session.config.rootpath, directory, ids))
        # The lock is held for as long as the program lives, which outlives this worker perhaps.
        os.set_inheritable(lock.fileno(), True)
        os.posix_spawn(sys.executable, [sys.executable, guest.__file__, str(directory)], os.environ)


def _script(root: Path, directory: Path, ids: list[str]) -> str:
    """Return the shell script that runs tests on the second kernel."""
    kept = {key: value for key, value in os.environ.items() if key.startswith("CNIFAST_")}
    variables = {**kept, _REPORTS: str(directory / "reports")}
    exports = [f"export {key}={shlex.quote(value)}" for key, value in variables.items()]
    without = [word for plugin in _WITHOUT for word in ("-p", f"no:{plugin}")]
    command = [sys.executable, "-m", "pytest", "-q", *without, *ids]
    return "\n".join([f"cd {shlex.quote(str(root))}", *exports, shlex.join(command), ""])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Report what the second kernel reported of a test."""
    del nextitem
    if item.nodeid not in item.config.stash.get(_handed, []):
        return None
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports(item):
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _reports(item: pytest.Item) -> Iterator[Any]:
    """Yield the reports of a test, or one that says that there are none."""
    directory = item.config.stash[_directory]
    with (directory / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # until it has stopped
    found = _read(directory / "reports").get(item.nodeid, [])
    for data in found:
        yield item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
    if "teardown" not in {data["when"] for data in found}:
        said = "\n".join(_tail(directory / name) for name in ("output", "console"))
        yield pytest.TestReport(
            item.nodeid,
            item.location,
            {},
            "failed",
            f"the second kernel did not report the end of this test\n{said}",
            "call",
        )


@cache
def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the reports in a file by test."""
    found: dict[str, list[dict[str, Any]]] = {}
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    for line in lines:
        if line.endswith("\n"):
            data = json.loads(line)
            if isinstance(data["longrepr"], list):
                data["longrepr"] = tuple(data["longrepr"])  # as pytest tells why it was skipped
            found.setdefault(data["nodeid"], []).append(data)
    return found


def _tail(path: Path) -> str:
    """Return the end of a file."""
    return path.read_text(errors="replace")[-4000:] if path.exists() else f"no {path.name}"


class _Writer:
    """Writes the reports down, on the second kernel."""

    def __init__(self, config: pytest.Config, path: str) -> None:
        self._config = config
        # Opened before tests mount things over directories.
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a report down."""
        hook = self._config.hook
        data = hook.pytest_report_to_serializable(config=self._config, report=report)
        self._file.write(json.dumps(data, default=str) + "\n")
        self._file.flush()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Have the reports written down, on the second kernel."""
    if path := os.environ.get(_REPORTS):
        session.config.pluginmanager.register(_Writer(session.config, path))
