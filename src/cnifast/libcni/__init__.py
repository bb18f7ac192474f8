"""Networks for runtimes: what a container runtime needs of CNI, as a library.

    from cnifast.libcni import CNIConfig, InProcessExec, RuntimeConf, load_network_conf

    cni = CNIConfig(["/opt/cni/bin"], exec=InProcessExec())
    net = load_network_conf("/etc/cni/net.d", "mynet")
    rt = RuntimeConf("c1", "/run/netns/c1", "eth0")
    result = cni.add_network_list(net, rt)
    cni.del_network_list(net, rt)

Errors are ``cnifast.protocol.errors.CNIError``, with the codes of the specification.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.invoke.call import Cancel
    from cnifast.invoke.process import ProcessExec
    from cnifast.libcni.aio import AsyncCNIConfig
    from cnifast.libcni.api import CNIConfig
    from cnifast.libcni.cached import CachedAttachment
    from cnifast.libcni.conf import (
        ConfigError,
        NetworkConfig,
        NetworkConfigList,
        RuntimeConf,
        conf_from_bytes,
        conf_list_from_bytes,
        conf_list_from_conf,
        inject_conf,
    )
    from cnifast.libcni.files import (
        NoConfigsFoundError,
        NotFoundError,
        conf_files,
        conf_from_file,
        conf_list_from_file,
        load_all,
        load_conf,
        load_conf_list,
        load_network_conf,
        plugin_confs_from_files,
    )
    from cnifast.libcni.inprocess import InProcessExec

__all__ = [
    "AsyncCNIConfig",
    "CNIConfig",
    "CachedAttachment",
    "Cancel",
    "ConfigError",
    "InProcessExec",
    "NetworkConfig",
    "NetworkConfigList",
    "NoConfigsFoundError",
    "NotFoundError",
    "ProcessExec",
    "RuntimeConf",
    "conf_files",
    "conf_from_bytes",
    "conf_from_file",
    "conf_list_from_bytes",
    "conf_list_from_conf",
    "conf_list_from_file",
    "inject_conf",
    "load_all",
    "load_conf",
    "load_conf_list",
    "load_network_conf",
    "plugin_confs_from_files",
]
_ELSEWHERE = {
    "AsyncCNIConfig": "cnifast.libcni.aio",
    "CNIConfig": "cnifast.libcni.api",
    "Cancel": "cnifast.invoke.call",
    "CachedAttachment": "cnifast.libcni.cached",
    "InProcessExec": "cnifast.libcni.inprocess",
    "ProcessExec": "cnifast.invoke.process",
}
_IN_CONF = (
    "ConfigError",
    "NetworkConfig",
    "NetworkConfigList",
    "RuntimeConf",
    "conf_from_bytes",
    "conf_list_from_bytes",
    "conf_list_from_conf",
    "inject_conf",
)


def __getattr__(name: str) -> object:
    """Import what is asked for the first time: the command line pays for every import."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    other = "cnifast.libcni.conf" if name in _IN_CONF else "cnifast.libcni.files"
    found: object = getattr(__import__(_ELSEWHERE.get(name, other), fromlist=(name,)), name)
    globals()[name] = found
    return found
