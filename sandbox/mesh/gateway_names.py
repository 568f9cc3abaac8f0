"""The names by which the clusters of one sandbox find each other's gateways, as if somebody had written them into
DNS: the hosts that a Gateway names lead to the load balancer in front of its pods.

ServiceEntries resolve them. No other name from outside is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from sandbox.core.addresses import INSTEAD, entered_at
from sandbox.core.cluster import Cluster, Object
from sandbox.mesh.rules import covers

_DNS = ("DNS", "DNS_ROUND_ROBIN")
_GATEWAYS = "gateways.networking.istio.io"


@dataclass(frozen=True)
class Entrance:
    """A load balancer's address, and the ports that it listens on."""

    address: str
    ports: frozenset[int]

    def port(self, number: int) -> int:
        """The one that clients mean by `number`: where a gateway has 8080 instead of 80, that."""
        instead = INSTEAD.get(number, number)
        return instead if number not in self.ports and instead in self.ports else number


Resolve = Callable[[str], Entrance | None]


class GatewayNames:
    """Those of one cluster. `changed` is called when they may lead elsewhere."""

    def __init__(self, cluster: Cluster, changed: Callable[[], None]) -> None:
        self._gateways: dict[tuple[str, str], Object] = {}
        self._balancers: dict[tuple[str, str], Object] = {}
        self._changed = changed
        cluster.observe(_GATEWAYS, lambda old, new: self._note(self._gateways, old, new))
        cluster.observe("services", lambda old, new: self._note(self._balancers, old, new))

    def _note(self, known: dict[tuple[str, str], Object], old: Object | None, new: Object | None) -> None:
        obj = new or old or {}
        place = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        before = known.pop(place, None)
        if new is not None and (known is self._gateways or _addresses(new)):
            known[place] = new
        if before is not None or place in known:
            self._changed()

    def lookup(self, name: str) -> Entrance | None:
        for gateway in self._gateways.values():
            if any(_is_named(name, server) for server in gateway["spec"].get("servers") or ()):
                wanted = gateway["spec"].get("selector") or {}
                for service in self._balancers.values():
                    if wanted and wanted.items() <= (service["spec"].get("selector") or {}).items():
                        ports = {port["port"] for port in service["spec"].get("ports") or ()}
                        listening = frozenset(at for port in ports for at in entered_at(port, ports))
                        return Entrance(_addresses(service)[0], listening)
        return None


def _is_named(name: str, server: Object) -> bool:
    """By a name of its own or a narrower wildcard than the one for everything."""
    hosts = (host.rpartition("/")[2] for host in server.get("hosts") or ())
    return any(host != "*" and covers(host, name) for host in hosts)


def _addresses(service: Object) -> list[str]:
    status = (service.get("status") or {}).get("loadBalancer") or {}
    return [ingress["ip"] for ingress in status.get("ingress") or () if ingress.get("ip")]


class Neighbours:
    """The clusters of one sandbox. Each resolves the names of the others, and is told when these change."""

    def __init__(self) -> None:
        self._present: dict[str, tuple[GatewayNames, Callable[[], None]]] = {}

    def join(self, who: str, names: GatewayNames, told: Callable[[], None]) -> None:
        self._present[who] = (names, told)
        self.changed(who)

    def leave(self, who: str) -> None:
        self._present.pop(who, None)
        self.changed(who)

    def changed(self, who: str) -> None:
        for other, (_, told) in self._present.items():
            if other != who:
                told()

    def lookup(self, who: str, name: str) -> Entrance | None:
        others = (names for other, (names, _) in self._present.items() if other != who)
        return next((found for names in others if (found := names.lookup(name))), None)


def resolved(entries: tuple[Object, ...], resolve: Resolve) -> tuple[Object, ...]:
    """ServiceEntries with addresses in place of names that `resolve` knows; the same tuple where there are none."""
    if not any(_names(entry) for entry in entries):
        return entries
    return tuple(one for entry in entries for one in (_resolved(entry, resolve) if _names(entry) else (entry,)))


def _names(entry: Object) -> bool:
    """Whether it says names instead of endpoints, or among them."""
    spec = entry["spec"]
    endpoints = spec.get("endpoints") or ()
    return spec.get("resolution") in _DNS and (
        not endpoints or any(_may_be_name(endpoint.get("address") or "") for endpoint in endpoints)
    )


def _may_be_name(address: str) -> bool:
    return any(character.isalpha() for character in address) and ":" not in address


def _resolved(entry: Object, resolve: Resolve) -> Iterator[Object]:
    """One for each host, if these are what is to be resolved. What nobody knows has no endpoint."""
    spec = entry["spec"]
    if spec.get("endpoints"):
        yield {**entry, "spec": {**spec, "endpoints": list(_endpoints(spec, spec["endpoints"], resolve))}}
        return
    for host in spec["hosts"]:
        endpoints = list(_endpoints(spec, [{"address": host}], resolve))
        yield {**entry, "spec": {**spec, "hosts": [host], "endpoints": endpoints}}


def _endpoints(spec: Object, endpoints: Iterable[Mapping[str, object]], resolve: Resolve) -> Iterator[Object]:
    for endpoint in endpoints:
        address = str(endpoint.get("address") or "")
        entrance = resolve(address) if _may_be_name(address) else None
        if entrance is None:
            yield dict(endpoint)
            continue
        written: Mapping[str, int] = endpoint.get("ports") or {}  # type: ignore[assignment]
        ports = {
            port["name"]: entrance.port(written.get(port["name"]) or port.get("targetPort") or port["number"])
            for port in spec.get("ports") or ()
        }
        yield {**endpoint, "address": entrance.address, "ports": ports}
