"""Is what is wanted contained in what is there? The difference, field by field, and the writes that remove just
that.

Kubernetes adds to what was applied: defaults, status, labels of controllers, containers of injectors. So a live
object may hold more than the manifest says, and lists are matched as server-side apply merges them: by name, port
or mount path where Kubernetes does, else by position and length.

Istio's configuration is another matter: its server adds nothing to a spec, and there a field more (a `fault`, a
destination) is a change in behaviour that somebody made. For its kinds the spec has to be equal, and what is too
much is a difference as well (wanted ABSENT). The destinations of a route are told apart by their subset, so that
a changed split reads as one: their order means nothing. What somebody has put behind all that is wanted of such a
list (a route that is only reached by what no wanted one matches, one more subset or server) changes nothing of it:
as long as it is all that differs, it is no difference, and `appended` names it.

**Added by hand.** What somebody has added to an object of the workshop, and that changes what it does, is left
alone by a run: server-side apply owns only what a manifest says. It is named all the same, for an attendee who
wonders why the lab behaves otherwise: `kubectl set env`, a second container, one more port or selector of a
Service, a key of a ConfigMap, an annotation of a pod template; and a rule of somebody's own that is about the same
host as the workshop's.

Who has added something cannot be seen without asking for the managed fields of everything, which doubles what a
cluster sends, so it follows from the place. Known are the places where a manifest of the workshop may be silent and
where neither Kubernetes has a default, nor a controller or a webhook of a mesh adds anything: sidecars are injected
into pods, not into Deployments. A field that is not known here is not named. What is too much in the spec of
Istio's kinds is a difference, and a run removes it, but for what stands behind all that the workshop wants.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workshop.kubernetes.cluster_facts import Snapshot
from workshop.kubernetes.deletion import delete_and_wait, is_terminating
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import LAB, PART_OF, Object, is_ours, name_of
from workshop.kubernetes.quantities import quantity
from workshop.runbook.results import ABSENT, Difference

EXACT_GROUPS = ("networking.istio.io", "security.istio.io", "telemetry.istio.io")

_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "conditions": ("type",),
}
_SEGMENT = re.compile(r"([^.\[\]]+)|\[([^\]]+)\]")
"""Of a path: a name, or a key in brackets."""
_PORT_FIELDS = frozenset({"port", "targetPort", "containerPort", "nodePort", "number"})


_APPENDED = re.compile(r"spec\.(http|tcp|tls|subsets|servers)\[\d+\]")


def differences(subject: str, wanted: Object, live: Object | None) -> tuple[Difference, ...]:
    """What of `wanted` is not in `live`; `subject` names the object."""
    if live is None:
        return (Difference(subject, "", "present", ABSENT),)
    found = _compared(subject, wanted, live)
    return () if all(map(_is_appended, found)) else found


def appended(subject: str, wanted: Object, live: Object) -> tuple[Difference, ...]:
    """What `live` has behind all that is wanted, where nothing else differs: applying `wanted` would remove it."""
    found = _compared(subject, wanted, live)
    return found if all(map(_is_appended, found)) else ()


def _is_appended(difference: Difference) -> bool:
    return difference.wanted is ABSENT and bool(_APPENDED.fullmatch(difference.path))


def _compared(subject: str, wanted: Object, live: Object) -> tuple[Difference, ...]:
    group = wanted["apiVersion"].rpartition("/")[0]
    found: list[Difference] = []
    for key, value in wanted.items():
        if key not in ("apiVersion", "kind", "status"):
            exact = key == "spec" and group in EXACT_GROUPS
            _Comparison(subject, found, exact).value(key, value, live.get(key, ABSENT))
    return tuple(found)


class _Comparison:
    def __init__(self, subject: str, found: list[Difference], exact: bool) -> None:
        self.subject, self.found, self.exact = subject, found, exact

    def value(self, path: str, wanted: Any, live: Any) -> None:
        if isinstance(wanted, dict) and isinstance(live, dict):
            self._mapping(path, wanted, live)
        elif isinstance(wanted, list) and isinstance(live, list):
            self._list(path, wanted, live)
        elif not _same(path, wanted, live):
            self.found.append(Difference(self.subject, path, wanted, live))

    def _mapping(self, path: str, wanted: Object, live: Object) -> None:
        for key, value in wanted.items():
            self.value(child(path, key), value, live.get(key, ABSENT))
        if self.exact:
            for key in live.keys() - wanted.keys():
                self.found.append(Difference(self.subject, child(path, key), ABSENT, live[key]))

    def _list(self, path: str, wanted: list[Any], live: list[Any]) -> None:
        if self.exact:
            there, desired = _by_subset(live), _by_subset(wanted)
            if there is None or desired is None or not path.endswith(".route"):
                self._positions(path, wanted, live)
                return
            for subset in dict.fromkeys((*desired, *there)):
                self.value(f"{path}[{subset}]", desired.get(subset, ABSENT), there.get(subset, ABSENT))
            return
        keys = _list_keys(path, wanted)
        if keys is None:
            self._positions(path, wanted, live)
            return
        found = {_identity(item, keys): item for item in live if isinstance(item, dict)}
        for item in wanted:
            identity = _identity(item, keys)
            self.value(f"{path}[{identity[0]}]", item, found.get(identity, ABSENT))

    def _positions(self, path: str, wanted: list[Any], live: list[Any]) -> None:
        for index in range(max(len(wanted), len(live))):
            self.value(f"{path}[{index}]", _at(wanted, index), _at(live, index))


def _by_subset(route: list[Any]) -> dict[str, Any] | None:
    """The destinations of a route by their subset, None when that does not tell them apart."""
    try:
        found = {entry["destination"]["subset"]: entry for entry in route}
    except (KeyError, TypeError):
        return None
    return found if len(found) == len(route) else None


def by_key(path: str, items: list[Any]) -> dict[tuple[str, ...], Object]:
    """The items of a list that is merged by a key, by that one; none where it is not."""
    keys = _list_keys(path, items)
    return {_identity(item, keys): item for item in items} if keys else {}


def _list_keys(path: str, wanted: list[Any]) -> tuple[str, ...] | None:
    if not all(isinstance(item, dict) for item in wanted):
        return None
    name = path.rpartition(".")[2]
    if name == "ports":
        first = "containerPort" if any("containerPort" in item for item in wanted) else "port"
        return (first, "protocol")
    return _KEYS.get(name)


def _identity(item: Object, keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(item.get(key, "TCP" if key == "protocol" else "")) for key in keys)


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else ABSENT


def child(path: str, key: str) -> str:
    """A field's path as differences name it."""
    return f"{path}[{key}]" if "." in key or "/" in key else f"{path}.{key}"


