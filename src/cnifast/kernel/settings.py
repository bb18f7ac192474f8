"""Sysctls of a namespace that are written together and can be put back."""

from __future__ import annotations

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import check, new_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Settings:
    """Sysctls, (path, value) each, and what they were before they were written."""

    __slots__ = ("_array", "_count", "_kept", "_netns")

    def __init__(self, wanted: Iterable[tuple[str, str]], netns: int = -1) -> None:
        """Take what shall be written in a namespace (-1: here); nothing is written yet.

        Raises:
            ValueError: there is a NUL in a path or a value.
        """
        self._kept = [
            (ffi.new("char []", c_text(path)), ffi.new("char []", c_text(value)))
            for path, value in wanted
        ]
        self._count = len(self._kept)
        self._array = ffi.new("struct cnif_setting []", self._count)
        for struct, (path, value) in zip(self._array, self._kept, strict=True):
            struct.path, struct.value = path, value
        self._netns = netns

    def write(self) -> None:
        """Write all, also those that have their value already: a write can have effects of its own.

        Raises:
            FileNotFoundError: there is no such sysctl; nothing was written.
            KernelError: the kernel refused one; all are as before.
        """
        err = new_error()
        check(lib.cnif_settings_write(self._netns, self._array, self._count, err), err)

    def restore(self) -> None:
        """Put back what was there before, as far as it could be read.

        Raises:
            KernelError: the kernel refused one; the others were put back all the same.
        """
        err = new_error()
        check(lib.cnif_settings_restore(self._netns, self._array, self._count, err), err)
