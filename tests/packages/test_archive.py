"""How the plugin archive is made from wheels."""

from __future__ import annotations

import hashlib
import importlib.util
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast import __version__
from cnifast.plugins import NAMES

if TYPE_CHECKING:
    from types import ModuleType

PATH = Path(__file__).parents[2] / "wheels" / "archive.py"


@pytest.fixture(scope="session")
def builder() -> ModuleType:
    """The script that makes archives."""
    spec = importlib.util.spec_from_file_location("archive", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def zipped(path: Path, **files: str) -> Path:
    """Write a wheel with these files."""
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return path


def package(directory: Path, machine: str = "x86_64", **more: str) -> Path:
    """Write a wheel of something like cnifast."""
    files = {
        "cnifast/__init__.py": "",
        "cnifast/py.typed": "",
        "cnifast/_bin/cnifast-shim": "shim",
        "cnifast/plugins/__init__.py": 'MODULES = {"vlan": "x", "bridge": "y"}\n',
        "cnifast-9.8.dist-info/METADATA": "",
        **more,
    }
    return zipped(directory / f"cnifast-9.8-cp311-abi3-manylinux_2_34_{machine}.whl", **files)


def cffi(directory: Path, *names: str) -> Path:
    """Write a wheel of something like cffi."""
    licence = {"cffi-2.dist-info/licenses/LICENSE": "MIT"}
    return zipped(directory / "cffi.whl", **dict.fromkeys(names, "so"), **licence)


def test_layout(builder: ModuleType, tmp_path: Path) -> None:
    """Binaries are programs at the top; the folder with what they run comes before them."""
    path = builder.build(
        package(tmp_path), [cffi(tmp_path, "_cffi_backend.cpython-311.so")], tmp_path / "out"
    )
    assert path.name == "cnifast-plugins-linux-amd64-v9.8.tgz"
    with tarfile.open(path) as archive:
        members = {member.name: member for member in archive}
    folder = ".cnifast/9.8"
    assert list(members) == [
        ".",
        "./.cnifast",
        f"./{folder}",
        f"./{folder}/LICENSE.cffi",
        f"./{folder}/_cffi_backend.cpython-311.so",
        f"./{folder}/cnifast",
        f"./{folder}/cnifast/__init__.py",
        f"./{folder}/cnifast/_bin",
        f"./{folder}/cnifast/_bin/cnifast-shim",
        f"./{folder}/cnifast/plugins",
        f"./{folder}/cnifast/plugins/__init__.py",
        f"./{folder}/start.py",
        "./LICENSE",
        "./README.md",
        "./bridge",
        "./vlan",
    ]
    modes = {name: member.mode for name, member in members.items() if member.isfile()}
    assert {name for name, mode in modes.items() if mode == 0o755} == {
        f"./{folder}/cnifast/_bin/cnifast-shim",
        "./bridge",
        "./vlan",
    }
    assert {(member.uid, member.gid, member.mtime) for member in members.values()} == {(0, 0, 0)}


def test_same_input_same_bytes(
    builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive depends on the wheels and the time given, on nothing else."""
    wheels = package(tmp_path), [cffi(tmp_path, "_cffi_backend.cpython-311.so")]
    once = builder.build(*wheels, tmp_path / "1").read_bytes()
    assert builder.build(*wheels, tmp_path / "2").read_bytes() == once
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert builder.build(*wheels, tmp_path / "3").read_bytes() != once


def test_other_architectures(builder: ModuleType, tmp_path: Path) -> None:
    """Architectures are called as the reference calls them; others are refused."""
    runtime = [cffi(tmp_path, "_cffi_backend.abi3.so")]
    path = builder.build(package(tmp_path, "aarch64"), runtime, tmp_path)
    assert path.name == "cnifast-plugins-linux-arm64-v9.8.tgz"
    with pytest.raises(ValueError, match="no architecture"):
        builder.build(package(tmp_path, "riscv64"), runtime, tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("_cffi_backend.cpython-311.so", "cffi.libs/libffi.so"),
        ("_cffi_backend.cpython-311.so", "_cffi_backend.cpython-312.so"),
    ],
)
def test_unfit_cffi_wheels(builder: ModuleType, tmp_path: Path, names: tuple[str, ...]) -> None:
    """A cffi wheel that is not one self-contained runtime is refused."""
    with pytest.raises(ValueError, match="not a cffi wheel"):
        builder.build(package(tmp_path), [cffi(tmp_path, *names)], tmp_path)


def test_wheel_without_plugins(builder: ModuleType, tmp_path: Path) -> None:
    """A wheel that has no registry of plugins is refused."""
    wheel = package(tmp_path, **{"cnifast/plugins/__init__.py": "NAMES = ()\n"})
    with pytest.raises(ValueError, match="no table MODULES"):
        builder.build(wheel, [cffi(tmp_path, "_cffi_backend.cpython-311.so")], tmp_path)


def test_release(release: Path, wheel: Path, archive: Path) -> None:
    """A release is a wheel and an archive of this version, with the sums of both."""
    sums = {
        name: digest
        for digest, name in map(str.split, (release / "SHA256SUMS").read_text().splitlines())
    }
    assert sums == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, archive)
    }
    assert wheel.name.startswith(f"cnifast-{__version__}-cp311-abi3-manylinux_2_34_")


def test_release_has_every_plugin(archive: Path) -> None:
    """The archive's programs are the plugins that there are."""
    with tarfile.open(archive) as opened:
        top = {m.name[2:] for m in opened if m.isfile() and m.name.count("/") == 1 and m.mode & 1}
    assert top == set(NAMES)
