"""The network as a pod sees it: cluster DNS, cluster addresses, and its sidecar in the way.

Without a sidecar a connection to a cluster address goes to one of the service's ready endpoints, picked at
random for each connection, as kube-proxy does. With one, as behind Istio's packet filter rules, every
connection out of the pod goes to the sidecar at `podIP:SIDECAR_PORT`. A PROXY protocol v2 header says where it
was going, and what kube-proxy would make of that if the sidecar let it pass; Envoy decides. A pod has a sidecar
when its init container `istio-init` ran: from then on there is no way around it, so what starts before the proxy
listens gets "connection refused", as it would on a real cluster. What comes in meets the proxy as well from then
on: programs listen at the pod's inside (`addresses.inside`), and what the pod says to itself goes there.

Connections stay within the sandbox's own addresses, and the load balancers of its other clusters; every other name
does not resolve.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import aiohttp

from sandbox.core.addresses import (
    NOT_REDIRECTED,
    NOWHERE,
    SIDECAR_PORT,
    WAY_ON,
    Network,
    in_sandbox,
    inside,
    is_load_balancer,
    listen_port,
)
from sandbox.network.directory import Directory
from sandbox.network.http_client import PodHttpClient, new_session

_PROXY_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11"
_ADDRESSES_SIZE = 12


def proxy_header(
    source: tuple[str, int], destination: tuple[str, int], endpoint: tuple[str, int] | None = None
) -> bytes:
    """A PROXY protocol v2 header for TCP over IPv4: where the connection comes from and was going, and the
    `endpoint` that it would come to if nobody decided otherwise."""
    way_on = "{}:{}".format(*endpoint).encode() if endpoint else b""
    more = struct.pack("!BH", WAY_ON, len(way_on)) + way_on if way_on else b""
    return (
        _PROXY_SIGNATURE
        + struct.pack("!H", _ADDRESSES_SIZE + len(more))
        + ipaddress.IPv4Address(source[0]).packed
        + ipaddress.IPv4Address(destination[0]).packed
        + struct.pack("!HH", source[1], destination[1])
        + more
    )


@lru_cache(maxsize=4096)
def _number(address: str) -> int | None:
    """An IPv4 address as a number, None for a name."""
    try:
        return int(ipaddress.IPv4Address(address))
    except ValueError:
        return None


class _Range:
    """A network, asked about addresses for every request there is."""

    def __init__(self, cidr: str) -> None:
        network = ipaddress.IPv4Network(cidr)
        self._mask, self._first = int(network.netmask), int(network.network_address)

    def __contains__(self, address: str) -> bool:
        number = _number(address)
        return number is not None and number & self._mask == self._first


@dataclass(frozen=True, slots=True)
class Interception:
    """Which connections out of a pod and to it its sidecar gets, as `istio-iptables` is told: all, unless that says
    more."""

    ranges: tuple[str, ...] | None = None
    """Destinations in these; None: all."""
    ports: frozenset[int] = frozenset()
    """And to these ports, wherever."""
    but_ranges: tuple[str, ...] = ()
    but_ports: frozenset[int] = frozenset()
    """These not in any case."""
    served: frozenset[int] | None = None
    """To these ports of the pod; None: to all but `but_served`."""
    but_served: frozenset[int] = frozenset(NOT_REDIRECTED)

    def takes(self, address: str, port: int) -> bool:
        if port in self.but_ports or _in_any(address, self.but_ranges):
            return False
        return self.ranges is None or port in self.ports or _in_any(address, self.ranges)

    def leads_in(self, port: int) -> bool:
        """Whether who connects to this port of the pod comes to its sidecar."""
        return port not in self.but_served if self.served is None else port in self.served


def _in_any(address: str, ranges: tuple[str, ...]) -> bool:
    return any(address in _range(one) for one in ranges)


@lru_cache(maxsize=256)
def _range(cidr: str) -> _Range:
    return _Range(cidr)


class PodNetwork:
    """One pod's view. `sidecar` is set by the kubelet, `interception` by what sets up the packet filter."""

    def __init__(self, network: Network, directory: Directory, ip: str, namespace: str) -> None:
        self.ip, self.namespace, self.sidecar = ip, namespace, False
        self.interception = Interception()
        self.http = PodHttpClient(self)
        self.served: dict[int, None] = {}
        """Ports that programs of the pod have listened on, whatever its containers declare."""
        self.serving: Callable[[], None] | None = None
        """Called when there is another one: the sidecar has to open it."""
        self._directory = directory
        self._pods = _Range(network.pod_cidr)
        self._services = _Range(network.service_cidr)
        self._real = _Range(network.real_cidr)

    def resolve(self, host: str) -> str:
        """The address of a name as the cluster's DNS answers it.

        A service's cluster address, one of the pods of a headless service, `localhost` (the pod itself), or
        the address that was given. A pod with a sidecar also knows the hosts of ServiceEntries, as where Istio's
        proxies answer for DNS. Raises socket.gaierror for everything else.
        """
        if host in ("localhost", "127.0.0.1", self.ip):
            return self.ip
        if _number(host) is not None:
            if host in self._real or host in self._services or is_load_balancer(host):
                return host
            if self.sidecar and self._directory.is_external(host, self.namespace):
                return host
            raise OSError(101, f"Network is unreachable: the sandbox has no way to {host}")
        found = self._directory.lookup(host.rstrip("."), self.namespace)
        if found is None and self.sidecar:
            found = self._directory.external(host.rstrip("."), self.namespace)
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, f"Could not resolve host: {host}")
        return found

    def listening(self, port: int) -> tuple[str, int]:
        """Where a program of this pod that serves `port` is to listen."""
        if port not in self.served:
            self.served[port] = None
            if self.serving is not None:
                self.serving()
        return self.inside(port)

    def inside(self, port: int) -> tuple[str, int]:
        """Where what the pod serves at `port` is found by who is in the pod."""
        redirected = self.sidecar and self.interception.leads_in(port)
        return inside(self.ip) if redirected else self.ip, listen_port(port)

    def route(self, host: str, port: int) -> tuple[str, int]:
        """Where a connection to `host:port` really goes without a sidecar: an address and a port listened on.

        Raises socket.gaierror for an unknown name and ConnectionRefusedError for a service without ready
        endpoints.
        """
        address = self.resolve(host)
        if address not in self._services:
            if address == self.ip:
                return self.inside(port)
            return address, listen_port(port) if address in self._pods else port
        endpoint = self._endpoint(address, port)
        if endpoint is None:
            raise ConnectionRefusedError(111, f"Connection refused: no ready endpoint for {host}:{port}")
        return endpoint

    def _endpoint(self, address: str, port: int) -> tuple[str, int] | None:
        """One behind a service's address, and the port it listens on; None where it has none that is ready."""
        endpoints = self._directory.endpoints(address, port)
        if not endpoints:
            return None
        address, port = random.choice(endpoints)  # noqa: S311 - load balancing
        return address, listen_port(port) if address in self._pods else port

    def _way_on(self, address: str, port: int) -> tuple[str, int] | None:
        """Where a sidecar that lets a connection through is to send it, unless to the very address: see
        `envoy_clusters`. What a ServiceEntry says of hosts outside is never left to Envoy."""
        if address in self._services:
            return self._endpoint(address, port)
        return None if in_sandbox(address) else (NOWHERE, port)

    def through_sidecar(self, host: str, port: int) -> tuple[str, int] | None:
        """The destination to tell the sidecar, or None when the connection does not pass it.

        A service is told by its cluster address and port; a pod by the port it really listens on, so that
        what the sidecar passes through arrives.
        """
        if not self.sidecar:
            return None
        address = self.resolve(host)
        if address == self.ip or not self.interception.takes(address, port):
            return None
        return address, listen_port(port) if address in self._pods else port

    def new_session(self) -> aiohttp.ClientSession:
        """aiohttp's client over this network, with connections of its own; the caller closes it."""
        return new_session(self)

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connected non-blocking socket. Raises OSError (gaierror, ConnectionRefusedError, ...)."""
        told = self.through_sidecar(host, port)
        target = (self.ip, SIDECAR_PORT) if told else self.route(host, port)
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.bind((self.ip, 0))
            await loop.sock_connect(sock, target)
            if told:
                await loop.sock_sendall(sock, proxy_header(sock.getsockname(), told, self._way_on(*told)))
        except BaseException:
            sock.close()
            raise
        return sock
