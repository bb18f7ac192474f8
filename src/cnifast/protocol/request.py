"""One call of a plugin as data: what the environment and standard input said.

``validate_*`` hold the rules for names that come from outside; a name that passes can be used
in a path or given to the kernel.
"""

from __future__ import annotations

from cnifast.protocol.codec import dumps
from cnifast.protocol.errors import (
    INVALID_ENVIRONMENT,
    INVALID_NETWORK_CONFIG,
    UNKNOWN_CONTAINER,
    CNIError,
    RunCold,
)
from cnifast.protocol.keys import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from cnifast.protocol.result import Result

    T = TypeVar("T")

IFNAME_MAX = 15  # bytes, as the kernel has it

_ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_NAME = _ALNUM + "_.-"
_SPACES = (
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)
_NOT_IN_IFNAME = frozenset("/:\0" + _SPACES)


class Place:
    """Where a call takes effect, for callers that hold more than paths.

    ``host_netns`` and ``netns`` are file descriptors of the caller's and the container's
    network namespace; None means the current one, and the one at ``Request.netns``.  ``warm``
    is what the service's thread keeps ready between calls.  ``mount_same`` tells whether the paths
    that were given mean the same here as for the caller, and ``same_path`` tells it of others; None
    means that all do, otherwise ``root`` is where the caller's root directory can be seen.
    ``delegates`` tells whether other programs may be executed here on the caller's behalf;
    ``exits`` that this process ends with the call, and ``leaves_service`` that a service begins
    when it does.  ``waits`` is told True before the call waits for somebody else for long, and
    False after that.
    """

    __slots__ = (
        "delegates",
        "exits",
        "host_netns",
        "leaves_service",
        "mount_same",
        "netns",
        "root",
        "same_path",
        "waits",
        "warm",
    )

    def __init__(
        self,
        host_netns: int | None = None,
        netns: int | None = None,
        warm: object = None,
        *,
        mount_same: bool = True,
        delegates: bool = True,
        exits: bool = False,
        leaves_service: bool = False,
        same_path: Callable[[str], bool] | None = None,
        root: str = "",
        waits: Callable[[bool], object] = bool,
    ) -> None:
        self.host_netns = host_netns
        self.netns = netns
        self.warm = warm
        self.mount_same = mount_same
        self.delegates = delegates
        self.exits = exits
        self.leaves_service = leaves_service
        self.same_path = same_path
        self.root = root
        self.waits = waits

    def elsewhere(self, netns: int | None = None) -> Place:
        """Return the place of a call for another container: all the same but its namespace."""
        return Place(
            self.host_netns,
            netns,
            self.warm,
            mount_same=self.mount_same,
            delegates=self.delegates,
            exits=self.exits,
            leaves_service=self.leaves_service,
            same_path=self.same_path,
            root=self.root,
            waits=self.waits,
        )

    def require_paths(self, plugin: str, *paths: object) -> None:
        """Refuse to act where paths that a plugin uses lead elsewhere than for the caller.

        What is no path, or an empty one, is left to whoever reads the configuration.

        Raises:
            RunCold: they do, or those of the configuration; the text names the plugin.
        """
        if not self.mount_same:
            raise RunCold(f"{plugin} keeps its files in the caller's mount namespace")
        if self.delegates:
            return
        for path in paths:
            if type(path) is not str or not path:
                continue
            if not path.startswith("/"):
                raise RunCold(f"{plugin} is configured with a path relative to the caller's")
            if self.same_path is not None and not self.same_path(path):
                raise RunCold(f"{plugin} uses {path} of the caller's mount namespace")


