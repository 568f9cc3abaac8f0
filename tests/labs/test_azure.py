"""The azure labs as a person runs them: cut off while Azure works, changed, and undone beside what is others'.

What is said, and what ends a process, comes from `invoke`; runs whose steps alone are looked at are runs in this
process, with the same state folder: a process spends most of its time on importing the SDK.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Iterator

import pytest

from labs import RUNBOOK
from sandbox.arm.azure_settings import QUOTAS
from tests.kit.azure import HELD
from tests.kit.engine import FakeGate
from tests.kit.in_process import target_of
from tests.kit.workshop import HANGS, Workshop
from workshop.runbook.events import Event, StepFinished
from workshop.runbook.journal import Journal
from workshop.runbook.request import Request
from workshop.runbook.runner import execute
from workshop.runbook.schedule import Job
from workshop.target import Use

DEFAULTS = {"managedClusters": 1.0}
FOREIGN = {
    "group": "mesh-workshop",
    "type": "Microsoft.Storage/storageAccounts",
    "name": "somebodys",
    "tags": {"owner": "somebody"},
}


AZURE = tuple(lab.name for lab in RUNBOOK.labs if lab.name.startswith("azure.") and not lab.undoes)


def quietly(workshop: Workshop, *labs: str) -> list[StepFinished]:
    """The steps of a run in this process that converged."""
    said: list[Event] = []
    target = target_of(workshop, Use(account=True))
    job = Job(RUNBOOK, Request(labs or AZURE), target.toolbox, said.append, target.name)
    status = asyncio.run(execute(job, target.guard, FakeGate()))
    assert status == 0, said
    return [each for each in said if isinstance(each, StepFinished)]


def outcomes(steps: list[StepFinished]) -> set[str]:
    return {step.outcome for step in steps}


@pytest.fixture(scope="module")
def up(workshop: Workshop) -> Workshop:
    workshop.converge("sandbox.up")
    return workshop


@pytest.fixture
def empty(up: Workshop) -> Iterator[Workshop]:
    """An empty subscription where a cluster is made for as long as the test wants."""
    workshop = up
    workshop.azure.set(foreign=[])
    quietly(workshop, "azure.cleanup")
    workshop.azure.set(durations={"managedClusters": HELD})
    workshop.azure.clear()
    yield workshop
    workshop.azure.set(durations=DEFAULTS, foreign=[])


def puts(workshop: Workshop, kind: str) -> list[str]:
    return [sent for sent in workshop.azure.sent("PUT") if re.search(rf"/{kind}/[^/]+$", sent)]


def until_clusters_are_made(workshop: Workshop) -> None:
    """Azure has accepted both, and the journal knows it."""
    deadline = time.monotonic() + HANGS
    while time.monotonic() < deadline:
        known = Journal(workshop.state / "journal.sqlite").under_way()
        if [operation.kind for operation in known].count("create AKS cluster") == 2:
            return
        time.sleep(0.05)
    raise AssertionError(workshop.azure.requests())


def until_asked_for(workshop: Workshop, *, operations: int) -> None:
    deadline = time.monotonic() + HANGS
    while time.monotonic() < deadline:
        if len({path for path in workshop.azure.sent("GET") if "/operations/" in path}) == operations:
            return
        time.sleep(0.05)
    raise AssertionError(workshop.azure.requests())


def test_killed_while_clusters_are_made_the_same_command_waits_for_those_very_operations(empty: Workshop) -> None:
    process = empty.start("lab.azure")
    until_clusters_are_made(empty)
    process.kill()
    process.communicate()
    sent = empty.azure.sent("PUT")
    empty.azure.clear()
    process = empty.start("lab.azure")
    until_asked_for(empty, operations=2)
    empty.azure.set(durations=DEFAULTS)
    said = process.communicate(timeout=HANGS)[0]
    assert process.returncode == 0, said
    assert said.count("waiting for that very operation") == 2
    sent += empty.azure.sent("PUT")
    assert len([each for each in sent if re.search("/managedClusters/[^/]+$", each)]) == 2
    assert len(sent) == len(set(sent))
    assert outcomes(quietly(empty)) == {"unchanged"}


def test_ctrl_c_says_what_goes_on_at_azure(empty: Workshop) -> None:
    process = empty.start("lab.azure")
    until_clusters_are_made(empty)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=HANGS)[0]
    assert process.returncode == 130, said
    assert "Azure goes on with it" in said
    assert "go on with  invoke lab.azure" in said
    empty.azure.set(durations=DEFAULTS)
    quietly(empty)
    assert len(puts(empty, "managedClusters")) == 2


def test_a_changed_node_count_is_one_put_and_another_size_is_refused(empty: Workshop) -> None:
    empty.azure.set(durations={"managedClusters": 0.2})
    quietly(empty)
    empty.azure.clear()
    profile = empty.state / "five.yaml"
    profile.write_text("azure: {nodes: {count: 5}}\n")
    planned = empty.converge("-f", str(profile), "lab.azure.aks", "--plan").said
    assert re.search(r"count.*3 \S+ 5", planned)
    empty.converge("-f", str(profile), "lab.azure.aks")
    assert len(empty.azure.sent("PUT", "POST", "PATCH", "DELETE")) == 1
    assert empty.by_hand("kubectl get nodes --no-headers | wc -l").strip() == "5"
    profile.write_text("azure: {nodes: {count: 5, size: Standard_D4s_v5}}\n")
    empty.azure.clear()
    ran = empty.run("-f", str(profile), "lab.azure.aks")
    assert ran.status == 2
    assert "Azure cannot change it in place" in ran.said
    assert not empty.azure.sent("PUT", "POST", "PATCH", "DELETE")


def test_as_many_nodes_as_azure_takes_meet_its_quota_in_the_plan_as_in_the_run(empty: Workshop) -> None:
    empty.azure.set(durations={"managedClusters": 0.2})
    profile = empty.state / "twelve.yaml"
    profile.write_text("azure: {nodes: {count: 12}}\n")
    for words in (("--plan",), ()):
        ran = empty.run("-f", str(profile), "lab.azure.aks", *words)
        assert ran.status == 1
        assert "Total Regional vCPUs: 0 of 20 used, 24 more needed (12 x Standard_DS2_v2)" in ran.said
        assert bool(words) == ("Here it costs nothing. At Azure: about USD" in ran.said)
    assert not puts(empty, "managedClusters")
    empty.azure.set(quotas={"cores": 100, "family": 100})
    ran = empty.converge("-f", str(profile), "lab.azure.aks")
    assert "12 x Standard_DS2_v2" in ran.said
    empty.azure.set(quotas=dict(QUOTAS))


def test_the_kubeconfig_gets_its_mode_back_and_a_broken_one_is_written_anew(empty: Workshop) -> None:
    empty.azure.set(durations={"managedClusters": 0.2})
    quietly(empty)
    kubeconfig = empty.state / "kubeconfig"
    written = kubeconfig.read_text()
    kubeconfig.chmod(0o644)
    empty.azure.clear()
    steps = quietly(empty)
    assert [step.title for step in steps if step.outcome == "changed"] == [
        "Write the contexts primary and secondary"
    ]
    assert (kubeconfig.stat().st_mode & 0o777, kubeconfig.read_text()) == (0o600, written)
    assert not empty.azure.sent("POST", "PUT")
    kubeconfig.write_text("a: [")
    assert "broken" in empty.converge("lab.azure.credentials", "--plan").said
    quietly(empty, "azure.credentials")
    assert "kind: Config" in kubeconfig.read_text()
    assert outcomes(quietly(empty)) == {"unchanged"}
    kubeconfig.write_text("a: [")
    quietly(empty, "azure.cleanup")
    assert not kubeconfig.exists()


def test_each_step_of_the_clean_up_says_what_it_deletes(empty: Workshop) -> None:
    ran = empty.converge("lab.azure.cleanup")
    titles = [title for title in ran.titled("unchanged") if "images" not in title]
    assert len(set(titles)) == len(titles) == 14
    assert not [title for title in titles if title.startswith("Undo:")]
    assert "No longer let the secondary's nodes pull from the registry" in titles


def test_the_clean_up_leaves_what_is_somebody_else_s(empty: Workshop) -> None:
    empty.azure.set(durations={"managedClusters": 0.2}, foreign=[FOREIGN])
    quietly(empty)
    empty.azure.clear()
    ran = empty.converge("lab.azure.cleanup")
    assert "storageAccounts somebodys" in ran.said
    deleted = [sent.rpartition("/")[2] for sent in empty.azure.sent("DELETE")]
    assert "somebodys" not in deleted
    assert "mesh-workshop" not in deleted
    assert {"primary", "secondary", "aks-vnet", "mesh-workshop-secondary"} <= set(deleted)
    empty.azure.clear()
    assert outcomes(quietly(empty, "azure.cleanup")) == {"unchanged"}
    assert not empty.azure.sent("DELETE")
