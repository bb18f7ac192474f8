"""Calls for pods: those for one pod take their turns, those for others go on meanwhile."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cnifast.kubernetes.network_plugin import NetworkPluginError
from cnifast.protocol.errors import CNIError

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Entry:
    """A pod's lock, and how many calls have it or wait for it."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0


class PodCalls:
    """The calls of a network plugin that are under way; nothing is kept for other pods."""

    __slots__ = ("_entries", "_guard", "_plugin")

    def __init__(self, plugin: str) -> None:
        """Take the plugin's name, which errors begin with."""
        self._plugin = plugin
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._guard = threading.Lock()

    @contextmanager
    def call(self, what: str, namespace: str, name: str) -> Iterator[None]:
        """Do something with a pod while nobody else does; ``what`` is for the error.

        Raises:
            NetworkPluginError: for any failure of plugins or the kernel; it names the pod.
        """
        with self._hold((namespace, name)):
            try:
                yield
            except (NetworkPluginError, CNIError, OSError) as e:
                raise NetworkPluginError(
                    f"{self._plugin} cannot {what} pod {namespace}/{name}: {e}"
                ) from e

    @contextmanager
    def _hold(self, pod: tuple[str, str]) -> Iterator[None]:
        """Hold a pod's lock."""
        with self._guard:
            entry = self._entries.setdefault(pod, _Entry())
            entry.users += 1
        try:
            with entry.lock:
                yield
        finally:
            with self._guard:
                entry.users -= 1
                if not entry.users:
                    del self._entries[pod]

    def __len__(self) -> int:
        return len(self._entries)