class Request:
    """A validated call.

    ``conf`` is the decoded configuration, ``stdin`` its bytes as they came; ``env`` is the
    whole environment given, for programs executed on the caller's behalf.  ``conf`` is shared
    with later calls that send the same bytes, and so is what ``derive`` returns: nobody changes
    them.

    A caller in this process that never had any bytes gives None for them, and may give the
    result of the plugin before this one as ``previous``, beside a configuration without it.
    """

    __slots__ = (
        "_previous",
        "_stdin",
        "args",
        "cni_version",
        "command",
        "conf",
        "container_id",
        "derived",
        "env",
        "foreseen",
        "ifname",
        "name",
        "netns",
        "netns_override",
        "path",
        "place",
        "plugin",
    )

    def __init__(
        self,
        plugin: str,
        command: str,
        env: Mapping[str, str],
        stdin: bytes | None,
        conf: dict[str, Any],
        name: str,
        cni_version: str,
        place: Place | None = None,
        derived: dict[str, Any] | None = None,
        previous: Result | None = None,
    ) -> None:
        given = env.get
        self.plugin = plugin
        self.command = command
        self.container_id = given("CNI_CONTAINERID", "")
        self.netns = given("CNI_NETNS", "")
        self.ifname = given("CNI_IFNAME", "")
        self.args = given("CNI_ARGS", "")
        self.path = given("CNI_PATH", "")
        self.netns_override = given("CNI_NETNS_OVERRIDE", "")
        self.env = env
        self._stdin = stdin
        self.conf = conf
        self.name = name
        self.cni_version = cni_version
        self.place = place or Place()
        self.derived = {} if derived is None else derived
        self._previous = previous
        self.foreseen: bytes | None = None

    def foresee(self, result: Result) -> None:
        """Encode the result of an ADD, which may be about to be printed, ahead of time.

        Who changes it afterwards forgets what was ``foreseen``.

        Raises:
            ConversionError: it has no form in the request's version.
        """
        if self._stdin is not None:
            self.foreseen = result.dumps(self.cni_version)

    @property
    def stdin(self) -> bytes:
        """The configuration as bytes, for programs that are executed with it."""
        if self._stdin is None:
            self._stdin = encode_input(self.conf, self._previous, self.cni_version)
        return self._stdin

    def derive(self, key: str, make: Callable[[Request], T]) -> T:
        """Return what ``make`` makes of the configuration alone; made once for each ``key``."""
        value: T | None = self.derived.get(key)
        if value is None:
            value = self.derived[key] = make(self)
        return value

    def prev_result_json(self) -> Any:
        """Return what is given as the result of the plugin before this one, None without one."""
        if self._previous is not None:
            return self._previous.to_json(self.cni_version)
        return lookup(self.conf, "prevresult")

    def prev_result(self) -> Result | None:
        """Return the result of the plugin before this one in the chain, None without one.

        It is the caller's own, to be changed as it likes.

        Raises:
            DecodeError: there is one, but not in a form that its version allows.
        """
        if self._previous is not None:
            return self._previous.copy()
        from cnifast.protocol.result import parse_prev_result  # noqa: PLC0415 - see libcni

        return parse_prev_result(self.conf, self.cni_version)


def encode_input(conf: dict[str, Any], previous: Result | None, version: str) -> bytes:
    """Return a plugin's input: its configuration, with the result of the plugin before it.

    Raises:
        ConversionError: the result has no form in this version.
    """
    if previous is not None:
        conf = {**conf, "prevResult": previous.to_json(version)}
    return dumps(conf)


def _is_name(text: str) -> bool:
    """Tell whether a text starts with a letter or digit and goes on with those, "_", "." or "-"."""
    return text[:1] in _ALNUM and not text.strip(_NAME)


def validate_container_id(text: str) -> None:
    """Refuse what is not a container ID: code 4, or 3 where there is none."""
    if not text:
        raise CNIError(UNKNOWN_CONTAINER, "missing containerID")
    if not _is_name(text):
        raise CNIError(INVALID_ENVIRONMENT, "invalid characters in containerID", text)


def validate_network_name(text: str) -> None:
    """Refuse what is not a network name: code 7."""
    if not text:
        raise CNIError(INVALID_NETWORK_CONFIG, "missing network name")
    if not _is_name(text):
        raise CNIError(INVALID_NETWORK_CONFIG, "invalid characters found in network name", text)


def validate_interface_name(text: str) -> None:
    """Refuse what the kernel would not take as the literal name of an interface: code 4."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise CNIError(INVALID_ENVIRONMENT, "interface name is not UTF-8", ascii(text)) from None
    if size == 0:
        raise CNIError(INVALID_ENVIRONMENT, "interface name is empty")
    if size > IFNAME_MAX:
        raise CNIError(
            INVALID_ENVIRONMENT,
            "interface name is too long",
            f"interface name should be less than {IFNAME_MAX + 1} characters",
        )
    if text in (".", ".."):
        raise CNIError(INVALID_ENVIRONMENT, "interface name is . or ..")
    if not _NOT_IN_IFNAME.isdisjoint(text):
        raise CNIError(
            INVALID_ENVIRONMENT, "interface name contains / or : or whitespace characters"
        )
    if "%" in text:
        raise CNIError(INVALID_ENVIRONMENT, "interface name contains %, a pattern to the kernel")


def validate_plugin_type(text: str, key: str = "type") -> None:
    """Refuse a plugin name that could lead out of the directories of CNI_PATH: code 7."""
    if text in (".", "..") or "/" in text or "\\" in text or "\0" in text:
        raise CNIError(INVALID_NETWORK_CONFIG, f"invalid plugin name in {key}", text)
