"""Write the C source of the cffi API-mode module; run by CMake.

Usage: gen_ffi.py CDEF CSRC OUTPUT
"""

import sys
from pathlib import Path

from cffi import FFI


def main() -> None:
    """Generate OUTPUT from the declarations in CDEF and the source in CSRC."""
    cdef, csrc, output = map(Path, sys.argv[1:])
    ffi = FFI()
    ffi.cdef(cdef.read_text())
    ffi.set_source("cnifast._native._ffi", csrc.read_text())
    ffi.emit_c_code(str(output))


if __name__ == "__main__":
    main()
