"""What was leased: to whom, by whom, until when; what it says as a result; how it is written down.

Times are seconds of CLOCK_BOOTTIME, which every process of one boot shares and nobody sets.
"""

from __future__ import annotations

import os

from cnifast.ipam.dhcp import message as dhcp
from cnifast.ipam.dhcp.exchange import EVERY_MAC, Client, Packet
from cnifast.protocol import ip
from cnifast.protocol.codec import DecodeError, dumps, loads
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.result import IPConfig, Result, Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cnifast.ipam.dhcp.exchange import Granted

_DEFAULT_SECONDS = 3600  # where a server does not say
_LEAST_SECONDS = 10
_FOR_EVER = 0xFFFFFFFF
_SCOPE_LINK = 253
_DEFAULT_ROUTE = "0.0.0.0/0"

Key = tuple[str, str, str]
"""Container ID, network and interface: who has a lease."""


class Order:
    """A lease to be had: for whom, where, and what to tell and ask servers.

    ``netns`` is the path of the container's namespace, ``ident`` what tells that from others,
    where the caller knows; ``client_id`` is what the server knows the client by.
    """

    __slots__ = ("container_id", "ident", "ifname", "netns", "network", "options")

    def __init__(
        self,
        container_id: str,
        network: str,
        ifname: str,
        netns: str = "",
        options: tuple[tuple[int, bytes], ...] = (),
        ident: tuple[int, int] | None = None,
    ) -> None:
        self.container_id = container_id
        self.network = network
        self.ifname = ifname
        self.netns = netns
        self.options = options
        self.ident = ident

    @property
    def key(self) -> Key:
        """Who the lease is for."""
        return self.container_id, self.network, self.ifname

    @property
    def client_id(self) -> bytes:
        """The identifier for servers: no hardware type, and as much of the key as there is room."""
        return b"\0" + "/".join(self.key).encode()[: dhcp.OPTION_MAX - 1]


