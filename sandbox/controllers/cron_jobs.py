"""CronJobs: a Job for each time that a schedule names, and the last few of those that are over.

A time that has passed while nobody looked is made up for once, with the latest one; with `startingDeadlineSeconds`
only while that is not over. A Job's name is the CronJob's and the minute, so that no time has two.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sandbox.controllers import jobs, ownership
from sandbox.controllers.controller import MANAGER, Controller, NamespacedName, name_of, write_status
from sandbox.controllers.events import record
from sandbox.core import cron
from sandbox.core.cluster import ApiError, Cluster, Object, WatchEvent
from sandbox.core.objects import clone, terminating, timestamp

RESOURCE = "cronjobs.batch"
_SOURCE = "cronjob-controller"
_LATE = 0.1
"""Seconds after a time at which it is looked at, so that it has certainly come."""
_SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


class CronJobs(Controller[NamespacedName]):
    watches = (RESOURCE, jobs.RESOURCE)

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._managers = ownership.Managers()

    def keys(self, event: WatchEvent) -> Iterable[NamespacedName]:
        if event.resource == RESOURCE:
            return (name_of(event.object),)
        namespace = event.object["metadata"]["namespace"]
        return [(namespace, name) for name in self._managers.of(event, "CronJob")]

    def reconcile(self, key: NamespacedName) -> float | None:
        cron_job = self.cluster.find(RESOURCE, *key)
        if cron_job is None:
            return None
        status = clone(cron_job.get("status") or {})
        metadata = cron_job["metadata"]
        mine = self.cluster.list(jobs.RESOURCE, metadata["namespace"], manager=metadata["uid"])
        self._see(cron_job, status, mine)
        again = None
        try:
            if not terminating(cron_job) and not cron_job["spec"].get("suspend"):
                again = self._start(cron_job, status, datetime.now(UTC))
            self._forget(cron_job, status, mine)
        finally:
            if not status.get("active"):
                status.pop("active", None)
            write_status(self.cluster, RESOURCE, cron_job, status)
        return again

    def _see(self, cron_job: Object, status: Object, mine: list[Object]) -> None:
        """What has become of the Jobs that ran."""
        by_uid = {job["metadata"]["uid"]: job for job in mine}
        for reference in list(status.get("active") or ()):
            job = by_uid.get(reference["uid"])
            if job is None:
                said = f"Active job went missing: {reference['name']}"
                record(self.cluster, cron_job, "MissingJob", said, source=_SOURCE)
            elif kind := jobs.finished(job):
                said = f"Saw completed job: {reference['name']}, condition: {kind}"
                record(self.cluster, cron_job, "SawCompletedJob", said, source=_SOURCE)
            else:
                continue
            status["active"].remove(reference)
        ended = [(job.get("status") or {}).get("completionTime") for job in mine]
        if last := max(filter(None, (*ended, status.get("lastSuccessfulTime"))), default=None):
            status["lastSuccessfulTime"] = last

    def _start(self, cron_job: Object, status: Object, now: datetime) -> float | None:
        """Make the Job whose time has come. Returns when the next one's does."""
        spec = cron_job["spec"]
        schedule = cron.parse(spec["schedule"], spec.get("timeZone") or "UTC")
        due = _due(cron_job, status, schedule, now)
        if due is not None and due.isoformat() != _time(status.get("lastScheduleTime")):
            self._start_at(cron_job, status, due)
        following = schedule.next(now)
        return None if following is None else (following - now).total_seconds() + _LATE

    def _start_at(self, cron_job: Object, status: Object, due: datetime) -> None:
        policy = cron_job["spec"].get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and status.get("active"):
            said = "Not starting job because prior execution is running and concurrency policy is Forbid"
            record(self.cluster, cron_job, "JobAlreadyActive", said, source=_SOURCE)
            return
        if policy == "Replace":
            for reference in list(status.get("active") or ()):
                self._delete(cron_job, status, reference["name"])
        wanted = job_at(cron_job, due)
        if self.cluster.find(jobs.RESOURCE, *name_of(wanted)) is not None:
            return
        try:
            job = self.cluster.create(jobs.RESOURCE, wanted, manager=MANAGER)
        except ApiError as refusal:
            said = f"Error creating job: {refusal.message}"
            record(self.cluster, cron_job, "FailedCreate", said, "Warning", _SOURCE)
            raise
        record(self.cluster, cron_job, "SuccessfulCreate", f"Created job {name_of(job)[1]}", source=_SOURCE)
        metadata = job["metadata"]
        reference = {"apiVersion": job["apiVersion"], "kind": job["kind"]}
        reference |= {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
        status["active"] = [*(status.get("active") or ()), reference]
        status["lastScheduleTime"] = timestamp(due)

    def _forget(self, cron_job: Object, status: Object, mine: list[Object]) -> None:
        """Of the Jobs that are over, keep the last few."""
        for kind, field in (
            (jobs.COMPLETE, "successfulJobsHistoryLimit"),
            (jobs.FAILED, "failedJobsHistoryLimit"),
        ):
            over = sorted(
                (job for job in mine if jobs.finished(job) == kind),
                key=lambda job: (job["status"].get("startTime", ""), name_of(job)),
            )
            for job in over[: max(0, len(over) - cron_job["spec"][field])]:
                self._delete(cron_job, status, name_of(job)[1])

    def _delete(self, cron_job: Object, status: Object, name: str) -> None:
        self.cluster.delete(jobs.RESOURCE, cron_job["metadata"]["namespace"], name)
        status["active"] = [one for one in status.get("active") or () if one["name"] != name]
        record(self.cluster, cron_job, "SuccessfulDelete", f"Deleted job {name}", source=_SOURCE)


def _time(text: str | None) -> str:
    return datetime.fromisoformat(text).isoformat() if text else ""


def _due(cron_job: Object, status: Object, schedule: cron.Schedule, now: datetime) -> datetime | None:
    """The latest time that has come since the last one that was served, and that is not too late."""
    begun = status.get("lastScheduleTime") or cron_job["metadata"]["creationTimestamp"]
    earliest = datetime.fromisoformat(begun)
    if (deadline := cron_job["spec"].get("startingDeadlineSeconds")) is not None:
        earliest = max(earliest, now - timedelta(seconds=deadline))
    first = schedule.next(earliest)
    if first is None or first > now:
        return None
    second = schedule.next(first)
    if second is None or second > now:
        return first
    # As many as fit in between, so that a long absence is not gone through minute by minute.
    step = max(second - first, timedelta(seconds=1))
    latest, following = first, schedule.next(first + step * max(0, (now - first) // step - 1))
    while following is not None and following <= now:
        latest, following = following, schedule.next(following)
    return latest


def job_at(cron_job: Object, due: datetime) -> Object:
    """The Job of one time."""
    template, metadata = cron_job["spec"]["jobTemplate"], cron_job["metadata"]
    given = template.get("metadata") or {}
    zone = ZoneInfo(cron_job["spec"].get("timeZone") or "UTC")
    when = due.astimezone(zone).isoformat().replace("+00:00", "Z")
    return {
        "metadata": {
            "name": f"{metadata['name']}-{int(due.timestamp()) // 60}",
            "namespace": metadata["namespace"],
            **({"labels": clone(given["labels"])} if given.get("labels") else {}),
            "annotations": {**(given.get("annotations") or {}), _SCHEDULED: when},
            "ownerReferences": [ownership.reference_to(cron_job)],
        },
        "spec": clone(template["spec"]),
    }
