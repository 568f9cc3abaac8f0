"""The registry of a cluster's services, kept from its changes: a service is made anew when it, one of its slices or
the labels of a pod behind it changed, and all of them when a node went to another place.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping

from sandbox.core.cluster import Cluster, Object
from sandbox.mesh import places
from sandbox.mesh.registry import SERVICE_NAME, SLICES, Registry, Service, service_of

_Place = tuple[str, str]
"""Namespace and name."""


class KnownServices:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._services: dict[_Place, Service] = {}
        self._order: list[_Place] = []
        self._changed: set[_Place] = set()
        self._behind: dict[_Place, dict[str, _Place]] = {}
        """The services that have a pod behind them, by the slice that says so."""
        self._registry = Registry(())
        self.noted = 0
        """Grows with every change that may make a service another one."""
        cluster.observe("services", self._service)
        cluster.observe(SLICES, self._slice)
        cluster.observe("pods", self._pod)
        cluster.observe("nodes", self._node)

    def registry(self) -> Registry:
        """As everything is now; the same object as before if nothing of it changed."""
        changed = False
        for place in self._changed:
            changed |= self._make(place)
        self._changed.clear()
        if changed:
            self._registry = Registry(tuple(self._services[place] for place in self._order))
        return self._registry

    def _make(self, place: _Place) -> bool:
        """Whether it is another one than before."""
        before, obj = self._services.get(place), self._cluster.find("services", *place)
        if obj is None or obj["spec"].get("type") == "ExternalName":
            if before is not None:
                del self._services[place]
                del self._order[bisect_left(self._order, place)]
            return before is not None
        slices = self._cluster.list(SLICES, place[0], {SERVICE_NAME: place[1]})
        made = service_of(obj, slices, self.labels_of_pod)
        if before is not None and made == before and made.endpoints == before.endpoints:
            return False
        if before is None:
            insort(self._order, place)
        self._services[place] = made
        return True

    def labels_of_pod(self, namespace: str, name: str) -> Mapping[str, str]:
        """A pod's, with where it is; none if there is no such pod."""
        pod = self._cluster.find("pods", namespace, name)
        if pod is None:
            return {}
        on = (pod.get("spec") or {}).get("nodeName") or ""
        node = self._cluster.find("nodes", None, on) if on else None
        return places.labels_of_pod(_labels(pod), on, _labels(node))

    def _service(self, old: Object | None, new: Object | None) -> None:
        self._note(_place(obj) for obj in (old, new) if obj is not None)

    def _slice(self, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is None:
                continue
            metadata = obj["metadata"]
            service = (metadata["namespace"], (metadata.get("labels") or {}).get(SERVICE_NAME, ""))
            self._note([service])
            for pod in _pods(obj):
                if obj is new:
                    self._behind.setdefault(pod, {})[metadata["name"]] = service
                elif (by_slice := self._behind.get(pod)) is not None:
                    by_slice.pop(metadata["name"], None)
                    if not by_slice:
                        del self._behind[pod]

    def _pod(self, old: Object | None, new: Object | None) -> None:
        was, now = (obj and (obj["metadata"].get("labels") or {}) for obj in (old, new))
        if was != now:
            place = _place(new or old or {})
            self._note(self._behind.get(place, {}).values())

    def _node(self, old: Object | None, new: Object | None) -> None:
        was, now = ([_labels(obj).get(label) for label in places.LABELS] for obj in (old, new))
        if was != now:
            self._note(list(self._services))

    def _note(self, places: Iterable[_Place]) -> None:
        for place in places:
            self._changed.add(place)
            self.noted += 1


def _pods(piece: Object) -> Iterator[_Place]:
    for endpoint in piece.get("endpoints") or ():
        if name := (endpoint.get("targetRef") or {}).get("name"):
            yield piece["metadata"]["namespace"], name


def _labels(obj: Object | None) -> Mapping[str, str]:
    return (obj["metadata"].get("labels") or {}) if obj else {}


def _place(obj: Object) -> _Place:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
