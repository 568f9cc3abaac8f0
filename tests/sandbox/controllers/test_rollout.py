"""The arithmetic of rolling updates, and that no sequence of events makes it break its promises."""

from __future__ import annotations

import random

import pytest

from sandbox.controllers.rollout import Limits, Size, limits_of, new_size, old_sizes, proportional


def deployment(replicas: int, surge: int | str, unavailable: int | str) -> dict[str, object]:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "limits"),
    [
        (3, "25%", "25%", Limits(3, 1, 0)),
        (1, "25%", "25%", Limits(1, 1, 0)),
        (10, "25%", "25%", Limits(10, 3, 2)),
        (4, 0, "100%", Limits(4, 0, 4)),
        (3, "0%", "10%", Limits(3, 0, 1)),
        (2, 5, 5, Limits(2, 5, 2)),
        (0, 1, 0, Limits(0, 0, 0)),
    ],
)
def test_surge_is_rounded_up_and_unavailable_down(
    replicas: int, surge: int | str, unavailable: int | str, limits: Limits
) -> None:
    assert limits_of(deployment(replicas, surge, unavailable)) == limits


def test_a_surge_comes_before_anything_goes() -> None:
    limits = Limits(3, 1, 0)
    assert new_size(limits, Size(0, 0), [Size(3, 3)]) == 1
    assert old_sizes(limits, Size(1, 0), [Size(3, 3)]) == [3]
    assert old_sizes(limits, Size(1, 1), [Size(3, 3)]) == [2]


def test_without_surge_room_is_made_first() -> None:
    limits = Limits(3, 0, 1)
    assert new_size(limits, Size(0, 0), [Size(3, 3)]) == 0
    assert old_sizes(limits, Size(0, 0), [Size(3, 3)]) == [2]
    assert new_size(limits, Size(0, 0), [Size(2, 3, 3)]) == 0
    assert new_size(limits, Size(0, 0), [Size(2, 2, 2)]) == 1


def test_pods_that_do_not_serve_go_first_whatever_their_age() -> None:
    assert old_sizes(Limits(3, 1, 0), Size(1, 1), [Size(2, 2), Size(1, 0)]) == [2, 0]


def test_a_replica_set_about_to_lose_a_pod_does_not_count_it() -> None:
    # Asked for 2, still 3 available: one is as good as gone.
    assert old_sizes(Limits(3, 1, 0), Size(1, 1), [Size(2, 3)]) == [2]


def test_scaling_in_the_middle_keeps_shares() -> None:
    assert proportional(Limits(15, 3, 2), [8, 5]) == [11, 7]
    assert proportional(Limits(0, 0, 0), [8, 5]) == [0, 0]
    assert sum(proportional(Limits(7, 1, 0), [3, 3, 3])) == 8


@pytest.mark.parametrize("seed", range(100))
def test_no_course_of_events_breaks_the_promises(seed: int) -> None:
    """Pods appear, become ready and go in any order; templates change in the middle of a rollout."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    desired = chance.randint(1, 12)
    surge, unavailable = chance.randint(0, 4), chance.randint(0, desired)
    limits = limits_of(deployment(desired, surge, unavailable))
    # Each set: how many pods it is asked for, how many it has, how many of those are available.
    sets = [[desired, desired, desired]]
    changes = chance.randint(1, 3)
    for _ in range(2000):
        *old, new = [Size(wanted, available, there) for wanted, there, available in sets]
        action = chance.random()
        if action < 0.3:
            sets[-1][0] = new_size(limits, new, old)
        elif action < 0.6:
            for one, size in zip(sets, old_sizes(limits, new, old), strict=False):
                one[0] = size
        elif action < 0.99:
            one = chance.choice(sets)
            move(one, chance)
        elif changes and len(sets) < 4:
            changes -= 1
            sets.append([0, 0, 0])
        assert sum(max(one[0], one[1]) for one in sets) <= limits.most
        assert sum(min(one[0], one[2]) for one in sets) >= limits.least
    for _ in range(200):
        *old, new = [Size(wanted, available, there) for wanted, there, available in sets]
        sets[-1][0] = new_size(limits, new, old)
        new = Size(sets[-1][0], sets[-1][2])
        for one, size in zip(sets, old_sizes(limits, new, old), strict=False):
            one[0] = size
        for one in sets:
            move(one, chance)
    assert [one[0] for one in sets] == [*[0] * (len(sets) - 1), desired]


def move(one: list[int], chance: random.Random) -> None:
    """What the replica set controller and a kubelet do next."""
    wanted, there, available = one
    if there < wanted:
        one[1] += 1
    elif there > wanted:
        # Those that are not ready go first.
        one[1] -= 1
        one[2] = min(available, one[1])
    elif available < there:
        one[2] += 1
