"""GC of a network: what the cache knows of and is not valid, then what plugins find."""

from __future__ import annotations

from cnifast.invoke.call import Args, Input
from cnifast.libcni.step import at_least, prefixed
from cnifast.protocol.errors import CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnifast.libcni.api import CNIConfig
    from cnifast.libcni.conf import NetworkConfigList

_VALID = ("cni.dev/valid-attachments", "cni.dev/attachments")  # specified, and first published


def collect(cni: CNIConfig, net: NetworkConfigList, valid: Iterable[tuple[str, str]]) -> None:
    """Release what belongs to no valid attachment; see `CNIConfig.gc_network_list`.

    Raises:
        CNIError: something could not be released; everything else was.
    """
    kept = set(valid)
    failed = [*_delete_stale(cni, net, kept)]
    if at_least(net.cni_version, "1.1.0"):
        failed += _have_plugins_collect(cni, net, kept)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise CNIError(failed[0].code, "; ".join(str(e) for e in failed))


def _delete_stale(
    cni: CNIConfig, net: NetworkConfigList, kept: set[tuple[str, str]]
) -> Iterable[CNIError]:
    """Detach what the cache knows of and is not to be kept; yield the failures."""
    try:
        known = cni.get_cached_attachments()
    except CNIError as e:
        yield e
        return
    for attachment in known:
        rt = attachment.rt
        if attachment.network != net.name or (rt.container_id, rt.ifname) in kept:
            continue
        try:
            cni.del_network_list(net, rt)
        except CNIError as e:
            step = f"failed to delete stale attachment {rt.container_id} {rt.ifname}"
            yield prefixed(step, e)


def _have_plugins_collect(
    cni: CNIConfig, net: NetworkConfigList, kept: set[tuple[str, str]]
) -> Iterable[CNIError]:
    """Have every plugin collect; yield the failures."""
    shown = [{"containerID": owner, "ifname": ifname} for owner, ifname in sorted(kept)]
    with cni.exec.call(Args("GC", path=cni.path)) as call:
        for plugin in net.plugins:
            try:
                program = cni.exec.find_in_path(plugin.type, cni.path)
                conf = plugin.input(net.name, net.cni_version).conf
                whole = {**conf, **dict.fromkeys(_VALID, shown)}
                call.without_result(program, Input(plugin.type, whole, net.cni_version))
            except CNIError as e:
                yield prefixed(f"failed to GC plugin {plugin.type}", e)
