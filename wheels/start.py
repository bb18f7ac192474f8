"""What plugin binaries of a release archive start: `python3 -I -S start.py PLUGIN [SOCKET]`.

It stands beside the package in the archive's folder.  Whichever Python the node has runs it, so
it is written for all of Python 3, and says in the words of CNI what is missing.
"""

import os
import sys

OLDEST = (3, 11)
NEWEST = 30  # of the minor versions that are looked for under names of their own
DIRECTORIES = ("/usr/bin", "/usr/local/bin")
HERE = os.path.dirname(os.path.abspath(__file__))


def fail(why):
    """Print a CNI error and exit."""
    text = " ".join(why.replace("\\", "/").replace('"', "'").split())
    sys.stdout.write('{"cniVersion":"1.1.0","code":999,"msg":"%s"}\n' % text)
    sys.exit(1)


def start_newer():
    """Go on with a newer Python that this node has under the name of its version."""
    for minor in range(NEWEST, OLDEST[1] - 1, -1):
        for directory in DIRECTORIES:
            path = "%s/python3.%d" % (directory, minor)
            if os.access(path, os.X_OK):
                os.execv(path, [path, "-I", "-S", "-Xutf8", __file__] + sys.argv[1:])
    fail(
        "cnifast needs Python 3.11 or newer: %s is %d.%d, and there is no newer one in %s"
        % ((sys.executable,) + tuple(sys.version_info[:2]) + (" or ".join(DIRECTORIES),))
    )


def find_main():
    """Return the entry of the cold path, with all that it needs loaded."""
    sys.path.insert(0, HERE)
    try:
        from cnifast.cli import paths
        from cnifast.cli.plugin import main

        paths.complete()
        import _cffi_backend  # noqa: F401 - it is there, or the reason is said
    except ImportError as e:
        fail(
            "%s has no cffi for Python %d.%d, and Python itself has none (%s): install cffi"
            % ((HERE,) + tuple(sys.version_info[:2]) + (e,))
        )
    try:
        import cnifast._native  # noqa: F401 - as above
    except ImportError as e:
        fail("cnifast's native core cannot be loaded on this node: %s" % e)
    return main


if sys.version_info < OLDEST:
    start_newer()
find_main()(sys.argv[1:])
