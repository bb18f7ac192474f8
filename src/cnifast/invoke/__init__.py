"""How one program runs plugins: finding them, executing them, or knowing that they are ours.

    from cnifast import invoke

    result = invoke.delegate_add("bridge", conf)  # in the environment of this call
    invoke.delegate_del("bridge", conf)

What is imported is what is used: a process that answers one call pays for every import.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.invoke.call import Args, Input, VersionInfo
    from cnifast.invoke.exec import exec_plugin
    from cnifast.invoke.find import find_in_path
    from cnifast.invoke.process import ProcessExec
    from cnifast.invoke.run import (
        delegate_add,
        delegate_check,
        delegate_del,
        delegate_gc,
        delegate_status,
        exec_plugin_with_result,
        exec_plugin_without_result,
        get_version_info,
    )

__all__ = [
    "Args",
    "Input",
    "ProcessExec",
    "VersionInfo",
    "delegate_add",
    "delegate_check",
    "delegate_del",
    "delegate_gc",
    "delegate_status",
    "exec_plugin",
    "exec_plugin_with_result",
    "exec_plugin_without_result",
    "find_in_path",
    "get_version_info",
]
_ELSEWHERE = {
    "Args": "call",
    "Input": "call",
    "VersionInfo": "call",
    "exec_plugin": "exec",
    "find_in_path": "find",
    "ProcessExec": "process",
}


def __getattr__(name: str) -> object:
    """Import what is asked for the first time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{_ELSEWHERE.get(name, 'run')}", fromlist=(name,))
    found: object = getattr(module, name)
    globals()[name] = found
    return found
