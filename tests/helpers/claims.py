"""Who believes to have which address: a claim is a symbolic link that only one can make.

A process claims what it was given and withdraws the claim before it gives the address back.
So a claim that cannot be made means that an address was given to two at the same time.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Claims:
    """A directory of claims, shared by processes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)

    def make(self, address: str, owner: str) -> None:
        """Claim an address.

        Raises:
            FileExistsError: somebody else has it.
        """
        (self.directory / address).symlink_to(owner)

    def withdraw(self, address: str) -> None:
        """Withdraw the claim for an address."""
        (self.directory / address).unlink()

    def withdraw_all(self, owner: str) -> None:
        """Withdraw what a process that died had claimed."""
        for path in self.directory.iterdir():
            with suppress(FileNotFoundError):
                if os.readlink(path) == owner:
                    path.unlink()

    def all(self) -> list[str]:
        """Return the addresses that are claimed."""
        return sorted(path.name for path in self.directory.iterdir())
