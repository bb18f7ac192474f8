"""The one package that touches C: the cffi module over csrc/, and its errors."""

from __future__ import annotations

try:
    from cnifast._native._ffi import ffi, lib
except ImportError as error:
    raise ImportError(
        "cnifast's native core is not built: install the package (pip install .) rather than "
        "importing it from a source tree",
    ) from error

__all__ = ["c_text", "ffi", "lib"]


def c_text(text: str) -> bytes:
    """Return a text as C takes it; C would see only what stands before a NUL.

    Raises:
        ValueError: there is a NUL in it.
    """
    encoded = text.encode()
    if 0 in encoded:
        raise ValueError(f"embedded NUL in {text!r}")
    return encoded
