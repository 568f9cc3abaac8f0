"""Jobs and CronJobs by the real controllers. What they do is Kubernetes' (pkg/controller/job and cronjob)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.api.writer import DeleteOptions, delete
from sandbox.controllers import cron_jobs, jobs
from sandbox.controllers.unsupported_fields import require_support
from sandbox.core.cluster import ApiError, Object

from .conftest import World

TEMPLATE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "curl:1"}]}}


def make(world: World, name: str = "pi", **spec: Any) -> Object:
    return world.create(
        jobs.RESOURCE, {"metadata": {"name": name, "namespace": "default"}, "spec": {"template": TEMPLATE, **spec}}
    )


def job(world: World, name: str = "pi") -> Object:
    return world.cluster.get(jobs.RESOURCE, "default", name)


def end(world: World, pod: Object, phase: str) -> None:
    def change(changed: Object) -> None:
        changed["status"]["phase"] = phase
        ended = {"terminated": {"exitCode": 0, "finishedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}}
        changed["status"]["containerStatuses"] = [{"name": "main", "state": ended}]
        changed["status"]["conditions"] = []

    world.cluster.edit("pods", "default", pod["metadata"]["name"], change, manager="kubelet", subresource="status")


def running(world: World) -> list[Object]:
    return [pod for pod in world.pods() if pod["status"]["phase"] == "Running"]


def conditions(found: Object) -> list[tuple[str, str, str]]:
    return [(one["type"], one["status"], one["reason"]) for one in found["status"].get("conditions") or ()]


@pytest.fixture(autouse=True)
def _ended_pods_stay_so(world: World) -> None:
    look = world.kubelet.look

    def look_unless_ended(pod: Object) -> None:
        """By what it is now: news of what it was come later."""
        live = world.cluster.find("pods", "default", pod["metadata"]["name"]) or pod
        if live["status"]["phase"] not in ("Succeeded", "Failed") or live["metadata"].get("deletionTimestamp"):
            look(pod)

    world.kubelet.look = look_unless_ended  # type: ignore[method-assign]


async def test_as_many_pods_as_completions_and_no_more_at_a_time_than_parallelism(world: World) -> None:
    made = make(world, completions=3, parallelism=2)
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    for left in (2, 2, 1):
        await world.until(lambda left=left: len(running(world)) == left)  # type: ignore[misc]
        await world.settled()
        assert len(running(world)) == left
        end(world, running(world)[0], "Succeeded")
    await world.until(lambda: jobs.finished(job(world)))
    await world.settled()
    status = job(world)["status"]
    assert (status["succeeded"], status.get("active"), status.get("failed")) == (3, None, None)
    assert conditions(job(world)) == [
        ("SuccessCriteriaMet", "True", "CompletionsReached"),
        ("Complete", "True", "CompletionsReached"),
    ]
    assert world.messages("Completed") == ["Job completed"]
    assert len(world.messages("SuccessfulCreate")) == 3
    assert all("finalizers" not in pod["metadata"] for pod in world.pods())


async def test_without_completions_one_success_is_enough_and_the_others_may_end(world: World) -> None:
    make(world, parallelism=2)
    await world.until(lambda: len(running(world)) == 2)
    end(world, running(world)[0], "Succeeded")
    await world.settled()
    assert not jobs.finished(job(world))
    assert len(world.pods()) == 2
    end(world, running(world)[0], "Failed")
    await world.until(lambda: jobs.finished(job(world)) == jobs.COMPLETE)


async def test_a_pod_that_fails_is_replaced_after_a_pause_until_the_limit(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(jobs, "FIRST_PAUSE", 0.02)
    make(world, backoffLimit=1)
    for _ in range(2):
        await world.until(lambda: running(world))
        end(world, running(world)[0], "Failed")
        await world.until(lambda: not running(world))
    await world.until(lambda: jobs.finished(job(world)) == jobs.FAILED)
    await world.settled()
    assert conditions(job(world)) == [
        ("FailureTarget", "True", "BackoffLimitExceeded"),
        ("Failed", "True", "BackoffLimitExceeded"),
    ]
    assert job(world)["status"]["failed"] == 2
    assert world.messages("BackoffLimitExceeded") == ["Job has reached the specified backoff limit"]


async def test_the_pause_doubles_from_ten_seconds_on() -> None:
    now = datetime.now(UTC).timestamp()
    pauses = [jobs._Failures(count, now).pause() for count in (0, 1, 2, 3, 7, 40)]
    assert [round(pause) for pause in pauses] == [0, 10, 20, 40, 600, 600]


async def test_a_pod_somebody_deletes_counts_as_failed_once(world: World) -> None:
    make(world, backoffLimit=0)
    await world.until(lambda: running(world))
    world.cluster.delete("pods", "default", running(world)[0]["metadata"]["name"])
    await world.until(lambda: jobs.finished(job(world)) == jobs.FAILED)
    assert job(world)["status"]["failed"] == 1


async def test_a_deadline_ends_what_runs(world: World) -> None:
    make(world, activeDeadlineSeconds=0, parallelism=2, completions=2)
    await world.until(lambda: jobs.finished(job(world)) == jobs.FAILED)
    assert conditions(job(world))[-1] == ("Failed", "True", "DeadlineExceeded")
    assert world.pods() == []


async def test_restarts_of_containers_count_where_the_node_restarts_them(world: World) -> None:
    spec = {**TEMPLATE["spec"], "restartPolicy": "OnFailure"}
    make(world, backoffLimit=2, template={"spec": spec})
    await world.until(lambda: running(world))
    name = running(world)[0]["metadata"]["name"]

    def restart(changed: Object) -> None:
        changed["status"]["containerStatuses"] = [{"name": "main", "restartCount": 2}]

    world.cluster.edit("pods", "default", name, restart, manager="kubelet", subresource="status")
    await world.until(lambda: jobs.finished(job(world)) == jobs.FAILED)


async def test_a_suspended_job_has_no_pods_until_it_is_resumed(world: World) -> None:
    make(world, suspend=True)
    await world.settled()
    assert world.pods() == []
    assert "startTime" not in job(world)["status"]
    assert conditions(job(world)) == [("Suspended", "True", "JobSuspended")]

    def resume(changed: Object) -> None:
        changed["spec"]["suspend"] = False

    world.edit(jobs.RESOURCE, "pi", resume)
    await world.until(lambda: running(world))
    assert conditions(job(world)) == [("Suspended", "False", "JobResumed")]
    assert job(world)["status"]["startTime"]


async def test_a_job_that_is_over_goes_when_its_time_is_up_and_its_pods_with_it(world: World) -> None:
    make(world, ttlSecondsAfterFinished=0)
    await world.until(lambda: running(world))
    end(world, running(world)[0], "Succeeded")
    await world.until(lambda: not world.cluster.list(jobs.RESOURCE, "default") and not world.cluster.list("pods"))


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
async def test_a_deleted_job_leaves_no_pod_held_back(world: World, propagation: Any) -> None:
    make(world)
    await world.until(lambda: running(world))
    world.cluster.delete(jobs.RESOURCE, "default", "pi", propagation=propagation)
    await world.until(lambda: not world.cluster.list(jobs.RESOURCE, "default"))
    await world.settled()
    left = world.cluster.list("pods", "default")
    assert len(left) == (propagation == "Orphan")
    assert all("finalizers" not in pod["metadata"] and "ownerReferences" not in pod["metadata"] for pod in left)


async def test_a_job_deleted_without_a_word_about_its_pods_leaves_them(world: World) -> None:
    """As batch/v1 has always had it; kubectl says a word."""
    make(world)
    await world.until(lambda: running(world))
    kind = world.cluster.registry.by_key(jobs.RESOURCE)
    delete(world.cluster.writer, kind, job(world), DeleteOptions())
    await world.until(lambda: not world.cluster.list(jobs.RESOURCE, "default"))
    await world.settled()
    assert len(running(world)) == 1


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    (
        {"completionMode": "Indexed", "completions": 2},
        403,
        "spec.completionMode: Indexed: not supported by the sandbox",
    ),
    ({"podReplacementPolicy": "Failed"}, 403, "spec.podReplacementPolicy: Failed: not supported by the sandbox"),
    ({"podFailurePolicy": {"rules": []}}, 403, "spec.podFailurePolicy: not supported by the sandbox"),
    ({"manualSelector": True}, 403, "spec.manualSelector: not supported by the sandbox"),
    (
        {"template": {"spec": {"containers": TEMPLATE["spec"]["containers"]}}},
        422,
        'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
    ),
    ({"backoffLimit": -1}, 422, "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
    (
        {"selector": {"matchLabels": {"app": "other"}}},
        422,
        "`selector` does not match template `labels`",
    ),
]


@pytest.mark.parametrize(("spec", "code", "why"), REFUSED)
def test_what_is_not_done_is_refused_by_name(spec: dict[str, Any], code: int, why: str) -> None:
    world = World()
    world.cluster.admission.append(require_support)
    with pytest.raises(ApiError) as refused:
        make(world, **spec)
    assert refused.value.code == code
    assert why in refused.value.message


# CronJobs


def cron_job(schedule: str = "*/5 * * * *", created: str = "2026-11-29T02:02:00Z", **spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": "tick"}}, "spec": {"template": TEMPLATE}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick", "namespace": "default", "uid": "u", "creationTimestamp": created},
        "spec": {"schedule": schedule, "jobTemplate": template, **spec},
    }


DUE = [
    ("2026-11-29T02:04:59", {}, {}, None),
    ("2026-11-29T02:05:00", {}, {}, "02:05"),
    ("2026-11-29T03:17:00", {}, {}, "03:15"),  # the latest of all that were missed
    ("2026-11-29T03:17:00", {"lastScheduleTime": "2026-11-29T03:15:00Z"}, {}, None),
    ("2026-11-29T03:17:00", {}, {"startingDeadlineSeconds": 60}, None),
    ("2026-11-29T03:17:00", {}, {"startingDeadlineSeconds": 180}, "03:15"),
]


@pytest.mark.parametrize(("now", "status", "spec", "due"), DUE)
def test_when_a_job_is_due(now: str, status: Object, spec: Any, due: str | None) -> None:
    wanted = cron_job(**spec)
    schedule = cron_jobs.cron.parse(wanted["spec"]["schedule"])
    found = cron_jobs._due(wanted, status, schedule, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert (found and f"{found:%H:%M}") == due


def test_the_job_of_a_time() -> None:
    when = datetime(2026, 11, 29, 2, 5, tzinfo=UTC)
    made = cron_jobs.job_at(cron_job(timeZone="Europe/Berlin"), when)
    assert made["metadata"]["name"] == f"tick-{int(when.timestamp()) // 60}"
    assert made["metadata"]["labels"] == {"app": "tick"}
    assert made["metadata"]["annotations"] == {
        "batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-11-29T03:05:00+01:00"
    }
    assert made["metadata"]["ownerReferences"][0]["kind"] == "CronJob"


async def test_a_schedule_makes_jobs_and_keeps_the_last_few(world: World) -> None:
    wanted = {"schedule": "@every 1s", "successfulJobsHistoryLimit": 0}
    made = cron_job(**wanted)
    del made["metadata"]["uid"], made["metadata"]["creationTimestamp"]
    world.create(cron_jobs.RESOURCE, made)
    await world.until(lambda: running(world))
    active = world.cluster.get(cron_jobs.RESOURCE, "default", "tick")["status"]["active"]
    assert [one["name"] for one in active] == [one["metadata"]["name"] for one in world.cluster.list(jobs.RESOURCE)]

    def suspend(changed: Object) -> None:
        changed["spec"]["suspend"] = True

    world.edit(cron_jobs.RESOURCE, "tick", suspend)
    await world.settled()
    for pod in running(world):
        end(world, pod, "Succeeded")
    await world.until(lambda: not world.cluster.list(jobs.RESOURCE))
    status = world.cluster.get(cron_jobs.RESOURCE, "default", "tick")["status"]
    assert "active" not in status
    assert status["lastSuccessfulTime"]
    assert world.messages("SawCompletedJob")


POLICIES = [("Allow", 2), ("Forbid", 1), ("Replace", 1)]


@pytest.mark.parametrize(("policy", "left"), POLICIES)
async def test_what_becomes_of_a_job_that_still_runs(world: World, policy: str, left: int) -> None:
    made = cron_job("0 0 1 1 *", concurrencyPolicy=policy)
    made = world.create(cron_jobs.RESOURCE, {**made, "metadata": {"name": "tick", "namespace": "default"}})
    controller = cron_jobs.CronJobs(world.cluster)
    status: Object = {}
    first = datetime.now(UTC).replace(second=0, microsecond=0)
    controller._start_at(made, status, first)
    controller._start_at(made, status, first + timedelta(minutes=1))
    assert len(status["active"]) == left
    later = f"tick-{int(first.timestamp()) // 60 + 1}"
    assert (later in {one["name"] for one in status["active"]}) == (policy != "Forbid")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            {"schedule": "61 * * * *"},
            'spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61',
        ),
        ({"schedule": "TZ=UTC 1 * * * *"}, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
        (
            {"schedule": "1 * * * *", "timeZone": "Mars/Base"},
            'spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base',
        ),
        (
            {"schedule": "1 * * * *", "concurrencyPolicy": "Some"},
            'spec.concurrencyPolicy: Unsupported value: "Some"',
        ),
    ],
)
def test_a_schedule_is_checked(spec: dict[str, Any], why: str) -> None:
    world = World()
    made = cron_job(**spec)
    with pytest.raises(ApiError) as refused:
        world.create(cron_jobs.RESOURCE, {**made, "metadata": {"name": "tick", "namespace": "default"}})
    assert why in refused.value.message
