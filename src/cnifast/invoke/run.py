"""Running one plugin: with all that it is told, or on behalf of the plugin that this process is.

``exec`` is what runs it; each plugin in a process of its own by default.
"""

from __future__ import annotations

import os

from cnifast.invoke.call import Args, Input
from cnifast.invoke.process import ProcessExec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnifast.invoke.call import Exec, VersionInfo
    from cnifast.protocol.result import Result


def exec_plugin_with_result(
    found: str,
    conf: bytes,
    args: Args,
    exec: Exec | None = None,  # noqa: A002 - what every libcni calls it
) -> Result:
    """Run a plugin that was found and return its result; ``conf`` is its whole configuration.

    Raises:
        CNIError: it failed, or gave no result.
        DecodeError: the configuration is none.
    """
    with (exec or ProcessExec()).call(args) as call:
        return call.with_result(found, Input.from_bytes(conf, os.path.basename(found)))


def exec_plugin_without_result(
    found: str,
    conf: bytes,
    args: Args,
    exec: Exec | None = None,  # noqa: A002
) -> None:
    """Run a plugin that was found; ``conf`` is its whole configuration.

    Raises:
        CNIError: it failed.
        DecodeError: the configuration is none.
    """
    with (exec or ProcessExec()).call(args) as call:
        call.without_result(found, Input.from_bytes(conf, os.path.basename(found)))


def get_version_info(found: str, exec: Exec | None = None) -> VersionInfo:  # noqa: A002
    """Ask a plugin that was found which versions of the specification it speaks.

    Raises:
        CNIError: it failed, or its answer is none.
    """
    return (exec or ProcessExec()).version_info(os.path.basename(found), found)


def delegate_add(
    plugin: str,
    conf: bytes,
    exec: Exec | None = None,  # noqa: A002
    *,
    env: Mapping[str, str] | None = None,
) -> Result:
    """Have another plugin do this call's ADD, with a configuration for it, and return its result.

    ``env`` is the environment of the call, where it is not this process's own; CNI_PATH in it is
    where the plugin is looked for.

    Raises:
        CNIError: it failed, or is not there.
    """
    run, args, found = _delegate("ADD", plugin, exec, env)
    with run.call(args) as call:
        return call.with_result(found, Input.from_bytes(conf, plugin))


def delegate_check(
    plugin: str,
    conf: bytes,
    exec: Exec | None = None,  # noqa: A002
    *,
    env: Mapping[str, str] | None = None,
) -> None:
    """Have another plugin do this call's CHECK; see `delegate_add`."""
    _without_result("CHECK", plugin, conf, exec, env)


def delegate_del(
    plugin: str,
    conf: bytes,
    exec: Exec | None = None,  # noqa: A002
    *,
    env: Mapping[str, str] | None = None,
) -> None:
    """Have another plugin do this call's DEL; see `delegate_add`."""
    _without_result("DEL", plugin, conf, exec, env)


def delegate_gc(
    plugin: str,
    conf: bytes,
    exec: Exec | None = None,  # noqa: A002
    *,
    env: Mapping[str, str] | None = None,
) -> None:
    """Have another plugin do this call's GC; see `delegate_add`."""
    _without_result("GC", plugin, conf, exec, env)


def delegate_status(
    plugin: str,
    conf: bytes,
    exec: Exec | None = None,  # noqa: A002
    *,
    env: Mapping[str, str] | None = None,
) -> None:
    """Have another plugin do this call's STATUS; see `delegate_add`."""
    _without_result("STATUS", plugin, conf, exec, env)


def _without_result(
    command: str, plugin: str, conf: bytes, given: Exec | None, env: Mapping[str, str] | None
) -> None:
    """Have another plugin do a command that has no result."""
    run, args, found = _delegate(command, plugin, given, env)
    with run.call(args) as call:
        call.without_result(found, Input.from_bytes(conf, plugin))


def _delegate(
    command: str, plugin: str, given: Exec | None, env: Mapping[str, str] | None
) -> tuple[Exec, Args, str]:
    """Return what runs another plugin, what it is told, and what was found of it."""
    args = Args.delegated(command, os.environ if env is None else env)
    run: Exec = given or ProcessExec()
    return run, args, run.find_in_path(plugin, args.path)
