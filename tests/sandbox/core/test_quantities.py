from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.core.quantities import divided, parse
from tests.kit.laws import LAW

UNITS = {"": 1, "m": Fraction(1, 1000), "k": 1000, "M": 10**6, "Ki": 1024, "Mi": 2**20, "Gi": 2**30, "e2": 100}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("100m", Fraction(1, 10)), ("1.5Gi", 3 * 2**29), (2, 2), ("1e3", 1000), ("1E3", 1000), ("1E", 10**18)),
        *(
            ("-1", -1),
            (".5", Fraction(1, 2)),
            ("1.", 1),
            ("7k", 7000),
            ("3n", Fraction(3, 10**9)),
            (0.5, Fraction(1, 2)),
        ),
    ],
)
def test_quantities(text: str | float, value: Fraction) -> None:
    assert parse(text) == value


@pytest.mark.parametrize("text", ["", "much", "1e3m", "1Kii", "1 Gi", "1e99999"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse(text)


@pytest.mark.parametrize(("text", "divisor", "count"), [("1500m", "1", 2), ("128Mi", "1Mi", 128), ("1", "0", 1)])
def test_how_often_a_divisor_goes_into_one(text: str, divisor: str, count: int) -> None:
    assert divided(text, divisor) == count


@settings(LAW, max_examples=150)
@given(st.integers(-(10**12), 10**12), st.sampled_from(sorted(UNITS)))
def test_a_quantity_is_its_number_of_its_unit(number: int, unit: str) -> None:
    assert parse(f"{number}{unit}") == number * UNITS[unit]
