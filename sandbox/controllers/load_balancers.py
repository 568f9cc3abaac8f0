"""Services of type LoadBalancer: an address of this machine for each, at once.

The data plane listens there. A port it may not listen on is said on the port's own entry in the status and in
an event, and its node port works all the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.controllers.controller import MANAGER, Controller, Name, name_of
from sandbox.controllers.events import record
from sandbox.core.addresses import Network, may_listen
from sandbox.core.cluster import Cluster, Object, WatchEvent

_SOURCE = "service-controller"
_NOT_ALLOWED = "mesh-workshop.sandbox/PortNotAllowed"


class LoadBalancers(Controller[Name]):
    watches = ("services",)

    def __init__(self, cluster: Cluster, network: Network) -> None:
        super().__init__(cluster)
        self._pool = network.load_balancers
        self._given: dict[str, str] = {}
        """Addresses by the uid of the service that has them."""
        self._uids: dict[Name, str] = {}

    def keys(self, event: WatchEvent) -> Iterable[Name]:
        return (name_of(event.object),)

    def reconcile(self, key: Name) -> float | None:
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

    def _address(self, key: Name, service: Object) -> str | None:
        uid, wanted = service["metadata"]["uid"], service["spec"].get("loadBalancerIP")
        address = self._given.get(uid)
        if address is not None and wanted in (None, "", address):
            return address
        if address is not None:
            self._release(key)
        record(self.cluster, service, "EnsuringLoadBalancer", "Ensuring load balancer", source=_SOURCE)
        try:
            address = self._pool.take(wanted or None)
        except ValueError as error:
            said = f"Error syncing load balancer: {error}"
            record(self.cluster, service, "SyncLoadBalancerFailed", said, "Warning", _SOURCE)
            self._write(service, {})
            return None
        self._given[uid], self._uids[key] = address, uid
        record(self.cluster, service, "EnsuredLoadBalancer", "Ensured load balancer", source=_SOURCE)
        refused = [str(port["port"]) for port in service["spec"].get("ports") or () if not may_listen(port["port"])]
        if refused:
            said = (
                f"Nobody but root may listen on port {', '.join(refused)} of this machine; "
                "the service's node ports work, as would ports from 1024 on"
            )
            record(self.cluster, service, "PortNotAllowed", said, "Warning", _SOURCE)
        return address

    def _release(self, key: Name) -> None:
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
            **({} if may_listen(port["port"]) else {"error": _NOT_ALLOWED}),
        }
        for port in spec.get("ports") or ()
    ]
    if any("error" in port for port in ports):
        entry["ports"] = ports
    return {"ingress": [entry]}