def _same(path: str, wanted: Any, live: Any) -> bool:
    if wanted == live and isinstance(wanted, bool) == isinstance(live, bool):
        return True
    if wanted in (None, {}, []) and live is ABSENT:
        return True  # the API drops what is empty
    if path.rpartition(".")[2] in _PORT_FIELDS:
        return str(wanted) == str(live)
    if ".resources." in path:
        return _same_quantity(wanted, live)
    return False


def _same_quantity(wanted: Any, live: Any) -> bool:
    try:
        return quantity(wanted) == quantity(live)
    except ValueError:
        return False


_MOST = 3
"""Fields of one object; the differences themselves are shown field by field."""

_PART = re.compile(r"(?:[^.\[]|\[[^\]]*\])+")
"""Of a path; a label's key in brackets may have dots."""


def describe(differences: Iterable[Difference]) -> str:
    by_subject: dict[str, list[str]] = {}
    for difference in differences:
        by_subject.setdefault(difference.subject, []).append(_described(difference))
    return "; ".join(f"{subject} {_some(said)}" for subject, said in by_subject.items())


def _described(difference: Difference) -> str:
    found, wanted = difference.found, difference.wanted
    if not difference.path:
        return "is not there" if found is ABSENT else "is there as well"
    field = ".".join(_PART.findall(difference.path)[-2:])
    if found is ABSENT:
        return f"has no {field}"
    if wanted is ABSENT:
        return f"has {field}{_value(found)} as well"
    return f"has {field}{_value(found)}, not{_value(wanted)}" if _short(found, wanted) else f"has another {field}"


def _short(*values: Any) -> bool:
    return not any(isinstance(value, dict | list) for value in values)


def _value(value: Any) -> str:
    return f" {value}" if _short(value) else ""


def _some(said: list[str]) -> str:
    more = [f"and {len(said) - _MOST} more"] if len(said) > _MOST else []
    return ", ".join((*said[:_MOST], *more))


@dataclass(frozen=True, slots=True)
class _Fields:
    """Those of an object: a leaf (an empty one) is an addition as a whole, where the manifest does not have it."""

    inner: Mapping[str, _Fields | _Entries | _Items] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Entries:
    """Of a mapping with keys of one's own, such as labels; `only` those that begin so."""

    only: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True)
