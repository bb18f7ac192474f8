"""The skeleton of every plugin: from environment and standard input to what it prints.

One table says which variables a command needs and how they are checked; one says from which
version of the specification on a command exists.  The order of the checks is that of the
reference, because runtimes act on the code of the first failure.
"""

from __future__ import annotations

from cnifast import __version__
from cnifast.protocol import errors, versions
from cnifast.protocol.codec import DecodeError, dumps, loads, quote
from cnifast.protocol.errors import CNIError, RunCold
from cnifast.protocol.request import (
    Request,
    validate_container_id,
    validate_interface_name,
    validate_network_name,
    validate_plugin_type,
)
from cnifast.protocol.schema import lookup, wrong_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol, TypeVar

    from cnifast.protocol.request import Place
    from cnifast.protocol.result import Result

    T = TypeVar("T")

    class Plugin(Protocol):
        """What a plugin is to the skeleton; a module can be one."""

        def add(self, req: Request, /) -> Result:
            """Attach the container; what is returned is printed in the request's version."""

        def check(self, req: Request, /) -> None:
            """Raise unless the attachment is as ADD left it."""

        def delete(self, req: Request, /) -> None:
            """Undo ADD; succeed when there is nothing to undo."""

        def gc(self, req: Request, /) -> None:
            """Release what belongs to no attachment that is still valid."""

        def status(self, req: Request, /) -> None:
            """Raise when an ADD could not succeed now."""


STDIN_MAX = 1 << 20  # bytes

# Variables in the order they are looked at: which commands need them, what is checked then.
_ATTACHMENT = ("ADD", "CHECK", "DEL")
_VARIABLES: tuple[tuple[str, tuple[str, ...], Callable[[str], None] | None], ...] = (
    ("CNI_CONTAINERID", _ATTACHMENT, validate_container_id),
    ("CNI_NETNS", ("ADD", "CHECK"), None),
    ("CNI_IFNAME", _ATTACHMENT, validate_interface_name),
    ("CNI_PATH", (*_ATTACHMENT, "GC", "STATUS"), None),
)
_CALLS = {
    command: tuple((name, check) for name, commands, check in _VARIABLES if command in commands)
    for command in (*_ATTACHMENT, "GC", "STATUS")
}
_SINCE = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}


class Response:
    """What the process of a plugin has to do: write two streams and exit."""

    __slots__ = ("exit_code", "stderr", "stdout")

    def __init__(self, exit_code: int, stdout: bytes = b"", stderr: bytes = b"") -> None:
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr


def dispatch(
    plugin: str,
    env: Mapping[str, str],
    stdin: bytes,
    load: Callable[[str], Plugin],
    *,
    place: Place | None = None,
    is_own_netns: Callable[[Request], bool],
) -> Response:
    """Run one call of a plugin and return what it answers.

    ``load`` returns the plugin of a name, and is called once the input is known to be good.
    ``is_own_netns`` tells whether CNI_NETNS is the namespace that the plugin itself is in; it
    is asked before ADD and DEL, unless CNI_NETNS_OVERRIDE allows that.

    Raises:
        RunCold: the plugin found that the call has to run elsewhere; nothing was done.
    """
    command = env.get("CNI_COMMAND", "")
    if not command:
        return Response(0, stderr=about(plugin))
    if command == "VERSION":
        return Response(0, version_info(plugin) + b"\n")
    conf: dict[str, Any] | None = None
    try:
        check_environment(command, env)
        key = (plugin, command, stdin)
        known = _known.get(key)
        if known is None:
            conf = _decode_configuration(stdin)
            known = _learn(key, conf)
        conf = known.conf
        req = Request(
            plugin, command, env, stdin, conf, known.name, known.version, place, known.derived
        )
        printed = perform(req, load, is_own_netns, lambda r, v: req.foreseen or r.dumps(v))
        return Response(0, b"" if printed is None else printed + b"\n")
    except RunCold:
        raise
    except Exception as e:  # noqa: BLE001 - whatever went wrong, the runtime gets an answer
        error, log = as_cni_error(e)
        return Response(1, error.to_json(_answer_version(conf)) + b"\n", log)


