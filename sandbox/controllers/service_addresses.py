"""Addresses of services: cluster addresses and node ports, given to a Service as it is written, so the answer
already has them; and an address of this machine for each of type LoadBalancer, at once.

What is taken is noted from the services that are there. Nothing is booked, so a write that is refused later on, or
only tried (--dry-run=server), leaves nothing behind. The data plane listens at load balancers. A port it may not
listen on is said on the port's own entry in the status and in an event, with what leads there instead.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from sandbox.controllers.controller import MANAGER, Controller, NamespacedName, name_of
from sandbox.controllers.events import record
from sandbox.core import addresses
from sandbox.core.addresses import Network
from sandbox.core.cluster import Admission, ApiError, Cluster, Object, WatchEvent
from sandbox.core.objects import at as value_at
from sandbox.schema.findings import Cause, bad_value, forbidden, invalid

K = TypeVar("K")

NODE_PORTS = range(30000, 32768)
_REACHABLE = ("NodePort", "LoadBalancer")
_HEADLESS = "None"
_SOURCE = "service-controller"
_NOT_ALLOWED = "mesh-workshop.sandbox/PortNotAllowed"
_ONLY_OF = {"externalTrafficPolicy": _REACHABLE, "allocateLoadBalancerNodePorts": ("LoadBalancer",)}


class ServiceAddresses:
    """An admission hook. The first address is the API server's own service's."""

    def __init__(self, cluster: Cluster, network: Network) -> None:
        self._network = ipaddress.IPv4Network(network.service_cidr)
        # Going round, so that what is freed is not given to the next at once: others may still know it.
        self._last_address = 9
        self._last_port = -1
        self._address_of: dict[str, NamespacedName] = {}
        self._port_of: dict[int, NamespacedName] = {}
        """Which service has an address, a node port."""
        cluster.observe("services", self._note)

    def _note(self, old: Object | None, new: Object | None) -> None:
        for service in (old, new):
            if service is None:
                continue
            for held, key in _held(service, self._address_of, self._port_of):
                if service is old:
                    held.pop(key, None)
                else:
                    held[key] = name_of(service)

    @property
    def api_server(self) -> str:
        return str(self._network[1])

    def __call__(self, admission: Admission) -> None:
        if admission.resource.key != "services" or admission.operation == "DELETE":
            return
        service, old = admission.object, admission.old or {}
        spec, before = service.setdefault("spec", {}), old.get("spec") or {}
        kind = spec.setdefault("type", "ClusterIP")
        self._give_address(admission, spec, before)
        if kind in _REACHABLE:
            self._give_node_ports(admission, spec, before)
        else:
            self._take_node_ports(admission, spec, before)
        for field, kinds in _ONLY_OF.items():
            # Left over from an earlier type; asked for anew it is for validation to refuse.
            if kind not in kinds and spec.get(field) == before.get(field):
                spec.pop(field, None)

    def _give_address(self, admission: Admission, spec: Object, before: Object) -> None:
        had = before.get("clusterIP")
        listed = spec.get("clusterIPs") or []
        wanted = spec.get("clusterIP") or (listed[0] if listed else None) or had
        if had and wanted != had:
            raise _refusal(admission, bad_value("spec.clusterIPs[0]", wanted, "may not change once set"))
        if len(listed) > 1 or (listed and listed[0] != wanted):
            detail = "must have the one IPv4 address that is in spec.clusterIP"
            raise _refusal(admission, bad_value("spec.clusterIPs", listed, detail))
        if not wanted:
            wanted = self._next_address(admission)
        elif wanted not in (had, _HEADLESS):
            self._check_address(admission, wanted)
        spec["clusterIP"], spec["clusterIPs"] = wanted, [wanted]
        if (families := spec.setdefault("ipFamilies", ["IPv4"])) != ["IPv4"]:
            raise _refusal(admission, bad_value("spec.ipFamilies", families, "the sandbox has IPv4 only"))
        if (policy := spec.setdefault("ipFamilyPolicy", "SingleStack")) == "RequireDualStack":
            raise _refusal(admission, bad_value("spec.ipFamilyPolicy", policy, "the sandbox has IPv4 only"))

    def _next_address(self, admission: Admission) -> str:
        hosts = self._network.num_addresses - 2
        for _ in range(hosts):
            self._last_address = self._last_address % hosts + 1
            address = str(self._network[self._last_address])
            if not _has_another(self._address_of, address, admission) and address != self.api_server:
                return address
        raise ApiError(500, "InternalError", "failed to allocate a serviceIP: range is full")

    def _check_address(self, admission: Admission, wanted: str) -> None:
        why = None
        try:
            if ipaddress.ip_address(wanted) not in self._network:
                why = f"the provided IP is not in the valid range. The range of valid IPs is {self._network}"
        except ValueError:
            why = "must be a valid IP address, (e.g. 10.9.8.7)"
        if why is None and _has_another(self._address_of, wanted, admission):
            why = f"failed to allocate IP {wanted}: provided IP is already allocated"
        if why is not None:
            raise _refusal(admission, bad_value("spec.clusterIPs", [wanted], why))

    def _give_node_ports(self, admission: Admission, spec: Object, before: Object) -> None:
        taken: set[int] = set()
        """By ports of this service."""
        had = {_key(port): port["nodePort"] for port in before.get("ports") or () if port.get("nodePort")}
        automatic = spec["type"] == "NodePort" or spec.get("allocateLoadBalancerNodePorts", True)
        for at, port in enumerate(spec.get("ports") or ()):
            wanted = port.get("nodePort") or had.get(_key(port))
            field = f"spec.ports[{at}].nodePort"
            if not wanted:
                if not automatic:
                    continue
                wanted = self._next_port(admission, taken)
            elif wanted not in NODE_PORTS:
                valid = f"The range of valid ports is {NODE_PORTS.start}-{NODE_PORTS.stop - 1}"
                raise _refusal(
                    admission, bad_value(field, wanted, f"provided port is not in the valid range. {valid}")
                )
            elif wanted in taken or _has_another(self._port_of, wanted, admission):
                raise _refusal(admission, bad_value(field, wanted, "provided port is already allocated"))
            port["nodePort"] = wanted
            taken.add(wanted)

    def _next_port(self, admission: Admission, taken: set[int]) -> int:
        for _ in NODE_PORTS:
            self._last_port = (self._last_port + 1) % len(NODE_PORTS)
            port = NODE_PORTS[self._last_port]
            if port not in taken and not _has_another(self._port_of, port, admission):
                return port
        raise ApiError(500, "InternalError", "failed to allocate a nodePort: range is full")

    @staticmethod
    def _take_node_ports(admission: Admission, spec: Object, before: Object) -> None:
        """A service that is no longer reachable on nodes gives up ports that it was given; asking is refused."""
        had = {port.get("nodePort") for port in before.get("ports") or ()}
        for at, port in enumerate(spec.get("ports") or ()):
            asked = port.pop("nodePort", None)
            if asked and asked not in had:
                detail = f"may not be used when `type` is '{spec['type']}'"
                raise _refusal(admission, forbidden(f"spec.ports[{at}].nodePort", detail))


def _held(
    service: Object, given: dict[str, NamespacedName], ports: dict[int, NamespacedName]
) -> Iterator[tuple[dict[Any, NamespacedName], Any]]:
    """What a service holds, with where that is noted."""
    spec = service["spec"]
    if (address := spec.get("clusterIP")) and address != _HEADLESS:
        yield given, address
    for port in spec.get("ports") or ():
        if port.get("nodePort"):
            yield ports, port["nodePort"]


def _has_another(held: Mapping[K, NamespacedName], key: K, admission: Admission) -> bool:
    """Whether a service other than the one being written has it."""
    metadata = admission.object["metadata"]
    return held.get(key) not in (None, (metadata.get("namespace") or "", metadata["name"]))


def _key(port: Object) -> tuple[int, str]:
    return port["port"], port.get("protocol", "TCP")


def _refusal(admission: Admission, cause: Cause) -> ApiError:
    return invalid(admission.resource, admission.object["metadata"]["name"], [cause])


class LoadBalancers(Controller[NamespacedName]):
    watches = ("services",)

    def __init__(self, cluster: Cluster, network: Network) -> None:
        super().__init__(cluster)
        self._pool = network.load_balancers
        self._given: dict[str, str] = {}
        """Addresses by the uid of the service that has them."""
        self._uids: dict[NamespacedName, str] = {}

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        return (name_of(event.object),)

    def reconcile(self, key: NamespacedName) -> float | None:
        service = self.cluster.find("services", *key)
        uid = service["metadata"]["uid"] if service else None
        if (before := self._uids.get(key)) and before != uid:
            self._release(key)
        if service is None:
            return None
        spec = service["spec"]
        if spec["type"] != "LoadBalancer" or spec.get("loadBalancerClass"):
            if key in self._uids:
                record(self.cluster, service, "DeletedLoadBalancer", "Deleted load balancer", source=_SOURCE)
                self._release(key)
                self._write(service, {})
            return None
        address = self._address(key, service)
        if address is not None:
            self._write(service, _ingress(spec, address))
        return None

    def _address(self, key: NamespacedName, service: Object) -> str | None:
        uid, wanted = service["metadata"]["uid"], service["spec"].get("loadBalancerIP")
        address = self._given.get(uid)
        if address is not None and wanted in (None, "", address):
            return address
        if address is not None:
            self._release(key)
        record(self.cluster, service, "EnsuringLoadBalancer", "Ensuring load balancer", source=_SOURCE)
        try:
            address = self._address_before(service, wanted) or self._pool.take(wanted or None)
        except ValueError as error:
            said = f"Error syncing load balancer: {error}"
            record(self.cluster, service, "SyncLoadBalancerFailed", said, "Warning", _SOURCE)
            self._write(service, {})
            return None
        self._given[uid], self._uids[key] = address, uid
        record(self.cluster, service, "EnsuredLoadBalancer", "Ensured load balancer", source=_SOURCE)
        every = {port["port"]: None for port in service["spec"].get("ports") or ()}
        refused = [number for number in every if not addresses.may_listen(number)]
        if refused:
            instead = [str(at) for number in refused for at in addresses.entered_at(number, every)]
            leads = f"{', '.join(instead)} of its address lead there instead, and " if instead else ""
            said = (
                f"Nobody but root may listen on port {', '.join(map(str, refused))} of this machine; "
                f"{leads}the service's node ports work, as would ports from 1024 on"
            )
            record(self.cluster, service, "PortNotAllowed", said, "Warning", _SOURCE)
        return address

    def _address_before(self, service: Object, wanted: str | None) -> str | None:
        """What the status says already: it was given in the sandbox whose state this one has been loaded with."""
        had = value_at(service, "status", "loadBalancer", "ingress", 0, "ip")
        if not had or wanted not in (None, "", had):
            return None
        try:
            return self._pool.take(had)
        except ValueError:
            return None

    def _release(self, key: NamespacedName) -> None:
        address = self._given.pop(self._uids.pop(key), None)
        if address is not None:
            self._pool.give_back(address)

    def _write(self, service: Object, load_balancer: Object) -> None:
        def change(changed: Object) -> None:
            changed.setdefault("status", {})["loadBalancer"] = load_balancer

        self.cluster.edit("services", *name_of(service), change, manager=MANAGER, subresource="status")


def _ingress(spec: Object, address: str) -> Object:
    entry: Object = {"ip": address, "ipMode": "VIP"}
    ports = [
        {
            "port": port["port"],
            "protocol": port.get("protocol", "TCP"),
            **({} if addresses.may_listen(port["port"]) else {"error": _NOT_ALLOWED}),
        }
        for port in spec.get("ports") or ()
    ]
    if any("error" in port for port in ports):
        entry["ports"] = ports
    return {"ingress": [entry]}
