"""The gate of set-ups: who is on the way is known, and who has to be alone is."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cnifast.kubernetes.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 30


def started(target: Callable[[], None]) -> threading.Thread:
    """Start a thread."""
    thread = threading.Thread(target=target)
    thread.start()
    return thread


def test_who_is_on_the_way() -> None:
    """Whoever closes the gate gets the sandboxes that are being set up, its own included."""
    gate = Gate()
    with gate.closed() as found:
        assert found == set()
    with gate.under_way("a"), gate.under_way("b"), gate.closed() as found:
        assert found == {"a", "b"}
    with gate.closed() as found:
        assert found == set()


def test_nobody_passes_a_closed_gate() -> None:
    """A set-up that begins while the gate is closed waits until it is open."""
    gate = Gate()
    passed = threading.Event()

    def pass_it() -> None:
        with gate.under_way("a"):
            passed.set()

    with gate.closed() as found:
        thread = started(pass_it)
        assert found == set()
        assert not passed.is_set()
    assert passed.wait(SECONDS)
    thread.join(SECONDS)


def test_alone() -> None:
    """Who has to be alone waits for those on the way, and whoever comes later waits for him."""
    gate = Gate()
    order: list[str] = []
    first_in, first_out, waiting = (threading.Event() for _ in range(3))

    def first() -> None:
        with gate.under_way("first"):
            first_in.set()
            assert first_out.wait(SECONDS)
            with gate.closed() as found:  # does not wait for the one that waits for us
                order.append(f"first of {sorted(found)}")

    def alone() -> None:
        waiting.set()
        with gate.alone(), gate.closed() as found:
            order.append(f"alone with {len(found)}")

    def second() -> None:
        with gate.under_way("second"):
            order.append("second")

    threads = [started(first)]
    assert first_in.wait(SECONDS)
    threads.append(started(alone))
    assert waiting.wait(SECONDS)
    while not gate._waiting:  # it has come as far as that in no time
        pass
    threads.append(started(second))
    first_out.set()
    for thread in threads:
        thread.join(SECONDS)
    assert order == ["first of ['first']", "alone with 0", "second"]


def test_an_error_opens_the_gate() -> None:
    """Whatever goes wrong behind the gate, it is open afterwards."""
    gate = Gate()
    for enter in (lambda: gate.under_way("a"), gate.closed, gate.alone):
        try:
            with enter():
                raise ValueError  # noqa: TRY301
        except ValueError:
            pass
    with gate.alone(), gate.closed() as found:
        assert found == set()
