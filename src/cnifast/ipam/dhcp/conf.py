"""The configuration of dhcp: what to tell servers, and what to ask them for."""

from __future__ import annotations

from cnifast.ipam.dhcp import message as dhcp
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.schema import (
    BOOL,
    INT,
    TEXT,
    Struct,
    array,
    field,
    narrowed,
    optional,
    record,
)

DEFAULT_SOCKET = "/run/cni/dhcp.sock"

_NAMES = {
    "subnet-mask": dhcp.SUBNET_MASK,
    "routers": dhcp.ROUTER,
    "host-name": 12,
    "vendor-class-identifier": 60,
    "dhcp-client-identifier": dhcp.CLIENT_ID,
    "user-class": 77,
}
_NUMBER = "^0*([1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-4])$"
_OPTION = narrowed(TEXT, pattern=f"{_NUMBER}|^({'|'.join(_NAMES)})?$")
# What a client has to say itself, or there is no conversation.
_OWN = frozenset(
    (
        dhcp.REQUESTED_ADDRESS,
        dhcp.OVERLOAD,
        dhcp.MESSAGE_TYPE,
        dhcp.SERVER,
        dhcp.REQUEST_LIST,
        dhcp.SIZE_MAX,
    )
)
_DEFAULTS = (dhcp.ROUTER, dhcp.SUBNET_MASK)
_OTHERWISE = (dhcp.SUBNET_MASK, dhcp.ROUTER, 15, 6)  # and a domain's name and servers


class Provided(Struct):
    """An option to send."""

    option = field("option", _OPTION, "")
    """Its number, or one of a few names, such as `host-name`."""
    value = field("value", narrowed(TEXT, maxLength=dhcp.OPTION_MAX), "")
    """Its value."""
    from_arg = field("fromArg", TEXT, "")
    """A key of CNI_ARGS whose value is the option's, where it is given."""


class Requested(Struct):
    """An option to ask for."""

    skip_default = field("skipDefault", BOOL, False)
    """Whether to leave out those asked for by default: `routers` and `subnet-mask`."""
    option = field("option", _OPTION, "")
    """Its number or name; such as 121, classless static routes."""


class IPAMConf(Struct):
    """The "ipam" object."""

    socket = field("daemonSocketPath", TEXT, "")
    """Socket of the daemon; without one `/run/cni/dhcp.sock`."""
    provide = field("provide", array(record(Provided)), ())
    """Options to send."""
    request = field("request", array(record(Requested)), ())
    """Options to ask for."""
    priority = field("priority", INT, 0)
    """Metric of the routes; 0: the kernel's default."""

    @property
    def path(self) -> str:
        """The daemon's socket."""
        return self.socket or DEFAULT_SOCKET

    def options(self, args: str) -> tuple[tuple[int, bytes], ...]:
        """Return what to send to servers beside what every client sends, as (code, value).

        Raises:
            CNIError: an option has an unknown name, is none to be given, or is too long.
        """
        pairs = (pair.partition("=") for pair in args.split(";"))
        given = {key: value for key, sign, value in pairs if sign}
        options: list[tuple[int, bytes]] = []
        for one in self.provide:
            code = _code(one.option, "provide")
            if code in _OWN:
                raise _invalid("provide", f"option {one.option} is the client's own to send")
            values = (one.value, given.get(one.from_arg, ""))
            options += [(code, _encoded(value, one.option)) for value in values if value]
        wanted = [_code(one.option, "request") for one in self.request if one.option]
        if not any(one.skip_default for one in self.request):
            wanted += _DEFAULTS
        options.append((dhcp.REQUEST_LIST, bytes(dict.fromkeys(wanted or _OTHERWISE))))
        return tuple(options)


class NetConf(Struct):
    """What dhcp reads of a network configuration."""

    name = field("name", TEXT, "")
    """Name of the network; servers know a container by it, its ID and its interface."""
    ipam = optional("ipam", record(IPAMConf))
    """How to get an address."""

    @property
    def required_ipam(self) -> IPAMConf:
        """The "ipam" object.

        Raises:
            CNIError: there is none.
        """
        if self.ipam is None:
            raise CNIError(INTERNAL, "IPAM config missing 'ipam' key")
        return self.ipam


def _code(option: str, where: str) -> int:
    """Return the number of an option.

    Raises:
        CNIError: it has none.
    """
    code = _NAMES.get(option, 0)
    if not code and option.isascii() and option.isdecimal() and len(option) <= 8:
        code = int(option)
    if not dhcp.PAD < code < dhcp.END:
        names = ", ".join(_NAMES)
        raise _invalid(where, f'option "{option}" is neither a number from 1 to 254 nor {names}')
    return code


def _encoded(value: str, option: str) -> bytes:
    """Return a value as bytes.

    Raises:
        CNIError: it is longer than an option can be.
    """
    encoded = value.encode()
    if len(encoded) > dhcp.OPTION_MAX:
        raise _invalid("provide", f"the value of option {option} is {len(encoded)} bytes long")
    return encoded


def _invalid(where: str, text: str) -> CNIError:
    return CNIError(INTERNAL, f"dhcp: in ipam.{where}: {text}")
