"""Jobs: pods of a template until enough of them have succeeded, or too many have failed.

Every pod holds a finalizer until its end has been counted, so that none is forgotten, whoever deletes it. What ends
a Job is told in two steps, as Kubernetes has it: first that it is decided (SuccessCriteriaMet, FailureTarget), and
when no pod runs any more, that it is over (Complete, Failed). A pod that fails under `restartPolicy: Never` is
replaced after a pause, which doubles from 10 s on; under OnFailure its node starts the container again, and the
restarts are counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox.controllers import ownership, readiness
from sandbox.controllers.controller import MANAGER, Controller, NamespacedName, name_of, seconds_since, write_status
from sandbox.controllers.events import record
from sandbox.controllers.replicasets import by_usefulness, make_pods, pod_from_template
from sandbox.core.cluster import ApiError, Cluster, Object, WatchEvent
from sandbox.core.objects import at, clone, controller_of, terminating, timestamp

RESOURCE = "jobs.batch"
FINALIZER = "batch.kubernetes.io/job-tracking"
COMPLETE, FAILED = "Complete", "Failed"
_DECIDED = {"SuccessCriteriaMet": COMPLETE, "FailureTarget": FAILED}
_SOURCE = "job-controller"
_AT_ONCE = 16
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0
"""Seconds until a pod that has failed is replaced (DefaultJobPodFailureBackOff, MaxJobPodFailureBackOff)."""


def finished(job: Object) -> str:
    """The condition by which it is over, empty while it is not."""
    return next((kind for kind in (COMPLETE, FAILED) if readiness.holds(job, kind)), "")


@dataclass(slots=True)
class _Failures:
    """Since the last pod that succeeded."""

    count: int = 0
    last: float = 0.0

    def pause(self) -> float:
        """Seconds that are left of it."""
        if not self.count:
            return 0.0
        whole = min(FIRST_PAUSE * 2.0 ** min(self.count - 1, 20), LONGEST_PAUSE)
        return max(0.0, whole - (datetime.now(UTC).timestamp() - self.last))


class Jobs(Controller[NamespacedName]):
    watches = (RESOURCE, "pods")

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._managers = ownership.Managers()
        self._in_a_row: dict[NamespacedName, _Failures] = {}

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        if event.resource == RESOURCE:
            return (name_of(event.object),)
        namespace = event.object["metadata"]["namespace"]
        return [(namespace, name) for name in self._managers.of(event, "Job")]

    def reconcile(self, key: NamespacedName) -> float | None:
        job = self.cluster.find(RESOURCE, *key)
        self._let_go(key, job)
        kind = finished(job) if job is not None else ""
        if job is None or kind:
            self._in_a_row.pop(key, None)
            return self._expire(job, kind) if job is not None else None
        return self._go_on(job)

    def _let_go(self, key: NamespacedName, job: Object | None) -> None:
        """Of pods whose Job is gone: nobody is going to count them."""
        namespace, name = key
        uid = job["metadata"]["uid"] if job is not None and not terminating(job) else None
        for pod in self.cluster.list("pods", namespace, {"batch.kubernetes.io/job-name": name}):
            owner = controller_of(pod)
            theirs = owner is not None and job is not None and owner["uid"] == job["metadata"]["uid"]
            if _is_tracked(pod) and not theirs and not (owner is None and uid is not None):
                self._release(pod)

    def _release(self, pod: Object) -> None:
        def change(changed: Object) -> None:
            metadata = changed["metadata"]
            metadata["finalizers"] = [one for one in metadata.get("finalizers") or () if one != FINALIZER]
            if not metadata["finalizers"]:
                del metadata["finalizers"]

        namespace, name = name_of(pod)
        self.cluster.edit("pods", namespace, name, change, manager=MANAGER)

    def _expire(self, job: Object, kind: str) -> float | None:
        """Delete what is over for as long as it says. Returns when to look again."""
        wait = job["spec"].get("ttlSecondsAfterFinished")
        if wait is None or terminating(job):
            return None
        over = readiness.condition(job, kind) or {}
        left = float(wait) - seconds_since(over["lastTransitionTime"])
        if left > 0:
            return left
        namespace, name = name_of(job)
        self.cluster.delete(RESOURCE, namespace, name, propagation="Foreground", uid=job["metadata"]["uid"])
        return None

    def _go_on(self, job: Object) -> float | None:
        pods = self._pods(job)
        status = clone(job.get("status") or {})
        suspended = bool(job["spec"].get("suspend"))
        if not suspended:
            status.setdefault("startTime", timestamp())
        self._note_failures(job, pods)
        decided = next((kind for kind in _DECIDED if readiness.holds(job, kind)), "") or self._failed(
            job, status, pods
        )
        again: float | None = None
        refusal: ApiError | None = None
        if decided:
            self._remove(job, [pod for pod in pods if readiness.is_active(pod)])
        elif not terminating(job):
            again, refusal = self._manage(job, status, pods)
            active = [pod for pod in self._pods(job) if readiness.is_active(pod)]
            if refusal is None and again is None and self._is_complete(job, _totals(status, pods)[0], active):
                decided = "SuccessCriteriaMet"
                said = "Reached expected number of succeeded pods"
                _tell(status, decided, "True", "CompletionsReached", said)
            else:
                self._tell_whether_suspended(job, status, suspended)
        self._report(job, status, decided)
        if refusal is not None:
            raise refusal
        if decided or suspended:
            return again
        return min((one for one in (again, _until_deadline(job, status)) if one is not None), default=None)

    def _pods(self, job: Object) -> list[Object]:
        return ownership.claim(self.cluster, job, "pods", job["spec"]["selector"], readiness.is_active)

    def _note_failures(self, job: Object, pods: list[Object]) -> None:
        row = self._in_a_row.setdefault(name_of(job), _Failures())
        for pod in sorted(filter(_has_news, pods), key=_ended_at):
            if readiness.phase(pod) == "Succeeded":
                row.count = 0
            else:
                row.count, row.last = row.count + 1, _ended_at(pod)

    def _failed(self, job: Object, status: Object, pods: list[Object]) -> str:
        """Decide that it has failed, if it has."""
        spec = job["spec"]
        limit = spec["backoffLimit"]
        if _totals(status, pods)[1] > limit or _restarted_too_often(spec, pods):
            reason, said = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        elif not spec.get("suspend") and (left := _until_deadline(job, status)) is not None and left <= 0:
            reason, said = "DeadlineExceeded", "Job was active longer than specified deadline"
        else:
            return ""
        _tell(status, "FailureTarget", "True", reason, said)
        return "FailureTarget"

    def _manage(self, job: Object, status: Object, pods: list[Object]) -> tuple[float | None, ApiError | None]:
        """Have as many pods run as there are to be; when to look again, and why one could not be made."""
        active = [pod for pod in pods if readiness.is_active(pod)]
        wanted = 0 if job["spec"].get("suspend") else _wanted(job["spec"], _totals(status, pods)[0], len(active))
        if len(active) > wanted:
            self._remove(job, by_usefulness(active)[: len(active) - wanted])
        elif missing := wanted - len(active):
            if pause := self._in_a_row[name_of(job)].pause():
                return pause, None
            refusal = self._make(job, min(missing, _AT_ONCE))
            return (0.0 if missing > _AT_ONCE else None), refusal
        return None, None

    def _make(self, job: Object, count: int) -> ApiError | None:
        pod = pod_from_template(job)
        pod["metadata"].setdefault("finalizers", []).append(FINALIZER)
        return make_pods(self.cluster, job, pod, count, _SOURCE)

    def _remove(self, job: Object, pods: list[Object]) -> None:
        for pod in pods:
            namespace, name = name_of(pod)
            self.cluster.delete("pods", namespace, name, uid=pod["metadata"]["uid"])
            record(self.cluster, job, "SuccessfulDelete", f"Deleted pod: {name}", source=_SOURCE)

    def _is_complete(self, job: Object, succeeded: int, active: list[Object]) -> bool:
        wanted = job["spec"].get("completions")
        return not active and (succeeded > 0 if wanted is None else succeeded >= wanted)

    def _tell_whether_suspended(self, job: Object, status: Object, suspended: bool) -> None:
        known = readiness.condition({"status": status}, "Suspended")
        if suspended and (known is None or known["status"] != "True"):
            _tell(status, "Suspended", "True", "JobSuspended", "Job suspended")
            status.pop("startTime", None)
            record(self.cluster, job, "Suspended", "Job suspended", source=_SOURCE)
        elif not suspended and known is not None and known["status"] != "False":
            _tell(status, "Suspended", "False", "JobResumed", "Job resumed")
            status["startTime"] = timestamp()
            record(self.cluster, job, "Resumed", "Job resumed", source=_SOURCE)

    def _report(self, job: Object, status: Object, decided: str) -> None:
        """Count what has ended, write the status, and let go of what is counted."""
        pods = self._pods(job)
        active = [pod for pod in pods if readiness.is_active(pod)]
        leaving = sum(terminating(pod) and not readiness.has_ended(pod) for pod in pods)
        counts = {"active": len(active), **dict(zip(("succeeded", "failed"), _totals(status, pods), strict=True))}
        for name, count in counts.items():
            status.pop(name, None)
            if count:
                status[name] = count
        status |= {"ready": sum(map(readiness.is_ready, active)), "terminating": leaving}
        status["uncountedTerminatedPods"] = {}
        over = _DECIDED[decided] if decided and not leaving and not active else ""
        if over:
            why = readiness.condition({"status": status}, decided) or {}
            _tell(status, over, "True", why["reason"], why["message"])
            if over == COMPLETE:
                status["completionTime"] = timestamp()
        write_status(self.cluster, RESOURCE, job, status)
        for pod in pods:
            if _has_news(pod):
                self._release(pod)
        if over == COMPLETE:
            record(self.cluster, job, "Completed", "Job completed", source=_SOURCE)
        elif over:
            record(self.cluster, job, why["reason"], why["message"], "Warning", _SOURCE)


def _tell(status: Object, kind: str, truth: str, reason: str, message: str) -> None:
    told = readiness.with_condition(
        status.get("conditions"), kind, truth, reason, message, lastProbeTime=timestamp()
    )
    status["conditions"] = told


def _is_tracked(pod: Object) -> bool:
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def _has_news(pod: Object) -> bool:
    """Whether its end has not been counted yet. One that is being deleted has failed, if it has not succeeded."""
    return _is_tracked(pod) and (readiness.has_ended(pod) or terminating(pod))


def _totals(status: Object, pods: list[Object]) -> tuple[int, int]:
    """How many have succeeded and failed, those included that are not counted in the status."""
    news = [readiness.phase(pod) == "Succeeded" for pod in pods if _has_news(pod)]
    succeeded = sum(news)
    return status.get("succeeded", 0) + succeeded, status.get("failed", 0) + len(news) - succeeded


def _wanted(spec: Object, succeeded: int, active: int) -> int:
    """How many are to run at the same time."""
    parallel: int = spec["parallelism"]
    if (completions := spec.get("completions")) is None:
        return active if succeeded else parallel
    left: int = completions - succeeded
    return max(0, min(left, parallel))


def _restarted_too_often(spec: Object, pods: list[Object]) -> bool:
    if spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts: int = sum(
        status.get("restartCount", 0)
        for pod in pods
        if not readiness.has_ended(pod)
        for field in ("initContainerStatuses", "containerStatuses")
        for status in (pod.get("status") or {}).get(field) or ()
    )
    limit: int = spec["backoffLimit"]
    return restarts >= max(1, limit)


def _until_deadline(job: Object, status: Object) -> float | None:
    limit, begun = job["spec"].get("activeDeadlineSeconds"), status.get("startTime")
    return None if limit is None or not begun else float(limit) - seconds_since(begun)


def _ended_at(pod: Object) -> float:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ended = [str(at(one, "state", "terminated", "finishedAt") or "") for one in statuses]
    if ended and all(ended):
        return max(datetime.fromisoformat(one).timestamp() for one in ended)
    return datetime.now(UTC).timestamp()
