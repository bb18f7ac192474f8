"""What /etc/cnifast/config.toml and the environment say about the service."""

from __future__ import annotations

import os
import tomllib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONFIG = "/etc/cnifast/config.toml"
SOCKET = "/run/cnifast/cnifast.sock"
IDLE_SECONDS = 300
MODES = ("auto", "off", "required")
KEYS = ("service", "socket", "idle", "threads", "dhcp")  # the last one is cnifast.ipam.dhcp's


class Settings:
    """How the service is used and run.

    ``mode`` is one of ``MODES``; ``socket`` an absolute path; ``idle`` the seconds after which
    a service that was started on its own accord goes away; ``threads`` the calls that are
    worked on at the same time.  ``unknown`` are keys of the file that mean nothing.
    """

    __slots__ = ("idle", "mode", "socket", "threads", "unknown")

    def __init__(
        self,
        mode: str = "auto",
        socket: str = SOCKET,
        idle: int = IDLE_SECONDS,
        threads: int = 0,
        unknown: Iterable[str] = (),
    ) -> None:
        self.mode = mode
        self.socket = socket
        self.idle = idle
        self.threads = threads or default_threads()
        self.unknown = tuple(unknown)

    @classmethod
    def read(cls, env: Mapping[str, str] | None = None, path: str = CONFIG) -> Settings:
        """Return the settings of the file, which may be absent, under those of the environment.

        Raises:
            ValueError: a value that has no meaning, named together with the place it is from.
            OSError: the file is there but cannot be read.
        """
        given = os.environ if env is None else env
        try:
            with open(path, "rb") as file:
                conf = tomllib.load(file)
        except FileNotFoundError:
            conf = {}
        except OSError as e:
            raise OSError(f"cannot read {path}: {e.strerror}") from None
        except tomllib.TOMLDecodeError as e:
            raise ValueError(f"{path}: {e}") from None
        mode = given.get("CNIFAST_SERVICE") or conf.get("service", "auto")
        socket = given.get("CNIFAST_SOCKET") or conf.get("socket", SOCKET)
        idle = conf.get("idle", IDLE_SECONDS)
        threads = conf.get("threads", 0)
        if mode not in MODES:
            raise ValueError(f"service is {mode!r}: not one of {', '.join(MODES)}")
        if not isinstance(socket, str) or not socket.startswith("/"):
            raise ValueError(f"socket is {socket!r}: not an absolute path")
        for key, value in (("idle", idle), ("threads", threads)):
            if type(value) is not int or value < 0:
                raise ValueError(f"{path}: {key} is {value!r}: not a whole number")
        return cls(mode, socket, idle, threads, filter(lambda key: key not in KEYS, conf))


def default_threads() -> int:
    """Return how many calls to work on at once: they mostly wait for the kernel."""
    return min(32, 4 + 8 * (os.cpu_count() or 1))
