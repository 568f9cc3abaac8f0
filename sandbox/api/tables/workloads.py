"""Rows of pods and of what makes pods."""

from __future__ import annotations

from typing import Any

from sandbox.api.tables.columns import NONE, age, columns, created, selector
from sandbox.core.cluster import Object
from sandbox.core.objects import at, terminating


def _pod(obj: Object) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    reason, ready, restarts, last_restart = _pod_state(obj)
    total = len(spec.get("containers") or ()) + len(_sidecars(spec))
    shown = f"{restarts} ({age(last_restart)} ago)" if restarts and last_restart else str(restarts)
    gates = [gate["conditionType"] for gate in spec.get("readinessGates") or ()]
    passed = sum(_condition(status, gate) == "True" for gate in gates)
    return [
        obj["metadata"]["name"],
        f"{ready}/{total}",
        reason,
        shown,
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
    sidecars = _sidecars(spec)
    counted = [
        container for container in status.get("initContainerStatuses") or () if container["name"] in sidecars
    ]
    containers = status.get("containerStatuses") or []
    restarts = sum(container.get("restartCount", 0) for container in [*counted, *containers])
    last = max((_last_end(container) for container in [*counted, *containers]), default="")
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
    return {
        container["name"]
        for container in spec.get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }


def _last_end(container: Object) -> str:
    return at(container, "lastState", "terminated", "finishedAt") or ""


def _ending(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode')}"


def _condition(status: Object, kind: str) -> str:
    found = (c.get("status", "") for c in status.get("conditions") or () if c.get("type") == kind)
    return str(next(found, ""))


def _template(obj: Object) -> list[Any]:
    containers = at(obj, "spec", "template", "spec", "containers") or []
    return [
        ",".join(container.get("name", "") for container in containers),
        ",".join(container.get("image", "") for container in containers),
        selector(obj["spec"].get("selector")),
    ]


def _deployment(obj: Object) -> list[Any]:
    status = obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{obj['spec'].get('replicas', 1)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        created(obj),
        *_template(obj),
    ]


def _replica_set(obj: Object) -> list[Any]:
    status = obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        obj["spec"].get("replicas", 1),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        created(obj),
        *_template(obj),
    ]


def _autoscaler(obj: Object) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    current = status.get("currentMetrics") or []
    metrics = [_metric(metric, at(current, index) or {}) for index, metric in enumerate(spec.get("metrics") or ())]
    shown = ", ".join(metrics[:2]) or NONE
    if len(metrics) > 2:
        shown += f" + {len(metrics) - 2} more..."
    target = spec.get("scaleTargetRef") or {}
    return [
        obj["metadata"]["name"],
        f"{target.get('kind')}/{target.get('name')}",
        shown,
        str(spec.get("minReplicas", "<unset>")),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        created(obj),
    ]


def _metric(metric: Object, current: Object) -> str:
    """What is measured against what is wanted; the sandbox has no metrics, so mostly the latter."""
    source = metric["type"][:1].lower() + metric["type"][1:]
    wanted = at(metric, source, "target") or {}
    is_now = at(current, source, "current") or {}
    name = at(metric, source, "name")
    if "averageUtilization" in wanted:
        now = f"{is_now['averageUtilization']}%" if "averageUtilization" in is_now else "<unknown>"
        text = f"{now}/{wanted['averageUtilization']}%"
    else:
        field = "averageValue" if "averageValue" in wanted else "value"
        text = f"{is_now.get(field, '<unknown>')}/{wanted.get(field, '<auto>')}"
    return f"{name}: {text}" if name else text


def _disruption_budget(obj: Object) -> list[Any]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        at(obj, "status", "disruptionsAllowed") or 0,
        created(obj),
    ]


PODS = (
    columns(
        *("Name", "Ready", "Status", "Restarts", "Age"),
        wide=("IP", "Node", "Nominated Node", "Readiness Gates"),
    ),
    _pod,
)
_TEMPLATE = ("Containers", "Images", "Selector")
DEPLOYMENTS = (columns("Name", "Ready", "Up-to-date", "Available", "Age", wide=_TEMPLATE), _deployment)
REPLICA_SETS = (
    columns("Name", "Desired:integer", "Current:integer", "Ready:integer", "Age", wide=_TEMPLATE),
    _replica_set,
)
AUTOSCALERS = (
    columns("Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"),
    _autoscaler,
)
DISRUPTION_BUDGETS = (
    columns("Name", "Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age"),
    _disruption_budget,
)
