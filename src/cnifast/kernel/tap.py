"""Taps: devices of the container whose other end is a file that a virtual machine opens."""

from __future__ import annotations

import os

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import KernelError, check, new_error
from cnifast.kernel import program

_ANYBODY = -1
_EXEC_LABEL = "/proc/thread-self/attr/exec"
_EIO = 5


class Tap:
    """What a tap shall be: who may open it (None: anybody), and whether by several queues.

    Whoever opens it says anew whether there are headers before each frame.  Until then it is as
    the reference makes it: with one for offloading where both owner and group are given.
    """

    __slots__ = ("group", "multi_queue", "owner")

    def __init__(self, owner: int | None, group: int | None, *, multi_queue: bool) -> None:
        self.owner = owner
        self.group = group
        self.multi_queue = multi_queue

    def create(self, netns: int, name: str) -> None:
        """Make it in a namespace; no file stays open.

        Raises:
            FileExistsError: the name is taken.
            KernelError: the kernel refused; nothing is left.
        """
        err = new_error()
        offloading = self.owner is not None and self.group is not None
        tap = ffi.new("struct cnif_tap *")
        tap.owner = _ANYBODY if self.owner is None else self.owner
        tap.group = _ANYBODY if self.group is None else self.group
        tap.multi_queue, tap.vnet_hdr = self.multi_queue, offloading
        tap.packet_info = offloading and not self.multi_queue
        check(lib.cnif_tap_create(netns, c_text(name), tap, err), err)

    def create_labelled(self, netns: int, name: str, context: str) -> None:
        """Make it in a namespace under an SELinux context.

        A device has the context of the process that makes it, and a process gets another one
        only when it executes a program: `ip` is that.

        Raises:
            KernelError: there is no SELinux here, it does not know or allow the context, or the
                program failed.
        """
        words = [program.find(("ip",)), "tuntap", "add", "mode", "tap", "name", name]
        if self.multi_queue:
            words.append("multi_queue")
        if self.owner is not None:
            words += ["user", str(self.owner)]
        if self.group is not None:
            words += ["group", str(self.group)]
        _label(context)
        try:
            status, said = program.run(netns, words)
        finally:
            _label("")
        if status != 0:
            raise KernelError(_EIO, f"create tap {name} under context {context}: {said or status}")


def _label(context: str) -> None:
    """Have the next program that this thread executes run under a context; "" is its own.

    Raises:
        KernelError: that is not possible.
    """
    try:
        fd = os.open(_EXEC_LABEL, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, c_text(context))
        finally:
            os.close(fd)
    except OSError as e:
        reason = (e.strerror or "").lower()
        raise KernelError(_EIO, f'set SELinux context "{context}": {reason}') from e
