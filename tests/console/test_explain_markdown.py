"""`--explain` into a file: a Markdown document that says what the labs say, and whose shell blocks are whole."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from labs import RUNBOOK
from tests.runbook.world import lab
from workshop.console.explain_markdown import markdown
from workshop.console.plain import PlainScreen
from workshop.console.words import UNICODE
from workshop.runbook.options import Option
from workshop.runbook.plan import LabExplanation, StepExplanation
from workshop.runbook.results import Explanation

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
