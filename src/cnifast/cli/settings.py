"""The settings of the service as far as a command needs them, read as the plugin binary does.

The service itself reads the whole file; reading TOML takes longer than a call.  The rules are
those of csrc/shim: ``service`` and ``socket`` before the first table, each on a line of its own,
in quotes of either kind.
"""

from __future__ import annotations

import os

from cnifast.protocol.errors import INTERNAL, INVALID_ENVIRONMENT, IO_FAILURE, CNIError

CONFIG = "/etc/cnifast/config.toml"
SOCKET = "/run/cnifast/cnifast.sock"
MODES = ("auto", "off", "required")
CONFIG_MAX = 8192  # bytes; the plugin binary reads less than that


def mode_and_socket() -> tuple[str, str]:
    """Return mode and socket of the service: the environment's, the file's, or the default.

    Raises:
        CNIError: a plugin binary would refuse them, too.
    """
    mode = os.environ.get("CNIFAST_SERVICE", "")
    socket = os.environ.get("CNIFAST_SOCKET", "")
    if mode and mode not in MODES:
        raise CNIError(
            INVALID_ENVIRONMENT, f"CNIFAST_SERVICE is neither auto, off nor required: {mode}"
        )
    if not (mode and socket):
        written_mode, written_socket = read(_content())
        if not mode and written_mode and written_mode not in MODES:
            raise CNIError(INTERNAL, f"{CONFIG}: service is neither auto, off nor required")
        mode = mode or written_mode or "auto"
        socket = socket or written_socket or SOCKET
    if not socket.startswith("/"):
        raise CNIError(
            INVALID_ENVIRONMENT, f"the path of the service's socket is not absolute: {socket}"
        )
    return mode, socket


def read(text: bytes) -> tuple[str, str]:
    """Return the mode and the socket that the text of the file gives, "" for none."""
    found = {b"service": b"", b"socket": b""}
    for line in text.split(b"\n"):
        key, _, value = line.strip(b" \t").partition(b"=")
        if key.startswith(b"["):
            break  # a table: no top-level key can follow
        key, value = key.rstrip(b" \t"), value.lstrip(b" \t")
        quote = value[:1]
        if key in found and quote in (b'"', b"'"):
            inside, closed, _ = value[1:].partition(quote)
            if closed:
                found[key] = inside
    return os.fsdecode(found[b"service"]), os.fsdecode(found[b"socket"])


def _content() -> bytes:
    """Return the content of the file, nothing when there is none.

    Raises:
        CNIError: it cannot be read, or is too large.
    """
    try:
        with open(CONFIG, "rb") as file:
            content = file.read(CONFIG_MAX)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as e:
        raise CNIError(IO_FAILURE, f"cannot read {CONFIG}: {e.strerror}") from None
    if len(content) == CONFIG_MAX:
        raise CNIError(IO_FAILURE, f"{CONFIG} is larger than 8 KiB")
    return content
