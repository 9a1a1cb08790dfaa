"""Tiles and cards say in words what they show, and what a person wrote stays text."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from console.dashboard import cards
from console.dashboard.cards import Growing


@pytest.mark.parametrize(
    ("text", "growing", "expected"),
    [
        ("+3.0%", "normal", ("good", "▲ +3.0%")),
        ("+3.0%", "inverse", ("bad", "▲ +3.0%")),
        ("-3.0%", "normal", ("bad", "▼ -3.0%")),
        ("-3.0%", "inverse", ("good", "▼ -3.0%")),
        ("+3.0%", "off", ("even", "▲ +3.0%")),
        (0, "normal", ("even", "0")),
    ],
)
def test_a_change_has_an_arrow_and_a_colour(text: Any, growing: Growing, expected: tuple[str, str]) -> None:
    assert growing in get_args(Growing)
    kind, words = expected
    assert cards.change(text, growing) == f'<span class="change {kind}">{words}</span>'
    assert cards.change(None, growing) == ""


def test_a_tile_says_what_it_means_and_draws_its_line() -> None:
    html = cards.tile("Cost <b>", "$1", 'Mean of "all"\n\nBefore: —.', cards.note("a & b"), [1.0, 3.0, 2.0])
    assert "<dt>Cost &lt;b&gt;" in html and "a &amp; b" in html
    assert 'aria-label="Cost &lt;b&gt;: Mean of &quot;all&quot;' in html
    assert 'd="M0.0 100.0L50.0 0.0L100.0 50.0"' in html
    assert "<svg" not in cards.tile("Turns", "8", "All.", line=[1.0, 2.0])  # no line yet
    assert 'd="M0.0 100.0L50.0 100.0L100.0 100.0"' in cards.tile("Flat", "1", "All.", line=[1.0] * 3)
