"""Options that have a value of some kind, looked at before a run begins."""

from __future__ import annotations

import pytest

from tests.kit.engine import Put
from workshop.runbook.errors import UsageError
from workshop.runbook.model import Lab, Runbook
from workshop.runbook.options import Duration, Number, Option, Word
from workshop.runbook.request import Request

PERCENT = Number("percent", "How many.", "50")
DELAY = Duration("delay", "How long.", "7s", low=0.1, high=60)
USER = Word("user", "Who.", "jason")


@pytest.mark.parametrize(
    ("option", "given"),
    [
        *((PERCENT, given) for given in ("-1", "101", "fifty", "5.5", "", "²")),
        *((DELAY, given) for given in ("7", "7 s", "0.05s", "2m", "-1s", "s", "1h", "")),
        *((USER, given) for given in ("", "a b", "jason;", "${x}", "a\nb")),
    ],
)
def test_what_is_no_such_value_is_refused(option: Option, given: str) -> None:
    runbook = Runbook((Lab("istio.fault", "", "", (Put("fault"),), options=(option,)),))
    with pytest.raises(UsageError) as refused:
        Request(("istio.fault",), options={"istio.fault": {option.name: given}}).validate(runbook)
    assert refused.value.exit_status == 2
    assert refused.value.came_back == option.problem(given)
    assert refused.value.next_command == f"invoke lab.istio.fault --{option.name} {option.default}"


@pytest.mark.parametrize(
    ("option", "given", "value"),
    [
        (PERCENT, "0", 0),
        (PERCENT, "100", 100),
        (DELAY, "500ms", 0.5),
        (DELAY, "1.5s", 1.5),
        (DELAY, "1m", 60.0),
        (USER, "mary-ann.2", "mary-ann.2"),
    ],
)
def test_what_is_one_is_read(option: Number | Duration | Word, given: str, value: object) -> None:
    assert option.problem(given) == ""
    assert option.of({option.name: given}) == value
    assert option.text({option.name: given}) == given


@pytest.mark.parametrize(
    ("low", "high", "examples"), [(0.1, 60, "7s or 500ms"), (1, 60, "7s or 1500ms"), (5, 10, "7s")]
)
def test_a_times_examples_are_within_its_limits(low: float, high: float, examples: str) -> None:
    said = Duration("delay", "How long.", "7s", low=low, high=high).problem("1h")
    assert said == f"it is a time from {low:g}s to {high:g}s, such as {examples}"


def test_what_was_not_given_is_the_default() -> None:
    assert (PERCENT.of({}), DELAY.of({}), USER.of({})) == (50, 7.0, "jason")
