"""The commands a person would type instead do what the steps do, and no more."""

from __future__ import annotations

import shlex

import msgspec

from tests.azure.world import SUBSCRIPTION, Session, lab_of
from workshop.azure import steps
from workshop.runbook.plan import explain
from workshop.runbook.request import Request


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