def on_behalf(
    req: Request, plugin: str, stdin: bytes, env: Mapping[str, str] | None = None
) -> Request:
    """Return the call that one plugin makes of another: what it would execute a program with.

    Args:
        req: the request on whose behalf it is made.
        plugin: the other one's name.
        stdin: its configuration.
        env: variables that are not the request's.

    Raises:
        CNIError: a program that is given this would refuse it.
    """
    variables = {**req.env, "CNI_COMMAND": req.command, **(env or {})}
    command, place = variables["CNI_COMMAND"], req.place
    if variables.get("CNI_NETNS", "") != req.netns:
        place = place.elsewhere()
    check_environment(command, variables)
    key = (plugin, command, stdin)
    known = _known.get(key) or _learn(key, _decode_configuration(stdin))
    return Request(
        plugin,
        command,
        variables,
        stdin,
        known.conf,
        known.name,
        known.version,
        place,
        known.derived,
    )


def about(plugin: str) -> bytes:
    """Return what a plugin says on standard error when it is run without CNI_COMMAND."""
    supported = ", ".join(versions.supported_by(plugin))
    text = f"CNI {plugin} plugin {__version__}\nCNI protocol versions supported: {supported}\n"
    return text.encode("utf-8", "replace")


def version_info(plugin: str) -> bytes:
    """Return the answer to VERSION."""
    supported = list(versions.supported_by(plugin))
    return dumps({"cniVersion": versions.CURRENT, "supportedVersions": supported})


def check_environment(command: str, env: Mapping[str, str]) -> None:
    """Refuse a call whose variables are missing or hostile: code 4."""
    missing = []
    for name, check in _CALLS.get(command, ()):
        value = env.get(name, "")
        if not value:
            missing.append(name)
        elif check is not None:
            check(value)
    if missing:
        raise CNIError(
            errors.INVALID_ENVIRONMENT, f"required env variables [{','.join(missing)}] missing"
        )


def _decode_configuration(stdin: bytes) -> dict[str, Any]:
    """Return the configuration on standard input, or refuse it: code 6."""
    step = "error unmarshall network config"
    if len(stdin) > STDIN_MAX:
        raise CNIError(errors.DECODING_FAILURE, f"{step}: it is larger than 1 MiB")
    try:
        conf = loads(stdin)
    except DecodeError as e:
        raise CNIError(errors.DECODING_FAILURE, f"{step}: {e}") from None
    if conf is None:
        return {}
    if type(conf) is not dict:
        why = wrong_kind(conf, "", "network config")
        raise CNIError(errors.DECODING_FAILURE, f"{step}: {why}")
    return conf


def _text(conf: dict[str, Any], folded: str, key: str, step: str) -> str:
    """Return a text of the configuration, empty when absent; another kind is refused: code 6."""
    value = lookup(conf, folded)
    if value is None:
        return ""
    if type(value) is not str:
        raise CNIError(errors.DECODING_FAILURE, f"{step}: {wrong_kind(value, key, 'string')}")
    return value


class Known:
    """A configuration that was found to be in order, and what plugins derived from it."""

    __slots__ = ("conf", "derived", "name", "version")

    def __init__(self, conf: dict[str, Any], name: str, version: str) -> None:
        self.conf = conf
        self.name = name
        self.version = version
        self.derived: dict[str, Any] = {}


# A runtime sends the same configuration again and again.
_known: dict[tuple[str, str, bytes], Known] = {}
_KNOWN_MAX = 128
_KNOWN_SIZE_MAX = 1 << 14  # bytes


def _learn(key: tuple[str, str, bytes], conf: dict[str, Any]) -> Known:
    """Examine a configuration, and keep it for the next call, within bounds."""
    known = examine(key[0], key[1], conf)
    if len(key[2]) <= _KNOWN_SIZE_MAX:
        if len(_known) >= _KNOWN_MAX:
            _known.clear()
        _known[key] = known
    return known


def examine(plugin: str, command: str, conf: dict[str, Any]) -> Known:
    """Return a configuration whose name, version and plugin types are in order for a command.

    Raises:
        CNIError: they are not.
    """
    name = _text(conf, "name", "name", "error unmarshall network config")
    validate_network_name(name)
    if command not in _CALLS:
        raise CNIError(errors.INVALID_ENVIRONMENT, f"unknown CNI_COMMAND: {command}")
    version = _text(conf, "cniversion", "cniVersion", "decoding version from network config")
    version = version or versions.OLDEST
    _check_version(command, version, versions.supported_by(plugin))
    _check_types(conf)
    return Known(conf, name, version)


