"""The resident service: it answers the calls that plugin binaries forward.

It runs the same plugins as the cold path, through the same ``protocol.skel``, and differs only
in what it need not do again for each call.  It belongs to no network namespace and keeps
nothing of a caller between calls.
"""

from __future__ import annotations

from cnifast.service.listener import Busy, Listener, activated, bind
from cnifast.service.server import Server
from cnifast.service.settings import Settings

__all__ = ["Busy", "Listener", "Server", "Settings", "activated", "bind"]
