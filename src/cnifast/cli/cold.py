"""What the plugin binary starts when no service answers: `python -I -S cold.py PLUGIN [SOCKET]`.

A script is compiled at every start, so all it does is to find the package: neither `site` nor
the script's directory are on the path of an isolated interpreter.
"""

import sys

sys.path.insert(0, __file__.removesuffix("/cnifast/cli/cold.py"))

from cnifast.cli.plugin import main

main(sys.argv[1:])
