"""What attendees get: all that the labs say and `--explain` shows, with fields left open where a lab asks."""

from __future__ import annotations

import re
from functools import cache

import pytest
import yaml
from markdown_it import MarkdownIt

from labs import RUNBOOK
from tests.console.test_reports import Page
from workshop.console.explanation_view import markdown
from workshop.console.handout import Handout, handout_markdown, handout_page
from workshop.runbook.plan import LabExplanation, StepExplanation, explain
from workshop.runbook.request import Request
from workshop.runbook.results import LEFT_OPEN
from workshop.settings import collected
from workshop.target import describe


@cache
def explained() -> tuple[LabExplanation, ...]:
    names = tuple(lab.name for lab in RUNBOOK.labs if lab.group == "istio")
    return explain(RUNBOOK, Request(names), describe(collected({})).with_labs(RUNBOOK).toolbox)


def handout(*, solution: bool = False) -> Handout:
    return Handout(explained(), "the cluster", "invoke -f mine.yaml", solution)


def exercises() -> list[tuple[LabExplanation, StepExplanation]]:
    return [(one, step) for one in explained() for step in one.steps if step.explanation.exercise]


def fences(document: str) -> list[str]:
    return [token.content for token in MarkdownIt().parse(document) if token.type == "fence"]


def manifests(command: str) -> str:
    (found,) = re.findall(r"<<'?EOF'?\n(.*?)EOF", command, re.S)
    return str(found)


def test_the_one_with_solutions_has_what_explain_says_to_type() -> None:
    assert fences(handout_markdown(handout(solution=True))) == fences(markdown(explained()))
    assert LEFT_OPEN not in handout_markdown(handout(solution=True))


def test_the_other_one_differs_in_its_exercises_only() -> None:
    asked, solved = fences(handout_markdown(handout())), fences(handout_markdown(handout(solution=True)))
    unlike = [(one, other) for one, other in zip(asked, solved, strict=True) if one != other]
    assert len(unlike) == len(exercises()) > 4
    for one, other in unlike:
        lines = zip(one.splitlines(), one.splitlines(), strict=True)
        assert [line for line, _ in lines if LEFT_OPEN in line]
        assert LEFT_OPEN not in other


@pytest.mark.parametrize("number", range(6))
def test_an_exercise_leaves_open_what_it_asks_for_and_nothing_else(number: int) -> None:
    one, step = exercises()[number]
    exercise, explanation = step.explanation.exercise, step.explanation
    assert exercise
    assert exercise.task.count("?") >= 1
    assert exercise.commands[1:] == explanation.commands[1:], f"what comes after the YAML, in {one.lab.name}"
    asked = list(yaml.safe_load_all(manifests(exercise.commands[0])))
    solved = list(yaml.safe_load_all(manifests(explanation.commands[0])))
    assert unlike(asked, solved), one.lab.name


def unlike(asked: object, solved: object) -> bool:
    """Whether something is left open, and all else is the same."""
    if asked == LEFT_OPEN:
        return True
    if isinstance(asked, dict) and isinstance(solved, dict):
        assert asked.keys() == solved.keys()
        return sum(unlike(asked[key], solved[key]) for key in asked) > 0
    if isinstance(asked, list) and isinstance(solved, list):
        return sum(unlike(*pair) for pair in zip(asked, solved, strict=True)) > 0
    assert asked == solved
    return False


def test_the_page_has_every_lab_with_its_text_and_how_to_check_oneself() -> None:
    page = Page(handout_page(handout()))
    said = " ".join(page.text.split())
    for one in explained():
        lab = one.lab
        assert f"{lab.name}: {lab.title}" in said
        assert f"lab-{lab.name}" in page.ids
        assert " ".join(re.sub("`", " ", lab.text).split())[:60] in said.replace("`", "")
        if not lab.undoes:
            assert f"check yourself invoke -f mine.yaml lab.{lab.name} --check" in said
    assert "needs istio.gateway" in said
    assert "What to see: Stars on the product page: 50 % v1, no stars; 50 % v3, red stars" in said
    assert (
        "a bad version: the first stage rolls it back invoke -f mine.yaml lab.istio.canary --promote erring" in said
    )
    assert {link[1:] for link in page.links} <= set(page.ids)


def test_an_exercise_says_how_to_check_it_and_a_solution_that_it_is_one() -> None:
    asked, solved = (" ".join(Page(handout_page(handout(solution=them))).text.split()) for them in (False, True))
    checks = "type it, and have it checked: invoke -f mine.yaml lab.istio.canary --step 4 --check"
    assert checks in asked
    assert checks not in solved
    assert (
        asked.count(" Exercise. ") == solved.count(" Exercise. ") == solved.count("Solution:") == len(exercises())
    )


def test_markdown_has_no_markup_of_its_own_in_texts() -> None:
    tokens = MarkdownIt().parse(handout_markdown(handout()))
    kinds = {child.type for token in tokens if token.type == "inline" for child in token.children or ()}
    assert kinds <= {"text", "text_special", "softbreak", "code_inline"}
    assert [token.tag for token in tokens if token.type == "heading_open"].count("h2") == len(explained()) + 1
