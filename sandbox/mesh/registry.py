"""The services of a cluster as the mesh sees them: host names, ports with their protocol, ready endpoints; and the
proxies that they are known to.

Made anew from Kubernetes objects whenever one changes, and never changed: what is built from it can share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from sandbox.core.addresses import NOWHERE, in_sandbox
from sandbox.core.cluster import Object
from sandbox.core.service_entry_hosts import Host
from sandbox.mesh import places
from sandbox.mesh.istio_annotations import StatsInclusion
from sandbox.mesh.kept import Kept

DOMAIN = "svc.cluster.local"
TRUST_DOMAIN = "cluster.local"
CLUSTER_ID = "Kubernetes"
SLICES = "endpointslices.discovery.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
"""The label by which a slice says whose it is."""

Protocol = Literal["http", "http2", "tcp", "auto"]

_PROTOCOLS: dict[str, Protocol] = {
    **dict.fromkeys(("http", "kubernetes.io/ws"), "http"),
    **dict.fromkeys(("http2", "grpc", "grpc-web", "kubernetes.io/h2c"), "http2"),
    **dict.fromkeys(("tcp", "tls", "https", "mongo", "mysql", "redis", "kubernetes.io/wss"), "tcp"),
}
"""By `appProtocol`, else by a port's name up to the first dash, as Istio selects protocols."""

_SERVER_SPEAKS_FIRST = (3306, 6379, 27017)
"""Well-known ports on which Istio does not wait for the client's first bytes to guess a protocol."""


@dataclass(frozen=True, slots=True)
class Port:
    number: int
    name: str
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a ready pod, or what a ServiceEntry names, serves one port. Subsets select by `labels`."""

    address: str
    port: int
    labels: Mapping[str, str]
    weight: int = 1
    written: str = ""
    """The address as a ServiceEntry says it, where that is outside of the sandbox."""


@dataclass(frozen=True)
class Service:
    name: str
    namespace: str
    address: str
    """The cluster IP, "" for a headless service. A ServiceEntry's may be a network."""
    ports: tuple[Port, ...]
    selector: Mapping[str, str]
    target_ports: Mapping[int, int | str]
    endpoints: Mapping[int, tuple[Endpoint, ...]] = field(compare=False)
    """Ready endpoints by the service's port. They come and go; what else is made of a service stays the same."""
    hostname: str = ""
    """A ServiceEntry's; a Service's follows from its name."""
    more_addresses: tuple[str, ...] = ()
    forwarded: bool = False
    """Has no endpoints: a connection goes on to where it was going."""

    @cached_property
    def host(self) -> str:
        return self.hostname or f"{self.name}.{self.namespace}.{DOMAIN}"

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.address, *self.more_addresses) if self.address else ()

    def domains(self, namespace: str) -> list[str]:
        """The names by which requests from `namespace` may ask for it."""
        return self._domains_at_home if namespace == self.namespace else self._domains_elsewhere

    @cached_property
    def _domains_at_home(self) -> list[str]:
        return (
            self._domains_elsewhere
            if self.hostname
            else [*self._domains_elsewhere[:2], self.name, *self._domains_elsewhere[2:]]
        )

    @cached_property
    def _domains_elsewhere(self) -> list[str]:
        single = [address for address in self.addresses if "/" not in address]
        if self.hostname:
            return [self.hostname, f"{self.hostname}.", *single]
        return [
            self.host,
            f"{self.host}.",
            f"{self.name}.{self.namespace}",
            f"{self.name}.{self.namespace}.svc",
            *single,
        ]

    def port(self, number: int) -> Port | None:
        return next((port for port in self.ports if port.number == number), None)


@dataclass(frozen=True)
class Registry:
    """What sidecars and gateways of one namespace know, or only the cluster's own services."""

    services: tuple[Service, ...]
    closed: bool = False
    """Whether what is asked beyond it goes nowhere, instead of to where it was going."""

    def with_others(self, others: Iterable[Service]) -> Registry:
        """Also `others`, after its own; of two with the same host the first counts."""
        added = tuple(sorted(others, key=lambda service: (service.namespace, service.name, service.host)))
        return Registry((*self.services, *(other for other in added if other.host not in self.by_host)))

    @cached_property
    def by_host(self) -> Mapping[str, Service]:
        return {service.host: service for service in self.services}

    @cached_property
    def by_namespace(self) -> Mapping[str, tuple[Service, ...]]:
        found: dict[str, list[Service]] = {}
        for service in self.services:
            found.setdefault(service.namespace, []).append(service)
        return {namespace: tuple(services) for namespace, services in found.items()}

    @cached_property
    def stood_on(self) -> Kept[tuple[str, str], object]:
        """What rules (by namespace and name) depend on of it, kept for all proxies by who asks."""
        return Kept()

    @cached_property
    def by_port(self) -> Mapping[int, list[tuple[Service, Port]]]:
        """Services by the ports that they serve, in order of port and name."""
        found: dict[int, list[tuple[Service, Port]]] = {}
        for service in self.services:
            for port in service.ports:
                found.setdefault(port.number, []).append((service, port))
        return dict(sorted(found.items()))


LabelsOf = Callable[[str, str], Mapping[str, str]]
"""A pod's, by namespace and name."""


def service_of(obj: Object, slices: list[Object], labels_of: LabelsOf) -> Service:
    spec, namespace = obj["spec"], obj["metadata"]["namespace"]
    ports = [port for port in spec.get("ports") or [] if port.get("protocol", "TCP") == "TCP"]
    address = spec.get("clusterIP") or ""
    return Service(
        name=obj["metadata"]["name"],
        namespace=namespace,
        address="" if address == "None" else address,
        ports=tuple(Port(port["port"], port.get("name") or "", protocol(port)) for port in ports),
        selector=spec.get("selector") or {},
        target_ports={port["port"]: port.get("targetPort", port["port"]) for port in ports},
        endpoints={port["port"]: tuple(_endpoints(port, namespace, slices, labels_of)) for port in ports},
    )


