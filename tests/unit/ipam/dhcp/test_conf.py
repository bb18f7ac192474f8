"""What configurations say to servers, and what the service's own says of waiting for them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.cli.dhcp import duration
from cnifast.ipam.dhcp.conf import IPAMConf
from cnifast.ipam.dhcp.hosted import read
from cnifast.protocol.errors import CNIError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = (55, b"\3\1")


def options(args: str = "", **conf: Any) -> tuple[tuple[int, bytes], ...]:
    """Return the options of a configuration."""
    return IPAMConf.decode(conf).options(args)


def test_defaults() -> None:
    """Without options router and mask are asked for."""
    assert options() == (DEFAULT,)


def test_provided() -> None:
    """Options are sent by number or name, with values of the configuration or of CNI_ARGS."""
    provide = [
        {"option": "host-name", "value": "web", "fromArg": "NAME"},
        {"option": "060", "fromArg": "CLASS"},
        {"option": "user-class", "fromArg": "ABSENT"},
        {"option": "dhcp-client-identifier", "value": "ä"},
    ]
    assert options("CLASS=a=b;NAME=other;x", provide=provide) == (
        (12, b"web"),
        (12, b"other"),
        (60, b"a=b"),
        (61, b"\xc3\xa4"),
        DEFAULT,
    )


def test_requested() -> None:
    """What is asked for comes before the defaults, each once; without those if so configured."""
    wanted = [{"option": "121"}, {"option": "routers"}]
    assert options(request=wanted) == ((55, b"\x79\3\1"),)
    assert options(request=[*wanted, {"skipDefault": True}]) == ((55, b"\x79\3"),)
    assert options(request=[{"skipDefault": True}]) == ((55, b"\x01\x03\x0f\x06"),)


@pytest.mark.parametrize("key", ["provide", "request"])
@pytest.mark.parametrize(
    "option", ["nonsense", "0", "255", "256", "-1", "1.5", "+6", "9" * 40, "²"]
)
def test_unknown(key: str, option: str) -> None:
    """An option that there is not is refused, by name."""
    with pytest.raises(CNIError, match="neither a number from 1 to 254 nor subnet-mask") as caught:
        options(**{key: [{"option": option}]})
    assert caught.value.code == 999
    assert f'in ipam.{key}: option "{option}"' in caught.value.msg


@pytest.mark.parametrize("option", ["50", "52", "53", "54", "55", "57"])
def test_own(option: str) -> None:
    """What the client has to say itself cannot be configured."""
    with pytest.raises(CNIError, match=f"option {option} is the client's own"):
        options(provide=[{"option": option, "value": "x"}])


def test_too_long() -> None:
    """A value that does not fit is refused, also one of CNI_ARGS."""
    with pytest.raises(CNIError, match="the value of option 12 is 256 bytes long"):
        options(provide=[{"option": "12", "value": "x" * 256}])
    with pytest.raises(CNIError, match="the value of option host-name is 300 bytes long"):
        options(f"N={'x' * 300}", provide=[{"option": "host-name", "fromArg": "N"}])


def test_service_without_file(tmp_path: Path) -> None:
    """Without a file, or a table in it, the service has its defaults."""
    found = read(str(tmp_path / "none"))
    assert found["resendtimeout"] < 120  # a plugin binary waits no longer
    (tmp_path / "some").write_text("threads = 3\n")
    assert read(str(tmp_path / "some")) == found


def test_service_with_file(tmp_path: Path) -> None:
    """The file's values count."""
    path = tmp_path / "config.toml"
    path.write_text("[dhcp]\ntimeout = 2.5\nbroadcast = true\n")
    found = read(str(path))
    assert (found["timeout"], found["broadcast"]) == (2.5, True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[dhcp]\ntimeout = 0\n", "dhcp.timeout is 0: not a number of seconds"),
        ("[dhcp]\nresendmax = true\n", "dhcp.resendmax is True: not a number"),
        ("[dhcp]\nresendtimeout = '1m'\n", "dhcp.resendtimeout is '1m'"),
        ("[dhcp]\nbroadcast = 1\n", "dhcp.broadcast is 1: neither true nor false"),
        ("[dhcp]\nsocket = '/x'\n", "dhcp.socket is unknown: there are timeout"),
        ("dhcp = 3\n", "dhcp. is unknown"),
        ("[dhcp\n", "config.toml"),
    ],
)
def test_service_with_bad_file(tmp_path: Path, text: str, why: str) -> None:
    """A value without a meaning is refused, with the file's name."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"config.toml: .*{why}" if why[0] == "d" else why):
        read(str(path))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25), ("2us", 2e-6), ("1h1m1s", 3661)],
)
def test_duration(text: str, seconds: float) -> None:
    """Durations are as Go writes them."""
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "1d", "-5s", "0s", "1..5s", "10s5", "ten"])
def test_no_duration(text: str) -> None:
    """What is no duration is refused."""
    with pytest.raises(ArgumentTypeError, match="no duration"):
        duration(text)
