"""What a person would type instead: on a terminal, and into a file as a Markdown document that says what the labs
say, and whose shell blocks are whole."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.cells import cell_len

from labs import RUNBOOK
from tests.console.test_plan_view import LINES, planned, step
from tests.kit.engine import lab
from tests.kit.screens import bare, coloured, live_screen, rendered
from workshop.console.explanation_view import explanation_lines, markdown
from workshop.console.screen import PlainScreen
from workshop.console.words import UNICODE
from workshop.runbook.options import Option
from workshop.runbook.plan import LabExplanation, StepExplanation
from workshop.runbook.results import Difference, Explanation

ALL = [LabExplanation(one, ()) for one in RUNBOOK.labs]

NASTY = """
Some *stars* and __init__ of <b>html</b>, a `code * span` and a lonely ` tick; [a](b) &amp; \\* GATEWAY_URL
are text. It stays text where lines are broken, whatever begins the next one: more than one word - here a dash and
not a list + another * or 1. a number 2) of things # no heading > no quotation === no title --- no rule ~~~ none
either | and no table - at all - and - so - on - and - so - on - and - so - on - and - so - on - and - so - on.

- a dash at the beginning

12. a number there

# a title
"""


def tokens(document: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(document)


def said(document: str) -> Iterator[str]:
    """The text of each block that is text, as a reader would see it."""
    for token in tokens(document):
        if token.type == "inline":
            parts = (
                "`" + part.content + "`" if part.type == "code_inline" else part.content for part in kept(token)
            )
            yield " ".join("".join(parts).split())


def kept(token: Token) -> Iterator[Token]:
    for part in token.children or ():
        assert part.type in ("text", "text_special", "code_inline", "softbreak"), part
        yield replace_break(part)


def replace_break(part: Token) -> Token:
    return Token("text", "", 0, content=" ") if part.type == "softbreak" else part


def blocks(document: str, language: str) -> list[str]:
    return [token.content for token in tokens(document) if token.type == "fence" and token.info == language]


def explained(text: str, *steps: StepExplanation) -> LabExplanation:
    options = (Option("weights", "Any other *split*: 1. or 2."), Option("user", "<name>"))
    return LabExplanation(replace(lab("istio.a_b"), text=text, options=options), steps)


def test_text_is_said_as_it_is_whatever_is_in_it() -> None:
    document = markdown([explained(NASTY)])
    paragraphs = [" ".join(block.split()) for block in NASTY.strip().split("\n\n")]
    assert list(said(document)) == [
        "By hand: istio.a_b",
        "istio.a_b: Lab istio.a_b",
        *paragraphs,
        "`--weights` Any other *split*: 1. or 2.",
        "`--user` <name>",
    ]
    kinds = [token.type for token in tokens(document) if token.nesting == 1]
    assert kinds.count("paragraph_open") == len(paragraphs) + 2
    assert kinds.count("heading_open") == 2
    assert kinds.count("bullet_list_open") == 1


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.lab.name)
def test_the_labs_texts_are_plain_text(one: LabExplanation) -> None:
    document = markdown([one])
    assert list(said(document))[1] == f"{one.lab.name}: {one.lab.title}"
    assert list(said(document))[2] == " ".join(one.lab.text.strip().split("\n\n")[0].split())
    assert max(map(len, document.splitlines())) <= 80


def test_a_document_of_several_labs_has_their_steps_and_blocks_in_order() -> None:
    here = "kubectl apply -f - <<'EOF'\n---\na: |\n  ```\n  b\n  ```\nEOF"
    steps = (
        StepExplanation(1, "Put *it*", Explanation(commands=("A=$(date)", here, "echo $A"))),
        StepExplanation(2, "Nothing to type", Explanation()),
        StepExplanation(3, "Again", Explanation("a: 1\n", ("A=$(date)", "echo " + "word " * 30))),
    )
    document = markdown([explained("One.", *steps), explained("Two.")], ["kubectl() { false; }"])
    assert [text for text in said(document) if text[0].isdigit() or text.startswith(("istio", "By hand"))] == [
        "By hand: istio",
        "istio.a_b: Lab istio.a_b",
        "1. Put *it*",
        "2. Nothing to type",
        "3. Again",
        "istio.a_b: Lab istio.a_b",
    ]
    assert [token.tag for token in tokens(document) if token.type == "heading_open"] == [
        "h1",
        "h2",
        "h3",
        "h3",
        "h3",
        "h2",
    ]
    first, put, again = blocks(document, "sh")
    assert first == "kubectl() { false; }\n"
    assert put == f"A=$(date)\n{here}\necho $A\n"
    assert again.startswith("echo word ")
    assert blocks(document, "yaml") == ["a: 1\n"]
    for script in (put, again):
        subprocess.run(["sh", "-n"], input=script, text=True, check=True, timeout=30)


def test_a_pipe_gets_the_document_alone() -> None:
    out = io.StringIO()
    with PlainScreen(out, debug=False, echo=False, glyphs=UNICODE) as screen:
        screen.show_explanation([explained("One.")], ["true"])
    assert out.getvalue() == markdown([explained("One.")], ["true"])


TEXT = """
A canary release gives a new version a share of the real traffic and grows it step by
step, independent of how many pods each version has.

The way back is as short.
"""


def explanation() -> LabExplanation:
    item = lab("istio.canary", needs=())
    yaml = "kind: VirtualService\nspec:\n  hosts: [reviews]\n"
    steps = (
        StepExplanation(1, "All requests to v1", Explanation(yaml, ("az thing update",))),
        StepExplanation(2, "All requests to v3", Explanation()),
    )
    option = Option("weights", "Any other split of v1, v2 and v3, in percent: 80,20,0. " * 2)
    return LabExplanation(replace(item, text=TEXT, needs=("istio.gateway",), options=(option,)), steps)


def test_an_explanation_has_text_steps_commands_and_yaml() -> None:
    shown = [line.rstrip() for line in bare(rendered(explanation_lines([explanation()], LINES), 120)).splitlines()]
    assert shown[0] == "istio.canary  Lab istio.canary"
    assert "A canary release gives a new version a share of the real traffic and grows it" in shown
    assert "needs  istio.gateway" in shown
    start = shown.index(" 1  All requests to v1")
    assert shown[start + 1 : start + 5] == [
        "az thing update",
        "    kind: VirtualService",
        "    spec:",
        "      hosts: [reviews]",
    ]
    assert " 2  All requests to v3" in shown


def test_text_wraps_at_80_columns_on_a_wider_terminal_and_yaml_is_highlighted() -> None:
    text = rendered(explanation_lines([explanation()], LINES), 140)
    assert max(cell_len(line.rstrip()) for line in bare(text).splitlines()) <= 80
    (kind,) = [line for line in text.splitlines() if "VirtualService" in line]
    assert coloured(kind)


LONG = "statsInclusionPrefixes: " + ",".join(["cluster.outbound"] * 8)
HERE = f"kubectl apply -f - <<'EOF'\n---\nkind: VirtualService\nspec:\n  {LONG}\nEOF"
READ = "HOST=$(kubectl get service istio-ingressgateway -n istio-system -o jsonpath='{.a b}' -o wide)"
ROUTE = StepExplanation(1, "Route", Explanation(commands=(HERE, READ, "curl $HOST")))


def test_what_is_shown_can_be_pasted_into_a_shell() -> None:
    for screen in (live_screen(), PlainScreen(io.StringIO(), debug=False, echo=False, glyphs=UNICODE)):
        screen.show_explanation([LabExplanation(lab("a", needs=()), (ROUTE,))])
        assert isinstance(screen.console.file, io.StringIO)
        shown = bare(screen.console.file.getvalue()).replace("\r", "")
        assert (
            "\nkubectl apply -f - <<'EOF'\n"
            + HERE.partition("\n")[2]
            + "\nHOST=$(kubectl get service istio-ingressgateway -n istio-system -o \\\n"
            + "    jsonpath='{.a b}' -o wide)\n"
            + "curl $HOST\n"
        ) in shown


def test_commands_stand_out_on_a_terminal() -> None:
    shown = rendered(explanation_lines([LabExplanation(lab("a", needs=()), (ROUTE,))], LINES)).splitlines()
    commands = ("kubectl apply", "HOST=$(", "    jsonpath=", "curl $HOST", "EOF")
    found = {word: [line for line in shown if bare(line).startswith(word)] for word in commands}
    assert all(len(lines) == 1 and coloured(lines[0]) for lines in found.values())


def test_a_variable_is_set_once_in_each_lab() -> None:
    steps = (ROUTE, replace(ROUTE, number=2))
    labs = [LabExplanation(lab(name, needs=()), steps) for name in "ab"]
    shown = bare(rendered(explanation_lines(labs, LINES)))
    assert (shown.count("\nHOST="), shown.count("\ncurl")) == (2, 4)
    other = replace(ROUTE, explanation=Explanation(commands=("HOST=other", READ)))
    shown = bare(rendered(explanation_lines([LabExplanation(lab("a", needs=()), (ROUTE, other))], LINES)))
    assert shown.count("\nHOST=$(") == 2
    both = (step(1, "Route", Difference("VirtualService a/b")), step(2, "Route", Difference("VirtualService a/b")))
    shown = planned(*(replace(one, explanation=ROUTE.explanation) for one in both), commands=True)
    assert (shown.count("\nHOST="), shown.count("\ncurl")) == (1, 2)
    assert "\nkubectl apply -f - <<'EOF'\n---\n" in shown
