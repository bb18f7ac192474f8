class Link:
    index: int
    name: str
    kind: str
    alias: str
    mac: str
    mtu: int
    txqlen: int
    flags: int
    is_up: bool
    operstate: int
    master: int
    parent: int
    parent_netnsid: int | None
    group: int
    promiscuity: int
    type: int
    is_port: bool
    hairpin: bool
    isolated: bool
    vlan_filtering: bool
    macvlan_mode: int
    bcqueuelen: int
    vrf_table: int
    ipvlan_mode: int
    vlan_id: int
    tap_owner: int | None
    tap_group: int | None
    tap_multi_queue: bool

class Route:
    family: int
    dst: bytes
    prefixlen: int
    gateway: bytes | None
    destination: str
    via: str
    source: bytes | None
    oif: int
    table: int
    priority: int
    mtu: int
    advmss: int
    scope: int
    protocol: int
    type: int

def links(array: int, count: int) -> list[Link]: ...
def routes(array: int, count: int) -> list[Route]: ...
