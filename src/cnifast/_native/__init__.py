"""The one package that touches C: the cffi module over csrc/, and its errors."""

from __future__ import annotations

try:
    from cnifast._native._ffi import ffi, lib
except ImportError as error:
    raise ImportError(
        "cnifast's native core is not built: install the package (pip install .) rather than "
        "importing it from a source tree",
    ) from error

__all__ = ["ffi", "lib"]
