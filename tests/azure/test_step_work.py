"""What the steps of the azure labs do, and what they leave alone."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from typing import Any

import msgspec
import pytest

from tests.kit.azure import SUBSCRIPTION, Arm, Session, change, lab_of, twice
from tests.kit.engine import FakeGuard
from workshop.azure import azure_steps as steps
from workshop.azure.cluster import Cluster
from workshop.azure.network import Network
from workshop.azure.registry import Image
from workshop.runbook.checking import check
from workshop.runbook.errors import UsageError, WorkshopError
from workshop.runbook.events import NeedsConverged
from workshop.runbook.plan import explain
from workshop.runbook.request import Request

# From nothing to two clusters, again, changed, and away.


async def test_from_nothing_every_resource_is_put_once(arm: Arm, session: Session) -> None:
    outcomes = await session.converge()
    assert set(outcomes) <= {"changed", "unchanged"}
    puts = arm.sent("PUT")
    assert len(puts) == 13
    assert not twice(puts)
    assert not arm.sent("POST", "DELETE", "PATCH")


async def test_a_second_run_is_all_unchanged_with_only_gets(arm: Arm, session: Session) -> None:
    await session.start_converged()
    arm.clear()
    assert set(await session.converge()) == {"unchanged"}
    assert {each["method"] for each in arm.requests()} == {"GET"}


async def test_a_changed_node_count_is_one_put(arm: Arm, session: Session) -> None:
    await session.start_converged()
    arm.clear()
    change(session, nodes={"count": 2})
    await session.converge("azure.aks")
    assert session.changed == ["Cluster"]
    assert arm.sent("PUT", "POST", "PATCH", "DELETE") == ["PUT mesh-workshop/primary"]


# What changes when the profile does: one PUT that keeps everything else, or a refusal of what cannot change.

WORKSPACE = (
    "/subscriptions/0ba4e8a4-4a5c-4f3e-9a0e-5d6c3c1f8e11/resourceGroups/logs"
    "/providers/Microsoft.OperationalInsights/workspaces/w"
)


def cluster(arm: Arm, session: Session) -> dict[str, Any]:
    body: dict[str, Any] = arm.cloud.resources[Cluster(session.azure).id.lower()].body
    return body


async def test_a_change_keeps_the_tags_of_others_whatever_their_names(arm: Arm, session: Session) -> None:
    await session.start_converged()
    theirs = {"status": "prod", "clientId": "42", "owner": "me"}
    cluster(arm, session)["tags"] |= theirs
    change(session, nodes={"count": 2})
    await session.converge("azure.aks")
    assert theirs.items() <= cluster(arm, session)["tags"].items()


@pytest.mark.parametrize(
    ("lab", "changed", "said"),
    [
        ("azure.aks", {"pods": {"mode": "node-subnet"}}, "it is 'overlay', wanted is 'node-subnet'"),
        ("azure.aks", {"kubernetes": "1.35"}, "wanted is '1.35'"),
        ("azure.aks", {"nodes": {"pool": "other"}}, "it is 'akssyspool', wanted is 'other'"),
        ("azure.vnet", {"network": {"subnet": "other"}}, "it is 'aks-subnet', wanted is 'other'"),
    ],
)
async def test_what_azure_would_reject_is_refused_before_it_is_asked(
    arm: Arm, session: Session, lab: str, changed: dict[str, Any], said: str
) -> None:
    await session.start_converged()
    change(session, **changed)
    arm.clear()
    assert await session.run(lab) == 2
    error = session.errors[0]
    assert isinstance(error, UsageError)
    assert said in error.came_back
    assert {each["method"] for each in arm.requests()} == {"GET"}


async def test_a_subnet_with_addresses_of_its_own_is_added(arm: Arm, session: Session) -> None:
    change(session, network={"subnet_prefix": "10.240.0.0/24"})
    await session.converge("azure.vnet")
    change(session, network={"subnet": "other", "subnet_prefix": "10.240.1.0/24"})
    arm.clear()
    await session.converge("azure.vnet")
    assert sorted(arm.sent("PUT")) == ["PUT mesh-workshop-secondary/aks-vnet", "PUT mesh-workshop/aks-vnet"]


async def test_monitoring_goes_on_and_off_with_one_put_each(arm: Arm, session: Session) -> None:
    await session.start_converged()
    for on in (True, False):
        change(session, monitoring=on, workspace=WORKSPACE)
        arm.clear()
        await session.converge("azure.aks")
        assert arm.sent("PUT") == ["PUT mesh-workshop/primary"]
        assert cluster(arm, session)["properties"]["addonProfiles"]["omsagent"]["enabled"] is on
        assert set(await session.converge("azure.aks")) == {"unchanged"}


async def test_what_is_being_deleted_is_planned_as_made_anew(arm: Arm, session: Session) -> None:
    await session.start_converged()
    arm.set(durations={"managedClusters": 600.0})
    azure = session.azure
    azure.clusters().managed_clusters.begin_delete("mesh-workshop", "primary")
    planned = await session.plan("azure.aks")
    (step,) = [each for lab in planned.labs for each in lab.steps if each.title == "Cluster"]
    (difference,) = step.check.differences  # type: ignore[union-attr]
    assert (difference.path, difference.wanted) == ("", "present")


# `--check` on the account: it only looks, and what was deleted or changed by hand is named.

DELETED = {
    "azure.vnet": "/virtualnetworks/aks-vnet",
    "azure.acr": "/registries/",
    "azure.aks": "/managedclusters/primary",
    "azure.aks-secondary": "/managedclusters/secondary",
}


async def checked(session: Session, arm: Arm, *labs: str) -> tuple[int, set[str]]:
    """The exit status, and what is missing or left."""
    session.events.clear()
    arm.clear()
    status = await check(session.job(Request(labs)), FakeGuard(disposable=True))
    assert {each["method"] for each in arm.requests()} == {"GET"}
    found = [it.check.differences for it in session.steps if it.check and it.outcome in ("missing", "left")]
    return status, {item.subject for differences in found for item in differences}


def written(session: Session) -> list[str]:
    """All that the journal says: the file itself may still be put together by the run that wrote it."""
    with contextlib.closing(sqlite3.connect(session.journal.path)) as journal:
        return list(journal.iterdump())


def taken(arm: Arm, part: str) -> dict[str, Any]:
    """What somebody deletes: the first of these, and its roles."""
    found = [key for key in arm.cloud.resources if part in key]
    return {key: arm.cloud.resources.pop(key) for key in found if key.startswith(found[0])}


async def test_each_lab_before_at_its_end_and_with_something_deleted(arm: Arm, session: Session) -> None:
    labs = [lab.name for lab in session.runbook.labs if not lab.undoes]
    status, missing = await checked(session, arm, *labs)
    assert status == 1
    assert "AKS cluster mesh-workshop/primary" in missing
    assert await checked(session, arm, "azure.cleanup") == (0, set())
    await session.converge()
    journal = written(session)
    assert await checked(session, arm, *labs) == (0, set())
    assert "proved" in session.outcomes
    assert written(session) == journal
    for lab, part in DELETED.items():
        assert await checked(session, arm, lab) == (0, set())
        assert [event.labs for event in session.of(NeedsConverged)]
        there = taken(arm, part)
        status, missing = await checked(session, arm, lab)
        name = next(iter(there.values())).name
        assert status == 1
        assert any(subject.endswith(f"/{name}") for subject in missing)
        arm.cloud.resources |= there
    status, left = await checked(session, arm, "azure.cleanup")
    assert status == 1
    assert {"AKS cluster mesh-workshop/primary", "resource group mesh-workshop"} <= left


async def test_a_group_that_lost_its_tag_is_no_more_the_workshop_s(arm: Arm, session: Session) -> None:
    await session.converge("azure.group")
    arm.cloud.groups["mesh-workshop"].tags.clear()
    assert await checked(session, arm, "azure.group") == (1, set())
    assert [step.outcome for step in session.steps] == ["failed", "proved"]
    assert "has no tag" in str(session.errors[0])


# The commands a person would type instead do what the steps do, and no more.


def typed(session: Session, lab: str) -> list[tuple[str, ...]]:
    """The commands of each step."""
    (explained,) = explain(session.runbook, Request((lab,)), session.toolbox)
    return [step.explanation.commands for step in explained.steps]


def test_a_role_is_taken_from_its_holder_only(session: Session) -> None:
    deleted = [step for step in typed(session, "azure.cleanup") if "role assignment delete" in "".join(step)]
    assert len(set(deleted)) == 4
    for find, delete in deleted:
        assert find.startswith("principal=$(az resource show --ids /subscriptions/")
        assert '--assignee "${principal:?}"' in delete


def test_a_provider_is_registered_before_the_first_of_its_kind(session: Session) -> None:
    for lab, namespace in (("azure.acr", "ContainerRegistry"), ("azure.aks", "ContainerService")):
        register, make, *_ = typed(session, lab)[0]
        assert (
            register
            == f"az provider register --namespace Microsoft.{namespace} --wait --subscription {SUBSCRIPTION}"
        )
        assert " create " in make
    assert [len(commands) for commands in typed(session, "azure.group")] == [1, 1]


def test_what_was_imported_is_written_on_the_registry(session: Session) -> None:
    session.settings = msgspec.structs.replace(session.settings, import_images=("docker.io/istio/pilot:1.31.1",))
    import_one, tag = typed(session, "azure.acr")[1]
    assert "--image istio/pilot:1.31.1" in import_one
    assert "az tag update --resource-id /subscriptions/" in tag
    assert "--operation Merge --tags workshop-images=" in tag
    session.settings = msgspec.structs.replace(session.settings, import_images=())
    assert not typed(session, "azure.acr")[1]


def test_the_mark_is_put_on_each_cluster(session: Session) -> None:
    session.runbook = lab_of(steps.credentials("Write the contexts"))
    (commands,) = typed(session, "azure.one")
    for place in ("primary", "secondary"):
        on_it = [line for line in commands if f"--context={place} " in line]
        assert "create namespace workshop-system" in on_it[0]
        assert "create configmap workshop-mark --namespace workshop-system" in on_it[1]
        assert "app.kubernetes.io/part-of=mesh-workshop" in on_it[2]


def test_a_tag_of_any_signs_reaches_azure_as_it_is(session: Session) -> None:
    tag = "R&D's $mesh, 50% (a/b)"
    session.settings = msgspec.structs.replace(session.settings, tag=tag)
    for lab in ("azure.group", "azure.vnet", "azure.acr", "azure.aks"):
        make = next(line for line in typed(session, lab)[0] if " create " in line)
        assert f"workshop={tag}" in shlex.split(make)
    (listing,) = {
        line
        for step in typed(session, "azure.cleanup")
        for line in step
        if "mesh-workshop-sec" in line and "xargs" in line
    }
    words = shlex.split(listing)
    assert "tags.workshop=='R&D\\'s $mesh, 50% (a/b)' && " in words[words.index("--query") + 1]


def test_every_command_names_its_subscription(session: Session) -> None:
    """The one that is current in `az` may have a group and a cluster of the same names."""
    session.settings = msgspec.structs.replace(session.settings, import_images=("docker.io/istio/pilot:1.31.1",))
    labs = [lab.name for lab in session.runbook.labs]
    lines = [line for lab in labs for step in typed(session, lab) for line in step if "az " in line]
    assert any(" delete " in line for line in lines)
    for line in lines:
        of_ids = any(
            f" {option} /subscriptions/{SUBSCRIPTION}/" in line for option in ("--ids", "--scope", "--resource-id")
        )
        assert of_ids or f" --subscription {SUBSCRIPTION}" in line.partition("|")[0], line


# Public images copied into the registry, once.

IMAGES = ("docker.io/istio/examples-bookinfo-ratings-v1:1.20.3", "docker.io/kennethreitz/httpbin:latest")


@pytest.mark.parametrize(
    ("source", "registry", "repository", "target"),
    [
        ("docker.io/istio/pilot:1.31.1", "docker.io", "istio/pilot:1.31.1", "istio/pilot:1.31.1"),
        ("nginx", "docker.io", "library/nginx:latest", "nginx:latest"),
        ("mcr.microsoft.com/a/b:1", "mcr.microsoft.com", "a/b:1", "a/b:1"),
        ("localhost:5000/a", "localhost:5000", "a:latest", "a:latest"),
        ("ghcr.io/a/b@sha256:0123456789abcdef", "ghcr.io", "a/b@sha256:0123456789abcdef", "a/b:0123456789ab"),
    ],
)
def test_an_image_is_read_as_docker_does(source: str, registry: str, repository: str, target: str) -> None:
    image = Image(source)
    assert (image.registry, image.repository, image.target) == (registry, repository, target)


async def test_images_are_imported_once_and_again_when_the_list_changes(arm: Arm, session: Session) -> None:
    session.settings = msgspec.structs.replace(session.settings, import_images=IMAGES)
    await session.converge("azure.acr")
    imports = [each for each in arm.sent("POST") if each.endswith("/importImage")]
    assert len(imports) == 2
    arm.clear()
    assert set(await session.converge("azure.acr")) == {"unchanged"}
    assert {each["method"] for each in arm.requests()} == {"GET"}
    session.settings = msgspec.structs.replace(session.settings, import_images=IMAGES[:1])
    await session.converge("azure.acr")
    assert len(arm.sent("POST")) == 1


async def test_a_failed_import_is_told_and_tried_again_by_the_next_run(arm: Arm, session: Session) -> None:
    session.settings = msgspec.structs.replace(session.settings, import_images=IMAGES[:1])
    body = {"error": {"code": "InvalidParameters", "message": "Source image was not found"}}
    arm.set(faults=[{"method": "POST", "path": "importImage", "status": 400, "body": body}])
    assert await session.run("azure.acr") == 1
    assert "Source image was not found" in str(session.errors[0])
    await session.converge("azure.acr")


# Only what carries the workshop's tag is changed or deleted.

GROUP = "mesh-workshop"


async def test_a_group_of_somebody_else_is_refused(arm: Arm, session: Session) -> None:
    session.azure.resources().resource_groups.create_or_update(GROUP, {"location": "westeurope"})  # type: ignore[call-overload]
    arm.clear()
    assert await session.run("azure.group") in (1, 2)
    (error,) = session.errors
    assert isinstance(error, UsageError)
    assert "has no tag" in error.came_back
    assert f"PUT {GROUP}" not in arm.sent("PUT")


async def test_a_foreign_resource_survives_with_its_group(arm: Arm, session: Session) -> None:
    await session.start_converged()
    arm.set(foreign=[{"group": GROUP, "type": "Microsoft.Storage/storageAccounts", "name": "theirs", "tags": {}}])
    arm.clear()
    await session.converge("azure.cleanup")
    deleted = arm.sent("DELETE")
    assert f"DELETE {GROUP}/primary" in deleted
    assert f"DELETE {GROUP}-secondary" in deleted
    assert f"DELETE {GROUP}" not in deleted
    assert any("storageAccounts theirs" in step.note for step in session.steps)
    assert "theirs" in str(list(arm.cloud.resources))


async def test_a_resource_that_lost_its_tag_survives_and_is_not_changed(arm: Arm, session: Session) -> None:
    await session.start_converged()
    network = arm.cloud.resources[Network(session.azure).id.lower()]
    network.body["tags"] = {}
    arm.clear()
    assert await session.run("azure.vnet") in (1, 2)
    assert not arm.sent("PUT")
    await session.converge("azure.cleanup")
    assert network.id.lower() in arm.cloud.resources
    assert GROUP in arm.cloud.groups


async def test_the_clean_up_of_everything_leaves_nothing(arm: Arm, session: Session) -> None:
    await session.start_converged()
    await session.converge("azure.cleanup")
    assert not arm.cloud.resources
    assert not arm.cloud.groups
    assert not arm.cloud.assignments
    assert set(await session.converge("azure.cleanup")) == {"unchanged"}


@pytest.mark.parametrize(
    ("free", "advised"),
    [
        (False, f"az aks delete --resource-group {GROUP} --subscription {SUBSCRIPTION} --name primary"),
        (True, "invoke -f here.yaml lab.azure.aks --undo"),
    ],
)
async def test_a_property_that_cannot_be_changed_is_refused_with_what_to_do(
    free: bool, advised: str, arm: Arm, session: Session
) -> None:
    """In the sandbox nothing of `az`: it would delete what has the same names at the real Azure."""
    await session.start_converged()
    arm.clear()
    nodes = msgspec.structs.replace(session.settings.nodes, size="Standard_DS3_v2")
    session.settings = msgspec.structs.replace(session.settings, nodes=nodes)
    session.free = free
    assert await session.run("azure.aks") in (1, 2)
    (error,) = session.errors
    assert isinstance(error, UsageError)
    assert "vmSize" in error.tried
    assert error.next_command == advised
    assert {each["method"] for each in arm.requests()} == {"GET"}


@pytest.mark.parametrize(
    ("lab", "changed", "said"),
    [
        ("azure.group", {"location": "northeurop"}, "no location northeurop; did you mean northeurope?"),
        ("azure.vnet", {"location": "northeurop"}, "no location northeurop; did you mean northeurope?"),
        ("azure.aks", {"size": "Standard_DS2_v9"}, "offers no machines of size Standard_DS2_v9"),
    ],
)
async def test_what_there_is_not_is_said_before_that_something_else_is_there(
    lab: str, changed: dict[str, str], said: str, session: Session
) -> None:
    await session.start_converged()
    replace, settings = msgspec.structs.replace, session.settings
    size = changed.get("size", settings.nodes.size)
    location = changed.get("location", settings.location)
    session.settings = replace(settings, location=location, nodes=replace(settings.nodes, size=size))
    plan = await session.plan(lab)
    (first, *_) = [step.error for step in plan.steps if step.error]
    assert isinstance(first, WorkshopError)
    assert said in first.came_back
    assert "cleanup" not in first.next_command
    assert " delete " not in first.next_command


async def test_another_location_advises_nothing_that_would_delete_what_is_somebody_else_s(
    session: Session,
) -> None:
    await session.converge("azure.group")
    session.settings = msgspec.structs.replace(session.settings, location="northeurope")
    assert await session.run("azure.group") == 2
    for error in session.errors:
        assert isinstance(error, UsageError)
        assert error.tried.startswith("change location of the resource group")
        assert error.next_command == "invoke -f here.yaml lab.azure.cleanup"


@pytest.mark.parametrize("lab", ["azure.group", "azure.vnet", "azure.acr"])
async def test_a_changed_tag_is_one_put_for_each_resource(lab: str, arm: Arm, session: Session) -> None:
    await session.start_converged()
    for resource in (*arm.cloud.resources.values(),):
        resource.body["tags"]["workshop"] = "other" if lab != "azure.group" else "mesh-workshop"
    if lab == "azure.group":
        arm.cloud.groups[GROUP].tags["workshop"] = "other"
    arm.clear()
    await session.converge(lab, only=True)
    puts = arm.sent("PUT", "PATCH", "POST")
    assert len(puts) == {"azure.group": 1, "azure.vnet": 4, "azure.acr": 1}[lab]


async def test_a_plan_asks_only_and_names_what_will_be_made(arm: Arm, session: Session) -> None:
    plan = await session.plan()
    assert {each["method"] for each in arm.requests()} == {"GET"}
    assert sum(step.changes for step in plan.steps) == 13
    assert all(step.explanation.commands for step in plan.steps if step.changes)