def protocol(port: Object) -> Protocol:
    """What a service's port speaks; `auto` where nothing says it and the first bytes have to."""
    declared = (port.get("appProtocol") or (port.get("name") or "").split("-")[0]).lower()
    if declared in _PROTOCOLS:
        return _PROTOCOLS[declared]
    return "tcp" if port["port"] in _SERVER_SPEAKS_FIRST else "auto"


def _endpoints(
    port: Object,
    namespace: str,
    slices: list[Object],
    labels_of: LabelsOf,
) -> Iterable[Endpoint]:
    name = port.get("name") or ""
    for piece in slices:
        numbers = [p["port"] for p in piece.get("ports") or [] if (p.get("name") or "") == name]
        for endpoint in piece.get("endpoints") or []:
            if numbers and (endpoint.get("conditions") or {}).get("ready", True):
                pod = (endpoint.get("targetRef") or {}).get("name", "")
                for address in endpoint["addresses"]:
                    yield Endpoint(address, numbers[0], labels_of(namespace, pod))


# ServiceEntries: what is known to the mesh and is no Service of the cluster

ENTRY_PROTOCOLS: Mapping[str, Protocol] = {
    "HTTP": "http",
    **dict.fromkeys(("HTTP2", "GRPC", "GRPC-WEB"), "http2"),
    **dict.fromkeys(("TCP", "TLS", "HTTPS", "MONGO", "MYSQL", "REDIS"), "tcp"),
}
"""What a port may say it speaks, in capitals. What is encrypted is forwarded as it is."""


def from_entry(host: Host, named: Mapping[str, Service] = {}) -> Service:
    """Endpoints are addresses, or names of the cluster's services (of which there are these), so all ways of
    resolving them but NONE come to the same."""
    spec, metadata = host.entry["spec"], host.entry["metadata"]
    ports = spec.get("ports") or []
    return Service(
        name=metadata["name"],
        namespace=metadata["namespace"],
        address=host.addresses[0] if host.addresses else "",
        ports=tuple(Port(port["number"], port["name"], _protocol_of_entry(port)) for port in ports),
        selector={},
        target_ports={},
        endpoints={port["number"]: tuple(_endpoints_of_entry(port, spec, named)) for port in ports},
        hostname=host.name,
        more_addresses=host.addresses[1:],
        forwarded=spec.get("resolution", "NONE") == "NONE",
    )


def _protocol_of_entry(port: Object) -> Protocol:
    declared = port.get("protocol")
    return ENTRY_PROTOCOLS[declared.upper()] if declared else "auto"


def names_in(spec: Object) -> list[str]:
    """Endpoints of a ServiceEntry that are services of the cluster."""
    found = (endpoint.get("address") or "" for endpoint in spec.get("endpoints") or ())
    return [address for address in found if address.endswith(f".{DOMAIN}")]


def _endpoints_of_entry(port: Object, spec: Object, named: Mapping[str, Service]) -> Iterable[Endpoint]:
    for endpoint in spec.get("endpoints") or []:
        number = (endpoint.get("ports") or {}).get(port["name"]) or port.get("targetPort") or port["number"]
        address, weight = endpoint["address"], endpoint.get("weight") or 1
        labels = {**(endpoint.get("labels") or {}), **places.labels_of(endpoint.get("locality") or "")}
        if address.endswith(f".{DOMAIN}"):
            for behind in named[address].endpoints.get(number, ()) if address in named else ():
                yield Endpoint(behind.address, behind.port, labels, weight)
        elif in_sandbox(address):
            yield Endpoint(address, number, labels, weight)
        else:
            yield Endpoint(NOWHERE, number, labels, weight, address)


@dataclass(frozen=True)
class Proxy:
    """A pod's proxy: a sidecar, or a gateway that takes connections from outside the mesh."""

    kind: Literal["sidecar", "gateway"]
    name: str
    namespace: str
    address: str
    labels: Mapping[str, str]
    account: str = "default"
    """Of the service accounts of its namespace: who it is."""
    workload: str = ""
    """What made the pod, such as its Deployment; "" for the pod itself."""
    threads: int = 1
    inclusion: StatsInclusion = field(default_factory=StatsInclusion)
    """Which statistics it has."""
    named_ports: Mapping[str, int] = field(default_factory=dict)
    """Ports of the pod's containers that have a name."""
    ports: set[int] = field(default_factory=set, compare=False)
    """Those that a sidecar takes connections at beside the ones of services: what the containers declare, and what
    the pod's programs have listened on. It grows."""
    leads_in: Callable[[int], bool] = field(default=lambda _: True, compare=False)
    """Whether who connects to a port of the pod comes to a sidecar, and not to the program itself."""

    @property
    def identity(self) -> str:
        return f"spiffe://{TRUST_DOMAIN}/ns/{self.namespace}/sa/{self.account}"

    @property
    def id(self) -> str:
        """As `istioctl proxy-status` writes it. It begins every name of what is this proxy's own in Envoy."""
        return f"{self.name}.{self.namespace}"

    @property
    def node_id(self) -> str:
        """Who a real one's Envoy says it is."""
        role = "router" if self.kind == "gateway" else "sidecar"
        return f"{role}~{self.address}~{self.id}~{self.namespace}.{DOMAIN}"

    @property
    def service_cluster(self) -> str:
        """What a real one's Envoy says it is part of: spans have it for their service."""
        return f"{self.labels.get('app') or self.workload or self.name}.{self.namespace}"
