"""The bandwidth that a pod's annotations limit it to."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from cnifast.kubernetes.network_plugin import NetworkPluginError
from cnifast.protocol.codec import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

INGRESS_ANNOTATION = "kubernetes.io/ingress-bandwidth"
EGRESS_ANNOTATION = "kubernetes.io/egress-bandwidth"

_RATE_MIN, _RATE_MAX = 1000, 10**15  # bits per second
_BURST = 2**31 - 1  # bits: what kubelets ask for
_LONGEST = 64
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?"
)
_POWERS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = "KMGTPE"


def parse_quantity(text: str) -> int:
    """Return a quantity as Kubernetes writes it ("10M", "1.5Gi", "2e6"), rounded up.

    Raises:
        ValueError: the text is not a quantity.
    """
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(f"{quote(text[:_LONGEST])} is not a quantity such as 10M")
    suffix = match["suffix"] or ""
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
        factor = Fraction(10) ** int(suffix[1:])
    elif suffix.endswith("i"):
        factor = Fraction(1024) ** (_BINARY.index(suffix[0]) + 1)
    else:
        factor = Fraction(10) ** _POWERS.get(suffix, 0)
    exact = Fraction(match["number"]) * factor
    return -(-exact.numerator // exact.denominator)


def bandwidth_of(annotations: Mapping[str, str]) -> dict[str, int]:
    """Return the capability argument "bandwidth" for a pod's annotations, empty without limits.

    Raises:
        NetworkPluginError: a limit is not a quantity, or makes no sense.
    """
    limits = {}
    for direction, annotation in (("ingress", INGRESS_ANNOTATION), ("egress", EGRESS_ANNOTATION)):
        text = annotations.get(annotation)
        if text is None:
            continue
        try:
            rate = parse_quantity(text)
        except ValueError as e:
            raise NetworkPluginError(f"annotation {annotation}: {e}") from None
        if not _RATE_MIN <= rate <= _RATE_MAX:
            raise NetworkPluginError(
                f"annotation {annotation}: {quote(text)} is not between 1k and 1P bits per second"
            )
        limits[f"{direction}Rate"] = rate
        limits[f"{direction}Burst"] = _BURST
    return limits
