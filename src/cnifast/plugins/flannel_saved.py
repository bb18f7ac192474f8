"""What flannel keeps of each attachment: the configuration that its delegate was called with.

One file per container, as the reference has it, named by the container's ID alone.  Ours also
say whose they are, under a key that no delegate knows; so a second interface of a container
gets a file of its own, ID:IFNAME, and GC knows whom to ask about.

A file's draft is .ID:IFNAME.  Neither an ID nor an interface's name has a colon, and no ID begins
with a dot.
"""

from __future__ import annotations

import os

from cnifast.invoke import files
from cnifast.plugins.flannel_conf import SELF, Wanted
from cnifast.protocol.codec import DecodeError, dumps, loads
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.schema import TEXT, Struct, field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = "cnifast"


class _Owner(Struct):
    """What our mark says."""

    ifname = field("ifname", TEXT, "")


class _Kept(Struct):
    """What is read of a saved configuration; the rest is its delegate's."""

    name = field("name", TEXT, "")
    type = field("type", TEXT, "")
    owner = field(_MARK, record(_Owner), _Owner())


class Saved(Wanted):
    """A saved call of a delegate; ``plugin`` is empty where the file is damaged.

    ``ifname`` is empty where the file does not say whose it is.
    """

    __slots__ = ("container_id", "content", "ifname", "network", "path")

    def __init__(self, path: str, container_id: str, content: bytes) -> None:
        super().__init__("", b"")
        self.path = path
        self.container_id = container_id
        self.content = content
        self.ifname = self.network = ""
        try:
            obj = loads(content)
            kept = _Kept.decode(obj)
        except DecodeError:
            return
        if kept.type not in ("", SELF):
            obj.pop(_MARK, None)
            self.plugin, self.stdin = kept.type, dumps(obj)
            self.ifname, self.network = kept.owner.ifname, kept.name

    @property
    def is_draft(self) -> bool:
        """Whether it was still being written, or its writer was killed then."""
        return os.path.basename(self.path).startswith(".")

    def remove(self) -> None:
        """Remove the file.

        Raises:
            OSError: it cannot be removed.
        """
        files.unlink(self.path)


class Slot:
    """Where the configuration for one attachment is kept."""

    __slots__ = (
        "_before",
        "_container_id",
        "_directory",
        "_ifname",
        "_made_directory",
        "_shared",
        "_single",
        "_written",
    )

    def __init__(self, directory: str, container_id: str, ifname: str) -> None:
        self._directory = directory
        self._container_id = container_id
        self._ifname = ifname
        self._shared = os.path.join(directory, container_id)
        self._single = os.path.join(directory, f"{container_id}:{ifname}")
        self._before = b""
        self._written = ""
        self._made_directory = False

    def find(self) -> Saved | None:
        """Return what is saved for the attachment.

        Raises:
            OSError: it cannot be read.
            ValueError: it is a pipe, or too large.
        """
        shared = _load(self._shared, self._container_id)
        if shared is not None and shared.ifname == self._ifname:
            return shared
        single = _load(self._single, self._container_id)
        if single is not None or shared is None or shared.ifname:
            return single
        return shared

    def save(self, stdin: bytes) -> None:
        """Save the configuration of the attachment's delegate; it is on disk afterwards.

        Raises:
            CNIError: it cannot be written; what was saved before is kept.
        """
        mark = dumps({_MARK: {"ifname": self._ifname}})
        try:
            self._write(stdin[:-1] + b"," + mark[1:])
        except OSError as e:
            why = f"{self._written or self._shared}: {(e.strerror or str(e)).lower()}"
            error = CNIError(INTERNAL, f"failed to save the delegate's configuration: {why}")
            self.take_back(error)
            raise error from e

    def take_back(self, error: Exception) -> None:
        """Have again what was there before `save`; what prevents that is noted with the error."""
        try:
            if self._before:
                self._write(self._before)
            elif self._written:
                files.unlink(self._written)
        except OSError as also:
            error.add_note(f"while undoing: {also}")
        if self._made_directory:
            try:
                os.rmdir(self._directory)
            except OSError:
                return  # another attachment has something in it

    def forget(self, saved: Saved | None) -> None:
        """Remove what was found, and what a process that was killed left.

        Raises:
            OSError: a file cannot be removed.
        """
        if saved is not None:
            saved.remove()
        files.unlink(files.draft_of(self._single))

    def _write(self, content: bytes) -> None:
        """Have a content in the attachment's file."""
        with files.Draft(self._single, durable=True) as draft:
            self._made_directory |= draft.made_directory
            draft.write(content)
            self._publish(draft)

    def _publish(self, draft: files.Draft) -> None:
        """Give the draft the name under which it is found."""
        target = self._single
        if not os.path.lexists(target):
            target = self._shared
            try:
                draft.link(target)
            except FileExistsError:
                there = _load(target, self._container_id)
                if there is not None and there.plugin and there.ifname != self._ifname:
                    target = self._single
            else:
                self._written = target
                return
        there = _load(target, self._container_id)
        draft.replace(target)
        self._written = target
        if there is not None and there.ifname == self._ifname and not self._before:
            self._before = there.content


def saved_for(directory: str, network: str) -> Iterator[Saved]:
    """Yield what is saved for a network, drafts included; what cannot be read is for none.

    Raises:
        OSError: the directory cannot be read.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        try:
            found = _load(os.path.join(directory, name), name.removeprefix(".").partition(":")[0])
        except (OSError, ValueError):
            continue
        if found is not None and found.plugin and found.network == network:
            yield found


def _load(path: str, container_id: str) -> Saved | None:
    """Return what is saved in a file, None when there is no such file."""
    try:
        return Saved(path, container_id, files.read(path))
    except FileNotFoundError:
        return None
