"""The flannel plugin: has another plugin attach the container to this node's part of a network.

flanneld writes which subnet the node has; the delegate, bridge unless the configuration names
another, is called with a configuration made of that.  What it was called with is saved, so that
CHECK, DEL and GC do not depend on what flanneld says by then.
"""

from __future__ import annotations

from cnifast.invoke.delegate import resolve
from cnifast.invoke.files import require_writable
from cnifast.plugins import MODULES
from cnifast.plugins.base import Failures
from cnifast.plugins.flannel_conf import FlannelConf, SubnetFileError, load, wanted
from cnifast.plugins.flannel_saved import Slot, saved_for
from cnifast.protocol.codec import dumps, loads
from cnifast.protocol.errors import INTERNAL, PLUGIN_NOT_AVAILABLE, CNIError
from cnifast.protocol.netconf import valid_attachments
from cnifast.protocol.skel import on_behalf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cnifast.invoke.delegate import Delegate
    from cnifast.plugins.flannel_conf import Wanted
    from cnifast.plugins.flannel_saved import Saved
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result

CONF = FlannelConf


def add(req: Request) -> Result:
    """Have the delegate attach the container, and return its result.

    Raises:
        CNIError: the configuration or flanneld's file is not usable, or the delegate failed.
        OSError: the kernel refused the delegate a step; nothing is left behind.
    """
    conf = load(req)
    delegate, call = _call(req, wanted(conf))
    slot = _slot(req, conf)
    slot.save(call.stdin)
    try:
        return delegate.add(call)
    except Exception as e:
        # A program may leave things to DEL, and one of ours says so where it could not undo.
        if delegate.in_process and not hasattr(e, "__notes__"):
            slot.take_back(e)
        raise


def check(req: Request) -> None:
    """Have the delegate compare the attachment with what ADD returned.

    Raises:
        CNIError: nothing is saved for the attachment, or the delegate found a difference.
    """
    conf = load(req)
    saved = _slot(req, conf).find()
    if saved is None or not saved.plugin:
        raise CNIError(
            INTERNAL,
            f"{conf.data_dir} has no configuration of {req.ifname} of {req.container_id}",
        )
    previous = req.prev_result_json()
    given = {} if previous is None else {"prevResult": previous}
    delegate, call = _call(req, saved, cniVersion=req.cni_version, **given)
    delegate.check(call)


def delete(req: Request) -> None:
    """Have the delegate detach the container, by what was saved, and forget that.

    Raises:
        CNIError: the delegate failed; what was saved is kept for the next time.
    """
    conf = load(req)
    slot = _slot(req, conf)
    saved = slot.find()
    if saved is not None:
        call = _readable(req, saved) or _as_of_now(req, conf)
        if call is not None:
            resolve(call, call.plugin, MODULES).delete(call)
    slot.forget(saved)


def gc(req: Request) -> None:
    """Have delegates delete and release what attachments that are not valid left.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    conf = load(req)
    valid = valid_attachments(req.conf)
    saved = list(saved_for(conf.data_dir, req.name))
    stale = [one for one in saved if _is_stale(one, valid)]
    owned = [one for one in stale if one.ifname and not one.is_draft]
    # By plugin: what flanneld says now, or said when something was saved that is still here.
    ways: dict[str, Wanted] = {one.plugin: one for one in saved}
    try:
        now = wanted(conf)
        ways[now.plugin] = now
    except SubnetFileError:
        pass
    failures = Failures()
    for one in owned:
        failures.attempt(_deleter(req, one))
    live = [{"containerID": container, "ifname": ifname} for container, ifname in sorted(valid)]
    passed = [failures.attempt(_collector(req, way, live)) for way in ways.values()]
    if all(passed):  # so nothing is left of those whose owner nobody knows
        for one in stale:
            if one not in owned:
                failures.attempt(one.remove)
    failures.report()


def status(req: Request) -> None:
    """Ask for flanneld's file, a place to save to, and the delegate: an ADD depends on them.

    Raises:
        CNIError: one of them is not ready.
    """
    conf = load(req)
    try:
        now = wanted(conf)
    except SubnetFileError as e:
        raise CNIError(PLUGIN_NOT_AVAILABLE, e.msg) from None
    delegate, call = _call(req, now)
    require_writable(conf.data_dir)
    delegate.status(call)


def _slot(req: Request, conf: FlannelConf) -> Slot:
    """Return where the configuration for the request's attachment is kept."""
    return Slot(conf.data_dir, req.container_id, req.ifname)


def _call(req: Request, way: Wanted, **conf: Any) -> tuple[Delegate, Request]:
    """Return the delegate and the call that it gets, with keys of its configuration replaced.

    Raises:
        CNIError: it would refuse the configuration, or there is no such plugin.
        RunCold: this process is not the place to execute it.
    """
    stdin = dumps({**loads(way.stdin), **conf}) if conf else way.stdin
    call = on_behalf(req, way.plugin, stdin)
    return resolve(call, way.plugin, MODULES), call


def _readable(req: Request, saved: Saved) -> Request | None:
    """Return the call of the delegate by what was saved, None where that is damaged."""
    if not saved.plugin:
        return None
    try:
        return on_behalf(req, saved.plugin, saved.stdin)
    except CNIError:
        return None


def _as_of_now(req: Request, conf: FlannelConf) -> Request | None:
    """Return the call of the delegate by what flanneld says now, None if that is of no use."""
    try:
        now = wanted(conf)
        return on_behalf(req, now.plugin, now.stdin)
    except CNIError:
        return None


def _is_stale(saved: Saved, valid: set[tuple[str, str]]) -> bool:
    """Tell whether something was saved for an attachment that is not valid any more."""
    if saved.ifname:
        return (saved.container_id, saved.ifname) not in valid
    return all(container_id != saved.container_id for container_id, _ in valid)


def _deleter(req: Request, saved: Saved) -> Callable[[], object]:
    """Return the deletion of an attachment whose container is gone."""

    def delete_it() -> None:
        owner = {
            "CNI_COMMAND": "DEL",
            "CNI_CONTAINERID": saved.container_id,
            "CNI_IFNAME": saved.ifname,
            "CNI_NETNS": "",
            "CNI_ARGS": "",
        }
        call = on_behalf(req, saved.plugin, saved.stdin, owner)
        resolve(call, saved.plugin, MODULES).delete(call)
        saved.remove()

    return delete_it


def _collector(req: Request, way: Wanted, live: list[dict[str, str]]) -> Callable[[], object]:
    """Return the GC of a delegate."""

    def collect() -> None:
        keys = {"cniVersion": req.cni_version, "cni.dev/valid-attachments": live}
        delegate, call = _call(req, way, **keys)
        delegate.gc(call)

    return collect
