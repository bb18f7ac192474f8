"""Address management: the host-local and static plugins, and the allocator behind host-local."""

from __future__ import annotations
