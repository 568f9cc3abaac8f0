"""The commands a person would type instead do what the steps do, and no more."""

from __future__ import annotations

from tests.azure.world import Session
from workshop.runbook.explain import explain
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
