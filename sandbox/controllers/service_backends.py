"""Which pods stand behind a service, on which ports: what Endpoints and EndpointSlices both tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.controllers import pods
from sandbox.core.cluster import Object
from sandbox.core.objects import terminating

_HEADLESS = "service.kubernetes.io/headless"

Port = tuple[str, int, str, str | None]
"""Name (empty without), number, protocol, application protocol."""


@dataclass(frozen=True, slots=True)
class Backend:
    address: str
    node: str | None
    reference: Object | None
    """The pod."""
    ready: bool
    """May be sent to: ready and staying, or published in any case."""
    serving: bool
    terminating: bool


Groups = dict[tuple[Port, ...], list[Backend]]
"""Backends by the ports they serve."""


def selects(service: Object, labels: Mapping[str, str]) -> bool:
    selector = service["spec"].get("selector")
    return bool(selector) and selector.items() <= labels.items()


def labels_with(service: Object, own: Mapping[str, str]) -> dict[str, str]:
    """Labels of what tells a service's backends: the service's, and some of its own."""
    labels = {**(service["metadata"].get("labels") or {}), **own}
    if service["spec"].get("clusterIP") == "None":
        labels[_HEADLESS] = ""
    return labels


def backends(service: Object, candidates: Iterable[Object]) -> Groups:
    """Backends by the ports they serve, the eldest pod first. A port with a name may be another number in each
    pod, or not be there.
    """
    always = bool(service["spec"].get("publishNotReadyAddresses"))
    found: Groups = {}
    mine = [pod for pod in candidates if selects(service, pod["metadata"].get("labels") or {})]
    for pod in sorted(mine, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"])):
        address = pods.address(pod)
        if not address or pods.phase(pod) in ("Succeeded", "Failed"):
            continue
        serving, leaving = pods.is_ready(pod), terminating(pod)
        ready = always or (serving and not leaving)
        metadata = pod["metadata"]
        reference = {"kind": "Pod", **{field: metadata[field] for field in ("name", "namespace", "uid")}}
        backend = Backend(address, pod["spec"].get("nodeName"), reference, ready, serving, leaving)
        found.setdefault(_ports(service, pod), []).append(backend)
    return found


def written(endpoints: Object) -> Groups:
    """What somebody wrote into Endpoints."""
    found: Groups = {}
    for subset in endpoints.get("subsets") or ():
        ports = tuple(
            (port.get("name") or "", port["port"], port.get("protocol", "TCP"), port.get("appProtocol"))
            for port in subset.get("ports") or ()
        )
        group = found.setdefault(ports, [])
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for one in subset.get(field) or ():
                group.append(Backend(one["ip"], one.get("nodeName"), one.get("targetRef"), ready, ready, False))
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
