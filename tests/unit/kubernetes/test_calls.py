"""Calls for pods: one at a time for a pod, nothing kept for others, errors that name the pod."""

from __future__ import annotations

import threading

import pytest

from cnifast.kubernetes import NetworkPluginError
from cnifast.kubernetes.calls import PodCalls
from cnifast.protocol.errors import CNIError

SECONDS = 30


def test_calls_for_one_pod_take_turns() -> None:
    """While a call is under way for a pod no other one is, however many want to."""
    calls = PodCalls("net")
    inside = []
    most = []

    def call() -> None:
        for _ in range(50):
            with calls.call("set up", "default", "web"):
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
    calls = PodCalls("net")
    done = threading.Event()

    def other() -> None:
        with calls.call("set up", "other", "web"):
            done.set()

    with calls.call("set up", "default", "web"):
        threading.Thread(target=other).start()
        assert done.wait(SECONDS)


def test_nothing_is_kept() -> None:
    """There is a lock only as long as a call has it or waits for it."""
    calls = PodCalls("net")
    held, waiting = threading.Event(), threading.Event()

    def wait() -> None:
        waiting.set()
        with calls.call("set up", "default", "web"):
            held.set()

    thread = threading.Thread(target=wait)
    with calls.call("set up", "default", "web"):
        thread.start()
        assert waiting.wait(SECONDS)
        assert len(calls) == 1
        assert not held.is_set()
    thread.join(SECONDS)
    assert held.is_set()
    assert len(calls) == 0


@pytest.mark.parametrize(
    "error", [NetworkPluginError("why"), CNIError(999, "why"), FileNotFoundError("why")]
)
def test_an_error_names_plugin_and_pod(error: Exception) -> None:
    """What plugins and the kernel refuse becomes one kind of error, and the next call may come."""
    calls = PodCalls("net")
    for _ in range(2):
        with (
            pytest.raises(NetworkPluginError, match="net cannot set up pod default/web: why"),
            calls.call("set up", "default", "web"),
        ):
            raise error
    assert len(calls) == 0


def test_a_defect_is_not_disguised() -> None:
    """Any other exception passes as it is, and the next call may come."""
    calls = PodCalls("net")
    with pytest.raises(ZeroDivisionError), calls.call("set up", "default", "web"):
        raise ZeroDivisionError
    assert len(calls) == 0
