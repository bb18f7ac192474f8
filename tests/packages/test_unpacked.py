"""Plugin binaries of an archive: they find what they run, or say what is missing."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast import __version__
from cnifast.cli.__main__ import main
from cnifast.cli.install import InstallError, describe, install
from helpers import nsutil
from helpers.bench import PATIENCE, end_left_service, left_service, wait_for
from helpers.node import need_tools
from helpers.plugin import Attachment, BinaryRunner

from .conftest import without_folder

if TYPE_CHECKING:
    from helpers.node import Node

PYTHON = "/usr/bin/python3"
CONF = {
    "cniVersion": "1.1.0",
    "name": "net",
    "type": "bridge",
    "isDefaultGateway": True,
    "ipam": {"type": "host-local", "subnet": "10.7.0.0/24"},
}
OLD = sorted(Path.home().glob(".pyenv/versions/3.[6-9].*/bin/python3")) + sorted(
    Path.home().glob(".pyenv/versions/3.10.*/bin/python3")
)


def call(plugin: Path, **env: str) -> tuple[int, dict[str, object]]:
    """Ask a plugin for its STATUS, cold; return the exit status and what it printed."""
    done = subprocess.run(
        [plugin],
        env={"CNI_COMMAND": "STATUS", "CNI_PATH": "/", "CNIFAST_SERVICE": "off", **env},
        input=json.dumps({**CONF, "type": "loopback", "ipam": {}}).encode(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stderr == b"", done.stderr
    assert done.stdout.count(b"\n") <= 1
    return done.returncode, json.loads(done.stdout or b"{}")


def refusal(plugin: Path, **env: str) -> str:
    """Return what a plugin says that cannot run, which must be one CNI error."""
    status, error = call(plugin, **env)
    assert (status, error["code"], error["cniVersion"]) == (1, 999, "1.1.0")
    assert "no such file" not in str(error["msg"])
    return str(error["msg"])


def folder(directory: Path) -> Path:
    """Return the folder beside the binaries."""
    return directory / ".cnifast" / __version__


def has_own(module: str) -> bool:
    """Tell whether the node's Python has a module of its own."""
    return not subprocess.run([PYTHON, "-I", "-c", f"import {module}"], check=False).returncode


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_containers_are_attached(node: Node, unpacked: Path, mode: str) -> None:
    """What is unpacked works as it is: with no service, and with the one that it leaves."""
    runner = BinaryRunner("archive", str(unpacked), {"CNIFAST_SERVICE": mode})
    pods = [Attachment(runner, CONF, node.new_container()) for _ in range(2)]
    for pod in pods:
        outcome = pod.add()
        assert outcome.ok, outcome
        if mode == "auto":
            wait_for(lambda: left_service("/run/cnifast/cnifast.sock"))
    assert [pod.result["ips"][0]["address"] for pod in pods] == ["10.7.0.2/24", "10.7.0.3/24"]
    for pod in pods:
        assert pod.check().ok
        assert pod.delete().ok
    assert node.strays() == []
    assert os.listdir("/var/lib/cni/networks/net") == ["last_reserved_ip.0", "lock"]


def test_service_is_the_archives(unpacked: Path, tmp_path: Path) -> None:
    """The service that a call leaves is one that the archive's binaries take calls to."""
    socket = str(tmp_path / "run" / "sock")
    assert call(unpacked / "loopback", CNIFAST_SERVICE="auto", CNIFAST_SOCKET=socket) == (0, {})
    wait_for(lambda: left_service(socket))
    try:
        answer = call(unpacked / "loopback", CNIFAST_SERVICE="required", CNIFAST_SOCKET=socket)
        assert answer == (0, {})
    finally:
        end_left_service(socket)


def test_links_lead_to_the_folder(unpacked: Path, tmp_path: Path) -> None:
    """A link to a binary finds what is beside the binary."""
    link = tmp_path / "loopback"
    link.symlink_to(unpacked / "loopback")
    assert call(link) == (0, {})


