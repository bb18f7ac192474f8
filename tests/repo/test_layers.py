"""The structure of the source: who may import and include whom, and what the cold path costs.

These rules are the architecture; a change that breaks one of them needs another design, not
another entry in a table here.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "cnifast"
CSRC = ROOT / "csrc"

# Packages from left to right.  A package imports only what is further left.
LAYERS = (
    ("_native", "protocol"),
    ("kernel", "invoke"),
    ("ipam",),
    ("plugins",),
    ("libcni",),
    ("kubernetes", "service"),
    ("cli",),
    ("__main__",),
)
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}

# The thin Python faces of the C core: the only ones that call it.
FACES = ("_native", "kernel", "ipam")

# Folders of csrc and what each may include besides itself and the exported header.
C_EDGES = {
    "base": set[str](),
    "netns": {"base"},
    "netlink": {"base", "netns"},
    "rtnl": {"base", "netlink"},
    "nft": {"base", "netlink"},
    "attach": {"base", "netns", "netlink", "rtnl", "nft"},
    "ipam": {"base"},
    "intake": {"base", "netns"},
    "shim": set[str](),
}
# What a program without a C library may include.
FREESTANDING = re.compile(r"(asm|linux)/\w+\.h|std(arg|bool|def|int)\.h")

LINES_MAX = 800
SOURCES = {".py", ".pyx", ".pxd", ".pyi", ".c", ".h", ".txt", ".sh"}

# None of these may be loaded while a plugin answers a call in a process of its own.  They cost
# from 1 ms (functools) to 60 ms (netaddr); the interpreter itself starts in 10 ms.  For JSON there
# is cnifast.protocol.codec, for addresses cnifast.protocol.ip.
HEAVY = {
    "argparse", "asyncio", "ast", "base64", "cffi", "collections", "concurrent", "configparser",
    "contextlib", "contextvars", "copy", "ctypes", "dataclasses", "datetime", "decimal", "dis",
    "email", "enum", "fnmatch", "functools", "glob", "hashlib", "heapq", "hmac", "http",
    "importlib.metadata", "importlib.resources", "inspect", "ipaddress", "json", "linecache",
    "logging", "multiprocessing", "netaddr", "operator", "pathlib", "pickle", "platform", "queue",
    "random", "re", "secrets", "select", "shlex", "shutil", "signal", "site", "socket", "ssl",
    "string", "subprocess", "tempfile", "textwrap", "threading", "tokenize", "tomllib", "traceback",
    "types", "typing", "urllib", "uuid", "warnings", "weakref", "zipfile",
}  # fmt: skip


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    found = {}
    for path in sorted(SRC.rglob("*.py*")):
        if path.suffix in {".py", ".pyi"}:
            parts = path.relative_to(SRC.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(), str(path))


def imports(name: str, path: Path) -> set[str]:
    """Return the dotted names that a module imports, wherever in it, for types included."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                own = name.split(".")
                keep = len(own) - node.level + (path.stem == "__init__")
                base = ".".join([*own[:keep], *filter(None, [base])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def package_of(name: str) -> str:
    """Return the package below cnifast that a dotted name is in, empty for cnifast itself."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "cnifast" else ""


EVERY_MODULE = modules()


def test_every_package_has_a_layer() -> None:
    """Every package of cnifast stands in one of the layers."""
    packages = {path.parent.name for path in SRC.glob("*/*.py")}
    assert packages
    assert packages <= set(LEVEL)
    assert {path.name for path in SRC.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("name", EVERY_MODULE)
def test_layers(name: str) -> None:
    """A module imports only its own package and packages of layers to the left."""
    own = package_of(name)
    for imported in imports(name, EVERY_MODULE[name]):
        other = package_of(imported)
        if not imported.startswith("cnifast.") or other in {own, "__version__"}:
            continue
        assert own, f"{name} imports {imported}: the top must stay free of imports"
        assert other in LEVEL, f"{name} imports {imported}: which layer is that?"
        assert LEVEL[other] < LEVEL[own], f"{name} imports {imported}"


def test_plugins_do_not_import_plugins() -> None:
    """A plugin is reached by the registry's name alone, never by an import from another."""
    plugin = re.compile(r"cnifast\.plugins\.(main|meta)\.\w+")
    for name, path in EVERY_MODULE.items():
        for imported in imports(name, path):
            found = plugin.match(imported)
            assert not found or found[0] == name, f"{name} imports {imported}"


def test_only_native_knows_cffi() -> None:
    """Nobody but the binding imports cffi, and only the faces of the core call it."""
    for name, path in EVERY_MODULE.items():
        own = package_of(name)
        for imported in imports(name, path):
            root = imported.partition(".")[0]
            if own != "_native":
                assert root not in {"cffi", "_cffi_backend"}, f"{name} imports {imported}"
                assert not imported.startswith("cnifast._native._ffi"), f"{name}: {imported}"
            if imported in {"cnifast._native.ffi", "cnifast._native.lib"}:
                assert own in FACES, f"{name} imports {imported}"


def test_only_the_binding_reads_errno() -> None:
    """Error numbers become exceptions in one place; everybody else tells classes apart."""
    for name, path in EVERY_MODULE.items():
        if name == "cnifast._native.errors":
            continue
        assert not {"errno"} & {i.partition(".")[0] for i in imports(name, path)}, name
        for node in ast.walk(tree(path)):
            read = isinstance(node, ast.Attribute) and node.attr in {"errno", "errorcode"}
            assert not read, f"{name}:{getattr(node, 'lineno', 0)} reads an error number"


def includes(path: Path) -> tuple[set[str], set[str]]:
    """Return what a C file includes: from the project, and from the system."""
    text = path.read_text()
    ours = re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE)
    theirs = re.findall(r"^\s*#\s*include\s+<([^>]+)>", text, re.MULTILINE)
    return set(ours), set(theirs)


# What is exported: one header, those of modules that it includes at its end, and one more part.
EXPORTED = ("cnifast.h", "intake/intake.h", "nft/firewall.h", "netns/dhcp.h", "cnifast_routing.h")
OWN = {"cnifast.h", "cnifast_routing.h"}
C_FILES = sorted(path for path in CSRC.rglob("*.[ch]") if path.name not in OWN)


def test_every_c_folder_has_a_place() -> None:
    """Every C file is in a folder whose includes are settled, but for the exported headers."""
    assert C_FILES
    assert {path.parent.relative_to(CSRC).as_posix() for path in C_FILES} <= set(C_EDGES)
    assert includes(CSRC / "cnifast.h")[0] == set(EXPORTED) - OWN
    for name in EXPORTED[1:]:
        assert includes(CSRC / name)[0] == {"cnifast.h"}


@pytest.mark.parametrize("path", C_FILES, ids=[f"{p.parent.name}/{p.name}" for p in C_FILES])
def test_c_includes(path: Path) -> None:
    """A C file includes its own folder and those below it, and what it names exists."""
    folder = path.parent.name
    ours, theirs = includes(path)
    for included in ours:
        if folder == "shim":
            assert (path.parent / included).is_file(), f"{path.name} includes {included}"
            continue
        assert (CSRC / included).is_file(), f"{path.name} includes {included}"
        other = included.partition("/")[0]
        allowed = {folder, *EXPORTED} | C_EDGES[folder]
        assert other in allowed, f"{folder}/{path.name} includes {included}"
        if (folder, other) == ("netlink", "netns"):
            assert path.name == "nlsock.c", "only sockets know of namespaces"
    if folder == "shim":
        hosted = {included for included in theirs if not FREESTANDING.fullmatch(included)}
        assert hosted == set(), f"{path.name} needs a C library for {hosted}"


def declarations(text: str) -> list[str]:
    """Return the declarations of a C header in one spelling, constants by their names alone.

    Comments, directives other than constants and include guards, layout, and the sizes of arrays
    that a constant gives are left out: the compiler fills those in.
    """
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = re.sub(r"//[^\n]*", " ", text).replace("\\\n", " ")
    constants = sorted(re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+\S", text, re.MULTILINE))
    text = re.sub(r"^[ \t]*#[^\n]*", " ", text, flags=re.MULTILINE)
    text = re.sub(r"\[(\.\.\.|[A-Z][A-Z0-9_]*)\]", "[]", text)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" ?([;{}(),*\[\]=]) ?", r"\1", text)
    text = text.replace(",}", "}")
    found, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if character == ";" and depth == 0:
            found.append(text[start:at].strip())
            start = at + 1
    assert text[start:].strip() == "", text[start:]
    # An array parameter is a pointer.
    plain = (d if "{" in d else re.sub(r" (\w+)\[\w*\]", r"*\1", d) for d in found)
    return [f"#define {name}" for name in constants] + sorted(plain)


def test_binding_mirrors_the_header() -> None:
    """The declarations given to cffi are those of the exported headers, one for one."""
    header = declarations("".join((CSRC / name).read_text() for name in EXPORTED))
    mirror = declarations((SRC / "_native" / "ffi.cdef.txt").read_text())
    assert len(header) > 1
    assert mirror == header


def test_declarations_are_told_apart() -> None:
    """The comparison above sees a changed type, name, member and constant."""
    base = "#define A 1\nstruct s {\n    int a; /* x */\n    char b[A];\n};\nint f(struct s *p);\n"
    mirror = "#define A ...\nstruct s { int a; char b[...]; };\nint f(struct s *p);"
    assert declarations(mirror) == declarations(base)
    for old, new in (("int a", "long a"), ("f(", "g("), ("char b", "char c"), ("e A", "e B")):
        assert declarations(mirror.replace(old, new)) != declarations(base)
    assert declarations(mirror + "void h(void);") != declarations(base)
    assert declarations("void f(char t[A]);") == declarations("void f(char *t);")
    assert declarations("void f(char t[A]);") != declarations("void f(char t);")


def test_file_sizes() -> None:
    """No source file is longer than one can keep in mind."""
    checked = 0
    for folder in ("src", "csrc", "tests", "benchmarks", "wheels", "scripts"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in SOURCES and path.is_file():
                checked += 1
                lines = len(path.read_text().splitlines())
                assert lines <= LINES_MAX, f"{path.relative_to(ROOT)} has {lines} lines"
    assert checked > 10


def loaded_by(*names: str) -> set[str]:
    """Return the modules that a cold process has loaded after importing these by name.

    The process is started as the plugin binary starts it: isolated and without site.
    """
    spec = importlib.util.find_spec("cnifast")
    assert spec is not None
    assert spec.origin is not None
    paths = [str(Path(spec.origin).parents[1])]
    backend = importlib.util.find_spec("_cffi_backend")
    if backend is not None and backend.origin is not None:
        paths.append(str(Path(backend.origin).parent))
    script = (
        f"import sys; sys.path[:0] = {paths!r}\n"
        f"import {', '.join(names)}\n"
        "print(*sys.modules, sep='\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], check=False, capture_output=True, text=True
    )
    if "native core is not built" in done.stderr:
        pytest.skip("the native core is not built: install the package first")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def plugin_modules() -> dict[str, str]:
    """Return the modules of the plugins that are there, by the plugins' names."""
    registry = tree(SRC / "plugins" / "__init__.py")
    for node in registry.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "MODULES":
            return {
                plugin: module
                for plugin, module in ast.literal_eval(node.value).items()
                if module in EVERY_MODULE
            }
    raise AssertionError("plugins/__init__.py has no table MODULES")


def heavy(loaded: set[str]) -> set[str]:
    """Return what of the loaded modules is too heavy."""
    return {name for name in loaded if name in HEAVY or name.partition(".")[0] in HEAVY}


def test_protocol_is_light() -> None:
    """The whole protocol package loads without anything heavy, and without the core."""
    names = [name for name in EVERY_MODULE if package_of(name) == "protocol"]
    loaded = loaded_by(*names)
    assert set(names) <= loaded
    assert heavy(loaded) == set()
    assert not [name for name in loaded if name.startswith("cnifast._native")]


def test_cold_start_is_light() -> None:
    """What every cold call loads before its plugin is light."""
    loaded = loaded_by("cnifast.cli.plugin")
    assert heavy(loaded) == set()
    assert not [name for name in loaded if name.startswith("cnifast.plugins.main")]


def test_network_commands_are_light() -> None:
    """What `cnifast add` loads before a plugin runs is light, and has no plugin in it."""
    loaded = loaded_by("cnifast.cli.__main__", "cnifast.cli.network")
    assert heavy(loaded) == set()
    late = ("cnifast._native", "cnifast.kernel", "cnifast.plugins", "cnifast.protocol.result")
    assert not [name for name in loaded if name.startswith(late)]


@pytest.mark.parametrize("plugin", plugin_modules())
def test_plugins_are_light(plugin: str) -> None:
    """A plugin loads nothing heavy, and no other plugin that binaries of other names are for."""
    known = plugin_modules()
    loaded = loaded_by("cnifast.cli.plugin", known[plugin])
    assert heavy(loaded) == set()
    mains = {module for module in known.values() if ".plugins.main." in module}
    assert loaded & mains <= {known[plugin]}
