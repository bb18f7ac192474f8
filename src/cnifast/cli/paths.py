"""The rest of the import path, for interpreters that were started without `site`."""

from __future__ import annotations


def complete() -> None:
    """Make sure that cffi's runtime can be imported.

    It usually lives where this package does, and then there is nothing to do; a distribution's
    package or a user's directory takes `site` to be found.
    """
    try:
        __import__("_cffi_backend")
    except ImportError:
        import site

        site.main()
