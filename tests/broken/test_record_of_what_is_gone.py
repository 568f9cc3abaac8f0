"""A record for a resource that is gone, then `--plan`. Seen: the plan deleted the record while it said that nothing
is changed. No check writes, of any step of any lab."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from labs import RUNBOOK
from tests.kit.workshop import Workshop
from workshop.account import log_in
from workshop.azure.connection import PLACES, Azure
from workshop.azure.group import Group
from workshop.azure.live_resources import live_role
from workshop.azure.orphans import labs_resources
from workshop.kubernetes.cluster_facts import cluster_of
from workshop.runbook.journal import AppliedPart, Journal
from workshop.runbook.model import Lab, Position, Step, Timeline, Together
from workshop.runbook.request import Request
from workshop.runbook.results import Check
from workshop.runbook.run import Facts, Run
from workshop.settings import collected
from workshop.target import Use, describe

GONE = "Microsoft.ContainerService/managedClusters/made-under-another-profile"


def toolbox(workshop: Workshop, *, account: bool) -> Mapping[type, object]:
    target = describe(collected({"state": str(workshop.state)}), Use(account=account))
    tools = target.toolbox
    if account:
        asyncio.run(log_in(tools))
    return tools


def looking(tools: Mapping[type, object]) -> Run:
    return Run("", tools, Facts(), {}, lambda event: None)


@pytest.fixture(scope="module")
def journal(workshop: Workshop) -> Path:
    """With an operation that an earlier run was killed in for everything there could be at Azure, most of it not
    there, and every part of every lab as applied and not proved."""
    workshop.converge("lab.azure.vnet")
    workshop.converge("lab.istio.inject")
    journal = Journal(workshop.state / "journal.sqlite")
    on_account = toolbox(workshop, account=True)
    azure = on_account[Azure]
    assert isinstance(azure, Azure)
    groups = [Group(azure, place) for place in PLACES]
    role, there = asyncio.run(live_role(looking(on_account), "primary", "network"))
    assert there
    for resource in (*labs_resources(azure), *groups, role):
        journal.begin(resource.id, f"create {resource.kind}", f"{azure.endpoint} token")
    for group in groups:
        journal.begin(f"{group.id}/providers/{GONE}", "delete AKS cluster", f"{azure.endpoint} token")
    ground = asyncio.run(cluster_of(looking(toolbox(workshop, account=False))))
    assert ground
    for lab in RUNBOOK.labs:
        for part in lab.parts:
            for title in [step.title for step in part.steps] if isinstance(part, Together) else [part.title]:
                journal.applied(AppliedPart(ground, lab.name, title))
    journal.close()
    return journal.path


def content(journal: Path) -> list[str]:
    with sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True) as connection:
        return list(connection.iterdump())


def looks(lab: Lab, run: Run) -> Iterator[tuple[str, object]]:
    """Everything of the lab that only looks."""
    for part in lab.parts:
        for one in part.steps if isinstance(part, Together) else (part,):
            yield f"undo of {one.title}", one.check_undo(run)
            if isinstance(one, Step):
                yield one.title, one.check(run)
            else:
                assert isinstance(one, Timeline)
                yield f"position of {one.title}", one.position(run)
                for stage in (one.start, *one.stages):
                    step = one.step(stage, run)
                    yield step.title, step.check(run)


@pytest.mark.parametrize("lab", [lab for lab in RUNBOOK.labs if lab.parts], ids=lambda lab: lab.name)
def test_no_check_of_a_lab_writes(workshop: Workshop, journal: Path, lab: Lab) -> None:
    tools = toolbox(workshop, account=lab.name.startswith("azure."))
    request, before, looked = Request((lab.name,)), content(journal), 0

    async def look() -> None:
        nonlocal looked
        run = Run(lab.name, tools, Facts(), request.options_of(lab), lambda event: None)
        try:
            for title, looking in looks(lab, run):
                found = await looking  # type: ignore[misc]
                assert isinstance(found, Check | Position), title
                assert content(journal) == before, title
                looked += 1
        finally:
            await run.facts.close()

    asyncio.run(look())
    assert looked >= 2 * len(lab.parts)


@pytest.mark.parametrize(
    "words", ["lab --plan", "lab.azure.cleanup --plan", "lab.istio.cleanup --plan", "lab.azure --explain", "doctor"]
)
def test_what_only_looks_leaves_the_journal_as_it_is(workshop: Workshop, journal: Path, words: str) -> None:
    before, file = content(journal), journal.read_bytes()
    workshop.run(*words.split())
    assert content(journal) == before
    assert journal.read_bytes() == file


def test_a_run_settles_what_is_over(workshop: Workshop, journal: Path) -> None:
    """Last: a clean-up that finds nothing but the one group with its network."""
    workshop.converge("lab.azure.cleanup", "--yes")
    assert Journal(journal).under_way() == []
    with sqlite3.connect(journal) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
