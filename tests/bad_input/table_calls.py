"""Bad environments, bad text on standard input, bad names: what is refused before a plugin runs."""

from __future__ import annotations

from typing import Any

from bad_input.bad import Bad, good, without

ENVIRONMENT, DECODING, CONFIG, VERSION, NETNS = 4, 6, 7, 1, 8
MIB = 1 << 20
_DEEP = 10_000
_UNMARSHAL = "error unmarshall network config"
_PARTLY = "hostile input is refused, which the reference accepts in part"


def _env(name: str, words: tuple[str, ...], code: int = ENVIRONMENT, **more: Any) -> Bad:
    """Build a case about variables, which are given in capitals."""
    env = {key: more.pop(key) for key in list(more) if key.isupper()}
    return Bad(f"env-{name}", more.pop("plugin", "bridge"), {}, words, code, env=env, **more)


def _names() -> list[Bad]:
    """Return hostile container IDs and interface names."""
    found = [
        _env(f"container-{name}", ("invalid characters in containerID",), CONTAINERID=text)
        for name, text in {
            "slash": "a/b",
            "parent": "..",
            "up-and-out": "../../etc/passwd",
            "hidden": ".pod",
            "dash-first": "-rf",
            "space": "a b",
            "newline": "pod\n10.1.0.9",
            "carriage-return": "pod\r\neth0",
            "shell": "$(id)",
            "umlaut": "p\u00f6d",
            "not-utf-8": "pod\udcff",
            "percent": "pod%d",
            "blank": " ",
        }.items()
    ]
    for name, text, words in (
        ("dot", ".", "interface name is . or .."),
        ("dot-dot", "..", "interface name is . or .."),
        ("slash", "a/b", "contains / or : or whitespace"),
        ("path", "../../x", "contains / or : or whitespace"),
        ("colon", "eth0:1", "contains / or : or whitespace"),
        ("space", "eth 0", "contains / or : or whitespace"),
        ("newline", "eth0\n", "contains / or : or whitespace"),
        ("tab", "\teth0", "contains / or : or whitespace"),
        ("wide-space", "eth\u30000", "contains / or : or whitespace"),
        ("16-letters", "a234567890123456", "interface name is too long"),
        ("10,000-letters", "x" * 10_000, "interface name is too long"),
        ("long-umlauts", "\u00e4" * 8, "interface name is too long"),
    ):
        found.append(_env(f"ifname-{name}", (words,), IFNAME=text))
    found += [
        _env("ifname-path-del", ("contains / or :",), IFNAME="../../x", command="DEL"),
        _env("ifname-pattern", ("contains %",), IFNAME="eth%d", differs=_PARTLY),
        _env("ifname-not-utf-8", ("not UTF-8",), IFNAME="e\udcff", differs=_PARTLY),
    ]
    return found


_ENVIRONMENT = [
    *(
        _env(f"no-{name.lower()}", ("required env variables", f"CNI_{name}"), **{name: None})
        for name in ("CONTAINERID", "NETNS", "IFNAME", "PATH")
    ),
    _env("empty-netns", ("required env variables [CNI_NETNS] missing",), NETNS=""),
    _env(
        "no-variable-at-all",
        ("[CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH]",),
        **dict.fromkeys(("CONTAINERID", "NETNS", "IFNAME", "PATH")),
    ),
    _env("check-no-netns", ("[CNI_NETNS]",), NETNS=None, command="CHECK"),
    _env("del-no-ifname", ("[CNI_IFNAME]",), IFNAME=None, command="DEL"),
    *(
        _env(f"command-{name}", ("unknown CNI_COMMAND", text.strip()), COMMAND=text)
        for name, text in {
            "unknown": "DESTROY",
            "lower-case": "add",
            "padded": "ADD ",
            "list": "ADD,DEL",
        }.items()
    ),
]

_NAMESPACES = [
    *(
        _env(
            f"netns-{name}-{plugin}-{command}".lower(),
            ("failed to open netns", words),
            999,
            NETNS=path,
            plugin=plugin,
            command=command,
        )
        for plugin in ("bridge", "macvlan", "loopback", "ptp")
        for command in ("ADD", "DEL")
        for name, path, words in (
            ("file", "/etc/passwd", "not a namespace"),
            ("directory", "/run/netns", "not a namespace"),
            ("device", "/dev/null", "not a namespace"),
            ("pipe", "/run/pipe", "not a namespace"),
            ("other-kind", "/proc/self/ns/uts", "another kind of namespace"),
        )
    ),
    *(
        _env(
            f"netns-missing-{plugin}",
            ("failed to open netns", "no such file or directory"),
            999,
            NETNS="/run/netns/nobody",
            plugin=plugin,
        )
        for plugin in ("bridge", "macvlan", "loopback", "ptp")
    ),
    _env("netns-below-file", ("not a directory",), 999, NETNS="/etc/passwd/x"),
    _env("netns-too-long", ("failed to open netns",), 999, NETNS="/run/" + "n" * 5000),
    _env(
        "netns-own",
        ("should not be the same",),
        NETNS,
        NETNS="/proc/self/ns/net",
        differs="1.1.1 does not look",
    ),
]

