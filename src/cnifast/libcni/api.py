"""What runtimes do with networks: attach, check, detach, collect, ask.

The forms for one configuration and for a list differ in nothing but what they are given.
"""

from __future__ import annotations

from cnifast.invoke.call import Args
from cnifast.invoke.process import ProcessExec
from cnifast.libcni import cache
from cnifast.libcni.conf import ConfigError, NetworkConfigList
from cnifast.libcni.step import (
    at_least,
    commit,
    open_entry,
    with_result,
    without_result,
)
from cnifast.protocol.codec import DecodeError, quote
from cnifast.protocol.errors import (
    INCOMPATIBLE_CNI_VERSION,
    INTERNAL,
    CNIError,
)
from cnifast.protocol.request import validate_network_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from cnifast.invoke.call import Cancel, Exec, VersionInfo
    from cnifast.libcni.cached import CachedAttachment
    from cnifast.libcni.conf import NetworkConfig, RuntimeConf
    from cnifast.protocol.result import Result


class CNIConfig:
    """Attaches containers to networks; any number of threads may use it.

    ``cancel`` of a command is how another thread says that nobody waits any longer: programs are
    killed, and what was attached is detached again.

    Args:
        path: the directories of plugins, in the order they are searched; or CNI_PATH's value.
        exec: how plugins are run; each one in a process of its own by default.
        cache_dir: where the results of ADD are kept; /var/lib/cni by default.
    """

    def __init__(
        self,
        path: Sequence[str] | str,
        exec: Exec | None = None,  # noqa: A002 - what every libcni calls it
        cache_dir: str = "",
    ) -> None:
        self.path = path if isinstance(path, str) else ":".join(path)
        self.exec: Exec = ProcessExec() if exec is None else exec
        self.cache_dir = cache_dir

    # -- ADD --------------------------------------------------------------------------------------

    def add_network_list(
        self, net: NetworkConfigList, rt: RuntimeConf, *, cancel: Cancel | None = None
    ) -> Result:
        """Attach a container to a network, and remember the result.

        Raises:
            CNIError: a plugin refused, or the result cannot be kept; what was attached is
                detached again.
        """
        return self._add(net, net.plugins, rt, cancel)

    def add_network(
        self, net: NetworkConfig, rt: RuntimeConf, *, cancel: Cancel | None = None
    ) -> Result:
        """Attach a container by one plugin; see `add_network_list`."""
        return self._add(net, (net,), rt, cancel)

    def _add(
        self,
        net: NetworkConfigList | NetworkConfig,
        plugins: Sequence[NetworkConfig],
        rt: RuntimeConf,
        cancel: Cancel | None,
    ) -> Result:
        """Run ADD from the first plugin to the last one."""
        entry_path = self._entry_path(net, rt)
        if not plugins:
            raise ConfigError(f'network "{net.name}" has no plugins')
        found = [(plugin, self.exec.find_in_path(plugin.type, self.path)) for plugin in plugins]
        result: Any = None
        done: list[tuple[NetworkConfig, str]] = []
        with open_entry(entry_path, net.name) as entry:
            try:
                with self.exec.call(self._args("ADD", rt, cancel)) as call:
                    for plugin, program in found:
                        conf = plugin.input(net.name, net.cni_version, result, rt.capability_args)
                        result = with_result(call, plugin, program, conf)
                        done.append((plugin, program))
                commit(entry, net, rt, result)
            except BaseException as e:
                self._undo(net, rt, done, result, e)
                raise
        attached: Result = result
        return attached

    def _undo(
        self,
        net: NetworkConfigList | NetworkConfig,
        rt: RuntimeConf,
        done: Sequence[tuple[NetworkConfig, str]],
        result: Result | None,
        error: BaseException,
    ) -> None:
        """Run DEL for the plugins whose ADD had succeeded before another one failed."""
        if not done:
            return
        with self.exec.call(self._args("DEL", rt)) as call:
            for plugin, program in reversed(done):
                try:
                    conf = plugin.input(net.name, net.cni_version, result, rt.capability_args)
                    without_result(call, plugin, program, conf, "delete")
                except Exception as also:  # noqa: BLE001 - the others are to be asked, too
                    error.add_note(f"while undoing: {also}")

    # -- CHECK ------------------------------------------------------------------------------------

    def check_network_list(
        self, net: NetworkConfigList, rt: RuntimeConf, *, cancel: Cancel | None = None
    ) -> None:
        """Raise unless an attachment is as ADD left it; do nothing where checks are disabled.

        Raises:
            CNIError: a plugin found something missing, or the version has no CHECK.
        """
        self._check(net, net.plugins, rt, cancel, disabled=net.disable_check)

    def check_network(
        self, net: NetworkConfig, rt: RuntimeConf, *, cancel: Cancel | None = None
    ) -> None:
        """Check an attachment by one plugin; see `check_network_list`."""
        self._check(net, (net,), rt, cancel, disabled=False)

    def _check(
        self,
        net: NetworkConfigList | NetworkConfig,
        plugins: Sequence[NetworkConfig],
        rt: RuntimeConf,
        cancel: Cancel | None,
        *,
        disabled: bool,
    ) -> None:
        """Run CHECK from the first plugin to the last one."""
        if not at_least(net.cni_version, "0.4.0"):
            raise CNIError(
                INCOMPATIBLE_CNI_VERSION,
                f"configuration version {quote(net.cni_version)} "
                "does not support the CHECK command",
            )
        if disabled:
            return
        result = self._cached_result(net, rt)
        with self.exec.call(self._args("CHECK", rt, cancel)) as call:
            for plugin in plugins:
                program = self.exec.find_in_path(plugin.type, self.path)
                conf = plugin.input(net.name, net.cni_version, result, rt.capability_args)
                without_result(call, plugin, program, conf, "check")

    # -- DEL --------------------------------------------------------------------------------------

    def del_network_list(
        self, net: NetworkConfigList, rt: RuntimeConf, *, cancel: Cancel | None = None
    ) -> None:
        """Detach a container from a network, and forget the result.

        A result that is not there, or cannot be read, is no reason not to.

        Raises:
            CNIError: a plugin failed; those before it in the list were not asked, and the
                result is kept, so that DEL can be repeated.
        """
        self._del(net, net.plugins, rt, cancel)

    def del_network(
        self, net: NetworkConfig, rt: RuntimeConf, *, cancel: Cancel | None = None
    ) -> None:
        """Detach a container by one plugin; see `del_network_list`."""
        self._del(net, (net,), rt, cancel)

    def _del(
        self,
        net: NetworkConfigList | NetworkConfig,
        plugins: Sequence[NetworkConfig],
        rt: RuntimeConf,
        cancel: Cancel | None,
    ) -> None:
        """Run DEL from the last plugin to the first one."""
        entry_path = self._entry_path(net, rt)
        result: Result | None = None
        if at_least(net.cni_version, "0.4.0"):
            from cnifast.libcni import cached  # noqa: PLC0415 - ADD does without

            try:
                result = cached.read_result(entry_path, net.cni_version)
            except ValueError:
                cache.remove(entry_path)
            except CNIError:
                pass  # it may be read another time, should this DEL fail
        with self.exec.call(self._args("DEL", rt, cancel)) as call:
            for plugin in reversed(plugins):
                program = self.exec.find_in_path(plugin.type, self.path)
                conf = plugin.input(net.name, net.cni_version, result, rt.capability_args)
                without_result(call, plugin, program, conf, "delete")
        cache.remove(entry_path)

    # -- GC and STATUS ----------------------------------------------------------------------------

    def gc_network_list(
        self, net: NetworkConfigList, valid: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Detach what the cache knows of and is not valid, then have the plugins collect.

        ``valid`` are (container ID, interface) of the attachments that are left alone.

        Raises:
            CNIError: something could not be released; everything else was.
        """
        if net.disable_gc:
            return
        from cnifast.libcni.collect import collect  # noqa: PLC0415 - ADD does without

        collect(self, net, valid)

    def get_status_network_list(self, net: NetworkConfigList) -> None:
        """Ask the plugins whether an ADD could succeed now; versions without STATUS say nothing.

        Raises:
            CNIError: the answer of the first plugin that is not ready.
        """
        if not at_least(net.cni_version, "1.1.0"):
            return
        with self.exec.call(Args("STATUS", path=self.path)) as call:
            for plugin in net.plugins:
                program = self.exec.find_in_path(plugin.type, self.path)
                call.without_result(program, plugin.input(net.name, net.cni_version))

    # -- what is known ----------------------------------------------------------------------------

    def get_network_list_cached_result(
        self, net: NetworkConfigList, rt: RuntimeConf
    ) -> Result | None:
        """Return the result of an attachment's ADD, None when there is none.

        Raises:
            CNIError: it cannot be read.
        """
        return self._cached_result(net, rt)

    def get_network_cached_result(self, net: NetworkConfig, rt: RuntimeConf) -> Result | None:
        """Return the result of an ADD by one plugin; see `get_network_list_cached_result`."""
        return self._cached_result(net, rt)

    def get_network_list_cached_config(
        self, net: NetworkConfigList, rt: RuntimeConf
    ) -> tuple[bytes, RuntimeConf] | None:
        """Return the configuration of an attachment's ADD and what the runtime said then.

        Raises:
            CNIError: it cannot be read.
        """
        return self._cached_config(net, rt)

    def get_network_cached_config(
        self, net: NetworkConfig, rt: RuntimeConf
    ) -> tuple[bytes, RuntimeConf] | None:
        """Return what ADD by one plugin was given; see `get_network_list_cached_config`."""
        return self._cached_config(net, rt)

    def get_cached_attachments(self, container_id: str = "") -> list[CachedAttachment]:
        """Return the attachments that the cache knows of, of one container or of all.

        Raises:
            CNIError: it cannot be read.
        """
        from cnifast.libcni import cached  # noqa: PLC0415 - ADD does without

        return list(cached.attachments(self.cache_dir or cache.DIRECTORY, container_id))

    def _cached_result(
        self, net: NetworkConfigList | NetworkConfig, rt: RuntimeConf
    ) -> Result | None:
        """Return the result of ADD."""
        from cnifast.libcni import cached  # noqa: PLC0415 - ADD does without

        try:
            return cached.read_result(self._entry_path(net, rt), net.cni_version)
        except ValueError as e:
            raise CNIError(
                INTERNAL, f'failed to get network "{net.name}" cached result: {e}'
            ) from None

    def _cached_config(
        self, net: NetworkConfigList | NetworkConfig, rt: RuntimeConf
    ) -> tuple[bytes, RuntimeConf] | None:
        """Return what ADD was given."""
        from cnifast.libcni import cached  # noqa: PLC0415 - ADD does without

        try:
            return cached.read_config(self._entry_path(net, rt), net.name, rt)
        except DecodeError as e:
            raise CNIError(INTERNAL, str(e)) from None

    # -- validation -------------------------------------------------------------------------------

    def validate_network_list(self, net: NetworkConfigList) -> list[str]:
        """Make sure that all plugins are there and speak the version; return the capabilities.

        Raises:
            CNIError: one or more do not.
        """
        failed = []
        for plugin in net.plugins:
            try:
                self._validate(plugin, net.cni_version)
            except CNIError as e:
                failed.append(e)
        if failed:
            raise CNIError(failed[0].code, "; ".join(str(e) for e in failed))
        return list(net.capabilities)

    def validate_network(self, net: NetworkConfig) -> list[str]:
        """Do for one plugin what `validate_network_list` does for all of a network's."""
        self._validate(net, net.cni_version)
        return list(net.capabilities)

    def _validate(self, plugin: NetworkConfig, version: str) -> None:
        """Raise unless a plugin is there and speaks a version."""
        from cnifast.protocol.versions import OLDEST  # noqa: PLC0415 - ADD does without

        version = version or OLDEST
        if version not in self.get_version_info(plugin.type).supported_versions:
            raise CNIError(
                INCOMPATIBLE_CNI_VERSION,
                f"plugin {plugin.type} does not support config version {quote(version)}",
            )

    def get_version_info(self, plugin: str) -> VersionInfo:
        """Return which versions of the specification a plugin speaks.

        Raises:
            CNIError: it is not there, or does not say.
        """
        return self.exec.version_info(plugin, self.exec.find_in_path(plugin, self.path))

    # -- helpers ----------------------------------------------------------------------------------

    def _args(self, command: str, rt: RuntimeConf, cancel: Cancel | None = None) -> Args:
        """Return the variables of a command for an attachment."""
        return Args(
            command,
            container_id=rt.container_id,
            netns=rt.netns,
            ifname=rt.ifname,
            args=rt.args_text,
            path=self.path,
            cancel=cancel,
        )

    def _entry_path(self, net: NetworkConfigList | NetworkConfig, rt: RuntimeConf) -> str:
        """Return where the result of an attachment is kept; no name may lead elsewhere."""
        validate_network_name(net.name)
        directory = self.cache_dir or rt.cache_dir or cache.DIRECTORY
        return cache.entry_path(directory, net.name, rt)
