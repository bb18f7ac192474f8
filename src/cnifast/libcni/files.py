"""Finding network configurations in a directory, in the lexical order of the files' names."""

from __future__ import annotations

import os

from cnifast.invoke.files import read
from cnifast.libcni.conf import (
    ConfigError,
    conf_from_bytes,
    conf_list_from_bytes,
    conf_list_from_conf,
    is_list,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnifast.libcni.conf import NetworkConfig, NetworkConfigList


class NotFoundError(ConfigError):
    """There are configurations, but none of this name."""

    def __init__(self, directory: str, name: str) -> None:
        super().__init__(f'no net configuration with name "{name}" in {directory}')
        self.directory = directory
        self.name = name


class NoConfigsFoundError(ConfigError):
    """There is no configuration at all."""

    def __init__(self, directory: str) -> None:
        why = "" if os.path.isdir(directory) else ": there is no such directory"
        super().__init__(f"no net configurations found in {directory}{why}")
        self.directory = directory


def conf_files(directory: str, extensions: Sequence[str]) -> list[str]:
    """Return the paths of the files that have one of the extensions (".conf"), in lexical order.

    A directory that does not exist has none.

    Raises:
        ConfigError: the directory cannot be read.
    """
    try:
        with os.scandir(directory) as entries:
            names = [
                entry.name
                for entry in entries
                if "".join(entry.name.rpartition(".")[1:]) in extensions
                and not entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []
    except OSError as e:
        raise ConfigError(f"failed to read {directory}: {e.strerror}") from e
    return [os.path.join(directory, name) for name in sorted(names)]


def conf_from_file(path: str) -> NetworkConfig:
    """Return the configuration of one plugin that is in a file.

    Raises:
        ConfigError: it cannot be read, or is not in order.
    """
    return _single(path, _read(path))


def _single(path: str, data: bytes) -> NetworkConfig:
    """Return the configuration that was read from a file."""
    try:
        return conf_from_bytes(data)
    except ConfigError as e:
        raise ConfigError(f"{path}: {e.msg}") from None


def conf_list_from_file(path: str) -> NetworkConfigList:
    """Return the configuration of a network that is in a file.

    Unless it says that its inlined plugins are all, those in the folder beside it that has the
    network's name come after them.

    Raises:
        ConfigError: it cannot be read, is not in order, or has no plugins.
    """
    return _list(path, _read(path))


def _list(path: str, data: bytes) -> NetworkConfigList:
    """Return the network that was read from a file, with the plugins in its folder."""
    try:
        found = conf_list_from_bytes(data)
        if not found.load_only_inlined_plugins:
            found.extend(plugin_confs_from_files(os.path.dirname(path), found.name))
    except ConfigError as e:
        raise ConfigError(f"{path}: {e.msg}") from None
    if not found.plugins:
        raise ConfigError(f"{path}: no plugin configs found")
    return found


def plugin_confs_from_files(directory: str, network: str) -> list[NetworkConfig]:
    """Return the configurations in the folder of a directory that has the network's name.

    Raises:
        ConfigError: one of them is not in order, or the name leads elsewhere.
    """
    if not network or network in (".", "..") or "/" in network or "\0" in network:
        raise ConfigError(f"invalid network name {network!a}")
    folder = os.path.join(directory, network)
    return [conf_from_file(path) for path in conf_files(folder, (".conf",))]


def load_conf(directory: str, name: str) -> NetworkConfig:
    """Return the first configuration of the old form (.conf, .json) that has this name.

    Raises:
        NoConfigsFoundError: there are none.
        NotFoundError: there are others.
        ConfigError: one that came before it is not in order.
    """
    paths = conf_files(directory, (".conf", ".json"))
    if not paths:
        raise NoConfigsFoundError(directory)
    for path in paths:
        found = conf_from_file(path)
        if found.name == name:
            return found
    raise NotFoundError(directory, name)


def load_network_conf(directory: str, name: str) -> NetworkConfigList:
    """Return the first network of this name: of the lists, else of the old form.

    Raises:
        NoConfigsFoundError: there are no configurations at all.
        NotFoundError: there are others.
        ConfigError: one that came before it is not in order.
    """
    paths = conf_files(directory, (".conflist",))
    for path in paths:
        found = conf_list_from_file(path)
        if found.name == name:
            return found
    try:
        return conf_list_from_conf(load_conf(directory, name))
    except NoConfigsFoundError:
        if paths:
            raise NotFoundError(directory, name) from None
        raise


load_conf_list = load_network_conf


def load_all(directory: str) -> list[NetworkConfigList]:
    """Return all networks of a directory in the lexical order of their files' names.

    Raises:
        NoConfigsFoundError: there are none.
        ConfigError: one is not in order.
    """
    paths = conf_files(directory, (".conf", ".conflist", ".json"))
    if not paths:
        raise NoConfigsFoundError(directory)
    return [_network_from_file(path) for path in paths]


def _network_from_file(path: str) -> NetworkConfigList:
    """Return the network in a file: a list if it is called one or has "plugins"."""
    data = _read(path)
    if path.endswith(".conflist") or is_list(data):
        return _list(path, data)
    return conf_list_from_conf(_single(path, data))


def _read(path: str) -> bytes:
    """Return what is in a file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return read(path)
    except OSError as e:
        raise ConfigError(f"error reading {path}: {e.strerror}") from e
    except ValueError as e:
        raise ConfigError(f"error reading {e}") from None
