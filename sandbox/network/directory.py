"""Who is where: names, cluster addresses and ready endpoints, kept from watches so that dialling is a look-up."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network

from sandbox.core import service_entry_hosts as service_entries
from sandbox.core.cluster import Cluster, Object

Endpoint = tuple[str, int]


class Directory:
    """DNS and kube-proxy's knowledge of one cluster. `run` keeps it; the look-ups never wait."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._services: dict[tuple[str, str], Object] = {}
        self._by_address: dict[str, Object] = {}
        self._slices: dict[tuple[str, str], dict[str, Object]] = {}
        self._ready: dict[tuple[str, int], list[Endpoint]] = {}
        self._entries: dict[tuple[str, str], Object] = {}
        self._external: dict[str, Mapping[str, service_entries.Host]] = {}
        self.changed: list[Callable[[], None]] = []
        """Called after endpoints changed."""

    async def run(self) -> None:
        watched = ("services", "endpointslices.discovery.k8s.io", service_entries.RESOURCE)
        async for event in self._cluster.watch(*watched):
            meta = event.object["metadata"]
            if event.resource == service_entries.RESOURCE:
                self._entry((meta["namespace"], meta["name"]), event.object, event.type == "DELETED")
                continue
            if event.resource == "services":
                self._service((meta["namespace"], meta["name"]), event.object, event.type == "DELETED")
            else:
                service = (meta.get("labels") or {}).get("kubernetes.io/service-name", "")
                key = (meta["namespace"], service)
                of_service = self._slices.setdefault(key, {})
                if event.type == "DELETED":
                    of_service.pop(meta["name"], None)
                    if not of_service:
                        del self._slices[key]
                else:
                    of_service[meta["name"]] = event.object
            self._ready.clear()
            for callback in self.changed:
                callback()

    def _service(self, key: tuple[str, str], service: Object, gone: bool) -> None:
        old = self._services.pop(key, None)
        if old is not None:
            self._by_address.pop(old["spec"].get("clusterIP", ""), None)
        if not gone:
            self._services[key] = service
            address = service["spec"].get("clusterIP", "")
            if address and address != "None":
                self._by_address[address] = service

    def _entry(self, key: tuple[str, str], entry: Object, gone: bool) -> None:
        self._entries.pop(key, None)
        if not gone:
            self._entries[key] = entry
        self._external.clear()

    def external(self, name: str, namespace: str) -> str | None:
        """What sidecars in `namespace` answer for a ServiceEntry's host: its first single address."""
        host = self._seen_from(namespace).get(name.lower())
        return next((address for address in host.addresses if "/" not in address), None) if host else None

    def is_external(self, address: str, namespace: str) -> bool:
        """Whether an address is one that a ServiceEntry gives to its hosts."""
        known = (one for host in self._seen_from(namespace).values() for one in host.addresses)
        return any(ip_address(address) in ip_network(one, strict=False) for one in known)

    def _seen_from(self, namespace: str) -> Mapping[str, service_entries.Host]:
        if namespace not in self._external:
            found = service_entries.hosts(self._entries.values())
            self._external[namespace] = service_entries.preferred(found, namespace)
        return self._external[namespace]

    def lookup(self, name: str, namespace: str) -> str | None:
        """An address for `name`, `name.ns`, `name.ns.svc` or `name.ns.svc.cluster.local`, asked in `namespace`."""
        labels = name.lower().removesuffix(".svc.cluster.local").removesuffix(".svc").split(".")
        key = (namespace, labels[0]) if len(labels) == 1 else (labels[1], labels[0])
        if len(labels) > 2 or (service := self._services.get(key)) is None:
            return None
        address = str(service["spec"].get("clusterIP") or "")
        if address != "None":
            return address or None
        ready = [
            address
            for piece in self._slices.get(key, {}).values()
            for endpoint in piece.get("endpoints") or []
            if _is_ready(endpoint)
            for address in endpoint["addresses"]
        ]
        return random.choice(ready) if ready else None  # noqa: S311 - load balancing

    def endpoints(self, address: str, port: int) -> list[Endpoint]:
        """Ready endpoints (address and target port) behind a cluster address and port."""
        found = self._ready.get((address, port))
        if found is None:
            found = self._ready[address, port] = self._endpoints(address, port)
        return found

    def _endpoints(self, address: str, port: int) -> list[Endpoint]:
        service = self._by_address.get(address)
        if service is None:
            return []
        names = {p.get("name", "") for p in service["spec"].get("ports") or [] if p["port"] == port}
        key = (service["metadata"]["namespace"], service["metadata"]["name"])
        return [
            (endpoint_address, int(target["port"]))
            for piece in self._slices.get(key, {}).values()
            for target in piece.get("ports") or []
            if (target.get("name") or "") in names
            for endpoint in piece.get("endpoints") or []
            if _is_ready(endpoint)
            for endpoint_address in endpoint["addresses"]
        ]


def _is_ready(endpoint: Object) -> bool:
    return bool((endpoint.get("conditions") or {}).get("ready", True))
