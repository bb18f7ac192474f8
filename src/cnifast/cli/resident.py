"""What a cold call leaves behind: `python -I -S resident.py SOCKET LOCK_FD`."""

import sys

sys.path.insert(0, __file__.removesuffix("/cnifast/cli/resident.py"))

from cnifast.cli.serve import resident

resident(sys.argv[1], int(sys.argv[2]))
