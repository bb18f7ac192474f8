"""Plugin calls in the middle: what one holds while others begin and end."""

from __future__ import annotations

from cnifast.plugins.base import Session
from cnifast.protocol.request import Request


class ADDError(Exception):
    """Why an ADD failed."""


def begin(container: str) -> Session:
    """Return the session of an ADD of the bridge plugin."""
    variables = {"CNI_CONTAINERID": container, "CNI_NETNS": "/run/netns/none", "CNI_IFNAME": "eth0"}
    return Session(Request("bridge", "ADD", variables, b"{}", {}, "net", "1.0.0"))


def fail(session: Session) -> None:
    """End an ADD with an error, and see that all could be undone."""
    error = ADDError()
    session.__exit__(ADDError, error, None)
    assert not hasattr(error, "__notes__")


def succeed(session: Session) -> None:
    """End an ADD without an error."""
    session.__exit__(None, None, None)
