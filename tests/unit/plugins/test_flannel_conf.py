"""What flanneld writes, as the flannel plugin reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.plugins.flannel_conf import FlannelConf, SubnetFileError, parse, wanted
from cnifast.protocol.errors import CNIError

if TYPE_CHECKING:
    from pathlib import Path

V4 = """FLANNEL_NETWORK=10.1.0.0/16
FLANNEL_SUBNET=10.1.17.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
"""


def conf(path: Path, text: str = V4, **keys: Any) -> FlannelConf:
    """Return a configuration whose subnet file has this text."""
    (path / "subnet.env").write_text(text)
    return FlannelConf.decode({"name": "net", "subnetFile": str(path / "subnet.env"), **keys})


def made(of: FlannelConf) -> dict[str, Any]:
    """Return the delegate's configuration."""
    found: dict[str, Any] = json.loads(wanted(of).stdin)
    return found


def test_values() -> None:
    """Networks and subnets lose their host bits, equal networks are one."""
    env = parse(
        b"FLANNEL_NETWORK=10.1.2.3/16,10.1.0.0/16,10.2.0.0/16\nFLANNEL_IPV6_NETWORK=FD01::1/48\n"
        b"FLANNEL_SUBNET=10.1.17.1/24\nFLANNEL_IPV6_SUBNET=fd01::1/64\n"
        b"FLANNEL_MTU=01450\nFLANNEL_IPMASQ=false"
    )
    assert env.networks == ["10.1.0.0/16", "10.2.0.0/16", "fd01::/48"]
    assert env.subnets == ["10.1.17.0/24", "fd01::/64"]
    assert (env.mtu, env.ip_masq) == (1450, False)


@pytest.mark.parametrize("key", ["FLANNEL_NETWORK", "FLANNEL_MTU", "FLANNEL_IPMASQ"])
def test_key_without_value(key: str) -> None:
    """A key alone on its line is an error that names it."""
    with pytest.raises(ValueError, match=f"{key} has no value"):
        parse(f"{V4}{key}\n".encode())


def test_file_is_read_anew(tmp_path: Path) -> None:
    """What flanneld writes counts from then on; the same content is not looked at again."""
    one = conf(tmp_path)
    assert made(one)["mtu"] == 1450
    assert wanted(one) is wanted(one)
    (tmp_path / "subnet.env").write_text(V4.replace("1450", "1400"))
    assert made(one)["mtu"] == 1400
    (tmp_path / "subnet.env").unlink()
    with pytest.raises(SubnetFileError, match=r"subnet\.env: no such file or directory; flanneld"):
        wanted(one)


def test_keys_match_without_regard_to_case(tmp_path: Path) -> None:
    """What the delegate is told in other letters is not told again, and cannot hide a path."""
    delegate = {"MTU": 1300, "IpMasq": True, "isgateway": False, "TYPE": "bridge"}
    found = made(conf(tmp_path, delegate=delegate, ipam={"TYPE": "x", "Routes": [], "RANGES": 1}))
    assert found == {
        "MTU": 1300,
        "IpMasq": True,
        "isgateway": False,
        "type": "bridge",
        "name": "net",
        "ipam": {
            "TYPE": "x",
            "ranges": [[{"subnet": "10.1.17.0/24"}]],
            "routes": [{"dst": "10.1.0.0/16"}],
        },
    }
    for key in ("type", "Type"):
        with pytest.raises(CNIError, match=r"delegate\.type") as error:
            wanted(conf(tmp_path, delegate={"type": "bridge", key: "../../bin/sh"}))
        assert error.value.code == 7


def test_the_configuration_stays_as_it_is(tmp_path: Path) -> None:
    """What calls share is not changed by making the delegate's configuration of it."""
    one = conf(tmp_path, delegate={"Type": "bridge"}, ipam={"routes": []}, runtimeConfig={"a": 1})
    wanted(one)
    assert one.delegate == {"Type": "bridge"}
    assert one.ipam == {"routes": []}
    assert one.runtime_config == {"a": 1}
