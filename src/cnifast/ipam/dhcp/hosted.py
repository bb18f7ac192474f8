"""The daemon that `cnifast serve` hosts, as far as it can."""

from __future__ import annotations

import tomllib

from cnifast.ipam.dhcp.daemon import BusyError, Daemon
from cnifast.ipam.dhcp.exchange import Timing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

CONFIG = "/etc/cnifast/config.toml"
# A plugin binary waits for two minutes for the service: it is to hear what went wrong.
RESEND_TIMEOUT = 100.0


class Hosted:
    """A daemon on the usual socket, or none where there is another one, or no way to have one.

    A context manager that ends it.
    """

    def __init__(self, log: Callable[..., None], config: str = CONFIG) -> None:
        """Begin, with what the configuration file has under [dhcp].

        Raises:
            ValueError: a value there has no meaning.
        """
        conf = read(config)
        timing = Timing(conf["timeout"], conf["resendmax"], conf["resendtimeout"])
        self._daemon: Daemon | None = None
        try:
            self._daemon = Daemon(timing=timing, broadcast=bool(conf["broadcast"]), log=log)
        except (BusyError, OSError) as e:
            log("dhcp", hosted=False, reason=e)

    def busy(self) -> bool:
        """Tell whether there are leases to be kept."""
        return self._daemon is not None and self._daemon.keeper.busy

    def leave(self) -> None:
        """Tell whoever waits for a lease to try again later."""
        if self._daemon is not None:
            self._daemon.keeper.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._daemon is not None:
            self._daemon.stop()


def read(path: str) -> dict[str, float]:
    """Return what a configuration file, which may be absent, has under [dhcp].

    Raises:
        ValueError: a value has no meaning; the file and the key are named.
        OSError: the file is there but cannot be read.
    """
    found: dict[str, float] = {
        "timeout": 10.0,
        "resendmax": 62.0,
        "resendtimeout": RESEND_TIMEOUT,
        "broadcast": False,
    }
    try:
        with open(path, "rb") as file:
            given = tomllib.load(file).get("dhcp", {})
    except FileNotFoundError:
        return found
    except tomllib.TOMLDecodeError as e:
        raise ValueError(f"{path}: {e}") from None
    table = given if isinstance(given, dict) else {"": given}
    for key, value in table.items():
        if key not in found:
            raise ValueError(f"{path}: dhcp.{key} is unknown: there are {', '.join(found)}")
        if key == "broadcast":
            if type(value) is not bool:
                raise ValueError(f"{path}: dhcp.{key} is {value!r}: neither true nor false")
        elif type(value) not in (int, float) or not 0 < value < 1e6:
            raise ValueError(f"{path}: dhcp.{key} is {value!r}: not a number of seconds")
        found[key] = value
    return found