_ARGUMENTS = [
    Bad(f"args-{name}-{plugin}", plugin, {}, words, env={"ARGS": text})
    for plugin in ("bridge", "macvlan", "host-local", "static")
    for name, text, words in (
        ("no-value", "IgnoreUnknown", ("ARGS: invalid pair",)),
        ("two-signs", "IgnoreUnknown=1;A=B=C", ("ARGS: invalid pair",)),
        ("empty-pair", "IgnoreUnknown=1;", ("ARGS: invalid pair",)),
        ("unknown", "COLOUR=blue", ("unknown args", "COLOUR=blue")),
        ("maybe", "IgnoreUnknown=maybe", ("error parsing value of pair", "maybe")),
        ("not-utf-8", "IgnoreUnknown=1;\udcff", ("ARGS: invalid pair",)),
    )
]


def _text(
    name: str, text: bytes | str, words: tuple[str, ...], code: int = DECODING, **more: Any
) -> Bad:
    """Build a case about what is on standard input."""
    raw = text if isinstance(text, bytes) else text.encode()
    return Bad(f"stdin-{name}", more.pop("plugin", "bridge"), raw, words, code, **more)


_GOOD = good("bridge")
_STDIN = [
    _text("empty", "", (_UNMARSHAL, "unexpected end of JSON input")),
    _text("blanks", " \r\n\t ", (_UNMARSHAL, "unexpected end of JSON input")),
    *(_text(f"cut-{at}", _GOOD[:at], (_UNMARSHAL,)) for at in (1, 2, 17, len(_GOOD) - 1)),
    _text("zeros", bytes(64), (_UNMARSHAL, "invalid character")),
    _text("mark", b"\xef\xbb\xbf" + _GOOD, (_UNMARSHAL, "looking for beginning of value")),
    _text("utf-16", _GOOD.decode().encode("utf-16"), (_UNMARSHAL,)),
    _text("latin-1", _GOOD.replace(b"cni0", b"cni\xe9"), ("invalid UTF-8",), differs=_PARTLY),
    _text(
        "long-form-utf-8", _GOOD.replace(b"cni0", b"\xc0\xaf"), ("invalid UTF-8",), differs=_PARTLY
    ),
    _text("array", "[]", (_UNMARSHAL, "cannot unmarshal array")),
    _text("array-of-one", b"[" + _GOOD + b"]", (_UNMARSHAL, "cannot unmarshal array")),
    _text("string", '"bridge"', (_UNMARSHAL, "cannot unmarshal string")),
    _text("number", "1", (_UNMARSHAL, "cannot unmarshal number")),
    _text("true", "true", (_UNMARSHAL, "cannot unmarshal bool")),
    _text("null", "null", ("missing network name",), CONFIG),
    _text("nothing-in-it", "{}", ("missing network name",), CONFIG),
    _text("two", _GOOD + _GOOD, (_UNMARSHAL, "after top-level value")),
    _text("comma-at-the-end", _GOOD[:-1] + b",}", (_UNMARSHAL,)),
    _text("single-quotes", _GOOD.replace(b'"', b"'"), (_UNMARSHAL,)),
    _text("comment", b"// bridge\n" + _GOOD, (_UNMARSHAL,)),
    _text("yaml", "name: net\ntype: bridge\n", (_UNMARSHAL, "invalid character")),
    _text("bare-key", _GOOD.replace(b'"name"', b"name"), (_UNMARSHAL,)),
    _text("control-character", _GOOD.replace(b"cni0", b"cn\ni0"), (_UNMARSHAL,)),
    _text("bad-escape", _GOOD.replace(b"cni0", b"\\x41"), (_UNMARSHAL,)),
    _text("half-escape", _GOOD.replace(b"cni0", b"\\u12"), (_UNMARSHAL,)),
    _text("not-a-number", _GOOD[:-1] + b',"mtu":NaN}', (_UNMARSHAL,)),
    _text("infinity", _GOOD[:-1] + b',"mtu":-Infinity}', (_UNMARSHAL,)),
    _text("leading-zero", _GOOD[:-1] + b',"mtu":0123}', (_UNMARSHAL,)),
    _text("hexadecimal", _GOOD[:-1] + b',"mtu":0x5DC}', (_UNMARSHAL,)),
    _text("plus", _GOOD[:-1] + b',"mtu":+1500}', (_UNMARSHAL,)),
    _text(
        "100,000-digits",
        _GOOD[:-1] + b',"mtu":' + b"9" * 100_000 + b"}",
        (_UNMARSHAL, "too many digits"),
        differs="refused by the decoder itself, not where the key is read",
    ),
    _text(
        "deep-arrays",
        _GOOD[:-1] + b',"x":' + b"[" * _DEEP + b"]" * _DEEP + b"}",
        (_UNMARSHAL, "exceeded max depth"),
    ),
    _text(
        "deep-objects",
        _GOOD[:-1] + b',"x":' + b'{"a":' * _DEEP + b"1" + b"}" * _DEEP + b"}",
        (_UNMARSHAL, "exceeded max depth"),
    ),
    _text("deep-unclosed", b'{"name":"net","x":' + b"[" * 100_000, (_UNMARSHAL,)),
    _text("last-name-wins", _GOOD[:-1] + b',"name":"../x"}', ("network name", "../x"), CONFIG),
    _text("last-case-wins", _GOOD[:-1] + b',"NAME":"a b"}', ("network name", "a b"), CONFIG),
    _text(
        "last-version-wins",
        _GOOD[:-1] + b',"cniVersion":"7.0.0"}',
        ("incompatible CNI versions", "7.0.0"),
        VERSION,
    ),
    _text(
        "too-long",
        _GOOD[:-1] + b',"x":"' + b"x" * MIB + b'"}',
        ("larger than 1 MiB",),
        differs=_PARTLY,
    ),
    _text("too-long-blanks", _GOOD + b" " * MIB, ("larger than 1 MiB",), differs=_PARTLY),
    _text("far-too-long", b"[" * (2 * MIB), ("larger than 1 MiB",)),
]

