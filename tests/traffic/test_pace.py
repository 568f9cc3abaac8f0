"""How many requests at once, and over how many connections, of services that serve as they are said to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workshop.traffic.load import Result, Trouble
from workshop.traffic.pace import Pace, merged

LEAST, MOST = 407, 1450


def waiting(connections: int) -> float:
    """Each answer takes 0.3 s, however many are asked for."""
    return connections / 0.3


def busy(connections: int) -> float:
    """As the real HelloWorld, which burns processor for each answer."""
    return 28.0


def quick(connections: int) -> float:
    return 1500.0


def filling(connections: int) -> float:
    """Eight workers of 0.1 s: over more connections requests only wait in line."""
    return min(connections, 32) / 0.1


def sent(service: Callable[[int], float]) -> tuple[list[int], list[int], float]:
    """The groups, over how many connections, and the seconds of a measurement that takes all of the plan."""
    pace, groups, over, seconds = Pace(16, timeout=15.0), list[int](), list[int](), 0.0
    pace.saw(Result({"": 145}, seconds=145 / service(16)), 0)
    while (done := sum(groups)) < MOST:
        size = pace.size(done, LEAST, MOST)
        groups.append(size)
        over.append(pace.connections)
        took = size / service(pace.connections)
        seconds += took
        pace.saw(Result({"": size}, seconds=took), MOST - done - size)
    return groups, over, seconds


def test_a_quick_service_is_sent_what_may_be_enough_and_then_a_quarter_of_that() -> None:
    groups, over, _ = sent(quick)
    assert (groups[:3], set(over)) == ([LEAST, LEAST // 4, LEAST // 4], {16})


def test_a_service_that_waits_gets_as_many_connections_as_help() -> None:
    _, over, seconds = sent(waiting)
    assert over == sorted(over)
    assert max(over) == 128
    assert seconds < MOST / waiting(16) / 3


def test_a_service_with_so_many_workers_gets_as_many_connections() -> None:
    _, over, _ = sent(filling)
    assert (over[-1], max(over)) == (32, 64)


def test_a_busy_service_gets_no_more_and_is_looked_at_often() -> None:
    groups, over, _ = sent(busy)
    assert (over[-1], max(over), over.count(32)) == (16, 32, 1)
    assert max(groups) <= 64
    assert sum(size == 16 for size in groups) > 60


@pytest.mark.parametrize("result", [Result(), Result({"v1": 3})])
def test_what_has_taken_no_time_or_has_no_answer_changes_nothing(result: Result) -> None:
    pace = Pace(16, timeout=15.0)
    pace.saw(result, 1000)
    assert (pace.connections, pace.rate, pace.size(0, LEAST, MOST)) == (16, 0.0, 16)


def test_a_group_is_never_more_than_what_is_left() -> None:
    pace = Pace(16, timeout=15.0)
    assert (pace.size(1445, LEAST, MOST), pace.size(60, 66, 66)) == (5, 6)


def test_results_are_added_up() -> None:
    one = Result({"v1": 2}, {"timeout": Trouble("a", 1)}, [0.1, 0.3], 1.0)
    two = Result({"v1": 1, "v2": 4}, {"timeout": Trouble("b", 2), "HTTP 503": Trouble("c", 1)}, [0.2], 0.5)
    both = merged(one, two)
    assert both.counts == {"v1": 3, "v2": 4}
    assert {kind: (it.example, it.count) for kind, it in both.errors.items()} == {
        "timeout": ("a", 3),
        "HTTP 503": ("c", 1),
    }
    assert (both.latencies, both.seconds, one.errors["timeout"].count) == ([0.1, 0.2, 0.3], 1.5, 1)