def test_folder_is_no_plugin(unpacked: Path) -> None:
    """What is beside the binaries is nothing that a runtime could execute as a plugin."""
    others = {path for path in unpacked.iterdir() if not os.access(path, os.X_OK) or path.is_dir()}
    assert {path.name for path in others} == {".cnifast", "LICENSE", "README.md"}


def test_without_folder(unpacked: Path) -> None:
    """Binaries alone say that the folder is missing, and what to do."""
    if has_own("cnifast"):
        pytest.skip("this machine's Python has a cnifast of its own")
    said = refusal(without_folder(unpacked) / "loopback")
    assert f".cnifast/{__version__}" in said
    assert "cnifast plugins install" in said


def test_installed_package(node: Node, unpacked: Path) -> None:  # noqa: ARG001 - private mounts
    """Binaries alone run the package that is installed for the node's Python."""
    program = "import site; print([p for p in site.getsitepackages()][0])"
    site = subprocess.run([PYTHON, "-I", "-c", program], capture_output=True, text=True, check=True)
    target = Path(site.stdout.strip())
    if not target.is_dir():
        pytest.skip(f"{target} is not there to be covered by a package")
    package = unpacked.parent / "site"
    shutil.copytree(folder(unpacked), package)
    nsutil.mount(str(package), str(target), None, nsutil.MS_BIND)
    try:
        assert call(without_folder(unpacked) / "loopback") == (0, {})
    finally:
        nsutil.umount(str(target))


