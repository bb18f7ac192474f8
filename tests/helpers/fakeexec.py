"""An Exec that runs nothing: what libcni asks of plugins, and what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from cnifast.invoke.call import VersionInfo
from cnifast.protocol.errors import CNIError
from cnifast.protocol.result import Interface, IPConfig, Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnifast.invoke.call import Args, Input


class Asked:
    """One call of a plugin: the command, the plugin's name, the variables and the configuration."""

    def __init__(self, args: Args, conf: Input) -> None:
        self.command = args.command
        self.plugin = conf.plugin
        self.args = args
        self.conf = conf.conf
        self.previous = conf.previous

    def __repr__(self) -> str:
        return f"{self.command} {self.plugin}"


class FakeExec:
    """Every plugin is there, and answers ADD with an interface of its own name.

    Attributes:
        asked: the calls.
        missing: names of plugins that are not there.
        failing: what raises for (command, plugin).
        versions: what plugins speak.
        hook: called for every call, before it is answered.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.missing: set[str] = set()
        self.failing: dict[tuple[str, str], CNIError] = {}
        self.versions: dict[str, tuple[str, ...]] = {}
        self.hook: Callable[[Asked], object] = lambda _: None
        self.open = 0

    @property
    def log(self) -> list[str]:
        """The calls as text."""
        return [repr(asked) for asked in self.asked]

    def find_in_path(self, plugin: str, path: str) -> str:
        """Find all but what is missing."""
        if plugin in self.missing:
            raise CNIError(999, f'failed to find plugin "{plugin}" in path [{path}]')
        return f"/fake/{plugin}"

    def call(self, args: Args) -> FakeCall:
        """Begin a command."""
        return FakeCall(self, args)

    def version_info(self, plugin: str, found: str) -> VersionInfo:
        """Return what the plugin speaks."""
        assert found == f"/fake/{plugin}"
        return VersionInfo("1.1.0", self.versions.get(plugin, ("0.4.0", "1.0.0", "1.1.0")))


class FakeCall:
    """One command; it is to be left as often as it is entered."""

    def __init__(self, exec_: FakeExec, args: Args) -> None:
        self._exec = exec_
        self._args = args

    def without_result(self, found: str, conf: Input) -> None:
        """Note the call, and fail if told to."""
        asked = Asked(self._args, conf)
        assert found == f"/fake/{conf.plugin}"
        self._exec.asked.append(asked)
        self._exec.hook(asked)
        if self._args.cancel is not None:
            self._args.cancel.check()
        failure = self._exec.failing.get((asked.command, asked.plugin))
        if failure is not None:
            raise failure

    def with_result(self, found: str, conf: Input) -> Result:
        """Note the call, and return the previous result with one more interface."""
        self.without_result(found, conf)
        result = conf.previous.copy() if conf.previous else Result(ips=[IPConfig("10.1.0.5/16")])
        result.interfaces.append(Interface(conf.plugin))
        return result.as_version(conf.version)

    def __enter__(self) -> Self:
        self._exec.open += 1
        return self

    def __exit__(self, *exc: object) -> None:
        self._exec.open -= 1


def conf_list(*plugins: Any, **keys: Any) -> dict[str, Any]:
    """Return a configuration list; plugins may be given by their types."""
    entries = [plugin if isinstance(plugin, dict) else {"type": plugin} for plugin in plugins]
    return {"cniVersion": "1.1.0", "name": "net", "plugins": entries, **keys}
