"""What a plugin does in a case, as lines of text: outcome and change of state, step by step.

Two implementations conform when their records are equal.  A record reads like this:

    == ADD pod1
    = ips[0].address "10.1.0.2/24"
    + pod1 addr eth0 10.1.0.2/24 scope global
    == DEL pod1
    - pod1 addr eth0 10.1.0.2/24 scope global
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .plugin import Attachment
from .snapshot import Snapshot, changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .case import Case, Damage
    from .node import Node
    from .plugin import Outcome, Runner

EXTRA_PLUGINS = "/run/extra-plugins"
_FAKE_IPAM = """#!/bin/sh
# An IPAM plugin of a third party: logs what it is asked, answers ADD with a fixed result.
conf=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_ARGS" >> /var/lib/cni/fakeipam.log
[ "$CNI_COMMAND" != ADD ] || cat /run/extra-plugins/answer.json
"""


class Recorder:
    """Runs steps on a node and writes down what they do."""

    def __init__(self, node: Node, case: Case, runner: Runner) -> None:
        """Prepare the node for the case."""
        self.node = node
        self.case = case
        self.runner = runner
        self.lines: list[str] = []
        self.outcomes: list[Outcome] = []
        self.changes: list[list[str]] = []
        self._tokens: dict[str, str] = {}
        self.attachments = []
        path = runner.plugin_path
        if case.ipam_answer is not None:
            extra = Path(EXTRA_PLUGINS)
            extra.mkdir()
            (extra / "answer.json").write_text(json.dumps(case.ipam_answer))
            (extra / "fakeipam").write_text(_FAKE_IPAM)
            (extra / "fakeipam").chmod(0o755)
            path = f"{path}:{EXTRA_PLUGINS}"
        for number in range(1, case.pods + 1):
            container = node.new_container(f"pod{number}")
            self.attachments.append(
                Attachment(
                    runner,
                    case.full_conf,
                    container,
                    ifname=case.ifname,
                    args=case.args,
                    path=path,
                )
            )
        for command in case.before:
            node.run(command)
        self._state = self._look()

    def _look(self) -> list[str]:
        """Take a snapshot, and keep it to name things by."""
        self.snapshot = Snapshot(self.node, self.case.literals, self._tokens)
        return self.snapshot.lines()

    def step(self, title: str, outcome: Outcome) -> None:
        """Write down one step: its outcome and the changes of state it made."""
        state = self._look()
        changed = changes(self._state, state)
        self._state = state
        self.changes.append(changed)
        self.outcomes.append(outcome)
        self.lines.append(f"== {title}")
        self.lines += self._outcome_lines(outcome)
        self.lines += changed

    def rebase(self) -> None:
        """Take the present state as the one to compare the next step with."""
        self._state = self._look()

    # -- outcomes -------------------------------------------------------------------------------

    def _outcome_lines(self, outcome: Outcome) -> list[str]:
        """Describe exit code and result, or the error's code."""
        if not outcome.ok:
            return [f"error {outcome.code}"]
        if not outcome.stdout.strip():
            return []
        result = json.loads(outcome.stdout)
        self._normalise(result)
        return [f"= {path} {json.dumps(value)}" for path, value in _leaves(result)]

    def _normalise(self, result: Any) -> None:
        """Replace in a result what is random by what it must be equal to."""
        if not isinstance(result, dict):
            return
        for interface in result.get("interfaces") or ():
            label = self.snapshot.label_of(interface.get("sandbox", ""))
            link = self.snapshot.link(label, interface.get("name", ""))
            if link and "mac" in interface and interface["mac"] == link.get("address"):
                interface["mac"] = "<its own>"
            if link:
                interface["name"] = self.snapshot.shown_name(label, interface["name"])
            if interface.get("sandbox"):
                interface["sandbox"] = f"<{label}>"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Flatten JSON into (path, value), in the order in which it was written."""
    if isinstance(value, dict) and value:
        for key, item in sorted(value.items()):
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


# -- what is done with a case --------------------------------------------------------------------


def life(node: Node, case: Case, runner: Runner) -> Recorder:
    """The whole life of attachments: ADD, CHECK, repeated ADD, and every kind of DEL.

    CHECK comes before the second container is attached: a bridge without a fixed MAC may get
    another one then, which the reference's CHECK complains of.
    """
    recorder = Recorder(node, case, runner)
    first, last = recorder.attachments[0], recorder.attachments[-1]
    recorder.step(f"ADD {first.container_id}", first.add())
    recorder.step(f"CHECK {first.container_id}", first.check())
    for attachment in recorder.attachments[1:]:
        recorder.step(f"ADD {attachment.container_id}", attachment.add())
    if "once" not in case.tags:
        recorder.step(f"ADD {first.container_id} again", first.call("ADD"))
    recorder.step(f"DEL {first.container_id}", first.delete())
    recorder.step(f"DEL {first.container_id} again", first.delete())
    recorder.step(
        f"DEL {first.container_id} without namespace and prevResult",
        first.call("DEL", netns="", prev=False),
    )
    if last is not first:
        node.remove_container(node.containers[last.container_id])
        recorder.rebase()
        recorder.step(f"DEL {last.container_id}, whose namespace is gone", last.delete())
        recorder.step(
            f"DEL {last.container_id} without namespace and prevResult",
            last.call("DEL", netns="", prev=False),
        )
    return recorder


def refusal(node: Node, case: Case, runner: Runner) -> Recorder:
    """An ADD that is an error, and the DEL that a runtime sends after it."""
    recorder = Recorder(node, case, runner)
    attachment = recorder.attachments[0]
    recorder.step("ADD pod1", attachment.add())
    recorder.step("DEL pod1", attachment.delete())
    return recorder


def check_after(node: Node, damage: Damage, runner: Runner) -> tuple[Outcome, Outcome]:
    """ADD, do the damage, and return what CHECK and then DEL answer.

    Raises:
        AssertionError: ADD failed.
    """
    recorder = Recorder(node, damage.case, runner)
    attachment = recorder.attachments[0]
    added = attachment.add()
    if not added.ok:
        raise AssertionError(f"ADD failed: {added}")
    peers = [link["ifname"] for link in node.links() if "link_netnsid" in link]
    for command in damage.commands:
        node.run(command.format(peer=peers[0] if peers else ""))
    intact = attachment.result
    if damage.edit:
        attachment.result = damage.edit(intact)
    netns = attachment.netns
    if damage.netns:
        attachment.netns = damage.netns
    checked = attachment.call("CHECK", **(damage.conf or {}))
    attachment.netns = netns
    attachment.result = intact
    return checked, attachment.delete()
