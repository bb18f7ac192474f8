"""Which limits the bandwidth plugin reads from a configuration, without a kernel."""

from __future__ import annotations

from typing import Any

import pytest

from cnifast.kernel.shaping import Bucket
from cnifast.plugins import add, status
from cnifast.plugins.meta import bandwidth
from cnifast.protocol.errors import CNIError
from cnifast.protocol.request import Request

MBIT = 10**6
BASE: dict[str, Any] = {"cniVersion": "1.1.0", "name": "net", "type": "bandwidth"}
BOTH = {
    "ingressRate": MBIT,
    "ingressBurst": 2 * MBIT,
    "egressRate": 3 * MBIT,
    "egressBurst": 4 * MBIT,
}


def load(**conf: Any) -> bandwidth.Wanted:
    """Load a configuration."""
    return bandwidth._load(Request("bandwidth", "ADD", {}, b"", {**BASE, **conf}, "net", "1.1.0"))


def limits(**conf: Any) -> bandwidth.Limits:
    """Load a configuration that limits something."""
    found = load(**conf).limits
    assert found is not None
    return found


def runtime(**entry: Any) -> dict[str, Any]:
    """Return what a runtime adds."""
    return {"runtimeConfig": {"bandwidth": entry}}


def test_both_directions() -> None:
    """Ingress and egress have each their rate and burst, and may be missing."""
    found = limits(**BOTH)
    assert (found.ingress, found.egress) == (
        Bucket.of(MBIT, 2 * MBIT),
        Bucket.of(3 * MBIT, 4 * MBIT),
    )
    assert limits(ingressRate=MBIT, ingressBurst=MBIT).egress is None
    assert limits(egressRate=MBIT, egressBurst=MBIT).ingress is None


@pytest.mark.parametrize(
    "conf",
    [
        {},
        {"runtimeConfig": {}},
        {"runtimeConfig": None},
        {"runtimeConfig": {"bandwidth": None}},
        runtime(),
        runtime(ingressRate=0, ingressBurst=0, egressRate=0, egressBurst=0),
        {"unshapedSubnets": ["no subnet"], "shapedSubnets": ["10.0.0.0/8"], "latencyMs": 5},
        {"ingressRate": 0, **runtime(**BOTH)},
        {"EGRESSBURST": None, **runtime(**BOTH)},
    ],
)
def test_nothing_to_limit(conf: dict[str, Any]) -> None:
    """Without rates there are no limits, and a rate of the configuration hides the runtime's."""
    assert load(**conf).limits is None


def test_keys_match_in_any_case() -> None:
    """Keys of containerd begin with a capital letter."""
    entry = {key[0].upper() + key[1:]: value for key, value in BOTH.items()}
    found = limits(RuntimeConfig={"Bandwidth": entry})
    assert found.egress == Bucket.of(3 * MBIT, 4 * MBIT)


@pytest.mark.parametrize("burst", [2**31 - 1, 2**32 - 1, (2**32 - 1) * 8 - 1])
def test_a_burst_that_nobody_asked_for(burst: int) -> None:
    """What runtimes send without being asked means the default; an operator is taken at his word.

    CHECK takes what the reference makes of it as well.
    """
    wanted = load(**runtime(ingressRate=10 * MBIT, ingressBurst=burst))
    assert wanted.limits is not None
    assert wanted.limits.ingress == Bucket.of(10 * MBIT)
    assert wanted.older is not None
    assert wanted.older.ingress == Bucket.wrapped(10 * MBIT, burst)
    assert wanted.older.egress is None
    static = load(ingressRate=10 * MBIT, ingressBurst=burst)
    assert static.limits is not None
    assert static.limits.ingress == Bucket.of(10 * MBIT, burst)
    assert static.older is None
    assert load(**runtime(ingressRate=10 * MBIT, ingressBurst=burst - 1)).older is None


def test_a_rate_alone() -> None:
    """A burst may be left out."""
    assert limits(egressRate=MBIT).egress == Bucket.of(MBIT)