def test_no_python(unpacked: Path, tmp_path: Path) -> None:
    """On a node without Python that is what the error says."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a root directory without Python")
    need_tools("chroot")
    root = tmp_path / "root"
    (root / "dev").mkdir(parents=True)
    shutil.copytree(unpacked, root / "bin")
    done = subprocess.run(
        ["chroot", root, "/bin/loopback"],
        env={"CNI_COMMAND": "STATUS", "CNIFAST_SERVICE": "off", "PATH": "/usr/sbin:/usr/bin"},
        input=b"{}",
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    error = json.loads(done.stdout)
    assert (done.returncode, error["code"]) == (1, 999)
    assert "3.11 or newer as /usr/bin/python3 or /usr/local/bin/python3" in error["msg"]


def start(directory: Path, python: str, prelude: str = "") -> subprocess.CompletedProcess[bytes]:
    """Have a Python run the archive's script as a plugin binary does, after a prelude."""
    path = folder(directory) / "start.py"
    program = (
        f"import os, sys; sys.argv = [{str(path)!r}, 'loopback']; {prelude or 'pass'}\n"
        f"exec(compile(open({str(path)!r}).read(), {str(path)!r}, 'exec'), "
        f"{{'__name__': '__main__', '__file__': {str(path)!r}}})"
    )
    return subprocess.run(
        [python, "-I", "-S", "-c", program],
        env={"CNI_COMMAND": "STATUS", "CNI_PATH": "/"},
        input=json.dumps({**CONF, "type": "loopback", "ipam": {}}).encode(),
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


def test_old_python(unpacked: Path) -> None:
    """A Python that is too old, on a node with no other, is named together with its version."""
    done = start(
        unpacked, PYTHON, "sys.version_info = (3, 9, 2); os.access = lambda *a, **k: False"
    )
    error = json.loads(done.stdout)
    assert (done.returncode, done.stderr, error["code"]) == (1, b"", 999)
    assert "cnifast needs Python 3.11 or newer" in error["msg"]
    assert "is 3.9, and there is no newer one" in error["msg"]


@pytest.mark.skipif(not OLD, reason="no Python older than 3.11 at hand")
@pytest.mark.parametrize("old", OLD, ids=lambda path: path.parts[-3])
def test_newer_python_beside_an_old_one(unpacked: Path, old: Path) -> None:
    """An old Python hands the call to a newer one; without one, it says that it is too old."""
    if not list(Path("/usr/bin").glob("python3.1[1-9]")):
        pytest.skip("no Python under its version's name")
    done = start(unpacked, str(old))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = start(unpacked, str(old), "os.access = lambda *a, **k: False")
    assert "cnifast needs Python 3.11 or newer" in json.loads(done.stdout)["msg"]


def test_script_is_of_any_python(unpacked: Path) -> None:
    """The script that says so is written in what old versions read."""
    ast.parse((folder(unpacked) / "start.py").read_text(), feature_version=(3, 4))


def test_python_without_cffi(unpacked: Path) -> None:
    """A Python that there is no cffi for is named, and what to install."""
    done = start(unpacked, PYTHON, "sys.modules['_cffi_backend'] = None")
    error = json.loads(done.stdout)
    assert (done.returncode, done.stderr, error["code"]) == (1, b"", 999)
    assert "has no cffi for Python 3." in error["msg"]
    assert error["msg"].endswith("install cffi")


def test_core_that_cannot_be_loaded(unpacked: Path) -> None:
    """A native core that this node cannot load, as with an older C library, is told."""
    (core,) = folder(unpacked).glob("cnifast/_native/_ffi*.so")
    core.write_bytes(b"of another machine")
    assert "native core cannot be loaded" in refusal(unpacked / "loopback")


def test_descriptions(unpacked: Path) -> None:
    """What a binary of an archive runs is said in words."""
    path = str(unpacked / "bridge")
    assert describe(path) == f"{path}: cnifast {__version__}, {PYTHON} with {folder(unpacked)}"
    without_folder(unpacked)
    assert describe(path).endswith(f"{PYTHON} with a package of its own Python")


def test_command_line_of_the_folder(unpacked: Path) -> None:
    """The folder has the command line, which can bind the binaries to another Python."""
    env = {"PYTHONPATH": str(folder(unpacked)), "CNIFAST_SERVICE": "off"}
    cnifast = [PYTHON, "-m", "cnifast.cli"]
    doctor = subprocess.run(
        [*cnifast, "doctor", unpacked], env=env, capture_output=True, text=True, check=False
    )
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert f"with {folder(unpacked)}" in doctor.stdout
    subprocess.run(
        [*cnifast, "plugins", "install", unpacked], env=env, check=True, capture_output=True
    )
    assert describe(str(unpacked / "bridge")).endswith(f"cnifast {__version__}, {PYTHON}")
    assert call(unpacked / "loopback") == (0, {})


def test_install_from_the_archive(archive: Path, tmp_path: Path) -> None:
    """Installing from the archive puts there what unpacking does, and keeps what is foreign."""
    target = tmp_path / "bin"
    target.mkdir()
    (target / "loopback").write_text("theirs")
    with pytest.raises(InstallError, match="not ours"):
        install(str(target), archive=str(archive))
    assert [path.name for path in target.iterdir()] == ["loopback"]
    assert main(["plugins", "install", str(target), "--force", "--archive", str(archive)]) == 0
    assert (target / "loopback.orig").read_text() == "theirs"
    assert call(target / "loopback") == (0, {})
    subprocess.run(["tar", "-C", tmp_path, "-xzf", archive], check=True)
    assert content(target) == content(tmp_path) | {"loopback.orig": 0o644}


def content(directory: Path) -> dict[str, int]:
    """Return the modes of an installation's files; what Python wrote is left out."""
    return {
        str(path.relative_to(directory)): path.stat().st_mode & 0o777
        for path in sorted(directory.rglob("*"))
        if path.is_file()
        and path.suffix not in {".pyc", ".md"}
        and path.name != "LICENSE"
        and path.relative_to(directory).parts[0] != "bin"
    }


def test_other_archives_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no archive, or has no plugin binary, is refused before anything is written."""
    (tmp_path / "text").write_text("no archive")
    with tarfile.open(tmp_path / "other.tgz", "w:gz") as other:
        other.add(tmp_path / "text", "bridge")
    for name in ("text", "other.tgz", "none"):
        command = ["plugins", "install", str(tmp_path / "bin"), "--archive", str(tmp_path / name)]
        assert main(command) == 1
        assert f"{tmp_path}/{name}" in capsys.readouterr().err
    assert not (tmp_path / "bin").exists()
