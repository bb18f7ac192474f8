"""The runner of the benchmarks: what a churn of several calls per operation executes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from benchmarks.node import Node, Request, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG = "/run/log"
PODS = 3


@pytest.fixture
def node() -> Iterator[Node]:
    """A node, where one can be made."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Node("runner") as made:
        yield made


def call(script: str, stdin: bytes = b"") -> Request:
    """Return a call of the shell; ``$POD`` is the pod's number."""
    return Request(["/bin/sh", "-c", script], {"POD": "@POD@"}, stdin)


ADD = [call("printf '%s;' first"), call("cat; printf '%s' $POD", b"@PREV@port @POD+4000@;")]
DEL = [call(f"cat >>{LOG}.$POD", b"%d[@PREV@]" % number) for number in (1, 2)]


def test_a_call_gets_what_the_one_before_has_printed(node: Node) -> None:
    """Calls of an ADD build on each other, and each call of a DEL gets what the last one said."""
    done = node.churn(ADD, DEL, clients=2, pods=PODS)
    assert [(each.op, each.pod, each.exit_code) for each in done.samples] == [
        (op, pod, 0) for pod in range(PODS) for op in "AD"
    ]
    for pod in range(PODS):
        said = f"first;port {4000 + pod};{pod}"
        assert node.path(f"{LOG}.{pod}").read_text() == f"1[{said}]2[{said}]"


def test_results_outlive_a_churn(node: Node) -> None:
    """A DEL in a churn of its own has the result of an ADD in an earlier one."""
    node.churn(ADD, DEL, clients=PODS, pods=PODS, ops="A")
    assert not node.path(f"{LOG}.0").exists()
    node.churn(ADD, DEL, clients=1, pods=1, ops="D")
    assert node.path(f"{LOG}.0").read_text() == "1[first;port 4000;0]2[first;port 4000;0]"


def test_an_operation_ends_with_the_call_that_fails(node: Node) -> None:
    """After a call that fails no other one of its operation is executed, and its words are kept."""
    failing = [call("echo why; exit 3"), call(f"touch {LOG}.0")]
    done = node.churn(failing, [], clients=1, pods=1, ops="A")
    assert [each.exit_code for each in done.samples] == [3]
    assert done.error == "why\n"
    assert not node.path(f"{LOG}.0").exists()


def test_an_operation_takes_what_its_calls_take(node: Node) -> None:
    """The time of an operation is that of all its calls, not of one of them."""
    done = node.churn([call("sleep 0.05")] * 3, [], clients=1, pods=1, ops="A")
    assert 150_000_000 <= done.samples[0].ns <= done.wall_ns
