"""Network configurations: one plugin's, and the list of a network's plugins.

What is decoded is decoded once; a configuration can be used for any number of attachments.
"""

from __future__ import annotations

from cnifast.invoke.call import Input
from cnifast.libcni import gojson
from cnifast.protocol.codec import DecodeError, dumps, loads, quote
from cnifast.protocol.errors import INVALID_NETWORK_CONFIG, CNIError
from cnifast.protocol.keys import fold, kind_of, lookup, text, wrong_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from cnifast.protocol.netconf import NetConf
    from cnifast.protocol.result import Result

_LIST = "error parsing configuration list"
_TRUTH = {"true": True, "false": False}


class ConfigError(CNIError):
    """A configuration that cannot be used: code 7."""

    def __init__(self, msg: str) -> None:
        super().__init__(INVALID_NETWORK_CONFIG, msg)


class RuntimeConf:
    """What a runtime says about one attachment, beside the network's configuration.

    Args:
        container_id: of the container.
        netns: path of its network namespace; may be empty for DEL.
        ifname: of the interface in it.
        args: pairs of CNI_ARGS.
        capability_args: values by capability; a plugin gets those that it declares.
        cache_dir: where results are kept, if `CNIConfig` has no opinion.
    """

    __slots__ = ("args", "cache_dir", "capability_args", "container_id", "ifname", "netns")

    def __init__(
        self,
        container_id: str,
        netns: str = "",
        ifname: str = "eth0",
        args: Iterable[tuple[str, str]] = (),
        capability_args: Mapping[str, Any] | None = None,
        cache_dir: str = "",
    ) -> None:
        self.container_id = container_id
        self.netns = netns
        self.ifname = ifname
        self.args = tuple((key, value) for key, value in args)
        self.capability_args: Mapping[str, Any] = capability_args or {}
        self.cache_dir = cache_dir

    @property
    def args_text(self) -> str:
        """The value of CNI_ARGS."""
        return ";".join(f"{key}={value}" for key, value in self.args)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"RuntimeConf({shown})"


class NetworkConfig:
    """The configuration of one plugin.

    ``conf`` is the whole decoded object, which nobody changes, and ``bytes`` its text.  A plugin
    within a list needs neither name nor version.  ``capabilities`` are those that it declares.
    """

    __slots__ = ("_prepared", "bytes", "capabilities", "cni_version", "conf", "name", "type")

    def __init__(
        self,
        conf: dict[str, Any],
        data: bytes,
        *,
        name: str,
        plugin: str,
        cni_version: str,
        capabilities: tuple[str, ...],
    ) -> None:
        self.conf = conf
        self.bytes = data
        self.name = name
        self.type = plugin
        self.cni_version = cni_version
        self.capabilities = capabilities
        self._prepared: tuple[str, str, dict[str, Any], dict[str, Any]] | None = None

    @property
    def network(self) -> NetConf:
        """What all plugins share, decoded.

        Raises:
            ConfigError: a value in it is of the wrong kind.
        """
        from cnifast.protocol.netconf import NetConf  # noqa: PLC0415 - when it is needed

        try:
            return NetConf.decode(self.conf)
        except DecodeError as e:
            raise ConfigError(f"error parsing configuration: {e}") from None

    @property
    def description(self) -> str:
        """The plugin as error messages name it."""
        named = f" name={quote(self.name)}" if self.name else ""
        return f"type={quote(self.type)}{named}"

    def input(
        self,
        name: str,
        version: str,
        previous: Result | None = None,
        capability_args: Mapping[str, Any] | None = None,
    ) -> Input:
        """Return what the plugin is given as part of a network of this name and version."""
        prepared = self._prepared
        if prepared is None or prepared[0] != name or prepared[1] != version:
            conf = _injected(self.conf, {"name": name, "cniVersion": version})
            prepared = self._prepared = (name, version, conf, {})
        _, _, conf, memo = prepared
        if capability_args:
            given = {key: v for key, v in capability_args.items() if key in self.capabilities}
            if given:
                conf, memo = _injected(conf, {"runtimeConfig": given}), {}
        return Input(self.type, conf, version, previous, memo)

    def __repr__(self) -> str:
        return f"<NetworkConfig {self.description}>"


