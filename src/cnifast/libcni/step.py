"""The steps of a command, and the errors that say which one it was."""

from __future__ import annotations

import os

from cnifast.invoke.files import Draft
from cnifast.libcni.cache import encode, encode_config
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.errors import INTERNAL, INVALID_NETWORK_CONFIG, IO_FAILURE, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.invoke.call import Call, Input
    from cnifast.libcni.conf import NetworkConfig, NetworkConfigList, RuntimeConf
    from cnifast.protocol.result import Result

_NAME_MAX = 255  # bytes of a file's name, of every usual file system


def with_result(call: Call, plugin: NetworkConfig, program: str, conf: Input) -> Result:
    """Run a plugin of a chain and return its result."""
    try:
        return call.with_result(program, conf)
    except CNIError as e:
        raise prefixed(f"plugin {plugin.description} failed (add)", e) from e
    except (TypeError, ValueError) as e:
        raise _not_told(plugin, "add", e) from e


def without_result(call: Call, plugin: NetworkConfig, program: str, conf: Input, what: str) -> None:
    """Run a plugin of a chain."""
    try:
        call.without_result(program, conf)
    except CNIError as e:
        raise prefixed(f"plugin {plugin.description} failed ({what})", e) from e
    except (TypeError, ValueError) as e:
        raise _not_told(plugin, what, e) from e


def prefixed(prefix: str, e: CNIError) -> CNIError:
    """Return an error that says which step it happened in."""
    return CNIError(e.code, f"{prefix}: {e.msg}", e.details)


def _not_told(plugin: NetworkConfig, what: str, e: Exception) -> CNIError:
    """Return the error for what a plugin cannot be given."""
    return CNIError(
        INVALID_NETWORK_CONFIG, f"plugin {plugin.description} cannot be called ({what}): {e}"
    )


def open_entry(path: str, network: str) -> Draft:
    """Make sure, before anything is attached, that the result can be kept.

    Raises:
        CNIError: it cannot (code 5).
    """
    if len(os.fsencode(os.path.basename(path))) > _NAME_MAX:
        raise _not_kept(network, path, "its name is too long")
    try:
        return Draft(path, named=False)
    except OSError as e:
        raise _not_kept(network, path, e.strerror) from e


def commit(
    entry: Draft,
    net: NetworkConfigList | NetworkConfig,
    rt: RuntimeConf,
    result: Result,
) -> None:
    """Keep the result of ADD."""
    try:
        entry.commit(encode(net.name, rt, encode_config(net.bytes), result))
    except OSError as e:
        raise _not_kept(net.name, entry.path, e.strerror) from e
    except (TypeError, ValueError, RecursionError) as e:
        raise CNIError(INTERNAL, f'failed to set network "{net.name}" cached result: {e}') from e


def _not_kept(network: str, path: str, why: str | None) -> CNIError:
    """Return the error for a result that cannot be kept."""
    return CNIError(IO_FAILURE, f'failed to set network "{network}" cached result: {path}: {why}')


def at_least(version: str, other: str) -> bool:
    """Tell whether a configuration's version is the other one or later.

    Raises:
        CNIError: it is no version.
    """
    from cnifast.protocol.versions import at_least  # noqa: PLC0415 - ADD does without

    try:
        return at_least(version, other)
    except DecodeError as e:
        raise CNIError(INVALID_NETWORK_CONFIG, str(e)) from None
