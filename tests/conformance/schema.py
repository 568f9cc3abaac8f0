"""Cases as data: what a file in `cases/` may say (README.md), read into objects. What is not known is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.cases import content_of

CASES = Path(__file__).parent / "cases"

ACTIONS = ("request", "try", "apply", "kubectl", "istioctl")
_KEYS = {
    "case": {"why", "source", "differs", "given", "rules", "do"},
    "request": {
        *("from", "host", "headers", "data", "times"),
        *("status", "answer", "body", "by", "path", "seen", "arrived", "takes", "split", "steady"),
    },
    "try": {"refused"},
    "apply": set(),
    "kubectl": {"stdin", "status", "lines", "has", "lacks", "says", "json"},
}
_KEYS["istioctl"] = _KEYS["kubectl"]

API_VERSIONS = {
    **dict.fromkeys(("Namespace", "Pod", "Service", "ConfigMap", "Secret", "ServiceAccount"), "v1"),
    **dict.fromkeys(("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"), "apps/v1"),
    **dict.fromkeys(("Job", "CronJob"), "batch/v1"),
    **dict.fromkeys(
        ("Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "Sidecar", "WorkloadEntry"),
        "networking.istio.io/v1",
    ),
    **dict.fromkeys(("PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication"), "security.istio.io/v1"),
    "EnvoyFilter": "networking.istio.io/v1alpha3",
    "Telemetry": "telemetry.istio.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Lease": "coordination.k8s.io/v1",
    "Ingress": "networking.k8s.io/v1",
}
_WITHOUT_SPEC = {"Namespace", "ConfigMap", "Secret", "ServiceAccount"}
_CLUSTER_WIDE = {"Namespace"}

Object = dict[str, Any]


class CaseError(Exception):
    """A case that does not say what a case says."""


@dataclass(frozen=True)
class Step:
    action: str
    what: Any
    expected: Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """`given` and what steps say have names in them ($host) until `filled`."""

    id: str
    name: str
    why: str
    source: str
    differs: str
    given: tuple[Object, ...]
    steps: tuple[Step, ...]

    def only(self, action: str) -> bool:
        return all(step.action == action for step in self.steps)


def read(folder: Path = CASES) -> list[Case]:
    found: list[Case] = []
    for path in sorted(folder.glob("*.yaml")):
        for number, item in enumerate(content_of(path), 1):
            try:
                found.append(_case(item, path.stem, number))
            except (CaseError, KeyError, TypeError) as error:
                raise CaseError(f"{path.name}, case {number} ({item.get('why', '')}): {error}") from error
    if doubled := {case.id for case in found if sum(case.id == other.id for other in found) > 1}:
        raise CaseError(f"two cases of one name: {', '.join(sorted(doubled))}")
    return found


def _case(item: dict[str, Any], stem: str, number: int) -> Case:
    _known(item, _KEYS["case"], "a case")
    given = [*item.get("given", ())]
    steps = tuple(_step(step) for step in item["do"])
    if not steps or not item["source"]:
        raise CaseError("a case has steps, and says where it has its expectations from")
    if any(step.action == "request" for step in steps):
        given = _around_requests(given, item.get("rules"))
    elif "rules" in item:
        raise CaseError("rules are for requests")
    return Case(
        id=f"{stem}: {item['why']}",
        name=f"{stem}-{number}".lower(),
        why=item["why"],
        source=item["source"],
        differs=item.get("differs", ""),
        given=tuple(objects(given)),
        steps=steps,
    )


def _step(item: dict[str, Any]) -> Step:
    actions = [key for key in item if key in ACTIONS]
    if len(actions) != 1:
        raise CaseError(f"a step is one of {', '.join(ACTIONS)}: {item}")
    (action,) = actions
    expected = {key: value for key, value in item.items() if key != action}
    _known(expected, _KEYS[action], action)
    if action in ("try", "apply"):
        list(objects(item[action]))
    return Step(action, item[action], expected)


def _known(item: Mapping[str, Any], keys: set[str], of: str) -> None:
    if unknown := sorted(set(item) - keys):
        raise CaseError(f"{of} has no {', '.join(unknown)}: it has {', '.join(sorted(keys))}")


def _around_requests(given: list[Any], rules: list[Any] | None) -> list[Any]:
    """The host that a case's requests go to, of its own, in front of the pods that all cases share; and its
    subsets, unless the case has others."""
    host: list[Any] = [
        {
            "Service $host": {
                "selector": {"app": "echo"},
                "ports": [{"name": "http", "port": 8000, "targetPort": 8080}],
            }
        }
    ]
    if not any(key.startswith("DestinationRule") for item in given for key in item):
        subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
        host.append({"DestinationRule $host": {"host": "$host", "subsets": subsets}})
    if rules is not None:
        host.append({"VirtualService $host": {"hosts": ["$host"], "http": rules}})
    return host + given


def objects(items: list[Any] | tuple[Any, ...]) -> Iterator[Object]:
    """`Kind name: spec`, or `Kind namespace/name: spec`, written out; a value with `spec` in it is the whole object
    but for its name. Anything else is an object already."""
    for item in items:
        if "kind" in item:
            yield item
            continue
        for key, value in item.items():
            kind, _, name = key.partition(" ")
            if kind not in API_VERSIONS:
                raise CaseError(f"{kind} is no kind that schema.py knows: write the whole object")
            namespace, _, name = name.rpartition("/")
            whole = value if kind in _WITHOUT_SPEC or "spec" in value else {"spec": value}
            metadata = {"name": name, **whole.get("metadata", {})}
            if kind not in _CLUSTER_WIDE:
                metadata["namespace"] = namespace or "$ns"
            routed = _routed(whole) if kind == "VirtualService" else whole
            yield {"apiVersion": API_VERSIONS[kind], "kind": kind, **routed, "metadata": metadata}


def _routed(value: Any) -> Any:
    """With the route that `to: v1` stands for: all to a subset of the case's host."""
    if isinstance(value, list):
        return [_routed(each) for each in value]
    if not isinstance(value, dict):
        return value
    given = {key: _routed(each) for key, each in value.items() if key != "to" or not isinstance(each, str)}
    if isinstance(value.get("to"), str):
        given["route"] = [{"destination": {"host": "$host", "subset": value["to"]}}]
    return given


def filled(value: Any, names: Mapping[str, str]) -> Any:
    """With the names in place of `$host` and the others."""
    if isinstance(value, str):
        return re.sub(
            rf"\$({'|'.join(sorted(names, key=len, reverse=True))})\b", lambda found: names[found[1]], value
        )
    if isinstance(value, list | tuple):
        return [filled(each, names) for each in value]
    if isinstance(value, Mapping):
        return {filled(key, names): filled(each, names) for key, each in value.items()}
    return value
