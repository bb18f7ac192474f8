"""One plugin's step of a command, and the errors that say which one it was."""

from __future__ import annotations

from cnifast.protocol.errors import INVALID_NETWORK_CONFIG, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.invoke.call import Call, Input
    from cnifast.libcni.conf import NetworkConfig
    from cnifast.protocol.result import Result


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