class NetworkConfigList:
    """The configuration of a network: its plugins in the order of ADD."""

    __slots__ = (
        "bytes",
        "cni_version",
        "disable_check",
        "disable_gc",
        "load_only_inlined_plugins",
        "name",
        "plugins",
    )

    def __init__(
        self,
        name: str,
        cni_version: str,
        plugins: Sequence[NetworkConfig],
        data: bytes,
        *,
        disable_check: bool = False,
        disable_gc: bool = False,
        load_only_inlined_plugins: bool = False,
    ) -> None:
        self.name = name
        self.cni_version = cni_version
        self.plugins = list(plugins)
        self.bytes = data
        self.disable_check = disable_check
        self.disable_gc = disable_gc
        self.load_only_inlined_plugins = load_only_inlined_plugins

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The capabilities that any of the plugins declares."""
        found: dict[str, None] = {}
        for plugin in self.plugins:
            found.update(dict.fromkeys(plugin.capabilities))
        return tuple(found)

    def extend(self, plugins: Sequence[NetworkConfig]) -> None:
        """Add plugins after those that are there; ``bytes`` has them, too, then."""
        if plugins:
            self.plugins += plugins
            whole = {**loads(self.bytes), "loadOnlyInlinedPlugins": True}
            whole["plugins"] = [plugin.conf for plugin in self.plugins]
            self.bytes = _encoded(whole, dumps)

    def __repr__(self) -> str:
        return f"<NetworkConfigList {self.name}: {', '.join(p.type for p in self.plugins)}>"


def conf_from_bytes(data: bytes) -> NetworkConfig:
    """Return the configuration of one plugin from its JSON.

    Raises:
        ConfigError: it is not in order.
    """
    try:
        return _conf(loads(data), data)
    except DecodeError as e:
        raise ConfigError(f"error parsing configuration: {e}") from None


def _conf(conf: Any, data: bytes) -> NetworkConfig:
    """Return the configuration of one plugin.

    Raises:
        ConfigError: it has no type.
        DecodeError: a value in it is of the wrong kind.
    """
    if conf is None:
        conf = {}
    elif type(conf) is not dict:
        raise wrong_kind(conf, "", "configuration")
    found = NetworkConfig(
        conf,
        data,
        name=text(conf, "name"),
        plugin=text(conf, "type"),
        cni_version=text(conf, "cniVersion"),
        capabilities=_capabilities(conf),
    )
    if not found.type:
        raise ConfigError("error parsing configuration: missing 'type'")
    return found


def _capabilities(conf: dict[str, Any]) -> tuple[str, ...]:
    """Return the capabilities that a plugin's configuration declares.

    Raises:
        DecodeError: they are not truth values by name.
    """
    given = lookup(conf, "capabilities")
    if given is None:
        return ()
    if type(given) is not dict:
        raise wrong_kind(given, "capabilities", "object")
    for name, has in given.items():
        if type(has) is not bool and has is not None:
            raise wrong_kind(has, f"capabilities.{name}", "bool")
    return tuple(name for name, has in given.items() if has)


def conf_list_from_bytes(data: bytes) -> NetworkConfigList:
    """Return the configuration of a network from its JSON; it may have no plugins inlined.

    Raises:
        ConfigError: it is not in order.
    """
    try:
        conf = loads(data)
    except DecodeError as e:
        raise ConfigError(f"{_LIST}: {e}") from None
    if type(conf) is not dict:
        raise ConfigError(f"{_LIST}: cannot unmarshal {kind_of(conf)} into a configuration list")
    return _conf_list(conf, data)


def _conf_list(conf: dict[str, Any], data: bytes) -> NetworkConfigList:
    """Return the configuration of a network."""
    if "name" not in conf:
        raise ConfigError(f"{_LIST}: no name")
    name = conf["name"]
    if type(name) is not str:
        raise ConfigError(f"{_LIST}: invalid name type {kind_of(name)}")
    inlined_only = _truth(conf, "loadOnlyInlinedPlugins")
    found = NetworkConfigList(
        name,
        _version(conf),
        (),
        data,
        disable_check=_truth(conf, "disableCheck"),
        disable_gc=_truth(conf, "disableGC"),
        load_only_inlined_plugins=inlined_only,
    )
    if "plugins" not in conf:
        if inlined_only:
            raise ConfigError(f"{_LIST}: `loadOnlyInlinedPlugins` is true, and no 'plugins' key")
        return found
    plugins = conf["plugins"]
    if type(plugins) is not list:
        raise ConfigError(f"{_LIST}: invalid 'plugins' type {kind_of(plugins)}")
    if not plugins:
        raise ConfigError(f"{_LIST}: no plugins in list")
    for i, plugin in enumerate(plugins):
        try:
            found.plugins.append(_conf(plugin, _encoded(plugin, dumps)))
        except DecodeError as e:
            raise ConfigError(f"failed to parse plugin config {i}: {e}") from None
        except ConfigError as e:
            raise ConfigError(f"failed to parse plugin config {i}: {e.msg}") from None
    return found


def _truth(conf: dict[str, Any], key: str) -> bool:
    """Return a truth value, which may be given as text."""
    value = conf.get(key, False)
    if type(value) is bool:
        return value
    if type(value) is not str:
        raise ConfigError(f"{_LIST}: invalid type {kind_of(value)} for {key}")
    truth = _TRUTH.get(value.lower())
    if truth is None:
        raise ConfigError(f"{_LIST}: invalid value {quote(value.lower())} for {key}")
    return truth


def _version(conf: dict[str, Any]) -> str:
    """Return the version to use: the latest offered one that we know, else cniVersion."""
    version = conf.get("cniVersion", "")
    if type(version) is not str:
        raise ConfigError(f"{_LIST}: invalid cniVersion type {kind_of(version)}")
    if "cniVersions" not in conf:
        return version
    offered = conf["cniVersions"]
    if type(offered) is not list:
        raise ConfigError(f"{_LIST}: invalid type for cniVersions: {kind_of(offered)}")
    for i, entry in enumerate(offered):
        if type(entry) is not str:
            raise ConfigError(f"{_LIST}: invalid type for cniVersions index {i}: {kind_of(entry)}")
    from cnifast.protocol import versions  # noqa: PLC0415 - few configurations have that

    places = [f"cniVersions entry {entry} at index {i}" for i, entry in enumerate(offered)]
    if version:
        offered, places = [*offered, version], [*places, f"cniVersion {version}"]
    known = []
    for entry, place in zip(offered, places, strict=True):
        try:
            if versions.at_least(versions.CURRENT, entry):
                known.append((versions.parse(entry), entry))
        except DecodeError as e:
            raise ConfigError(f"{_LIST}: invalid {place}: {e}") from None
    return max(known)[1] if known else version


def conf_list_from_conf(conf: NetworkConfig) -> NetworkConfigList:
    """Return a network that has one plugin: what a configuration of the old form stands for."""
    shown = {"cniVersion": conf.cni_version, "name": conf.name, "plugins": [conf.conf]}
    data = _encoded(gojson.in_order(shown), gojson.encode)
    return NetworkConfigList(conf.name, conf.cni_version, [conf], data)


def is_list(data: bytes) -> bool:
    """Tell whether JSON is a configuration list rather than one plugin's configuration."""
    try:
        return "plugins" in loads(data)
    except (DecodeError, TypeError):
        return False  # whoever decodes it says what is wrong with it


def inject_conf(original: NetworkConfig, values: Mapping[str, Any]) -> NetworkConfig:
    """Return a configuration with more keys, or other values for the ones it has.

    Raises:
        ConfigError: a key is empty or a value None, or the result is not in order.
    """
    for key, value in values.items():
        if not key:
            raise ConfigError("keys cannot be empty")
        if value is None:
            raise ConfigError(f"key '{key}' value must not be nil")
    try:
        return conf_from_bytes(dumps(_injected(original.conf, values)))
    except (TypeError, ValueError) as e:
        raise ConfigError(f"values that cannot be injected: {e}") from None


def _encoded(value: object, encode: Callable[[object], bytes]) -> bytes:
    """Return the JSON of something that was decoded.

    Raises:
        ConfigError: a number in it is beyond what a float can hold.
    """
    try:
        return encode(value)
    except ValueError:
        raise ConfigError("a number is out of range") from None


def _injected(conf: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with other values, which replace the keys in whatever case they are there."""
    folded = {fold(key) for key in values}
    return {**{key: v for key, v in conf.items() if fold(key) not in folded}, **values}
