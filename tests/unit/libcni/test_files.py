"""Finding networks in a directory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.libcni import (
    ConfigError,
    NoConfigsFoundError,
    NotFoundError,
    conf_files,
    conf_from_file,
    conf_list_from_bytes,
    conf_list_from_file,
    load_all,
    load_conf,
    load_network_conf,
)
from helpers.fakeexec import conf_list

if TYPE_CHECKING:
    from pathlib import Path


def write(directory: Path, **files: Any) -> None:
    """Write files; "__" in a name stands for the dot before its extension."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (directory / name.replace("__", ".")).write_text(text)


def test_files_in_lexical_order(tmp_path: Path) -> None:
    """Files with one of the extensions are found in the order of their names; folders are not."""
    write(tmp_path, b__conf="", a10__conf="", a9__json="", c__conflist="", d__conf__bak="")
    (tmp_path / "x.conf").mkdir()
    (tmp_path / "link.conf").symlink_to(tmp_path / "a9.json")
    found = conf_files(str(tmp_path), (".conf", ".json"))
    assert found == [
        f"{tmp_path}/{name}" for name in ("a10.conf", "a9.json", "b.conf", "link.conf")
    ]
    assert conf_files(str(tmp_path / "none"), (".conf",)) == []


def test_unreadable_directory(tmp_path: Path) -> None:
    """What is no directory is an error, not an empty one."""
    write(tmp_path, file="")
    with pytest.raises(ConfigError, match="Not a directory"):
        conf_files(str(tmp_path / "file"), (".conf",))


def test_network_by_name(tmp_path: Path) -> None:
    """Lists come before files of the old form, and of equal names the first one counts."""
    old = {"name": "net", "type": "old"}
    write(
        tmp_path,
        **{
            "10-a__conf": old,
            "20-b__conflist": conf_list("first"),
            "30-c__conflist": conf_list("x"),
        },
    )
    assert [p.type for p in load_network_conf(str(tmp_path), "net").plugins] == ["first"]
    assert load_conf(str(tmp_path), "net").type == "old"


def test_network_of_the_old_form(tmp_path: Path) -> None:
    """A network may be a .conf or .json file with one plugin."""
    write(
        tmp_path,
        **{
            "10-a__conflist": conf_list("a", name="other"),
            "20-b__json": {"name": "net", "type": "json", "cniVersion": "0.2.0"},
            "30-c__conf": {"name": "net", "type": "conf"},
        },
    )
    net = load_network_conf(str(tmp_path), "net")
    assert (net.cni_version, [p.type for p in net.plugins]) == ("0.2.0", ["json"])


def test_network_that_is_not_there(tmp_path: Path) -> None:
    """An unknown name, no files and no directory are told apart."""
    with pytest.raises(NoConfigsFoundError, match=f"no net configurations found in {tmp_path}$"):
        load_network_conf(str(tmp_path), "net")
    with pytest.raises(NoConfigsFoundError, match="there is no such directory"):
        load_network_conf(str(tmp_path / "none"), "net")
    write(tmp_path, a__conflist=conf_list("a"))
    with pytest.raises(NotFoundError, match=f'no net configuration with name "x" in {tmp_path}'):
        load_network_conf(str(tmp_path), "x")
    write(tmp_path, b__conf={"name": "b", "type": "b"})
    with pytest.raises(NotFoundError):
        load_network_conf(str(tmp_path), "x")
    with pytest.raises(NotFoundError) as error:
        load_conf(str(tmp_path), "x")
    assert error.value.code == 7


def test_broken_file_is_named(tmp_path: Path) -> None:
    """A file that is not in order is named, with what is wrong in it."""
    write(tmp_path, a__conflist="{", b__conf='{"name": "b"}')
    with pytest.raises(ConfigError, match=r"a\.conflist: error parsing configuration list: "):
        load_network_conf(str(tmp_path), "net")
    with pytest.raises(ConfigError, match=r"b\.conf: error parsing configuration: missing 'type'"):
        load_conf(str(tmp_path), "net")
    with pytest.raises(ConfigError, match=r"error reading .*none\.conf: No such file"):
        conf_from_file(str(tmp_path / "none.conf"))


def test_plugins_in_a_folder(tmp_path: Path) -> None:
    """Plugins in the folder of the network's name come after the inlined ones, in lexical order."""
    write(tmp_path, a__conflist=conf_list("inlined"))
    folder = tmp_path / "net"
    folder.mkdir()
    write(folder, b__conf={"type": "second"}, a__conf={"type": "first"}, c__json={"type": "no"})
    net = conf_list_from_file(str(tmp_path / "a.conflist"))
    assert [plugin.type for plugin in net.plugins] == ["inlined", "first", "second"]
    again = conf_list_from_bytes(net.bytes)
    assert [plugin.type for plugin in again.plugins] == ["inlined", "first", "second"]
    assert again.load_only_inlined_plugins
    write(tmp_path, a__conflist=conf_list("inlined", loadOnlyInlinedPlugins=True))
    net = conf_list_from_file(str(tmp_path / "a.conflist"))
    assert [plugin.type for plugin in net.plugins] == ["inlined"]


def test_folder_beside_a_bare_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is named without a directory has its plugins where it is."""
    (tmp_path / "a.conflist").write_text('{"name": "net", "cniVersion": "1.1.0"}')
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "a.conf").write_text('{"type": "bridge"}')
    monkeypatch.chdir(tmp_path)
    assert [plugin.type for plugin in conf_list_from_file("a.conflist").plugins] == ["bridge"]


def test_all_plugins_in_a_folder(tmp_path: Path) -> None:
    """A list may have no plugin inlined; one that has none at all is refused."""
    write(tmp_path, a__conflist={"name": "net", "cniVersion": "1.1.0"})
    with pytest.raises(ConfigError, match=r"a\.conflist: no plugin configs found"):
        conf_list_from_file(str(tmp_path / "a.conflist"))
    (tmp_path / "net").mkdir()
    write(tmp_path / "net", a__conf={"type": "first"})
    assert [p.type for p in load_network_conf(str(tmp_path), "net").plugins] == ["first"]


@pytest.mark.parametrize("name", ["", "..", "../other", "a/b"])
def test_folder_of_a_hostile_name(tmp_path: Path, name: str) -> None:
    """A network's name never leads to another folder."""
    write(tmp_path, a__conflist=conf_list("a", name=name))
    with pytest.raises(ConfigError, match="invalid network name"):
        conf_list_from_file(str(tmp_path / "a.conflist"))


def test_all_networks(tmp_path: Path) -> None:
    """All files are taken in the order of their names, lists and the old form alike."""
    write(
        tmp_path,
        **{
            "20-b__conflist": conf_list("b", name="b"),
            "10-a__conf": {"name": "a", "type": "a"},
            "30-c__conf": conf_list("c1", "c2", name="c"),
            "15-d__json": {"name": "d", "type": "d"},
        },
    )
    found = load_all(str(tmp_path))
    assert [(net.name, [p.type for p in net.plugins]) for net in found] == [
        ("a", ["a"]),
        ("d", ["d"]),
        ("b", ["b"]),
        ("c", ["c1", "c2"]),
    ]
    with pytest.raises(NoConfigsFoundError):
        load_all(str(tmp_path / "none"))