class _Items:
    """Of a list that is merged by a key; `inner` is looked at in those that the manifest has as well."""

    inner: _Fields = _Fields()


_WHOLE, _ENTRIES, _ITEMS = _Fields(), _Entries(), _Items()

_CONTAINER = _Fields(
    {
        **dict.fromkeys(("command", "args", "envFrom", "lifecycle", "workingDir"), _WHOLE),
        **dict.fromkeys(("livenessProbe", "readinessProbe", "startupProbe"), _WHOLE),
        **dict.fromkeys(("env", "ports", "volumeMounts"), _ITEMS),
        "resources": _Fields({"limits": _ENTRIES, "requests": _ENTRIES}),
    }
)
_POD = _Fields(
    {
        **dict.fromkeys(("containers", "initContainers"), _Items(_CONTAINER)),
        **dict.fromkeys(("affinity", "hostAliases", "hostNetwork", "tolerations"), _WHOLE),
        "nodeSelector": _ENTRIES,
        "volumes": _ITEMS,
    }
)
_TEMPLATE = _Fields({"metadata": _Fields({"labels": _ENTRIES, "annotations": _ENTRIES}), "spec": _POD})
_ANNOTATED = _Fields({"metadata": _Fields({"annotations": _ENTRIES})})
_KINDS: Mapping[str, _Fields] = {
    "Deployment": _Fields({"spec": _Fields({"template": _TEMPLATE})}),
    "Service": _Fields({"spec": _Fields({"ports": _ITEMS, "selector": _ENTRIES, "externalIPs": _WHOLE})}),
    "ConfigMap": _Fields({"data": _ENTRIES, "binaryData": _ENTRIES}),
    **dict.fromkeys(("Gateway", "VirtualService", "DestinationRule", "ServiceEntry"), _ANNOTATED),
    # Other labels are for finding it, or another lab's: it is one that gives `istio-injection`.
    "Namespace": _Fields(
        {"metadata": _Fields({"labels": _Entries(("istio.io/", "pod-security.kubernetes.io/"))})},
    ),
}

_BY_TOOLS = ("kubectl.kubernetes.io/",)
"""What annotations begin with that change nothing: `kubectl rollout restart` leaves one, also for the workshop."""


def added(wanted: Object, snapshot: Snapshot) -> tuple[Difference, ...]:
    """What `wanted`'s live object has more, and the rules of others beside it. Nothing where it is not there."""
    live = snapshot.find(wanted)
    if live is None:
        return ()
    more = _more(_KINDS.get(wanted["kind"], _WHOLE), "", wanted, live)
    found = [Difference(name_of(wanted), path, ABSENT, value) for path, value in more]
    found += appended(name_of(wanted), wanted, live)
    found += [Difference(name_of(rule), "", ABSENT, "present") for rule in _rules_beside(wanted, snapshot)]
    return tuple(found)


def _more(known: _Fields, path: str, wanted: Object, live: Object) -> Iterator[tuple[str, Any]]:
    for name, inner in known.inner.items():
        there, desired = live.get(name), wanted.get(name)
        if not there:
            continue
        at = child(path, name) if path else name
        if isinstance(inner, _Items):
            for key, item in by_key(at, there).items():
                mine = by_key(at, desired or []).get(key)
                if mine is None:
                    yield f"{at}[{key[0]}]", item
                else:
                    yield from _more(inner.inner, f"{at}[{key[0]}]", mine, item)
        elif isinstance(inner, _Entries):
            for key in there.keys() - (desired or {}).keys():
                if key.startswith(inner.only) and not key.startswith(_BY_TOOLS):
                    yield child(at, key), there[key]
        elif inner.inner:
            yield from _more(inner, at, desired or {}, there)
        elif not desired:
            yield at, there


def without(live: Object, paths: Iterable[str]) -> Object:
    """The object without what is at these paths, as differences name them."""
    left = copy.deepcopy(live)
    for path in paths:
        _remove(left, path)
    return left


def _remove(left: Object, path: str) -> None:
    """Nothing, where it is not there any more."""
    level: Any = left
    at = ""
    *parents, last = [key or name for name, key in _SEGMENT.findall(path)]
    for segment in parents:
        level = level.get(segment) if isinstance(level, dict) else _item(at, level, segment)
        at = child(at, segment) if at else segment
        if level is None:
            return
    if isinstance(level, dict):
        level.pop(last, None)
    elif (item := _item(at, level, last)) is not None:
        level.remove(item)