def test_subnets() -> None:
    """Subnets are made canonical and kept once; either side may give either kind."""
    found = limits(**BOTH, unshapedSubnets=["10.9.8.7/8", "10.0.0.0/8", "FD00::1/8", "::/0"])
    assert found.subnets == ("10.0.0.0/8", "fd00::/8", "::/0")
    assert not found.only_subnets
    found = limits(shapedSubnets=["192.0.2.0/24"], **runtime(**BOTH))
    assert (found.subnets, found.only_subnets) == (("192.0.2.0/24",), True)
    found = limits(**runtime(**BOTH, unshapedSubnets=["192.0.2.1/32"]))
    assert (found.subnets, found.only_subnets) == (("192.0.2.1/32",), False)


def test_latency() -> None:
    """The runtime's bound for latency goes before the configuration's."""
    entry = {"egressRate": MBIT, "egressBurst": MBIT}
    assert limits(**entry, latencyMs=100).egress == Bucket.of(MBIT, MBIT, 100)
    assert limits(latencyMs=100, **runtime(**entry)).egress == Bucket.of(MBIT, MBIT, 100)
    found = limits(latencyMs=100, **runtime(**entry, latencyMs=0))
    assert found.egress == Bucket.of(MBIT, MBIT, 0)


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"ingressBurst": 5}, "ingressBurst 5 needs ingressRate"),
        (runtime(egressBurst=5, ingressRate=MBIT), "egressBurst 5 needs egressRate"),
        ({"egressRate": 5}, "egress limit: a rate of 5 bit/s"),
        ({"ingressRate": MBIT, "ingressBurst": 8 * (2**32 - 1)}, "ingressBurst 34359738360"),
        ({"ingressRate": 2**64 - 1}, "ingress limit: a rate of 18446744073709551615 bit/s over"),
        ({**BOTH, "shapedSubnets": ["10.0.0.0"]}, "bad subnet: .*10.0.0.0"),
        ({**BOTH, "unshapedSubnets": ["10.0.0.0/33"]}, "bad subnet: .*10.0.0.0/33"),
        (
            {**BOTH, "shapedSubnets": ["10.0.0.0/8"], "unshapedSubnets": ["10.0.0.0/8"]},
            "exclude each other",
        ),
        ({"ingressRate": 2**64}, "cannot unmarshal number .* ingressRate of type uint"),
        ({"ingressRate": -1}, "cannot unmarshal number -1 .* ingressRate"),
        ({"ingressRate": "1M"}, "cannot unmarshal string .* ingressRate"),
        ({"latencyMs": 2**32}, "latencyMs of type uint32"),
        (runtime(egressRate=1.5), "runtimeConfig.bandwidth.egressRate"),
        ({"runtimeConfig": {"bandwidth": []}}, "array .* runtimeConfig.bandwidth of type object"),
    ],
)
def test_bad_limits(conf: dict[str, Any], words: str) -> None:
    """What makes no sense is refused by name, and STATUS says the same."""
    with pytest.raises(CNIError, match=words) as refused:
        load(**conf)
    assert refused.value.code == 999
    with pytest.raises(CNIError, match=words):
        status("bandwidth", {**BASE, **conf})


def test_status_of_what_can_be_set() -> None:
    """STATUS succeeds where an ADD can."""
    status("bandwidth", BASE)
    status("bandwidth", {**BASE, **BOTH})


def test_passes_the_result_on() -> None:
    """Without limits the previous result is returned, and the container is not looked at."""
    previous = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0", "sandbox": "/run/netns/nobody", "mtu": 1400}],
        "ips": [{"address": "10.1.0.2/24", "interface": 0}],
        "dns": {"nameservers": ["10.1.0.1"]},
    }
    result = add(
        "bandwidth", {**BASE, "prevResult": previous}, container_id="c1", netns="/run/netns/nobody"
    )
    assert result.to_json("1.1.0") == previous
    with pytest.raises(CNIError, match="prevResult missing"):
        add("bandwidth", BASE, container_id="c1", netns="/run/netns/nobody")
