"""What `kubectl get` prints: the API itself turns objects into tables.

Each kind has its columns and a function that gives an object's cells; kinds of CRDs have those of their
`additionalPrinterColumns`. A kind without its own columns has a name and the time of its creation.

The JSONPath of printer columns is a path of fields, as in the CRDs of Istio; a CRD with any other one is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sandbox.core import label_selectors
from sandbox.core.cluster import Object, Resource
from sandbox.core.durations import to_age
from sandbox.core.objects import at, name_of, terminating

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"
_ROLE = "node-role.kubernetes.io/"

IncludeObject = Literal["None", "Metadata", "Object"]
Row = Callable[[Object], list[Any]]


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str = "string"
    wide: bool = False
    """Shown with `-o wide` only."""
    description: str = ""

    def definition(self) -> Object:
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": self.description or self.name,
            "priority": int(self.wide),
        }


@dataclass(frozen=True, slots=True)
class Layout:
    columns: Sequence[Column]
    row: Row


def layout_of(resource: Resource, crd: Object | None = None) -> Layout:
    """`crd`: the one that a custom kind is of."""
    return _BUILT_IN.get(resource.key, _PLAIN) if crd is None else _by_printer_columns(crd, resource.version)


def table(layout: Layout, objects: Iterable[Object], include: IncludeObject, *, metadata: Object) -> Object:
    """A meta.k8s.io Table; `metadata` is the list's."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in layout.columns],
        "rows": [row(layout, obj, include) for obj in objects],
    }


def row(layout: Layout, obj: Object, include: IncludeObject) -> Object:
    row: Object = {"cells": layout.row(obj)}
    if include == "Object":
        row["object"] = obj
    elif include == "Metadata":
        partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        row["object"] = {**partial, "metadata": obj["metadata"]}
    return row


def _columns(names: str, wide: str = "") -> list[Column]:
    """From `Name, Data:integer` and those that are shown with `-o wide` only."""
    pairs = [(name, False) for name in names.split(", ")] + [
        (name, True) for name in filter(None, wide.split(", "))
    ]
    return [
        Column(name, kind or "string", last) for text, last in pairs for name, _, kind in (text.partition(":"),)
    ]


def json_path(text: str) -> list[str]:
    """The fields that a printer column's path leads through. Raises ValueError for any other JSONPath."""
    if not re.fullmatch(r"(\.[A-Za-z0-9_\-]+)+", text):
        raise ValueError(f"unsupported JSONPath: {text}")
    return text[1:].split(".")


def _by_printer_columns(crd: Object, version: str) -> Layout:
    served = next(entry for entry in crd["spec"]["versions"] if entry["name"] == version)
    extra = served.get("additionalPrinterColumns")
    if extra is None:
        extra = [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]
    found = [
        Column(entry["name"], entry["type"], bool(entry.get("priority")), entry.get("description", ""))
        for entry in extra
    ]
    paths = [(json_path(entry["jsonPath"]), entry["type"]) for entry in extra]
    return Layout(
        [Column("Name"), *found],
        lambda obj: [name_of(obj), *(_printed(at(obj, *path), kind) for path, kind in paths)],
    )


def _printed(value: Any, kind: str) -> Any:
    """One value as itself, a structure as JSON; nothing where there is nothing."""
    if value is None:
        return None
    if kind == "date":
        return age(value) if isinstance(value, str) else "<invalid>"
    if kind in ("integer", "number", "boolean"):
        return value if isinstance(value, int | float) else None
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def age(when: str | None) -> str:
    """How long ago a timestamp was."""
    if not when:
        return UNKNOWN
    try:
        then = datetime.fromisoformat(when)
    except ValueError:
        return "<invalid>"
    return to_age((datetime.now(UTC) - then).total_seconds())


def created(obj: Object) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _selector(obj: Object) -> str:
    return label_selectors.to_text(at(obj, "spec", "selector")) or NONE


def _shortened(items: Sequence[str], nothing: str) -> str:
    """The first three, and how many more there are."""
    text = ",".join(items[:3]) or nothing
    return text if len(items) <= 3 else f"{text} + {len(items) - 3} more..."


# Pods and what makes them


def _pod(obj: Object) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    reason, ready, restarts, last_restart = _pod_state(obj)
    total = len(spec.get("containers") or ()) + len(_sidecars(spec))
    gates = [gate["conditionType"] for gate in spec.get("readinessGates") or ()]
    passed = sum(_condition(status, gate) == "True" for gate in gates)
    return [
        name_of(obj),
        f"{ready}/{total}",
        reason,
        f"{restarts} ({age(last_restart)} ago)" if restarts and last_restart else str(restarts),
        created(obj),
        at(status, "podIPs", 0, "ip") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        f"{passed}/{len(gates)}" if gates else NONE,
    ]


