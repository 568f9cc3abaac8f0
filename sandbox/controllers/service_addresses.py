"""Cluster addresses and node ports, given to a Service as it is written, so the answer already has them.

What is taken is read from the services that are there. Nothing is booked, so a write that is refused later
on, or only tried (--dry-run=server), leaves nothing behind.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from sandbox.core.addresses import Network
from sandbox.core.cluster import Admission, ApiError, Cluster, Object
from sandbox.schema.findings import Cause, bad_value, forbidden, invalid

NODE_PORTS = range(30000, 32768)
_REACHABLE = ("NodePort", "LoadBalancer")
_HEADLESS = "None"
_ONLY_OF = {"externalTrafficPolicy": _REACHABLE, "allocateLoadBalancerNodePorts": ("LoadBalancer",)}


class ServiceAddresses:
    """An admission hook. The first address is the API server's own service's."""

    def __init__(self, cluster: Cluster, network: Network) -> None:
        self._cluster = cluster
        self._network = ipaddress.IPv4Network(network.service_cidr)
        # Going round, so that what is freed is not given to the next at once: others may still know it.
        self._last_address = 9
        self._last_port = -1

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
        taken = set(self._others(admission, "clusterIP"))
        hosts = self._network.num_addresses - 2
        for _ in range(hosts):
            self._last_address = self._last_address % hosts + 1
            address = str(self._network[self._last_address])
            if address not in taken and address != self.api_server:
                return address
        raise ApiError(500, "InternalError", "failed to allocate a serviceIP: range is full")

    def _check_address(self, admission: Admission, wanted: str) -> None:
        why = None
        try:
            if ipaddress.ip_address(wanted) not in self._network:
                why = f"the provided IP is not in the valid range. The range of valid IPs is {self._network}"
        except ValueError:
            why = "must be a valid IP address, (e.g. 10.9.8.7)"
        if why is None and wanted in self._others(admission, "clusterIP"):
            why = f"failed to allocate IP {wanted}: provided IP is already allocated"
        if why is not None:
            raise _refusal(admission, bad_value("spec.clusterIPs", [wanted], why))

    def _give_node_ports(self, admission: Admission, spec: Object, before: Object) -> None:
        others = [port for ports in self._others(admission, "ports") for port in ports]
        taken = {port["nodePort"] for port in others if port.get("nodePort")}
        had = {_key(port): port["nodePort"] for port in before.get("ports") or () if port.get("nodePort")}
        automatic = spec["type"] == "NodePort" or spec.get("allocateLoadBalancerNodePorts", True)
        for at, port in enumerate(spec.get("ports") or ()):
            wanted = port.get("nodePort") or had.get(_key(port))
            field = f"spec.ports[{at}].nodePort"
            if not wanted:
                if not automatic:
                    continue
                wanted = self._next_port(taken)
            elif wanted not in NODE_PORTS:
                valid = f"The range of valid ports is {NODE_PORTS.start}-{NODE_PORTS.stop - 1}"
                raise _refusal(
                    admission, bad_value(field, wanted, f"provided port is not in the valid range. {valid}")
                )
            elif wanted in taken:
                raise _refusal(admission, bad_value(field, wanted, "provided port is already allocated"))
            port["nodePort"] = wanted
            taken.add(wanted)

    def _next_port(self, taken: set[int]) -> int:
        for _ in NODE_PORTS:
            self._last_port = (self._last_port + 1) % len(NODE_PORTS)
            port = NODE_PORTS[self._last_port]
            if port not in taken:
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

    def _others(self, admission: Admission, field: str) -> Iterable[Any]:
        """`field` of all services but the one being written."""
        own = admission.object["metadata"]
        for service in self._cluster.list("services"):
            metadata = service["metadata"]
            if (metadata["namespace"], metadata["name"]) != (own.get("namespace"), own["name"]):
                yield service["spec"].get(field) or []


def _key(port: Object) -> tuple[int, str]:
    return port["port"], port.get("protocol", "TCP")


def _refusal(admission: Admission, cause: Cause) -> ApiError:
    return invalid(admission.resource, admission.object["metadata"]["name"], [cause])
