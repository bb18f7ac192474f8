"""Run in a namespace of its own: time one pod more and one pod less, and print JSON.

    python -m benchmarks.masquerade_probe COMPETITOR PODS ROUNDS

``PODS`` are masqueraded before.  Printed are {"add": [ns...], "delete": [ns...], "left": N}, the
last one the number of pods that are masqueraded in the end.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from cnifast.kernel.nft import NftSocket, Owner

if TYPE_CHECKING:
    from collections.abc import Callable

NETWORK = "net"
SUBNET = "10.1.0.0/16"
EXTRA = "10.1.255.1"
NAT = "add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }"


def address(number: int) -> str:
    """Return the address of a pod."""
    return f"10.1.{number >> 8}.{number & 255}"


def run(*words: str, text: str = "") -> None:
    """Execute a program."""
    subprocess.run(words, input=text, text=True, check=True, stdout=subprocess.DEVNULL)


def left_in_nft(what: str) -> int:
    """Count lines of the ruleset."""
    listed = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True)
    return listed.stdout.count(what)


class Netlink:
    """cnifast: one look and one batch over netlink."""

    def __init__(self, pods: int) -> None:
        self._nft = NftSocket()
        self._owner = Owner("c" * 64, "eth0", NETWORK)
        self._nft.add_masquerade([f"{EXTRA}/16"], self._owner)
        self.delete()
        for number in range(pods):
            owner = Owner(f"{number:064d}", "eth0", NETWORK)
            self._nft.add_masquerade([f"{address(number)}/16"], owner)

    def add(self) -> None:
        """One pod more."""
        self._nft.add_masquerade([f"{EXTRA}/16"], self._owner)

    def delete(self) -> None:
        """One pod less."""
        self._nft.delete_masquerade([f"{EXTRA}/16"], self._owner)

    def left(self) -> int:
        """Count the pods."""
        return len(self._nft.masquerades(NETWORK))


class Nft:
    """The program nft on a set of the same kind."""

    def __init__(self, pods: int) -> None:
        text = f"{NAT}; add set ip nat pods {{ type ipv4_addr; }}\n"
        if pods:
            listed = ", ".join(f'{address(n)} comment "{n:064d}"' for n in range(pods))
            text += f"add element ip nat pods {{ {listed} }}\n"
        text += f"add rule ip nat post ip saddr @pods ip daddr != {SUBNET} masquerade\n"
        run("nft", "-f", "-", text=text)

    def add(self) -> None:
        """One pod more."""
        run("nft", f'add element ip nat pods {{ {EXTRA} comment "c" }}')

    def delete(self) -> None:
        """One pod less."""
        run("nft", f"delete element ip nat pods {{ {EXTRA} }}")

    def left(self) -> int:
        """Count the pods."""
        return left_in_nft("comment")


class Iptables:
    """iptables-restore with a chain per pod, as the iptables backend has it."""

    def __init__(self, pods: int) -> None:
        lines = [line for n in range(pods) for line in self._lines("-A", address(n))]
        self._restore(lines)

    @staticmethod
    def _lines(verb: str, source: str) -> list[str]:
        chain = f"CNI-{source}"
        jump = f"{verb} POSTROUTING -s {source} -m comment --comment pod -j {chain}"
        if verb == "-D":
            return [jump, f"-F {chain}", f"-X {chain}"]
        return [
            f":{chain} - [0:0]",
            f"-A {chain} -d {SUBNET} -j ACCEPT",
            f"-A {chain} ! -d 224.0.0.0/4 -j MASQUERADE",
            jump,
        ]

    @staticmethod
    def _restore(lines: list[str]) -> None:
        text = "\n".join(["*nat", *lines, "COMMIT", ""])
        run("iptables-restore", "--noflush", text=text)

    def add(self) -> None:
        """One pod more."""
        self._restore(self._lines("-A", EXTRA))

    def delete(self) -> None:
        """One pod less."""
        self._restore(self._lines("-D", EXTRA))

    def left(self) -> int:
        """Count the pods."""
        saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True)
        return saved.stdout.count("--comment pod")


COMPETITORS: dict[str, type[Netlink | Nft | Iptables]] = {
    "cnifast": Netlink,
    "nft": Nft,
    "iptables-restore": Iptables,
}


def timed(step: Callable[[], None]) -> int:
    """Return how long a step takes, in nanoseconds."""
    start = time.perf_counter_ns()
    step()
    return time.perf_counter_ns() - start


def main() -> None:
    """Measure and print."""
    name, pods, rounds = sys.argv[1:]
    competitor = COMPETITORS[name](int(pods))
    added, deleted = [], []
    for _ in range(int(rounds)):
        added.append(timed(competitor.add))
        deleted.append(timed(competitor.delete))
    print(json.dumps({"add": added, "delete": deleted, "left": competitor.left()}))


if __name__ == "__main__":
    main()
