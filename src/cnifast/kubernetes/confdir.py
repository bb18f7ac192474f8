"""The network that a configuration directory is for: the first one in it that can be used."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cnifast.kubernetes.network_plugin import NetworkPluginError
from cnifast.libcni import conf_files, conf_from_file, conf_list_from_conf, conf_list_from_file
from cnifast.protocol.errors import CNIError

if TYPE_CHECKING:
    from cnifast.libcni import CNIConfig, NetworkConfigList

EXTENSIONS = (".conf", ".conflist", ".json")

_log = logging.getLogger(__name__)


def load_default_network(cni: CNIConfig, directory: str) -> NetworkConfigList:
    """Return the first network, in the order of the files' names, whose plugins can all be run.

    Raises:
        NetworkPluginError: there is none; the text says what is wrong with those that are there.
    """
    try:
        paths = conf_files(directory, EXTENSIONS)
    except CNIError as e:
        raise NetworkPluginError(str(e)) from e
    if not paths:
        raise NetworkPluginError(f"no networks found in {directory}")
    faults = []
    for path in paths:
        try:
            net = _load(path)
            cni.validate_network_list(net)
        except (CNIError, OSError) as e:
            fault = str(e) if path in str(e) else f"{path}: {e}"
            _log.warning("a network cannot be used: %s", fault)
            faults.append(fault)
        else:
            return net
    raise NetworkPluginError(f"no valid networks found in {directory}: {'; '.join(faults)}")


def _load(path: str) -> NetworkConfigList:
    """Return the network in a file, which may be of the old form."""
    if path.endswith(".conflist"):
        return conf_list_from_file(path)
    return conf_list_from_conf(conf_from_file(path))