def _item(path: str, items: list[Any], key: str) -> Any:
    """By its key, or by its place in a list that has none."""
    if key.isdecimal() and not by_key(path, items):
        return items[int(key)] if int(key) < len(items) else None
    return next((item for keys, item in by_key(path, items).items() if keys[0] == key), None)


_RULES = {
    "VirtualService": ("VirtualService",),
    "DestinationRule": ("DestinationRule",),
    "Service": ("VirtualService", "DestinationRule"),
}


def _rules_beside(wanted: Object, snapshot: Snapshot) -> Iterator[Object]:
    """Rules that the workshop did not make, about a host and a way in that are `wanted`'s as well."""
    for kind in _RULES.get(wanted["kind"], ()):
        for rule in snapshot.all(kind, wanted["metadata"]["namespace"]):
            if not is_ours(rule) and _hosts(rule) & _hosts(wanted) and _ways(rule) & _ways(wanted):
                yield rule


def _hosts(obj: Object) -> set[str]:
    spec, home = obj.get("spec", {}), obj["metadata"]["namespace"]
    alone = obj["metadata"]["name"] if obj["kind"] == "Service" else spec.get("host")
    hosts = [alone] if alone else spec.get("hosts", [])
    return {host if "." in host or host == "*" else f"{host}.{home}.svc.cluster.local" for host in hosts}


def _ways(obj: Object) -> set[str]:
    """Gateways by their full names. In the mesh, only rules of the same namespace are sure to meet."""
    home = obj["metadata"]["namespace"]
    gateways = obj.get("spec", {}).get("gateways") or ["mesh"]
    return {f"mesh of {home}" if one == "mesh" else one if "/" in one else f"{home}/{one}" for one in gateways}


_GONE_SECONDS = 120.0
"""How long what is on its way out may take before it is made anew; what holds it for longer does so for ever."""


async def repair(
    kubectl: Kubectl, objects: Sequence[Object], snapshot: Snapshot, *, seconds: float = 60.0
) -> list[Object]:
    """Write those of `objects` that are not as wanted, and return them."""
    drifted = [obj for obj in objects if drift(obj, snapshot)]
    if leaving := [obj for obj in drifted if is_terminating(snapshot.find(obj))]:
        await delete_and_wait(kubectl, leaving, seconds=min(seconds, _GONE_SECONDS))
    if drifted:
        removals = [(obj, extra) for obj in drifted if (extra := _removals(obj, snapshot))]
        snapshot.learn(await kubectl.apply([_owned(obj, snapshot) for obj in drifted], seconds=seconds))
        for obj, extra in removals:
            snapshot.learn(await kubectl.merge_patch(obj, extra))
    return drifted


def _owned(wanted: Object, snapshot: Snapshot) -> Object:
    """What to apply. A namespace that was there before the workshop is used, not owned: it gets no label of ours,
    so that undoing the step does not delete it."""
    live = snapshot.find(wanted)
    if wanted["kind"] != "Namespace" or live is None or is_ours(live) or is_terminating(live):
        return wanted
    labels = {k: v for k, v in wanted["metadata"]["labels"].items() if k not in (PART_OF, LAB)}
    return {**wanted, "metadata": {**wanted["metadata"], "labels": labels}}


def drift(wanted: Object, snapshot: Snapshot) -> tuple[Difference, ...]:
    """What of `wanted` is not there, or too much. An object on its way out counts as not there."""
    live, subject = snapshot.find(wanted), name_of(wanted)
    if live is not None and is_terminating(live):
        return (Difference(subject, "metadata.deletionTimestamp", ABSENT, live["metadata"]["deletionTimestamp"]),)
    return differences(subject, _owned(wanted, snapshot), live)


def _removals(wanted: Object, snapshot: Snapshot) -> Object:
    """A merge patch that removes the fields of a spec that are too much; server-side apply leaves alone what others
    have added. Fields inside a list need none: Istio's lists are replaced as a whole."""
    removals: Object = {}
    for difference in drift(wanted, snapshot):
        if difference.wanted is ABSENT and difference.path.startswith("spec.") and "[" not in difference.path:
            *parents, last = difference.path.split(".")
            level = removals
            for parent in parents:
                level = level.setdefault(parent, {})
            level[last] = None
    return removals
