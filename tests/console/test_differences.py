"""What is shown of two different values differs, whatever they are and however little room there is."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from rich.cells import cell_len

from tests.kit.screens import bare, rendered
from workshop.console.differences import Contrast, contrast, flow, shortened
from workshop.console.lines import INDENT, Lines
from workshop.console.screen import PlainScreen
from workshop.console.words import ASCII, UNICODE
from workshop.runbook.plan import LabPlan, Plan, StepPlan
from workshop.runbook.results import ABSENT, Check, Difference, Explanation

IMAGE = "docker.io/istio/examples-bookinfo-reviews-v1:1.20."

SIGNS = "ab1-./:, …{}[]\"'\\\n\t猫e\u0301\u200b→"


def random_text(rng: random.Random, longest: int) -> str:
    return "".join(rng.choices(SIGNS, k=rng.randint(0, longest)))


def random_value(rng: random.Random, depth: int = 2) -> Any:
    kinds = ["text", "number", "word"] + (["list", "mapping"] if depth else [])
    match rng.choice(kinds):
        case "text":
            return random_text(rng, 12)
        case "number":
            return rng.choice([0, 1, 10, 1.5, -2, True, False, None])
        case "word":
            return rng.choice(
                ["0", "1", "1.5", "-2", "1e3", "0x1", "true", "False", "null", "~", "absent", "", " "]
            )
        case "list":
            return [random_value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
        case _:
            return {random_text(rng, 3): random_value(rng, depth - 1) for _ in range(rng.randint(0, 3))}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (True, "true"),
        (None, "null"),
        (ABSENT, "absent"),
        ("a b", "a  b"),
        ("a b", "a\nb"),
        ("a\n", "a\\n"),
        ("a", "a\u200b"),
        (["a", "b"], ["a, b"]),
        ({"a": "b, c: d"}, {"a": "b", "c": "d"}),
        ([], "[]"),
        ("", '""'),
        ({"a:": "b"}, {"a": ": b"}),
    ],
)
def test_values_that_are_not_the_same_are_not_written_the_same(one: Any, other: Any) -> None:
    assert flow(one) != flow(other)
    assert flow(one).isprintable()
    assert flow(other).isprintable()


def test_other_values_are_other_texts_on_one_line() -> None:
    rng = random.Random(1)  # noqa: S311
    written: dict[str, Any] = {}
    for value in (random_value(rng) for _ in range(20_000)):
        text = flow(value)
        assert text.isprintable()
        before = written.setdefault(text, value)
        assert before == value, text


def test_what_a_person_would_not_quote_is_not_quoted() -> None:
    for text in (f"{IMAGE}2", "3s", "2/2", "1.31.1", "enabled", "on", "0 of 2 ready: waits", "a, b"):
        assert flow(text) == text
    assert flow({"host": "reviews", "at": f"{IMAGE}2"}) == f"{{host: reviews, at: {IMAGE}2}}"
    assert flow("0600") == '"0600"'


def pairs(number: int) -> list[Contrast]:
    """Texts that have a beginning in common, and perhaps an end, in signs of all widths."""
    rng = random.Random(2)  # noqa: S311
    found = []
    while len(found) < number:
        before, after = (random_text(rng, rng.choice([0, 5, 80])) for _ in range(2))
        one, other = (before + random_text(rng, rng.choice([0, 3, 80])) + after for _ in range(2))
        if one != other:
            found.append(Contrast(one, other))
    return found


@pytest.mark.parametrize("more", [UNICODE.more, ASCII.more])
def test_cut_texts_differ_and_fit(more: str) -> None:
    for both in pairs(3_000):
        for room in (24, 25, 43, 66, 150):
            cut = shortened(both, room, more)
            assert cut.found != cut.wanted, (both, room)
            assert cut.cells <= room, (both, room)
            if both.cells <= room:
                assert cut == both
            for short, long in ((cut.found, both.found), (cut.wanted, both.wanted)):
                assert short.removeprefix(more).removesuffix(more) in long


def test_a_cut_keeps_what_differs_and_a_word_before_it() -> None:
    both = contrast(f"{IMAGE}2", f"{IMAGE}3")
    assert shortened(both, 24) == Contrast("…-v1:1.20.2", "…-v1:1.20.3")
    assert shortened(both, 63) == Contrast("…-bookinfo-reviews-v1:1.20.2", "…-bookinfo-reviews-v1:1.20.3")
    long = contrast("x" * 300, ABSENT)
    assert shortened(long, 40) == Contrast("x" * 33 + "…", "absent")


FIELD = "spec.template.spec.containers[reviews].image"
DIFFERENCES = (
    Difference("Deployment bookinfo/reviews-v1", FIELD, f"{IMAGE}3", f"{IMAGE}2"),
    Difference("ConfigMap a/b", "data.key", "猫" * 120 + "a" + "y" * 50, "猫" * 120 + "b and " + "z" * 50),
    Difference("ConfigMap a/b", "data.other", "b " * 60 + "a", "b " * 60 + "c"),
    Difference("ConfigMap a/b", "metadata.annotations[" + "a" * 150 + "]", "a", "b"),
    Difference("image a/b", "", "x" * 100 + " in the registry", ABSENT),
    Difference("the registry", "", "x" * 100 + "1", "x" * 100 + "2"),
)


def shown(width: int, *, whole: bool) -> list[str]:
    lines = Lines(width, UNICODE)
    blocks = [lines.below(block) for block in lines.differences(DIFFERENCES, whole=whole)]
    return [line.rstrip() for line in bare(rendered(blocks, width)).splitlines()]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("width", [80, 81, 100, 160])
def test_differences_fit_the_width(width: int, whole: bool) -> None:
    lines = shown(width, whole=whole)
    assert max(map(cell_len, lines)) <= width
    assert all(line.startswith(" " * INDENT) for line in lines)


def test_a_run_uses_the_width_for_a_difference() -> None:
    assert shown(80, whole=False)[1:3] == [
        f"          {FIELD}",
        "              …-bookinfo-reviews-v1:1.20.2 → …-bookinfo-reviews-v1:1.20.3",
    ]
    (line,) = [line for line in shown(160, whole=False) if IMAGE in line]
    assert line.strip() == f"{IMAGE}2 → {IMAGE}3"


@pytest.mark.parametrize("width", [80, 160])
def test_a_plan_cuts_no_value(width: int) -> None:
    said = "".join("".join(shown(width, whole=True)).split())
    assert "…" not in said
    for item in DIFFERENCES:
        both = "".join(f"{flow(item.found)} → {flow(item.wanted)}".split())
        assert (both in said) == (item.wanted != "x" * 100 + " in the registry"), item  # created: only its name


def test_in_a_log_a_plan_s_value_is_on_one_line() -> None:
    file = io.StringIO()
    screen = PlainScreen(file, debug=False, echo=False, glyphs=UNICODE)
    screen.show_plan(
        Plan("sandbox", (LabPlan("a", "A", (StepPlan(1, "Put", Check(DIFFERENCES), Explanation()),)),))
    )
    assert f"              {'b ' * 60}c\n            → {'b ' * 60}a\n" in file.getvalue()
