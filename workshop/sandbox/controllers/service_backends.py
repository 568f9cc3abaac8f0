"""Which pods stand behind a service, on which ports: what Endpoints and EndpointSlices both tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..api.objects import terminating
from ..cluster import Object
from . import pods

Port = tuple[str, int, str, str | None]
"""Name (empty without), number, protocol, application protocol."""


@dataclass(frozen=True, slots=True)
class Backend:
    address: str
    node: str | None
    pod: Object
    ready: bool
    """May be sent to: ready and staying, or published in any case."""
    serving: bool
    terminating: bool

    @property
    def reference(self) -> Object:
        metadata = self.pod["metadata"]
        return {
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        }


def selects(service: Object, labels: Mapping[str, str]) -> bool:
    selector = service["spec"].get("selector")
    return bool(selector) and service["spec"].get("type") != "ExternalName" and selector.items() <= labels.items()


def is_headless(service: Object) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def backends(service: Object, candidates: Iterable[Object]) -> dict[tuple[Port, ...], list[Backend]]:
    """Backends by the ports they serve, the eldest pod first. A port with a name may be another number in each
    pod, or not be there.
    """
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    found: dict[tuple[Port, ...], list[Backend]] = {}
    mine = [pod for pod in candidates if selects(service, pod["metadata"].get("labels") or {})]
    for pod in sorted(mine, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"])):
        address = pods.address(pod)
        if not address or pods.phase(pod) in ("Succeeded", "Failed"):
            continue
        serving, leaving = pods.is_ready(pod), terminating(pod)
        ready = always or (serving and not leaving)
        backend = Backend(address, pod["spec"].get("nodeName"), pod, ready, serving, leaving)
        found.setdefault(_ports(service, pod), []).append(backend)
    return found


def _ports(service: Object, pod: Object) -> tuple[Port, ...]:
    ports = []
    for port in service["spec"].get("ports") or ():
        number = _number(port, pod)
        if number is not None:
            protocol = port.get("protocol", "TCP")
            ports.append((port.get("name") or "", number, protocol, port.get("appProtocol")))
    return tuple(ports)


def _number(port: Object, pod: Object) -> int | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    spec = pod["spec"]
    restartable = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in [*spec["containers"], *restartable]:
        for offered in container.get("ports") or ():
            same = offered.get("protocol", "TCP") == port.get("protocol", "TCP")
            if offered.get("name") == target and same:
                number: int = offered["containerPort"]
                return number
    return None