class Lease:
    """A lease that is held; ``ident`` tells its namespace from others at the same path."""

    __slots__ = (
        "address",
        "client",
        "expires",
        "ident",
        "key",
        "netns",
        "options",
        "rebind_at",
        "renew_at",
        "sender",
        "server",
    )

    def __init__(
        self,
        key: Key,
        netns: str,
        ident: tuple[int, int],
        client: Client,
        granted: Granted,
        now: float,
    ) -> None:
        self.key = key
        self.netns = netns
        self.ident = ident
        self.client = client
        self.extend(granted, now)

    @property
    def ifname(self) -> str:
        """The interface that has it."""
        return self.key[2]

    def extend(self, granted: Granted, now: float) -> None:
        """Take what a server granted at a time."""
        self.address = granted.message.address
        self.server = granted.server
        self.sender = granted.sender
        self.options = granted.message.options
        seconds = self._seconds(dhcp.LEASE_SECONDS)
        if seconds == _FOR_EVER:
            self.renew_at = self.rebind_at = self.expires = float("inf")
            return
        total = max(seconds or _DEFAULT_SECONDS, _LEAST_SECONDS)
        renew = self._seconds(dhcp.RENEW_SECONDS) or total / 2
        rebind = self._seconds(dhcp.REBIND_SECONDS) or total * 0.85
        if not renew < rebind < total:
            renew, rebind = total / 2, total * 0.85
        self.renew_at, self.rebind_at, self.expires = now + renew, now + rebind, now + total

    def farewell(self) -> Packet:
        """Return what tells the server that the lease is not needed any more.

        Nobody answers it, so it has to arrive.  A server in the subnet may have another hardware
        address by now, as a bridge has that another port was added to; what leads to one
        elsewhere does not take what all are sent.
        """
        length = dhcp.mask_length(self.options.get(dhcp.SUBNET_MASK, b"")) or 0
        near = (self.address ^ self.server) >> (32 - length) == 0
        data = self.client.encode(
            dhcp.RELEASE,
            int.from_bytes(os.urandom(4)),
            ((dhcp.SERVER, self.server.to_bytes(4)),),
            address=self.address,
        )
        return Packet(data, self.address, self.server, EVERY_MAC if near else self.sender)

    def _seconds(self, code: int) -> int | None:
        return dhcp.number(self.options, code, 4)

    def result(self, priority: int = 0) -> Result:
        """Return what ADD says of it.

        Raises:
            CNIError: the server did not say what the subnet is.
            DecodeError: the routes it gave are none.
        """
        length = dhcp.mask_length(self.options.get(dhcp.SUBNET_MASK, b""))
        if length is None:
            raise CNIError(INTERNAL, "DHCP option Subnet Mask not found in DHCPACK")
        gateway = self._gateway()
        routes = self._routes(gateway)
        for route in routes:
            route.priority = priority
        return Result(
            ips=[IPConfig(ip.format_cidr(4, self.address, length), gateway)], routes=routes
        )

    def _gateway(self) -> str | None:
        routers = dhcp.addresses(self.options.get(dhcp.ROUTER, b""))
        return ip.format_ip(4, routers[0]) if routers else None

    def _routes(self, gateway: str | None) -> list[Route]:
        """Return the routes: with classless ones the others do not count (RFC 3442)."""
        classless = dhcp.classless_routes(self.options.get(dhcp.CLASSLESS_ROUTES, b""))
        if classless:
            return [
                Route(
                    ip.format_cidr(4, network, length),
                    ip.format_ip(4, router),
                    scope=None if router else _SCOPE_LINK,
                )
                for network, length, router in classless
            ]
        static = dhcp.static_routes(self.options.get(dhcp.STATIC_ROUTES, b""))
        routes = [
            Route(ip.format_cidr(4, network, length), ip.format_ip(4, router))
            for network, length, router in static
        ]
        if gateway:
            routes.append(Route(_DEFAULT_ROUTE, gateway))
        return routes

    def dumps(self) -> bytes:
        """Return it as a line of JSON."""
        return (
            dumps(
                {
                    "containerID": self.key[0],
                    "network": self.key[1],
                    "ifname": self.key[2],
                    "netns": self.netns,
                    "netnsIdent": list(self.ident),
                    "address": ip.format_ip(4, self.address),
                    "server": ip.format_ip(4, self.server),
                    "serverMAC": self.sender.hex(":"),
                    "mac": self.client.mac.hex(":"),
                    "clientID": self.client.client_id.hex(),
                    "broadcast": self.client.broadcast,
                    "said": [[code, value.hex()] for code, value in self.client.options],
                    "granted": [[code, value.hex()] for code, value in self.options.items()],
                    "renew": _written(self.renew_at),
                    "rebind": _written(self.rebind_at),
                    "expires": _written(self.expires),
                }
            )
            + b"\n"
        )

    @classmethod
    def loads(cls, data: bytes) -> Lease:
        """Return the lease that `dumps` wrote.

        Raises:
            DecodeError: it is none.
        """
        try:
            return cls._from_json(loads(data))
        except (KeyError, TypeError, AttributeError, IndexError) as e:
            raise DecodeError(f"not a lease: {e}") from None
        except ValueError as e:
            raise DecodeError(str(e)) from None

    @classmethod
    def _from_json(cls, found: dict[str, Any]) -> Lease:
        self = cls.__new__(cls)
        self.key = str(found["containerID"]), str(found["network"]), str(found["ifname"])
        self.netns = str(found["netns"])
        dev, ino = found["netnsIdent"]
        self.ident = int(dev), int(ino)
        self.address = ip.parse_ip(found["address"])[1]
        self.server = ip.parse_ip(found["server"])[1]
        self.sender = _octets(found["serverMAC"])
        self.client = Client(
            _octets(found["mac"]),
            bytes.fromhex(found["clientID"]),
            tuple((int(code), bytes.fromhex(value)) for code, value in found["said"]),
            broadcast=bool(found["broadcast"]),
        )
        self.options = {int(code): bytes.fromhex(value) for code, value in found["granted"]}
        self.renew_at = _read(found["renew"])
        self.rebind_at = _read(found["rebind"])
        self.expires = _read(found["expires"])
        return self


def _octets(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _written(time: float) -> int | None:
    """Return a time as a file has it: whole milliseconds, none for never."""
    return None if time == float("inf") else int(time * 1000)


def _read(value: int | None) -> float:
    return float("inf") if value is None else int(value) / 1000
