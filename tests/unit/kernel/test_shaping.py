"""Token buckets: rates and bursts in bits turned into what the kernel counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnifast.kernel.foreign import ifb_name
from cnifast.kernel.shaping import Bucket

UINT32_MAX = 2**32 - 1
MBIT = 10**6


@pytest.mark.parametrize(
    ("rate", "burst", "expected"),
    [
        (8 * MBIT, 800_000, (1_000_000, 1_562_500, 125_000)),
        (2_345_678, 123_456, (293_209, 822_359, 22_762)),
        (8, 1600, (1, 3_125_000_000, 200)),
        (10**11, 10**9, (12_500_000_000, 156_250, 437_500_000)),
        (8 * (2**32 + 1), 8 * 10**9, (2**32 + 1, 3_637_968, 1_107_374_182)),
    ],
)
def test_as_the_reference(rate: int, burst: int, expected: tuple[int, int, int]) -> None:
    """Rate, ticks and limit are what the reference computes, in its roundings."""
    assert Bucket.of(rate, burst) == Bucket(*expected)
    assert Bucket.wrapped(rate, burst) == Bucket(*expected)


@pytest.mark.parametrize(
    ("rate", "milliseconds"), [(8, 131_072_000), (MBIT, 1048.576), (10**9, 25), (10**11, 25)]
)
def test_default_burst(rate: int, milliseconds: float) -> None:
    """Who names no burst gets what passes in 25 ms, but at least 128 KiB."""
    bucket = Bucket.of(rate)
    assert bucket.burst == min(int(milliseconds * 15625), UINT32_MAX)
    assert bucket.limit == bucket.rate * 25 // 1000 + max(bucket.rate * 25 // 1000, 131_072)


def test_latency() -> None:
    """The bound for latency decides how much may wait besides a burst."""
    limits = [Bucket.of(80 * MBIT, 80_000, latency).limit for latency in (0, 1, 25, 1000)]
    assert limits == [10_000, 20_000, 260_000, 10_010_000]


def test_what_is_over_in_no_time_is_not_nothing() -> None:
    """A burst of less than a microsecond has ticks all the same, where the reference has none."""
    assert Bucket.of(10**11, 8 * 1500).burst == 1
    assert Bucket.of(10**11, 8 * 3200).burst == 4
    assert Bucket.wrapped(10**11, 8 * 1500).burst == 0


def test_what_does_not_fit_is_cut() -> None:
    """A burst longer than the kernel can count, and a limit of more than 4 GiB, are cut."""
    assert Bucket.of(MBIT, UINT32_MAX).burst == UINT32_MAX
    assert Bucket.of(10**10, 8 * (UINT32_MAX - 1)).limit == UINT32_MAX


@pytest.mark.parametrize(
    ("rate", "burst", "latency", "words"),
    [
        (7, 800, 25, "a rate of 7 bit/s is less than one byte per second"),
        (0, 800, 25, "a rate of 0 bit/s is less than one byte"),
        (MBIT, 7, 25, "a burst of 7 bits is less than one byte"),
        (8 * 40 * 2**32, 800, 25, "overflows: more than 4 GiB would wait 25 ms"),
        (2**64 - 1, 800, 25, "overflows"),
        (10**9, 800, 2**32 - 1, "overflows: more than 4 GiB would wait 4294967295 ms"),
    ],
)
def test_nonsense(rate: int, burst: int, latency: int, words: str) -> None:
    """What cannot be counted is refused by name."""
    with pytest.raises(ValueError, match=words):
        Bucket.of(rate, burst, latency)


@given(st.integers(8, 10**12), st.integers(0, 8 * UINT32_MAX), st.integers(0, 10_000))
def test_every_bucket_fits(rate: int, burst: int, latency: int) -> None:
    """Whatever is not refused fits into the kernel's numbers, and lets something pass."""
    try:
        bucket = Bucket.of(rate, burst, latency)
    except ValueError:
        return
    assert 0 < bucket.rate < 2**61
    assert 0 < bucket.burst <= UINT32_MAX
    assert 0 < bucket.limit <= UINT32_MAX


def test_names_of_devices() -> None:
    """The device is found under the name that the reference gives it."""
    assert ifb_name("net", "pod1") == "bwp18e4b887dc77"
    assert ifb_name("net", "c") == "bwpf4b316d7e3e8"
