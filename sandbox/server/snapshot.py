"""All that a sandbox's clusters and its Azure have, told at one moment; and how that is put into a new sandbox.

Objects are saved, not processes: what programs hold in memory, their logs and restarts, and what Envoy has counted
are gone, as when all nodes start anew. Events are about that, and stay behind.

Objects keep their names, uids and ages, so that owners find what is theirs and no controller makes anything anew.
What belongs to the sandbox and not to the state is put in its place before anything runs: addresses (each cluster's
are another part of loopback; what is in it stays where it was) and the certificate that the API is trusted by,
wherever a text of the state says them. Tokens were never in it. Then the state is like that of a cluster whose
nodes have all been down: pods that are bound start again, and controllers do the rest.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.api.local_cluster import LocalCluster
from sandbox.controllers.readiness import has_ended, is_ready
from sandbox.core import json_text
from sandbox.core.addresses import Network
from sandbox.core.cluster import Object
from sandbox.core.constants import CRDS
from sandbox.core.turns import Turns

Objects = Mapping[str, list[Object]]
"""A cluster's, by `Resource.key`."""

_LEFT_OUT = frozenset({"events"})
_OF_NODES = 512
"""Addresses from the API server's on: nodes and load balancers."""
_ADDRESS = re.compile(r"127\.(?:\d{1,3}\.){2}\d{1,3}(?!\d|\.\d)")


def objects_of(cluster: LocalCluster) -> dict[str, list[Object]]:
    """The store's own: to be read only."""
    keys = sorted({resource.key for resource in cluster.resources()} - _LEFT_OUT)
    return {key: found for key in keys if (found := cluster.list(key))}


@dataclass(frozen=True, slots=True)
class ClusterNow:
    """A cluster as it is told. `authority` is what its API is trusted by (PEM)."""

    name: str
    network: Network
    authority: str
    objects: Objects


async def told(azure: Mapping[str, Any], account: Mapping[str, str], clusters: Iterable[ClusterNow]) -> bytes:
    """As JSON. What is given is read in turns with the loop's other work: it must not be changed in place."""
    turns, said = Turns(), []
    for cluster in clusters:
        head = {
            "name": cluster.name,
            "network": ranges_of(cluster.network),
            "authority": cluster.authority,
        }
        kinds = []
        for key, objects in cluster.objects.items():
            encoded = [json_text.encode(_stripped(obj)) async for obj in turns.between(objects)]
            kinds.append(json_text.encode(key) + b":[" + b",".join(encoded) + b"]")
        said.append(json_text.encode(head)[:-1] + b',"objects":{' + b",".join(kinds) + b"}}")
    around = json_text.encode({"account": account, "azure": azure})
    return around[:-1] + b',"clusters":[' + b",".join(said) + b"]}"


def _stripped(obj: Object) -> Object:
    """Without its revision, which means nothing elsewhere."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "resourceVersion"}
    return {**obj, "metadata": metadata}


def ranges_of(network: Network) -> dict[str, list[Any]]:
    """First addresses and sizes of the parts that a network has; the same place in each is the same thing."""
    real = ipaddress.IPv4Network(f"{network.api_address}/32").supernet(new_prefix=23)
    pods, services = ipaddress.IPv4Network(network.pod_cidr), ipaddress.IPv4Network(network.service_cidr)
    parts = {"nodes": real, "pods": pods, "services": services}
    return {name: [str(part.network_address), part.num_addresses] for name, part in parts.items()}


@dataclass(frozen=True, slots=True)
class Translation:
    """From the addresses and certificates of the sandbox that was saved to those of the one that is loaded."""

    ranges: list[tuple[int, int, int]] = field(default_factory=list)
    """First address, how many, and the first one that they become."""
    texts: dict[str, str] = field(default_factory=dict)

    def add_ranges(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        for name, (first, count) in before.items():
            there, room = now[name]
            self.ranges.append((_number(first), min(count, room), _number(there)))

    def __call__(self, text: str) -> str:
        """All of a state's JSON at once: what is put in has nothing that JSON would escape, but for the ends of
        lines in `texts`."""
        for before, now in self.texts.items():
            text = text.replace(json.dumps(before)[1:-1], json.dumps(now)[1:-1])
        return _ADDRESS.sub(self._address, text)

    def _address(self, found: re.Match[str]) -> str:
        address = found[0]
        if found.start() and (found.string[found.start() - 1].isdigit() or found.string[found.start() - 1] == "."):
            return address
        with contextlib.suppress(ValueError):
            number = _number(address)
            for first, count, now in self.ranges:
                if first <= number < first + count:
                    return str(ipaddress.IPv4Address(now + number - first))
        return address


def _number(address: str) -> int:
    return int(ipaddress.IPv4Address(address))


def put_back(cluster: LocalCluster, objects: Objects) -> None:
    """Into a cluster in which nothing runs yet: as they are, past admission and validation, which they have passed.

    Definitions of kinds come last, so that one on its way out finds its objects.
    """
    for key, several in objects.items():
        if key != CRDS:
            for obj in several:
                cluster.store.put(key, _anew(obj) if key == "pods" else obj)
    definition = cluster.registry.by_key(CRDS)
    for crd in objects.get(CRDS, ()):
        cluster.writer.put(definition, crd)


def _anew(pod: Object) -> Object:
    """A pod as it is when a node has been given it: that starts it. One that has ended stays so."""
    if not pod["spec"].get("nodeName") or has_ended(pod):
        return pod
    status = pod.get("status") or {}
    kept = {name: status[name] for name in ("qosClass", "podIP", "podIPs", "hostIP", "hostIPs") if name in status}
    conditions = [one for one in status.get("conditions") or () if one["type"] == "PodScheduled"]
    return {**pod, "status": {"phase": "Pending", "conditions": conditions, **kept}}


class Expected:
    """What has to be again before a state is as it was: ready pods, and as many available of each Deployment."""

    def __init__(self, objects: Objects) -> None:
        self._ready = {_place(pod) for pod in objects.get("pods", ()) if is_ready(pod)}
        self._available = {_place(each): _available(each) for each in objects.get("deployments.apps", ())}

    def missing(self, cluster: LocalCluster) -> list[str]:
        """What is not so yet, of what is still wanted: "pod default/reviews-1"."""
        found = [
            "pod " + "/".join(place)
            for place in self._ready
            if (pod := cluster.find("pods", *place)) is not None and not is_ready(pod)
        ]
        for place, available in self._available.items():
            deployment = cluster.find("deployments.apps", *place)
            if deployment is not None and _available(deployment) < min(available, deployment["spec"]["replicas"]):
                found.append("deployment " + "/".join(place))
        return sorted(found)


def _place(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _available(deployment: Object) -> int:
    return int((deployment.get("status") or {}).get("availableReplicas") or 0)
