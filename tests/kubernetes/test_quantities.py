"""What pods ask for and whether nodes have it, by the rules of Kubernetes' scheduler."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.laws import LAW
from workshop.kubernetes.quantities import Amount, free, quantity, requested, without_place

GIB = 1024.0**3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", 0.5),
        ("2", 2.0),
        ("1.5", 1.5),
        ("2Gi", 2 * GIB),
        ("128Mi", GIB / 8),
        ("16393244Ki", 16393244 * 1024.0),
        ("1e3", 1000.0),
        ("5G", 5e9),
    ],
)
def test_quantities(text: str, value: float) -> None:
    assert math.isclose(quantity(text), value)


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "two"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        quantity(text)


def container(cpu: str, memory: str = "0", **more: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}}, **more}


def pod(*containers: dict[str, Any], before: tuple[dict[str, Any], ...] = (), **more: Any) -> dict[str, Any]:
    return {"spec": {"containers": list(containers), "initContainers": list(before), **more}}


def test_a_pod_asks_for_its_containers_and_sidecars_or_for_one_before_them() -> None:
    assert requested(pod(container("100m", "1Gi"), container("200m"))) == Amount(0.1 + 0.2, GIB)
    native = container("100m", "128Mi", restartPolicy="Always")
    assert requested(pod(container("1"), before=(container("100m"), native))) == Amount(1.1, GIB / 8)
    assert requested(pod(container("1"), before=(container("3", "1Mi"), native))) == Amount(3.0, GIB / 8)
    assert requested(pod({})) == Amount()


def node(name: str, cpu: str = "2", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec, "status": {"allocatable": {"cpu": cpu, "memory": "8Gi"}}}


def test_nodes_that_take_no_pods_are_left_out() -> None:
    taint = {"key": "dedicated", "effect": "NoSchedule"}
    nodes = [node("a"), node("b", unschedulable=True), node("c", taints=[taint])]
    running = pod(container("500m", "1Gi"), nodeName="a")
    ended = {**pod(container("1"), nodeName="a"), "status": {"phase": "Succeeded"}}
    assert free(nodes, [running, ended]) == {"a": Amount(1.5, 7 * GIB)}


def test_a_pod_has_to_fit_on_one_node() -> None:
    rooms = {"a": Amount(1.0, GIB), "b": Amount(1.0, GIB)}
    assert without_place([Amount(0.6, 0), Amount(0.4, 0), Amount(0.5, 0), Amount(0.5, 0)], rooms) == []
    assert without_place([Amount(0.6, 0), Amount(0.6, 0), Amount(0.6, 0)], rooms) == [Amount(0.6, 0)]
    assert without_place([Amount(0.1, 2 * GIB)], rooms) == [Amount(0.1, 2 * GIB)]


FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
FACTORS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}


@settings(LAW, max_examples=300)
@given(st.integers(-(10**6), 10**6), st.sampled_from(sorted(FACTORS)), st.sampled_from("num"), st.integers(-9, 18))
def test_every_way_to_write_a_quantity_is_read_back_as_the_same(
    number: int, suffix: str, small: str, power: int
) -> None:
    """k8s.io/apimachinery/pkg/api/resource: decimal and binary suffixes, and exponents."""
    assert quantity(f"{number}{suffix}") == number * FACTORS[suffix]
    assert quantity(number * FACTORS[suffix]) == quantity(f"{number}{suffix}")
    assert quantity(f"{number}{small}") * 10 ** {"m": 3, "u": 6, "n": 9}[small] == number
    assert quantity(f"{number}e{power}") == Decimal(number).scaleb(power)
    assert quantity(f"{Decimal(number).scaleb(-3):f}{suffix}") * 1000 == quantity(f"{number}{suffix}")


@pytest.mark.parametrize("text", ["", "m", "1.5.2", "1 Gi", "1g", "1KI", "e3", "1e", None, True, [1]])
def test_what_is_no_quantity_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)
