"""Builds the plugin archive from a wheel: `archive.py WHEEL CFFI_WHEEL... --output DIRECTORY`.

The archive has the layout of the reference's: unpacked into /opt/cni/bin, the binaries are at the
top.  A folder beside them, `.cnifast/VERSION`, has what they run where no cnifast is installed: the
package, and cffi's runtime for each Python that a cffi wheel is given for.  It comes first, so that
there is no instant at which a binary is without it.

The same input gives the same bytes: names are sorted, owners and times are fixed.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import io
import os
import re
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
SHIM = "cnifast/_bin/cnifast-shim"
REGISTRY = "cnifast/plugins/__init__.py"
LEFT_OUT = (".pyi", "py.typed")
PROGRAM, FILE = 0o755, 0o644


def main() -> None:
    """Build the archive that the command line describes, and print its path."""
    parser = argparse.ArgumentParser(description="Build the plugin archive from a wheel.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("cffi", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    print(build(args.wheel, args.cffi, args.output))


def build(wheel: Path, cffi: list[Path], output: Path) -> Path:
    """Write the archive into a directory; return its path."""
    version, architecture = named(wheel)
    target = output / f"cnifast-plugins-linux-{architecture}-v{version}.tgz"
    with zipfile.ZipFile(wheel) as opened:
        folder, binaries = contents(opened)
    for path in cffi:
        with zipfile.ZipFile(path) as opened:
            folder.update(runtime(opened))
    folder["start.py"] = (HERE / "start.py").read_bytes()
    members = {f".cnifast/{version}/{name}": (data, FILE) for name, data in folder.items()}
    shim = f".cnifast/{version}/{SHIM}"
    members[shim] = (members[shim][0], PROGRAM)
    members = dict(sorted(members.items()))
    members["LICENSE"] = ((HERE.parent / "LICENSE").read_bytes(), FILE)
    members["README.md"] = ((HERE / "archive.md").read_bytes(), FILE)
    members.update({name: (data, PROGRAM) for name, data in sorted(binaries.items())})
    output.mkdir(parents=True, exist_ok=True)
    target.write_bytes(packed(members, int(os.environ.get("SOURCE_DATE_EPOCH", "0"))))
    return target


def named(wheel: Path) -> tuple[str, str]:
    """Return the version and, as Go calls it, the architecture in a wheel's name.

    Raises:
        ValueError: it has none that there are plugin binaries for.
    """
    version, machine = wheel.name.split("-")[1], re.search(r"(x86_64|aarch64)\.whl$", wheel.name)
    if machine is None:
        raise ValueError(f"{wheel.name}: no architecture of {', '.join(ARCHITECTURES)}")
    return version, ARCHITECTURES[machine[1]]


def contents(wheel: zipfile.ZipFile) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the files of the package, and those of the plugin binaries, by name."""
    folder = {
        name: wheel.read(name)
        for name in wheel.namelist()
        if name.startswith("cnifast/") and not name.endswith((*LEFT_OUT, "/"))
    }
    return folder, dict.fromkeys(plugins(folder[REGISTRY].decode()), folder[SHIM])


def plugins(registry: str) -> list[str]:
    """Return the names in the registry of plugins, without importing it.

    Raises:
        ValueError: there is no registry in it.
    """
    for node in ast.parse(registry).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "MODULES":
            return list(ast.literal_eval(node.value))
    raise ValueError(f"{REGISTRY} has no table MODULES")


def runtime(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    """Return cffi's runtime and its licence, by the names that they have in the folder.

    Raises:
        ValueError: it has none, or one that needs libraries of its own.
    """
    names = wheel.namelist()
    found = {name: wheel.read(name) for name in names if re.match(r"_cffi_backend\.\S+\.so$", name)}
    if len(found) != 1 or any(".libs/" in name for name in names):
        raise ValueError(f"{wheel.filename}: not a cffi wheel with one self-contained runtime")
    licence = next(name for name in names if re.search(r"\.dist-info/.*LICENSE$", name))
    return {**found, "LICENSE.cffi": wheel.read(licence)}


def packed(members: dict[str, tuple[bytes, int]], time: int) -> bytes:
    """Return a compressed archive of the members, directories included, in their order."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", fileobj=buffer, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        made: set[str] = set()
        for name, (data, mode) in members.items():
            for parent in (".", *map(str, reversed(Path(name).parents[:-1]))):
                if parent not in made:
                    made.add(parent)
                    archive.addfile(entry(parent, PROGRAM, time, tarfile.DIRTYPE))
            info = entry(name, mode, time, tarfile.REGTYPE)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def entry(name: str, mode: int, time: int, kind: bytes) -> tarfile.TarInfo:
    """Return the header of a member, as the reference's archives name theirs."""
    info = tarfile.TarInfo("./" if name == "." else f"./{name}")
    info.mode, info.mtime, info.type = mode, time, kind
    info.uname = info.gname = "root"
    return info


if __name__ == "__main__":
    main()