_IDENTITY = [
    *(
        Bad(f"name-{name}", "bridge", {"name": text}, ("network name",), CONFIG)
        for name, text in {
            "empty": "",
            "missing": without,
            "null": None,
            "parent": "..",
            "path": "../../../../run/x",
            "absolute": "/run/x",
            "hidden": ".cnifast",
            "space": "n t",
            "nul": "net\0x",
            "newline": "net\n",
            "dash": "-net",
            "backslash": "a\\b",
            "umlaut": "n\u00e9t",
            "surrogate": "net\ud800",
            "shell": "`id`",
        }.items()
    ),
    *(
        Bad(f"name-path-{plugin}", plugin, {"name": "../x"}, ("network name", "../x"), CONFIG)
        for plugin in ("macvlan", "loopback", "host-local", "static")
    ),
    *(
        Bad(f"name-{kind}", "bridge", {"name": value}, (_UNMARSHAL, kind, "name"), DECODING)
        for kind, value in {"number": 5, "array": ["net"], "object": {"a": 1}, "bool": True}.items()
    ),
    Bad("name-del", "bridge", {"name": "a/b"}, ("network name", "a/b"), CONFIG, command="DEL"),
    *(
        Bad(f"version-{text or 'long'}", "bridge", {"cniVersion": text}, ("incompatible",), VERSION)
        for text in ("0.0.9", "0.5.0", "1.2.0", "2.0.0", "1.0", "v1.0.0", "1.0.0 ", "../1.0.0")
    ),
    *(
        Bad(f"version-{kind}", "bridge", {"cniVersion": value}, (kind, "cniVersion"), DECODING)
        for kind, value in {"number": 1.0, "array": [], "object": {}, "bool": False}.items()
    ),
    Bad(
        "version-check-too-old",
        "bridge",
        {"cniVersion": "0.3.1"},
        ("config version does not allow CHECK",),
        VERSION,
        command="CHECK",
    ),
    *(
        Bad(
            f"version-{command.lower()}-too-old",
            "bridge",
            {"cniVersion": "1.0.0"},
            (f"config version does not allow {command}",),
            VERSION,
            command=command,
            differs="1.1.1 has no such command",
        )
        for command in ("GC", "STATUS")
    ),
    Bad(
        "version-missing-check",
        "bridge",
        {"cniVersion": without},
        ("does not allow CHECK",),
        VERSION,
        command="CHECK",
    ),
    Bad(
        "version-missing",  # it is the oldest then, which has no result without an address
        "macvlan",
        {"cniVersion": without, "ipam": {}},
        ("cannot convert", "no valid IP addresses"),
    ),
]

_TYPES = [
    *(
        Bad(
            f"type-{name}-{key}",
            "bridge",
            {"type": text} if key == "type" else {"ipam": {"type": text}},
            ("invalid plugin name", key),
            CONFIG,
            differs=_PARTLY,
        )
        for key in ("type", "ipam.type")
        for name, text in {
            "path": "../bin/bridge",
            "absolute": "/bin/sh",
            "parent": "..",
            "dot": ".",
            "backslash": "a\\b",
            "nul": "host-local\0",
        }.items()
    ),
    Bad("type-ipam-unknown", "bridge", {"ipam": {"type": "nobody"}}, ("failed to find", "nobody")),
    Bad(
        "type-ipam-space",
        "macvlan",
        {"ipam": {"type": "host-local "}},
        ("failed to find plugin", '"host-local "'),
    ),
    Bad(
        "type-ipam-in-nowhere",
        "bridge",
        {"ipam": {"type": "calico-ipam"}},
        ("failed to find plugin", "/nonexistent"),
        env={"PATH": "/nonexistent:/dev/null:/etc/passwd"},
    ),
]

TABLE = [
    *_names(),
    *_ENVIRONMENT,
    *_NAMESPACES,
    *_ARGUMENTS,
    *_STDIN,
    *_IDENTITY,
    *_TYPES,
]
