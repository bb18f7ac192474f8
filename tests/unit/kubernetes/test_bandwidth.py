"""Quantities as Kubernetes writes them, and limits in a pod's annotations."""

from __future__ import annotations

import pytest

from cnifast.kubernetes import NetworkPluginError
from cnifast.kubernetes.bandwidth import (
    EGRESS_ANNOTATION,
    INGRESS_ANNOTATION,
    bandwidth_of,
    parse_quantity,
)

BURST = 2**31 - 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("10", 10),
        ("10k", 10_000),
        ("10M", 10_000_000),
        ("1.5G", 1_500_000_000),
        (".5T", 500_000_000_000),
        ("2.P", 2 * 10**15),
        ("1E", 10**18),
        ("1Ki", 1024),
        ("1.5Mi", 1572864),
        ("3Ei", 3 << 60),
        ("1e3", 1000),
        ("1E3", 1000),
        ("25e-1", 3),
        ("+7", 7),
        ("-7", -7),
        ("1500m", 2),
        ("1u", 1),
        ("1n", 1),
        ("100000000000000000001n", 100_000_000_001),
    ],
)
def test_quantities(text: str, value: int) -> None:
    """Decimal, binary and exponential quantities have their value, rounded up."""
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "M",
        "10MB",
        "10 M",
        "1K",
        "0x10",
        "1e",
        "1e1000",
        "1ki",
        "--1",
        "1_0",
        "\u0661",
        "9" * 65,
    ],
)
def test_what_is_no_quantity(text: str) -> None:
    """Anything else is refused, and quoted."""
    with pytest.raises(ValueError, match="is not a quantity such as 10M"):
        parse_quantity(text)


def test_annotations_become_limits() -> None:
    """Each direction has a limit of its own, with the burst that kubelets ask for."""
    assert bandwidth_of({}) == {}
    assert bandwidth_of({"other": "x"}) == {}
    assert bandwidth_of({INGRESS_ANNOTATION: "10M"}) == {
        "ingressRate": 10_000_000,
        "ingressBurst": BURST,
    }
    assert bandwidth_of({INGRESS_ANNOTATION: "1k", EGRESS_ANNOTATION: "1P"}) == {
        "ingressRate": 1000,
        "ingressBurst": BURST,
        "egressRate": 10**15,
        "egressBurst": BURST,
    }


@pytest.mark.parametrize("annotation", [INGRESS_ANNOTATION, EGRESS_ANNOTATION])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fast", "is not a quantity"),
        ("", "is not a quantity"),
        ("999", "is not between 1k and 1P"),
        ("-1M", "is not between 1k and 1P"),
        ("1001T", "is not between 1k and 1P"),
    ],
)
def test_limits_that_make_no_sense(annotation: str, text: str, why: str) -> None:
    """A limit that is no quantity, below 1 kbit/s or above 1 Pbit/s is refused by its name."""
    with pytest.raises(NetworkPluginError, match=f"annotation {annotation}: .*{why}"):
        bandwidth_of({annotation: text})
