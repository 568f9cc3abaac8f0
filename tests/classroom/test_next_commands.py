"""Commands for one cluster, in the errors of a class task."""

from __future__ import annotations

import pytest

from workshop.classroom.next_commands import for_members, for_whom
from workshop.runbook.record import Trouble

WHOM = " --only ada,ben"


@pytest.mark.parametrize(
    ("one", "of_class"),
    [
        ("invoke adopt", "invoke class.adopt --only ada,ben"),
        ("invoke reset --to clean --foreign", "invoke class.reset --only ada,ben --to clean --foreign"),
        ("invoke lab.a.b lab.a.c", "invoke class.run a.b,a.c --only ada,ben"),
        ("invoke lab.a.b --check", "invoke class.check a.b --only ada,ben"),
        ("invoke lab.a.b --to half", "invoke class.run a.b --only ada,ben --to half"),
        ("invoke lab.a.b --undo", "invoke lab.a.b --undo"),
        ("invoke lab.a.b lab.a.c --undo", "invoke lab.a.b lab.a.c --undo"),
        ("invoke class.run a.b", "invoke class.run a.b"),
        ("invoke sandbox.up", "invoke class.up --only ada,ben"),
        ("kubectl get pods", "kubectl get pods"),
    ],
)
def test_what_is_typed_next_is_for_the_members(one: str, of_class: str) -> None:
    assert for_members(Trouble("", "", one), "invoke", WHOM).next_command == of_class


def test_sentences_name_the_class_s_commands() -> None:
    said = for_members(Trouble("not proved: invoke lab.a.b --check measures it"), "invoke", WHOM).said
    assert said == "not proved: invoke class.check a.b measures it"


def test_the_same_line_for_some() -> None:
    words = ["invoke", "class.run", "a.b", "--only", "ada", "--failed", "--only=ben", "--roster", "a b.yaml"]
    assert for_whom(words, ["cleo"]) == "invoke class.run a.b --roster 'a b.yaml' --only cleo"
