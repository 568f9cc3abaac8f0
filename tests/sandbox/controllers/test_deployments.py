from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.controllers.readiness import is_ready
from sandbox.core.cluster import Object

from .conftest import World

REVISION = "deployment.kubernetes.io/revision"


def set_image(image: str) -> Any:
    def change(deployment: Object) -> None:
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image

    return change


def scale_to(replicas: int) -> Any:
    def change(deployment: Object) -> None:
        deployment["spec"]["replicas"] = replicas

    return change


def condition(obj: Object, kind: str) -> Object:
    return next(one for one in obj["status"]["conditions"] if one["type"] == kind)


def sizes(world: World) -> dict[str, int]:
    """Sizes by the image of the template."""
    return {
        one["spec"]["template"]["spec"]["containers"][0]["image"]: one["spec"]["replicas"]
        for one in world.replica_sets()
    }


async def test_a_deployment_becomes_a_replica_set_becomes_pods(world: World) -> None:
    deployment = world.deploy(replicas=3)
    await world.until(world.is_complete)
    (replica_set,) = world.replica_sets()
    suffix = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{suffix}"
    assert replica_set["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": suffix}
    assert replica_set["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "web",
            "uid": deployment["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert len(world.pods(app="web")) == 3
    assert all(pod["metadata"]["name"].startswith(f"web-{suffix}-") for pod in world.pods())
    status = world.deployment()["status"]
    counted = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
    assert [status[name] for name in counted] == [3, 3, 3, 3, 1]
    assert condition(world.deployment(), "Available")["reason"] == "MinimumReplicasAvailable"
    assert condition(world.deployment(), "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert world.messages("ScalingReplicaSet") == [f"Scaled up replica set web-{suffix} from 0 to 3"]


@pytest.mark.parametrize(
    ("replicas", "rolling"),
    [(4, {}), (4, {"maxSurge": 0, "maxUnavailable": 1}), (5, {"maxSurge": 2, "maxUnavailable": 2}), (1, {})],
)
async def test_a_rolling_update_keeps_enough_pods_ready(
    world: World, replicas: int, rolling: dict[str, int]
) -> None:
    world.deploy(replicas=replicas, strategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    await world.until(world.is_complete)
    surge = rolling.get("maxSurge", 1)
    least = replicas - rolling.get("maxUnavailable", replicas // 4)
    seen: list[tuple[int, int]] = []

    def count() -> None:
        pods = world.pods()
        ready = sum(is_ready(pod) for pod in pods)
        seen.append((len(pods), ready))

    world.kubelet.watched.append(count)
    world.edit("deployments.apps", "web", set_image("web:2"))
    await world.until(world.is_complete)
    assert max(there for there, _ in seen) <= replicas + surge
    assert min(ready for _, ready in seen) >= least
    assert sizes(world) == {"web:1": 0, "web:2": replicas}


async def test_an_update_that_never_gets_ready_costs_nothing(world: World) -> None:
    world.deploy(replicas=3)
    await world.until(world.is_complete)
    world.kubelet.becomes_ready = lambda pod: pod["spec"]["containers"][0]["image"] == "web:1"
    world.edit("deployments.apps", "web", set_image("web:2"))
    await world.settled()
    assert sizes(world) == {"web:1": 3, "web:2": 1}
    assert world.deployment()["status"]["availableReplicas"] == 3
    assert condition(world.deployment(), "Available")["status"] == "True"
    assert condition(world.deployment(), "Progressing")["reason"] == "ReplicaSetUpdated"


async def test_a_stuck_rollout_is_told_after_its_deadline(world: World) -> None:
    world.kubelet.becomes_ready = lambda pod: False
    world.deploy(replicas=1, progressDeadlineSeconds=1)
    await world.settled()
    assert condition(world.deployment(), "Progressing")["status"] == "True"

    def long_ago(deployment: Object) -> None:
        condition(deployment, "Progressing")["lastUpdateTime"] = "2026-01-01T00:00:00Z"

    world.cluster.edit("deployments.apps", "default", "web", long_ago, manager="test", subresource="status")
    await world.settled()
    progressing = condition(world.deployment(), "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
    world.kubelet.becomes_ready = lambda pod: True
    world.kubelet.look_again()
    await world.until(world.is_complete)
    assert condition(world.deployment(), "Progressing")["reason"] == "NewReplicaSetAvailable"


async def test_an_earlier_template_is_the_newest_revision_again(world: World) -> None:
    world.deploy(replicas=2)
    await world.until(world.is_complete)
    for image in ("web:2", "web:1"):
        world.edit("deployments.apps", "web", set_image(image))
        await world.until(world.is_complete)
    revisions = {
        one["spec"]["template"]["spec"]["containers"][0]["image"]: one["metadata"]["annotations"]
        for one in world.replica_sets()
    }
    assert {image: noted[REVISION] for image, noted in revisions.items()} == {"web:1": "3", "web:2": "2"}
    assert revisions["web:1"]["deployment.kubernetes.io/revision-history"] == "1"
    assert world.deployment()["metadata"]["annotations"][REVISION] == "3"
    assert sizes(world) == {"web:1": 2, "web:2": 0}


async def test_the_change_cause_goes_with_the_revision(world: World) -> None:
    world.deploy()
    await world.until(world.is_complete)

    def because(deployment: Object) -> None:
        set_image("web:2")(deployment)
        deployment["metadata"].setdefault("annotations", {})["kubernetes.io/change-cause"] = "why not"

    world.edit("deployments.apps", "web", because)
    await world.until(world.is_complete)
    causes = {
        one["metadata"]["annotations"][REVISION]: one["metadata"]["annotations"].get("kubernetes.io/change-cause")
        for one in world.replica_sets()
    }
    assert causes == {"1": None, "2": "why not"}


async def test_old_revisions_are_forgotten_beyond_the_limit(world: World) -> None:
    world.deploy(revisionHistoryLimit=2)
    await world.until(world.is_complete)
    for number in range(2, 7):
        world.edit("deployments.apps", "web", set_image(f"web:{number}"))
        await world.until(world.is_complete)
    await world.settled()
    assert sorted(sizes(world)) == ["web:4", "web:5", "web:6"]


async def test_a_paused_deployment_scales_but_does_not_roll(world: World) -> None:
    world.deploy(replicas=1)
    await world.until(world.is_complete)

    def pause(deployment: Object) -> None:
        deployment["spec"]["paused"] = True
        deployment["spec"]["replicas"] = 2
        set_image("web:2")(deployment)

    world.edit("deployments.apps", "web", pause)
    await world.settled()
    assert sizes(world) == {"web:1": 2}
    assert condition(world.deployment(), "Progressing")["reason"] == "DeploymentPaused"

    def resume(deployment: Object) -> None:
        deployment["spec"]["paused"] = False

    world.edit("deployments.apps", "web", resume)
    await world.until(world.is_complete)
    assert sizes(world) == {"web:1": 0, "web:2": 2}


async def test_scaling_in_the_middle_of_a_rollout_scales_both(world: World) -> None:
    world.deploy(replicas=4, strategy={"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}})
    await world.until(world.is_complete)
    world.kubelet.becomes_ready = lambda pod: pod["spec"]["containers"][0]["image"] == "web:1"
    world.edit("deployments.apps", "web", set_image("web:2"))
    await world.settled()
    assert sizes(world) == {"web:1": 4, "web:2": 2}
    world.edit("deployments.apps", "web", scale_to(10))
    await world.settled()
    assert sizes(world) == {"web:1": 8, "web:2": 4}
    world.kubelet.becomes_ready = lambda pod: True
    world.kubelet.look_again()
    await world.until(world.is_complete)
    assert sizes(world) == {"web:1": 0, "web:2": 10}


async def test_to_none_and_back(world: World) -> None:
    world.deploy(replicas=2)
    await world.until(world.is_complete)
    world.edit("deployments.apps", "web", scale_to(0))
    await world.until(lambda: not world.cluster.list("pods"))
    await world.settled()
    assert world.deployment()["status"].get("replicas") is None
    world.edit("deployments.apps", "web", scale_to(1))
    await world.until(world.is_complete)


async def test_recreate_waits_until_the_last_old_pod_is_gone(world: World) -> None:
    world.deploy(replicas=2, strategy={"type": "Recreate"})
    await world.until(world.is_complete)
    world.kubelet.lets_go = lambda pod: False
    world.edit("deployments.apps", "web", set_image("web:2"))
    await world.settled()
    assert sizes(world) == {"web:1": 0}
    assert world.pods() == []
    world.kubelet.lets_go = lambda pod: True
    world.kubelet.look_again()
    await world.until(world.is_complete)
    assert sizes(world) == {"web:1": 0, "web:2": 2}


async def test_available_means_ready_for_long_enough(world: World) -> None:
    world.deploy(replicas=1, minReadySeconds=30)
    pod = (await world.until(world.pods))[0]
    await world.settled()
    status = world.deployment()["status"]
    assert (status["readyReplicas"], status.get("availableReplicas")) == (1, None)
    since = (datetime.now(UTC) - timedelta(seconds=40)).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.kubelet.tell("default", pod["metadata"]["name"], ready=False)
    world.kubelet.tell("default", pod["metadata"]["name"], ready=True, since=since)
    await world.until(world.is_complete)


async def test_a_deployment_made_anew_adopts_what_was_orphaned(world: World) -> None:
    world.deploy(replicas=2)
    await world.until(world.is_complete)
    before = {pod["metadata"]["uid"] for pod in world.pods()}
    world.cluster.delete("deployments.apps", "default", "web", propagation="Orphan")
    await world.settled()
    assert world.cluster.find("deployments.apps", "default", "web") is None
    assert "ownerReferences" not in world.replica_sets()[0]["metadata"]
    world.deploy(replicas=2)
    await world.until(world.is_complete)
    assert {pod["metadata"]["uid"] for pod in world.pods()} == before
    assert len(world.replica_sets()) == 1


async def test_deleted_and_made_again_at_once(world: World) -> None:
    """The name of the replica set is still taken by the one on its way out."""
    world.deploy(replicas=1)
    await world.until(world.is_complete)
    old = world.pods()[0]["metadata"]["uid"]
    world.cluster.delete("deployments.apps", "default", "web")
    world.deploy(replicas=1)
    await world.until(world.is_complete)
    await world.settled()
    assert [pod["metadata"]["uid"] == old for pod in world.cluster.list("pods")] == [False]


async def test_a_refused_pod_is_told_and_tried_again(world: World) -> None:
    deployment = world.deploy()
    world.cluster.delete("deployments.apps", "default", "web")
    await world.settled()
    template = deployment["spec"]["template"]
    template["spec"]["serviceAccountName"] = "reviews"
    world.deploy(template=template)
    await world.until(lambda: world.messages("FailedCreate"))
    (replica_set,) = world.replica_sets()
    why = 'error looking up service account default/reviews: serviceaccount "reviews" not found'
    told = f'Error creating: pods "{replica_set["metadata"]["name"]}-" is forbidden: {why}'
    assert world.messages("FailedCreate") == [told]
    failure = await world.until(
        lambda: [one for one in world.deployment()["status"]["conditions"] if one["type"] == "ReplicaFailure"]
    )
    assert failure[0]["reason"] == "FailedCreate"
    world.create("serviceaccounts", {"metadata": {"name": "reviews", "namespace": "default"}})
    await world.until(world.is_complete)
    assert [one["type"] for one in world.deployment()["status"]["conditions"]] == ["Available", "Progressing"]