def _pod_state(obj: Object) -> tuple[str, int, int, str]:
    """What STATUS says, ready containers, restarts, and when the last restart was."""
    spec, status = obj["spec"], obj.get("status") or {}
    phase = status.get("phase", "")
    reason = status.get("reason") or phase
    failing, ready, restarts, last = _init_state(spec, status)
    if failing and _condition(status, "Initialized") != "True":
        reason = failing
    else:
        reason, ready, restarts, last = _running_state(spec, status, reason, ready)
    if terminating(obj) and phase not in ("Succeeded", "Failed"):
        reason = "Terminating"
    return reason, ready, restarts, last


def _init_state(spec: Object, status: Object) -> tuple[str, int, int, str]:
    """Why initialisation is not over (empty when it is), and the counts of init containers."""
    sidecars, ready, restarts, last = _sidecars(spec), 0, 0, ""
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        restarts += container.get("restartCount", 0)
        last = max(last, _last_end(container))
        ended, waiting = at(container, "state", "terminated"), at(container, "state", "waiting", "reason")
        if ended and ended.get("exitCode") == 0:
            continue
        if container["name"] in sidecars and container.get("started"):
            ready += bool(container.get("ready"))
            continue
        if ended:
            return f"Init:{_ending(ended)}", ready, restarts, last
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}", ready, restarts, last
        return f"Init:{index}/{len(spec.get('initContainers') or ())}", ready, restarts, last
    return "", ready, restarts, last


def _running_state(spec: Object, status: Object, reason: str, ready: int) -> tuple[str, int, int, str]:
    sidecars, containers = _sidecars(spec), status.get("containerStatuses") or []
    counted = [one for one in status.get("initContainerStatuses") or () if one["name"] in sidecars]
    counted += containers
    restarts = sum(container.get("restartCount", 0) for container in counted)
    last = max(map(_last_end, counted), default="")
    running = False
    for container in reversed(containers):
        state = container.get("state") or {}
        if waiting := at(state, "waiting", "reason"):
            reason = waiting
        elif state.get("terminated"):
            reason = _ending(state["terminated"])
        elif container.get("ready") and "running" in state:
            running = True
            ready += 1
    if reason == "Completed" and running:
        reason = "Running" if _condition(status, "Ready") == "True" else "NotReady"
    return reason, ready, restarts, last


