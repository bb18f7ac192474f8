"""The resolver's settings as resolv.conf(5) has them."""

from __future__ import annotations

from cnifast.invoke import files
from cnifast.protocol.result import DNS


def parse(text: str) -> DNS:
    """Return the settings in the text of a resolv.conf.

    Lines that start with "#" or ";", unknown keywords and keywords without a value are
    ignored; of several "domain" lines the last one counts, the others add up.
    """
    nameservers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    domain = ""
    for line in text.split("\n"):
        fields = line.split()
        if len(fields) < 2 or fields[0][0] in "#;":
            continue
        keyword, *values = fields
        if keyword == "nameserver":
            nameservers.append(values[0])
        elif keyword == "domain":
            domain = values[0]
        elif keyword == "search":
            search += values
        elif keyword == "options":
            options += values
    return DNS(nameservers, domain, search, options)


def read(path: str) -> DNS:
    """Return the settings in the file at a path.

    Raises:
        OSError: it cannot be read.
        ValueError: it is a pipe, or has more than 1 MiB.
    """
    return parse(files.read(path).decode("utf-8", "replace"))
