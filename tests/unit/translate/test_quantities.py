"""Quantities are read exactly, and everything that the CRD lets through can be read."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerun.api import edgeproxy, schema
from edgerun.translate.quantities import amount

SPEC = schema.kinds()[edgeproxy.KIND].schema["properties"]["spec"]
PATTERN = SPEC["properties"]["resources"]["properties"]["limits"]["additionalProperties"]["pattern"]
SUFFIXES = ("", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti")


@pytest.mark.parametrize(
    ("quantity", "found"),
    [
        ("500m", Fraction(1, 2)),
        ("2", 2),
        (2, 2),
        ("0.1", Fraction(1, 10)),
        ("1.5Gi", 3 * 2**29),
        ("1G", 10**9),
        ("128Mi", 128 * 2**20),
        ("007", 7),
        (0, 0),
    ],
)
def test_a_quantity_is_what_kubernetes_takes_it_for(quantity: str | int, found: Fraction | int) -> None:
    assert amount(quantity) == found


@given(st.from_regex(re.compile(PATTERN, re.ASCII), fullmatch=True))
def test_whatever_the_schema_takes_can_be_read(quantity: str) -> None:
    assert amount(quantity) >= 0


@given(st.integers(0, 10**12), st.sampled_from(SUFFIXES))
def test_a_number_counts_as_often_as_its_suffix_says(number: int, suffix: str) -> None:
    assert re.match(PATTERN, f"{number}{suffix}")
    assert amount(f"{number}{suffix}") == number * amount(f"1{suffix}")


@given(st.sampled_from(SUFFIXES[2:]))
def test_suffixes_of_more_are_more(suffix: str) -> None:
    assert amount(f"1{suffix}") >= 1000
