"""A pod's status as its node sees it: phase, conditions and the state of its containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.core.cluster import Object
from sandbox.core.objects import timestamp

if TYPE_CHECKING:
    from sandbox.node.pod_run import PodRun


def pod_status(run: PodRun, live: Object) -> dict[str, Any]:
    """The status to write; what the API server and the scheduler said (qosClass, PodScheduled) stays."""
    old = live.get("status") or {}
    phase = _phase(run)
    status = {
        **old,
        "phase": phase,
        "hostIP": run.host_ip,
        "hostIPs": [{"ip": run.host_ip}],
        "podIP": run.ip,
        "podIPs": [{"ip": run.ip}],
        "startTime": run.started_at,
        "conditions": _conditions(run, phase, old.get("conditions") or []),
        "containerStatuses": [one.status() for one in run.containers],
    }
    if run.init:
        status["initContainerStatuses"] = [
            {**one.status(), "ready": one.ready or (one.exit_code == 0 and not one.is_sidecar)} for one in run.init
        ]
    return status


def _phase(run: PodRun) -> str:
    sidecars = [one for one in run.init if one.is_sidecar]
    failed = any(one.exit_code for one in run.init if one not in sidecars)
    if failed and run.pod["spec"].get("restartPolicy") == "Never":
        return "Failed"
    if not run.initialized or all("waiting" in one.state and not one.last_state for one in run.containers):
        return "Pending"
    policy = run.pod["spec"].get("restartPolicy", "Always")
    codes = [one.exit_code for one in run.containers]
    if any(one.running for one in sidecars):
        return "Running"
    if None in codes or (policy != "Never" and not run.terminating and (policy == "Always" or any(codes))):
        return "Running"
    return "Failed" if any(codes) else "Succeeded"


def _conditions(run: PodRun, phase: str, old: list[Object]) -> list[Object]:
    unready = [one.name for one in run.containers if not one.ready]
    sidecars = [one.name for one in run.init if one.is_sidecar and not one.ready]
    containers = (
        _unready("ContainersNotReady", [*sidecars, *unready]) if unready or sidecars else {"status": "True"}
    )
    if phase in ("Succeeded", "Failed"):
        containers = {"status": "False", "reason": "PodCompleted" if phase == "Succeeded" else "PodFailed"}
    ready = {"status": "False", "reason": "PodTerminating"} if run.terminating else containers
    unfinished = [one.name for one in run.init if one.exit_code != 0 and not one.serving.is_set()]
    initialized = {"status": "True"}
    if not run.initialized:
        initialized = {
            "status": "False",
            "reason": "ContainersNotInitialized",
            "message": f"containers with incomplete status: [{' '.join(unfinished)}]",
        }
    generation = run.pod["metadata"].get("generation")
    wanted = {
        "PodReadyToStartContainers": {"status": "True"},
        "Initialized": initialized,
        "Ready": ready,
        "ContainersReady": containers,
    }
    known = {condition["type"]: condition for condition in old}
    conditions = []
    for kind, state in wanted.items():
        before = known.pop(kind, {})
        since = before.get("lastTransitionTime") if before.get("status") == state["status"] else None
        condition = {"type": kind, **state, "lastProbeTime": None, "lastTransitionTime": since or timestamp()}
        if generation:
            condition["observedGeneration"] = generation
        conditions.append(condition)
    return [*conditions, *known.values()]


def _unready(reason: str, names: list[str]) -> dict[str, str]:
    return {"status": "False", "reason": reason, "message": f"containers with unready status: [{' '.join(names)}]"}
