"""Objects moved through stages together, by two labs after each other, in the sandbox's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.runs import Recorded, config_map, manifests
from workshop.kubernetes.cluster_facts import look
from workshop.kubernetes.kinds import Place
from workshop.kubernetes.kubectl import Kubectl
from workshop.kubernetes.manifests import Manifests
from workshop.kubernetes.stages import Stage, Stages, stage
from workshop.runbook.errors import WorkshopError
from workshop.runbook.model import Position
from workshop.runbook.options import Word
from workshop.runbook.results import Measurement, Verdict
from workshop.runbook.run import Facts, Run

COLOUR = Word("colour", "Which.", "red")


@dataclass
class Seen:
    """A proof that passes, and says when."""

    title: str

    async def prove(self, run: Run) -> Verdict:
        return Verdict("pass", self.title, (Measurement(self.title, (), 1, 0.0),))

    def commands(self, run: Run) -> tuple[str, ...]:
        return (f"look {self.title}",)


@dataclass
class Address:
    """A value that is not there before it is known."""

    found: str = ""
    names = ("address",)

    async def values(self, run: Run) -> Mapping[str, str]:
        if not self.found:
            raise WorkshopError("find the address", "there is none yet")
        return {"address": self.found}

    def commands(self, run: Run) -> tuple[str, ...]:
        return ("ADDRESS=$(kubectl get address)",)


@pytest.fixture
def folder(tmp_path: Path, namespace: str) -> Path:
    def text(name: str, value: str) -> str:
        return config_map(name, value).replace("NAMESPACE", namespace)

    manifests(
        tmp_path,
        **{
            "one-first": text("one", "first"),
            "one-last": text("one", "last"),
            "two": text("two", "${colour}"),
            "placed": text("two", "${address}"),
        },
    )
    return tmp_path


@pytest.fixture
def early(namespace: str) -> Stages:
    return Stages(
        "Move one",
        stage("first", "One is at first", "one-first.yaml"),
        stage("last", "One is at last", "one-last.yaml"),
        start=Stage("none", "Delete one"),
        clears=(("ConfigMap", namespace, "two"),),
    )


@pytest.fixture
def late(early: Stages) -> Stages:
    return Stages(
        "Add two",
        stage(
            "both",
            "Two is beside one",
            "one-last.yaml",
            "two.yaml",
            values=(COLOUR,),
            before=(Seen("before"),),
            proofs=(Seen("after"),),
        ),
        stage("alone", "Two is alone", "two.yaml", values=(COLOUR,)),
        start=early.at("last", lab="istio.early"),
    )


def runs_of(kubectl: Kubectl, folder: Path, *labs: str, **options: str) -> list[Recorded]:
    """They share what was observed last, which is after the last change: each change is made by one of them."""
    facts = Facts()
    return [Recorded(kubectl, Manifests(folder, {}), lab=lab, options=options, facts=facts) for lab in labs]


async def test_two_labs_move_the_same_objects(
    kubectl: Kubectl, folder: Path, namespace: str, early: Stages, late: Stages
) -> None:
    first, second = runs_of(kubectl, folder, "istio.early", "istio.late")
    assert await early.position(first) == Position(None)
    for name in ("first", "last"):
        assert (await first.converge(early.step(name, first)))[0] == "changed"
        assert await early.position(first) == Position(name, moved_by="istio.early")
    assert await late.position(second) == Position(None, moved_by="istio.early")

    outcome, verdict = await second.converge(late.step("both", second))
    assert outcome == "changed"
    assert verdict
    assert [item.title for item in verdict.measurements] == ["before", "after"]
    assert await late.position(second) == Position("both", moved_by="istio.late")
    assert (await early.position(first)).moved_by == "istio.late"
    assert not (await early.position(first)).off_path

    await second.converge(late.step("alone", second))
    assert await late.position(second) == Position("alone", moved_by="istio.late")
    assert (await look(second, [Place("ConfigMap", namespace)])).get("ConfigMap", namespace, "one") is None

    assert await second.take_back(late) == "changed"
    assert await late.position(second) == Position(None, moved_by="istio.early")
    assert await early.position(first) == Position("last", moved_by="istio.early")
    assert await first.take_back(early) == "changed"
    assert await early.position(first) == Position(None)


async def test_an_earlier_lab_clears_what_a_later_one_added(
    kubectl: Kubectl, folder: Path, early: Stages, late: Stages
) -> None:
    first, second = runs_of(kubectl, folder, "istio.early", "istio.late")
    await second.converge(late.step("both", second))
    assert [difference.subject.split("/")[-1] for difference in await differences(first, early, "first")] == [
        "one",
        "one",
        "two",
    ]
    await first.converge(early.step("first", first))
    assert await early.position(first) == Position("first", moved_by="istio.early")


async def differences(run: Recorded, stages: Stages, name: str) -> tuple[object, ...]:
    run.facts.forget()
    return (await stages.step(name, run).check(run)).differences


async def test_another_value_of_an_option_is_off_the_path(kubectl: Kubectl, folder: Path, late: Stages) -> None:
    (blue,) = runs_of(kubectl, folder, "istio.late", colour="blue")
    (red,) = runs_of(kubectl, folder, "istio.late", colour="red")
    await blue.converge(late.step("both", blue))
    assert (await late.position(blue)).stage == "both"
    found = await late.position(red)
    assert found.stage is None
    assert found.off_path.endswith("/two has data.at blue, not red")


async def test_where_nothing_is_there_nothing_is_off_the_path(kubectl: Kubectl, folder: Path, late: Stages) -> None:
    """Though the timeline starts from objects: a lab before it has yet to make them."""
    (run,) = runs_of(kubectl, folder, "istio.late")
    assert await late.position(run) == Position(None)


async def test_a_value_that_is_not_known_yet_is_planned_not_applied(
    kubectl: Kubectl, folder: Path, namespace: str
) -> None:
    address = Address()
    placed = Stages(
        "Place two",
        stage("placed", "Two has an address", "placed.yaml", values=(address,)),
        start=Stage("none", "Delete two"),
    )
    (run,) = runs_of(kubectl, folder, "istio.late")
    step = placed.step("placed", run)
    assert (await step.check(run)).differences
    lookup, typed = step.explain(run).commands
    assert lookup == "ADDRESS=$(kubectl get address)"
    assert typed.startswith("kubectl apply -f - <<EOF\n")
    assert "$ADDRESS" in typed
    with pytest.raises(WorkshopError, match="there is none yet"):
        await step.apply(run)
    address.found = "10.0.0.1"
    assert (await run.converge(step))[0] == "changed"
    assert (await placed.position(run)).stage == "placed"
