"""Labs put together: their order, and what clean-ups take back."""

from __future__ import annotations

import pytest

from labs import RUNBOOK
from workshop.cli import lab_tasks
from workshop.runbook import Lab
from workshop.runbook.assembly import FLAGS, assembled, refuse_missing_files, refuse_mistakes
from workshop.runbook.errors import UsageError


def lab(name: str, *needs: str) -> Lab:
    return Lab(name, "", "", needs=needs)


def clean_up(name: str) -> Lab:
    return Lab(name, "", "", clean_up=True)


def test_each_lab_comes_after_what_it_needs_and_else_stays_in_its_place() -> None:
    book = assembled([lab("a.3", "a.2"), lab("a.1"), lab("a.2", "a.1"), lab("a.4")])
    assert [each.name for each in book.labs] == ["a.1", "a.2", "a.3", "a.4"]


def test_a_clean_up_takes_back_its_group_and_what_needs_that() -> None:
    others = [lab("b.needs", "a.1"), lab("b.needs-that", "b.needs"), lab("b.alone")]
    book = assembled([lab("a.1"), clean_up("a.clean"), *others, clean_up("b.clean")])
    assert book.lab("a.clean").undoes == ("a.1", "b.needs", "b.needs-that")
    assert book.lab("b.clean").undoes == ("b.needs", "b.needs-that", "b.alone")
    names = [each.name for each in book.labs]
    assert names == ["a.1", "b.needs", "b.needs-that", "a.clean", "b.alone", "b.clean"]


def test_what_no_clean_up_would_take_back_the_last_one_does() -> None:
    book = assembled([lab("a.1"), clean_up("a.clean"), lab("b.1"), clean_up("b.clean"), lab("c.alone")])
    assert book.lab("a.clean").undoes == ("a.1",)
    assert book.lab("b.clean").undoes == ("b.1", "c.alone")


def test_the_workshop_s_own_clean_ups_take_back_all_there_is() -> None:
    for name in ("azure.cleanup", "istio.cleanup"):
        group = name.partition(".")[0]
        assert RUNBOOK.lab(name).undoes == tuple(
            each.name for each in RUNBOOK.labs if each.group == group and each.name != name
        )


def test_a_lab_that_needs_itself() -> None:
    book = assembled([lab("a.1", "a.3"), lab("a.2", "a.1"), lab("a.3", "a.2"), lab("a.free")])
    refuse_mistakes(book, ["a.free"])
    with pytest.raises(UsageError, match=r"a\.1 needs itself") as caught:
        refuse_mistakes(book, ["a.2"])
    assert caught.value.cause == "a need leads back to it: a.1, a.3, a.2, a.1"


def test_the_flags_that_no_option_may_have() -> None:
    stages = [option.name for option in lab_tasks._STAGES]
    assert {*FLAGS} == {*lab_tasks.MODES, lab_tasks._STEP.name, *stages, "help"}


def test_all_of_the_workshop_s_labs_are_sound() -> None:
    names = [each.name for each in RUNBOOK.labs]
    refuse_mistakes(RUNBOOK, names)
    refuse_missing_files(RUNBOOK, names)
