"""Getting a lease: the first conversation, which whoever wants the lease waits for."""

from __future__ import annotations

from cnifast.ipam.dhcp.exchange import Client, Exchange, Granted
from cnifast.ipam.dhcp.lease import Lease
from cnifast.protocol.errors import INTERNAL, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cnifast.ipam.dhcp.exchange import Timing
    from cnifast.ipam.dhcp.lease import Order
    from cnifast.ipam.dhcp.system import Namespace, System


def acquire(
    system: System,
    order: Order,
    netns: Namespace,
    timing: Timing,
    *,
    broadcast: bool,
    stop: int,
    check: Callable[[], object],
) -> Lease:
    """Have a conversation that ends with a lease, and return that.

    Args:
        system: clock and links.
        order: what is wanted.
        netns: the container's namespace, open.
        timing: how long to wait for servers.
        broadcast: whether to ask servers to broadcast their answers.
        stop: a file that can be read from when it is not wanted any more.
        check: raises when it is not.

    Raises:
        CNIError: it ended without.
        OSError: the link cannot be used.
    """
    with system.open_link(netns.fileno(), order.ifname) as wire:
        client = Client(wire.mac, order.client_id, order.options, broadcast=broadcast)
        exchange = Exchange(client, timing, system.now())
        while True:
            now = system.now()
            for packet in exchange.send(now):
                wire.send(packet)
            if exchange.outcome is not None:
                break
            system.wait((wire.fileno(), stop), exchange.wake - now)
            check()
            for message, sender in wire.receive():
                exchange.receive(message, sender, system.now())
    outcome = exchange.outcome
    if not isinstance(outcome, Granted):
        raise CNIError(INTERNAL, f"{outcome} on {order.ifname} of {order.netns}")
    return Lease(order.key, order.netns, netns.ident, client, outcome, system.now())
