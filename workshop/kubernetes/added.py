"""What somebody has added by hand to an object of the workshop, and that changes what it does.

A run leaves such things alone: server-side apply owns only what a manifest says. They are named all the same, for
an attendee who wonders why the lab behaves otherwise: `kubectl set env`, a second container, one more port or
selector of a Service, a key of a ConfigMap, an annotation of a pod template; and a rule of somebody's own that is
about the same host as the workshop's.

Who has added something cannot be seen without asking for the managed fields of everything, which doubles what a
cluster sends, so it follows from the place. Known are the places where a manifest of the workshop may be silent and
where neither Kubernetes has a default, nor a controller or a webhook of a mesh adds anything: sidecars are injected
into pods, not into Deployments. A field that is not known here is not named. The spec of Istio's kinds has to be
equal (`compare.py`): what is too much there is a difference, and a run removes it, but for what stands behind all
that the workshop wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workshop.kubernetes.compare import appended, by_key, child
from workshop.kubernetes.manifests import is_ours, name_of
from workshop.runbook.results import ABSENT, Difference

if TYPE_CHECKING:
    from workshop.kubernetes.facts import Snapshot

Object = dict[str, Any]


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
_KINDS: Mapping[str, _Fields] = {
    "Deployment": _Fields({"spec": _Fields({"template": _TEMPLATE})}),
    "Service": _Fields({"spec": _Fields({"ports": _ITEMS, "selector": _ENTRIES, "externalIPs": _WHOLE})}),
    "ConfigMap": _Fields({"data": _ENTRIES, "binaryData": _ENTRIES}),
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


_RULES = {
    "VirtualService": ("VirtualService",),
    "DestinationRule": ("DestinationRule",),
    "Service": ("VirtualService", "DestinationRule"),
}


def _rules_beside(wanted: Object, snapshot: Snapshot) -> Iterator[Object]:
    """Rules that the workshop did not make, about a host and a way in that are `wanted`'s as well."""
    for kind in _RULES.get(wanted["kind"], ()):
        for rule in snapshot.all(kind):
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
