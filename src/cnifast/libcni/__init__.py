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

from cnifast.invoke.process import ProcessExec
from cnifast.libcni.api import CNIConfig
from cnifast.libcni.cache import CachedAttachment
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
    load_conf,
    load_conf_list,
    load_network_conf,
    plugin_confs_from_files,
)
from cnifast.libcni.inprocess import InProcessExec

__all__ = [
    "CNIConfig",
    "CachedAttachment",
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
    "load_conf",
    "load_conf_list",
    "load_network_conf",
    "plugin_confs_from_files",
]
