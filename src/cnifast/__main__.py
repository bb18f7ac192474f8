"""`python -m cnifast COMMAND ...`: the command where its program is not on the path."""

import sys

from cnifast.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
