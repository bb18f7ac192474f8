"""One situation to put a plugin into: a configuration and what stands on the node before."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Case:
    """A situation.

    Attributes:
        name: unique in its table.
        conf: network configuration; name, cniVersion 1.0.0 and type are added where missing.
        plugin: the plugin's type.
        args: CNI_ARGS.
        before: commands that prepare the node, run when pod1 and pod2 exist and are empty.
        ifname: CNI_IFNAME.
        since: the first release of the reference that has what this case uses.
        pods: how many containers are attached, 1 or 2.
        refused: ADD is an error.
        ipam_answer: what an IPAM plugin of a third party, `fakeipam`, answers to ADD.
        tags: "once" where ADD is not to be repeated; else what a table's own tests look for.
    """

    name: str
    conf: dict[str, Any]
    plugin: str = "bridge"
    args: str = ""
    before: tuple[str, ...] = ()
    ifname: str = "eth0"
    since: str = ""
    pods: int = 2
    refused: bool = False
    ipam_answer: dict[str, Any] | None = None
    tags: frozenset[str] = field(default_factory=frozenset)

    @property
    def full_conf(self) -> dict[str, Any]:
        """The configuration as it is sent."""
        return {"cniVersion": "1.0.0", "name": "net", "type": self.plugin, **self.conf}

    @property
    def literals(self) -> str:
        """Every text the case fixes, so that fixed MACs can be told from random ones."""
        return " ".join([json.dumps(self.conf), self.args, *self.before])

    def __str__(self) -> str:
        return self.name


_OF_THE_CASE = ("args", "ifname", "since", "pods", "refused", "ipam_answer", "tags")


def case_of(plugin: str, name: str, before: tuple[str, ...], **given: Any) -> Case:
    """Build a case of a plugin; what is given is an attribute of the case, or an option."""
    attributes = {key: given.pop(key) for key in _OF_THE_CASE if key in given}
    return Case(f"{plugin}-{name}", given, plugin=plugin, before=before, **attributes)


@dataclass(frozen=True)
class Damage:
    """Something done to an attachment between ADD and CHECK.

    Attributes:
        name: unique.
        case: what is attached (pod1).
        commands: run on the node; {peer} stands for the host end of the pair.
        code: what CHECK of the reference answers, 0 for success.
        ours: what CHECK of cnifast answers, where that is different on purpose.
        edit: changes the prevResult that CHECK is given.
        conf: replaces keys of the configuration that CHECK is given.
        netns: replaces CNI_NETNS.
    """

    name: str
    case: Case
    commands: tuple[str, ...]
    code: int = 999
    edit: Callable[[Any], Any] | None = None
    conf: dict[str, Any] | None = None
    netns: str | None = None
    ours: int | None = None

    def __str__(self) -> str:
        return self.name
