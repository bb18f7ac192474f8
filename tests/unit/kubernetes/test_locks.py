"""Locks of pods: one call at a time for a pod, and nothing kept for the others."""

from __future__ import annotations

import threading

from cnifast.kubernetes.locks import PodLocks

SECONDS = 30


def test_calls_for_one_pod_take_turns() -> None:
    """While a call holds a pod's lock no other one does, however many want to."""
    locks = PodLocks()
    inside = []
    most = []

    def call() -> None:
        for _ in range(50):
            with locks.hold("default", "web"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert len(most) == 8 * 50


def test_calls_for_other_pods_go_on() -> None:
    """A call for a pod does not wait for one of the same name in another namespace."""
    locks = PodLocks()
    done = threading.Event()

    def other() -> None:
        with locks.hold("other", "web"):
            done.set()

    with locks.hold("default", "web"):
        threading.Thread(target=other).start()
        assert done.wait(SECONDS)


def test_no_lock_is_kept() -> None:
    """There is a lock only as long as somebody has it or waits for it."""
    locks = PodLocks()
    held, waiting = threading.Event(), threading.Event()

    def wait() -> None:
        waiting.set()
        with locks.hold("default", "web"):
            held.set()

    thread = threading.Thread(target=wait)
    with locks.hold("default", "web"):
        thread.start()
        assert waiting.wait(SECONDS)
        assert len(locks) == 1
        assert not held.is_set()
    thread.join(SECONDS)
    assert held.is_set()
    assert len(locks) == 0


def test_an_error_lets_go() -> None:
    """A call that fails gives the lock back."""
    locks = PodLocks()
    for _ in range(2):
        try:
            with locks.hold("default", "web"):
                raise ValueError  # noqa: TRY301
        except ValueError:
            pass
    assert len(locks) == 0
