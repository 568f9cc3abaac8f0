"""Addresses of a cluster: a part of the loopback range, so that pods and services have real, own addresses.

Linux answers on all of 127.0.0.0/8 without any set-up and without root. Each cluster takes a quarter Q (0 to 3) of
a block 127.BLOCK.0.0/16, so that there are enough for a class of a hundred; it owns the quarter while its API
server listens on `api_address`, so two clusters never share one. With F = 32 * Q:

    127.B.F.1             API server (port 6443)
    127.B.F.2             Azure's control plane (port 8443)
    127.B.F.10 ...        nodes
    127.B.(F+1).0/24      load balancers
    127.B.(F+16).0/21     pods
    127.B.(F+24).0/21     the insides of pods whose proxy takes what comes in
    127.B.(F+128).0/19    services (cluster IPs; virtual, nobody listens there)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path

API_PORT = 6443
ARM_PORT = 8443
BLOCKS = range(64, 250)
QUARTERS = range(4)
_WIDTH = 32
"""Third octets of a quarter, and as many again for its services."""
NODES = 245
"""Addresses that a cluster has for nodes."""
SIDECAR_PORT = 15001
"""Where a pod's sidecar takes the pod's outbound connections (PROXY protocol v2 carries the destination)."""
INBOUND_PORT = 15006
"""Where a real sidecar takes what comes in; here it listens at the pod's own ports beside."""
NOT_REDIRECTED = (15020, 15021, 15090)
"""Ports of a pod that are its proxy's and its agent's own (`istio-iptables -d`)."""

WAY_ON = 0xE0
"""The PROXY header's field (one that is free to use) for the endpoint behind the destination's address."""

NOWHERE = "127.251.0.1"
"""Nobody listens there: where connections to hosts outside of the sandbox go, so that none leaves this machine."""

_LOW_PORT_SHIFT = 20000


def listen_port(port: int) -> int:
    """The port really listened on for a container's or load balancer's `port`.

    Ports below 1024 need a privilege nobody in the sandbox should need, so they are shifted by 20000. Pods'
    addresses are used through this function by everything that connects to them.
    """
    return port if port >= 1024 else port + _LOW_PORT_SHIFT


def container_port(listened: int) -> int:
    """The port that is listened for at `listened`."""
    return listened - _LOW_PORT_SHIFT if _LOW_PORT_SHIFT <= listened < _LOW_PORT_SHIFT + 1024 else listened


def is_pod(address: str) -> bool:
    """Whether an address is a pod's, of whichever cluster of the sandbox."""
    return (octets := _of_sandbox(address)) is not None and octets[2] < 128 and 16 <= octets[2] % _WIDTH < 24


@lru_cache(maxsize=4096)
def inside(address: str) -> str:
    """Where programs of the pod at `address` listen when its sidecar takes what comes in.

    A real one's packet filter leads what comes in to the proxy; here it is the proxy that listens at the pod's own
    address, and the programs do so at a second one, 8 further in the third octet, at their own ports. So every port
    keeps its number, which a shift by a constant could not promise, and there is no file to remove, as with Unix
    sockets. Nobody connects there but the pod's proxy, and who is inside of the pod: `exec`, other containers,
    `port-forward`, and probes, which a real agent passes on from there.
    """
    first, second, third, last = address.split(".")
    return f"{first}.{second}.{int(third) + 8}.{last}"


def is_load_balancer(address: str) -> bool:
    """Whether it is a load balancer's, of whichever cluster: those are open to everybody."""
    return (octets := _of_sandbox(address)) is not None and octets[2] < 128 and octets[2] % _WIDTH == 1


def is_cluster_ip(address: str) -> bool:
    return (octets := _of_sandbox(address)) is not None and octets[2] >= 128


def in_sandbox(address: str) -> bool:
    """Whether it is an address of a sandbox at all."""
    return _of_sandbox(address) is not None


@lru_cache(maxsize=4096)
def _of_sandbox(address: str) -> bytes | None:
    try:
        octets = ipaddress.IPv4Address(address).packed
    except ValueError:
        return None
    return octets if octets[0] == 127 and octets[1] in BLOCKS else None


def may_listen(port: int) -> bool:
    """Whether this process may listen on `port` without a shift (for load balancers, seen from outside)."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):
        first = 1024
    return port >= first


INSTEAD = {80: 8080, 443: 8443}
"""Ports that tutorials name, and those where load balancers take what comes for them, as nobody but root may listen
on the former."""


def entered_at(number: int, ports: Collection[int]) -> list[int]:
    """Where a load balancer listens for `number`, one of its `ports`: there, or at another, or nowhere."""
    if may_listen(number):
        return [number]
    instead = INSTEAD.get(number)
    return [instead] if instead and instead not in ports else []


class AddressPool:
    """Hands out the addresses of a network in order. Those that were given back come first, or (`sparing`) only
    when no other is left."""

    def __init__(self, network: str, *, sparing: bool = False) -> None:
        self._sparing = sparing
        self._network = ipaddress.ip_network(network)
        self._next: Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address] = iter(self._network.hosts())
        self._free: list[str] = []
        self._taken: set[str] = set()

    def take(self, wanted: str | None = None) -> str:
        """A free address, or `wanted`. Raises ValueError if that is taken, not of the network, or none is left."""
        if wanted is not None:
            if wanted in self._taken or ipaddress.ip_address(wanted) not in self._network:
                raise ValueError(f"{wanted} is taken or not in {self._network}")
            self._taken.add(wanted)
            return wanted
        while True:
            address = self._fresh() if self._sparing or not self._free else ""
            address = address or (self._free.pop(0) if self._free else "")
            if not address:
                raise ValueError(f"no address left in {self._network}")
            if address not in self._taken:
                self._taken.add(address)
                return address

    def _fresh(self) -> str:
        return str(next(self._next, ""))

    def give_back(self, address: str) -> None:
        if address in self._taken:
            self._taken.discard(address)
            self._free.append(address)


class Network:
    """The address plan of one cluster."""

    def __init__(self, block: int, quarter: int = 0) -> None:
        first = quarter * _WIDTH
        self._nodes = f"127.{block}.{first}"
        self.api_address = f"{self._nodes}.1"
        self.arm_address = f"{self._nodes}.2"
        self.real_cidr = f"127.{block}.{first}.0/19"
        """All but the services' addresses."""
        self.pod_cidr = f"127.{block}.{first + 16}.0/21"
        self.service_cidr = f"127.{block}.{first + 128}.0/19"
        self.pods = AddressPool(self.pod_cidr, sparing=True)
        self.load_balancers = AddressPool(f"127.{block}.{first + 1}.0/24")

    def node_address(self, index: int) -> str:
        return f"{self._nodes}.{10 + index}"
