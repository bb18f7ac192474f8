"""Kinds of values that options of commands take, the same wherever there is one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

SECONDS_MAX = 1e6


def kind(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return a function of this module as a type of argparse's, which tells what was wrong."""
    from argparse import ArgumentTypeError  # noqa: PLC0415 - only where it is there already

    def checked(text: str) -> T:
        try:
            return read(text)
        except ValueError as e:
            raise ArgumentTypeError(str(e)) from None

    return checked


def seconds(text: str) -> float:
    """Return a time of which there is some.

    Raises:
        ValueError: it is none.
    """
    value = _seconds(text)
    if not 0 < value < SECONDS_MAX:
        raise ValueError(f"not a time in seconds: {text}")
    return value


def patience(text: str) -> float:
    """Return a time to wait, perhaps none.

    Raises:
        ValueError: it is no time.
    """
    value = _seconds(text)
    if not 0 <= value < SECONDS_MAX:
        raise ValueError(f"not 0 or a time in seconds: {text}")
    return value


def _seconds(text: str) -> float:
    """Return a number, a negative one for what is none."""
    try:
        return float(text)
    except ValueError:
        return -1


def count(text: str) -> int:
    """Return a whole number above 0.

    Raises:
        ValueError: it is something else.
    """
    if not _is_whole(text) or int(text) == 0:
        raise ValueError(f"not a whole number above 0: {text}")
    return int(text)


def whole(text: str) -> int:
    """Return a whole number, perhaps 0.

    Raises:
        ValueError: it is something else.
    """
    if not _is_whole(text):
        raise ValueError(f"not a whole number: {text}")
    return int(text)


def _is_whole(text: str) -> bool:
    """Tell whether a text is a whole number of a size that one can mean."""
    return text.isascii() and text.isdigit() and len(text) < 10


def attachment(text: str) -> tuple[str, str]:
    """Return (container ID, interface) of CONTAINER/INTERFACE.

    Raises:
        ValueError: it is something else.
    """
    container_id, _, ifname = text.partition("/")
    if not (container_id and ifname) or "/" in ifname:
        raise ValueError(f"not of the form CONTAINER/INTERFACE: {text}")
    return container_id, ifname