def _check_version(command: str, version: str, supported: tuple[str, ...]) -> None:
    """Refuse a version in which the command does not exist or that the plugin lacks: code 1."""
    since = _SINCE.get(command)
    if since is not None:
        try:
            allowed = versions.at_least(version, since)
            possible = versions.at_least(supported[-1], version)
        except DecodeError as e:
            raise CNIError(errors.DECODING_FAILURE, str(e)) from None
        if not allowed or not possible:
            who = "plugin" if allowed else "config"
            raise CNIError(
                errors.INCOMPATIBLE_CNI_VERSION, f"{who} version does not allow {command}"
            )
    if version not in supported:
        raise CNIError(
            errors.INCOMPATIBLE_CNI_VERSION,
            "incompatible CNI versions",
            f"config is {quote(version)}, plugin supports [{' '.join(map(quote, supported))}]",
        )


def _check_types(conf: dict[str, Any]) -> None:
    """Refuse names of plugins that could be taken for paths: code 7."""
    plugin_type = lookup(conf, "type")
    if type(plugin_type) is str:
        validate_plugin_type(plugin_type)
    ipam = lookup(conf, "ipam")
    if type(ipam) is dict:
        ipam_type = lookup(ipam, "type")
        if type(ipam_type) is str:
            validate_plugin_type(ipam_type, "ipam.type")


def perform(
    req: Request,
    load: Callable[[str], Plugin],
    is_own_netns: Callable[[Request], bool],
    convert: Callable[[Result, str], T],
) -> T | None:
    """Have the plugin do what the request says; what ``convert`` makes of the result of ADD.

    Raises:
        Exception: whatever the plugin raised; `as_cni_error` says what the runtime is told.
    """
    command = req.command
    if (
        command in ("ADD", "DEL")
        and req.netns
        and req.netns_override != "1"
        and req.netns_override.upper() != "TRUE"
        and is_own_netns(req)
    ):
        raise CNIError(
            errors.INVALID_NETNS, "plugin's netns and netns from CNI_NETNS should not be the same"
        )
    implementation = load(req.plugin)
    if command == "ADD":
        return _add(req, implementation, convert)
    if command == "DEL":
        implementation.delete(req)
    elif command == "CHECK":
        implementation.check(req)
    elif command == "GC":
        implementation.gc(req)
    else:
        implementation.status(req)
    return None


def _add(req: Request, implementation: Plugin, convert: Callable[[Result, str], T]) -> T:
    """Attach, and convert the result; what cannot be told in the request's version is undone."""
    result = implementation.add(req)
    try:
        return convert(result, req.cni_version)
    except ValueError:
        implementation.delete(req)
        raise


def _answer_version(conf: dict[str, Any] | None) -> str:
    """Return the version to answer in: the configuration's if it is one, else the current."""
    if conf is None:
        return versions.CURRENT
    version = lookup(conf, "cniversion") or versions.OLDEST
    return version if version in versions.SUPPORTED else versions.CURRENT


def as_cni_error(e: Exception) -> tuple[CNIError, bytes]:
    """Return what to answer for an exception, and what to log of it.

    Only a defect is logged: an error of the system or of the input says all in its message.
    """
    if isinstance(e, CNIError):
        return e, b""
    if isinstance(e, OSError):
        return CNIError(errors.INTERNAL, _os_error_text(e)), b""
    if isinstance(e, ValueError):
        return CNIError(errors.INTERNAL, str(e)), b""
    from traceback import format_exception  # noqa: PLC0415 - only ever needed here

    log = "".join(format_exception(e)).encode("utf-8", "backslashreplace")
    return CNIError(errors.INTERNAL, f"{type(e).__name__}: {e}"), log


def _os_error_text(e: OSError) -> str:
    """Return an error of the system the way runtimes look for it: "FILE: no such file ..."."""
    if type(e).__str__ is not OSError.__str__ or not e.strerror:
        return str(e)
    reason = e.strerror[:1].lower() + e.strerror[1:]
    named = [str(name) for name in (e.filename, e.filename2) if name is not None]
    return ": ".join([" -> ".join(named), reason]) if named else reason
