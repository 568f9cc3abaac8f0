"""Rules of Jobs and CronJobs beyond their shape (pkg/apis/batch/validation/validation.go)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from sandbox.core import cron
from sandbox.core.cluster import Object
from sandbox.core.label_selectors import matches
from sandbox.schema import names
from sandbox.schema.findings import Cause, bad_value, not_negative, required
from sandbox.schema.kind_rules import containers

_FINISHED_POLICIES = ("OnFailure", "Never")
_LONGEST_CRON_JOB = 52
"""A CronJob's Jobs are named after it and the minute: eleven characters more."""
_ZONE_PART = re.compile(r"[A-Za-z.\-_0-9+]{1,14}")
_LABELS = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")


def job(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec, metadata = obj["spec"], obj["metadata"]
    selector = spec.get("selector") or {}
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    if not spec.get("manualSelector"):
        for name in _LABELS:
            wanted = metadata["uid"] if name.endswith("controller-uid") else metadata["name"]
            if labels.get(name) != wanted:
                detail = f"must be '{wanted}'"
                yield bad_value("spec.template.metadata.labels", labels, f"{name}: {detail}")
    yield from _job_spec(spec, "spec")
    if not selector:
        yield required("spec.selector")
    elif not matches(selector, labels):
        yield bad_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    if old is not None:
        for field in ("completions", "selector", "template", "completionMode"):
            if spec.get(field) != old["spec"].get(field):
                yield bad_value(f"spec.{field}", spec.get(field), "field is immutable")


def _job_spec(spec: Object, path: str) -> Iterator[Cause]:
    yield from not_negative(
        spec,
        path,
        *("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"),
    )
    template = spec.get("template") or {}
    metadata, pods = template.get("metadata") or {}, template.get("spec")
    yield from names.labels(metadata.get("labels") or {}, f"{path}.template.metadata.labels")
    yield from names.annotation_keys(metadata.get("annotations") or {}, f"{path}.template.metadata.annotations")
    if pods is None:
        yield required(f"{path}.template.spec.containers")
        return
    yield from containers(pods, f"{path}.template.spec")
    if pods.get("restartPolicy") not in _FINISHED_POLICIES:
        known = ", ".join(f'"{policy}"' for policy in _FINISHED_POLICIES)
        yield required(f"{path}.template.spec.restartPolicy", f"valid values: {known}")


def cron_job(obj: Object, old: Object | None) -> Iterator[Cause]:
    spec, name = obj["spec"], obj["metadata"].get("name", "")
    yield from _schedule(spec["schedule"])
    yield from not_negative(
        spec, "spec", "startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"
    )
    if (zone := spec.get("timeZone")) is not None:
        yield from _time_zone(zone)
    wanted = spec["jobTemplate"].get("spec") or {}
    yield from _job_spec(wanted, "spec.jobTemplate.spec")
    if wanted.get("selector") is not None:
        detail = "`selector` will be auto-generated"
        yield bad_value("spec.jobTemplate.spec.selector", wanted["selector"], detail)
    if old is None and len(name) > _LONGEST_CRON_JOB:
        yield bad_value("metadata.name", name, f"must be no more than {_LONGEST_CRON_JOB} characters")


def _schedule(text: str) -> Iterator[Cause]:
    if "TZ" in text:
        detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        yield bad_value("spec.schedule", text, detail)
        return
    try:
        cron.parse(text)
    except ValueError as error:
        yield bad_value("spec.schedule", text, str(error))


def _time_zone(zone: str) -> Iterator[Cause]:
    path = "spec.timeZone"
    if not zone:
        yield bad_value(path, zone, "timeZone must be nil or non-empty string")
    elif zone.lower() == "local":
        detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield bad_value(path, zone, detail)
    elif any(
        part in (".", "..") or part.startswith("-") or not _ZONE_PART.fullmatch(part) for part in zone.split("/")
    ):
        yield bad_value(path, zone, f"unknown time zone {zone}")
    else:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            yield bad_value(path, zone, f"unknown time zone {zone}")
