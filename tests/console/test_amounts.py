"""Amounts that people type, with the comma or the point of their language."""

from __future__ import annotations

import pytest

from console.dashboard import amounts


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), (" ", None), ("0.5", 0.5), ("0,5", 0.5), ("1,25", 1.25), ("12", 12.0), ("$ 0,50", 0.5),
     ("-3", -3.0), ("0,050", 0.05), ("10000", 10_000.0)],
)  # fmt: skip
def test_comma_and_point_are_the_same(text: str, value: float | None) -> None:
    assert amounts.read(text) == amounts.Amount(value)


@pytest.mark.parametrize(
    "text", ["1,250", "1,234.5", "1.234,5", "1e3", "nan", "inf", "ten", "1..2", ",5", "--1"]
)
def test_what_may_be_meant_otherwise_is_refused_with_the_text(text: str) -> None:
    amount = amounts.read(text)
    assert amount.value is None and amount.problem is not None and repr(text) in amount.problem


def test_bounds_are_said() -> None:
    assert amounts.read("0", more_than=0).problem == "'0' must be more than 0, or leave it empty"
    assert amounts.read("721", most=720).problem == "'721' must be 720 at most"