def _sidecars(spec: Object) -> set[str]:
    """Init containers that keep running beside the pod's containers."""
    return {one["name"] for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"}


def _last_end(container: Object) -> str:
    return at(container, "lastState", "terminated", "finishedAt") or ""


def _ending(ended: Object) -> str:
    return ended.get("reason") or f"ExitCode:{ended.get('exitCode')}"


def _condition(status: Object, kind: str) -> str:
    found = (c.get("status", "") for c in status.get("conditions") or () if c.get("type") == kind)
    return str(next(found, ""))


def _template(obj: Object) -> list[Any]:
    containers = at(obj, "spec", "template", "spec", "containers") or []
    parts = [",".join(container.get(part, "") for container in containers) for part in ("name", "image")]
    return [*parts, _selector(obj)]


def _deployment(obj: Object) -> list[Any]:
    status = obj.get("status") or {}
    ready = f"{status.get('readyReplicas', 0)}/{obj['spec'].get('replicas', 1)}"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    return [name_of(obj), ready, updated, available, created(obj), *_template(obj)]


def _replica_set(obj: Object) -> list[Any]:
    status = obj.get("status") or {}
    counts = obj["spec"].get("replicas", 1), status.get("replicas", 0), status.get("readyReplicas", 0)
    return [name_of(obj), *counts, created(obj), *_template(obj)]


def _job(obj: Object) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    wanted, parallel = spec.get("completions"), spec.get("parallelism", 1)
    of = str(wanted) if wanted is not None else f"1 of {parallel}" if parallel > 1 else "1"
    begun, ended, lasted = status.get("startTime"), status.get("completionTime"), ""
    if begun:
        end = datetime.fromisoformat(ended) if ended else datetime.now(UTC)
        lasted = to_age((end - datetime.fromisoformat(begun)).total_seconds())
    counts = f"{status.get('succeeded', 0)}/{of}"
    return [name_of(obj), _job_state(obj), counts, lasted, created(obj), *_template(obj)]


def _job_state(obj: Object) -> str:
    status = obj.get("status") or {}
    held = [kind for kind in _JOB_STATES if _condition(status, kind) == "True"]
    if terminating(obj) and not {"Complete", "Failed"} & {*held}:
        return "Terminating"
    return held[0] if held else "Running"


_JOB_STATES = ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet")


def _cron_job(obj: Object) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    last = status.get("lastScheduleTime")
    return [
        name_of(obj),
        spec["schedule"],
        spec.get("timeZone") or NONE,
        str(bool(spec.get("suspend"))),
        len(status.get("active") or ()),
        age(last) if last else NONE,
        created(obj),
        *_template({"spec": at(spec, "jobTemplate", "spec") or {}}),
    ]


def _autoscaler(obj: Object) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    metrics = [_metric(metric) for metric in spec.get("metrics") or ()]
    shown = ", ".join(metrics[:2]) or NONE
    if len(metrics) > 2:
        shown += f" + {len(metrics) - 2} more..."
    target = spec.get("scaleTargetRef") or {}
    return [
        name_of(obj),
        f"{target.get('kind')}/{target.get('name')}",
        shown,
        str(spec.get("minReplicas", UNSET)),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        created(obj),
    ]


def _metric(metric: Object) -> str:
    """What is wanted; the sandbox measures nothing."""
    source = metric["type"][:1].lower() + metric["type"][1:]
    wanted, name = at(metric, source, "target") or {}, at(metric, source, "name")
    percent = wanted.get("averageUtilization")
    value = wanted.get("averageValue", wanted.get("value", "<auto>")) if percent is None else f"{percent}%"
    return f"{name}: {UNKNOWN}/{value}" if name else f"{UNKNOWN}/{value}"


def _disruption_budget(obj: Object) -> list[Any]:
    limits = [str(obj["spec"].get(key, "N/A")) for key in ("minAvailable", "maxUnavailable")]
    return [name_of(obj), *limits, at(obj, "status", "disruptionsAllowed") or 0, created(obj)]


# Services and their endpoints


def _service(obj: Object) -> list[Any]:
    spec = obj["spec"]
    ports = [
        f"{port['port']}"
        + (f":{port['nodePort']}" if port.get("nodePort") else "")
        + f"/{port.get('protocol', 'TCP')}"
        for port in spec.get("ports") or ()
    ]
    return [
        name_of(obj),
        spec.get("type", "ClusterIP"),
        spec.get("clusterIP") or NONE,
        _external(obj),
        ",".join(ports) or NONE,
        created(obj),
        _selector(obj),
    ]


def _external(obj: Object) -> str:
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    addresses = list(spec.get("externalIPs") or ())
    if spec.get("type") != "LoadBalancer":
        return ",".join(addresses) or NONE
    balancers = at(obj, "status", "loadBalancer", "ingress") or []
    given = sorted(entry.get("ip") or entry.get("hostname") or "" for entry in balancers)
    return ",".join([*given, *addresses]) or "<pending>"


def _endpoints(obj: Object) -> list[Any]:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        addresses = [address["ip"] for address in subset.get("addresses") or ()]
        ports = subset.get("ports")
        found += [f"{ip}:{port['port']}" for port in ports for ip in addresses] if ports else addresses
    return [name_of(obj), _shortened(found, NONE), created(obj)]


def _endpoint_slice(obj: Object) -> list[Any]:
    ports = [str(port.get("port") or port.get("name") or "*") for port in obj.get("ports") or ()]
    addresses = [ip for endpoint in obj.get("endpoints") or () for ip in endpoint.get("addresses") or ()]
    shown = _shortened(ports, UNSET), _shortened(addresses, UNSET)
    return [name_of(obj), obj.get("addressType", ""), *shown, created(obj)]


# All others


def _node(obj: Object) -> list[Any]:
    status = obj.get("status") or {}
    ready = _condition(status, "Ready")
    state = ["Ready" if ready == "True" else "NotReady" if ready else "Unknown"]
    if at(obj, "spec", "unschedulable"):
        state.append("SchedulingDisabled")
    labels = obj["metadata"].get("labels") or {}
    roles = sorted(label.removeprefix(_ROLE) for label in labels if label.startswith(_ROLE))
    info = status.get("nodeInfo") or {}
    addresses = {entry["type"]: entry["address"] for entry in reversed(status.get("addresses") or ())}
    return [
        name_of(obj),
        ",".join(state),
        ",".join(roles) or NONE,
        created(obj),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        *(info.get(key) or UNKNOWN for key in ("osImage", "kernelVersion", "containerRuntimeVersion")),
    ]


def _event(obj: Object) -> list[Any]:
    about, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    component = source.get("component") or obj.get("reportingComponent") or ""
    kind = about.get("kind", "").lower()
    return [
        age(obj.get("lastTimestamp") or first),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{about['name']}" if about.get("name") else kind,
        about.get("fieldPath", ""),
        f"{component}, {source['host']}" if source.get("host") else component,
        (obj.get("message") or "").strip(),
        age(first),
        obj.get("count") or 1,
        name_of(obj),
    ]


def _role_binding(obj: Object) -> list[Any]:
    role, subjects = obj["roleRef"], obj.get("subjects") or []
    named = {
        kind: ", ".join(
            f"{one.get('namespace', '')}/{one['name']}" if kind == "ServiceAccount" else one["name"]
            for one in subjects
            if one["kind"] == kind
        )
        for kind in ("User", "Group", "ServiceAccount")
    }
    return [name_of(obj), f"{role['kind']}/{role['name']}", created(obj), *named.values()]


def _three(second: Callable[[Object], Any]) -> Row:
    """A name, one thing, an age."""
    return lambda obj: [name_of(obj), second(obj), created(obj)]


def _count(*keys: str) -> Callable[[Object], str]:
    return lambda obj: str(sum(len(obj.get(key) or ()) for key in keys))


_TEMPLATE = "Containers, Images, Selector"
_PLAIN = Layout(
    _columns("Name, Created At:date"), lambda obj: [name_of(obj), obj["metadata"].get("creationTimestamp")]
)
_BINDINGS = Layout(_columns("Name, Role, Age", "Users, Groups, ServiceAccounts"), _role_binding)
_WEBHOOKS = Layout(_columns("Name, Webhooks:integer, Age"), _three(lambda obj: len(obj.get("webhooks") or ())))
_BUILT_IN: Mapping[str, Layout] = {
    "pods": Layout(
        _columns("Name, Ready, Status, Restarts, Age", "IP, Node, Nominated Node, Readiness Gates"), _pod
    ),
    "deployments.apps": Layout(_columns("Name, Ready, Up-to-date, Available, Age", _TEMPLATE), _deployment),
    "replicasets.apps": Layout(
        _columns("Name, Desired:integer, Current:integer, Ready:integer, Age", _TEMPLATE), _replica_set
    ),
    "jobs.batch": Layout(_columns("Name, Status, Completions, Duration, Age", _TEMPLATE), _job),
    "cronjobs.batch": Layout(
        _columns("Name, Schedule, Timezone, Suspend, Active:integer, Last Schedule, Age", _TEMPLATE), _cron_job
    ),
    "horizontalpodautoscalers.autoscaling": Layout(
        _columns("Name, Reference, Targets, MinPods, MaxPods, Replicas, Age"), _autoscaler
    ),
    "poddisruptionbudgets.policy": Layout(
        _columns("Name, Min Available, Max Unavailable, Allowed Disruptions:integer, Age"), _disruption_budget
    ),
    "services": Layout(_columns("Name, Type, Cluster-IP, External-IP, Port(s), Age", "Selector"), _service),
    "endpoints": Layout(_columns("Name, Endpoints, Age"), _endpoints),
    "endpointslices.discovery.k8s.io": Layout(
        _columns("Name, AddressType, Ports, Endpoints, Age"), _endpoint_slice
    ),
    "nodes": Layout(
        _columns(
            "Name, Status, Roles, Age, Version",
            "Internal-IP, External-IP, OS-Image, Kernel-Version, Container-Runtime",
        ),
        _node,
    ),
    "namespaces": Layout(_columns("Name, Status, Age"), _three(lambda obj: at(obj, "status", "phase") or "")),
    "events": Layout(
        [
            *_columns("Last Seen, Type, Reason, Object", "Subobject, Source"),
            *_columns("Message", "First Seen, Count, Name"),
        ],
        _event,
    ),
    "configmaps": Layout(_columns("Name, Data, Age"), _three(_count("data", "binaryData"))),
    "secrets": Layout(
        _columns("Name, Type, Data, Age"),
        lambda obj: [name_of(obj), obj.get("type", "Opaque"), _count("data")(obj), created(obj)],
    ),
    "serviceaccounts": Layout(_columns("Name, Secrets, Age"), _three(_count("secrets"))),
    "leases.coordination.k8s.io": Layout(
        _columns("Name, Holder, Age"), _three(lambda obj: at(obj, "spec", "holderIdentity") or "")
    ),
    "rolebindings.rbac.authorization.k8s.io": _BINDINGS,
    "clusterrolebindings.rbac.authorization.k8s.io": _BINDINGS,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _WEBHOOKS,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _WEBHOOKS,
}
