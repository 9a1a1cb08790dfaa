"""Fields for amounts that people type: 0.5 and 0,5 are the same, and what may mean two things is refused.

A browser's own field for numbers drops a comma where its language has none: 0,5 becomes 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import streamlit as st

_PLAIN = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
_TWOFOLD = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_SIGNS = re.compile(r"[$€\s]")
LONGEST = 16  # characters


@dataclass(frozen=True, slots=True)
class Amount:
    """What a field holds: None when it is empty or wrong; a `problem` says what is wrong."""

    value: float | None
    problem: str | None = None


def read(text: str, *, more_than: float | None = None, most: float | None = None) -> Amount:
    """Return the amount in a text, empty when there is none."""
    bare = _SIGNS.sub("", text)
    if not bare:
        return Amount(None)
    if _TWOFOLD.fullmatch(bare):
        return Amount(
            None, f"{text!r} may be {bare.replace(',', '')} or {bare.replace(',', '.')}: write one of them"
        )
    if not _PLAIN.fullmatch(bare):
        return Amount(None, f"{text!r} is not a number: write it like 0.5 or 12")
    value = float(bare.replace(",", "."))
    if more_than is not None and value <= more_than:
        return Amount(None, f"{text!r} must be more than {more_than:g}, or leave it empty")
    if most is not None and value > most:
        return Amount(None, f"{text!r} must be {most:g} at most")
    return Amount(value)


def field(
    label: str,
    value: float | None = None,
    *,
    more_than: float | None = None,
    most: float | None = None,
    width: int,
    help: str | None = None,
    key: str | None = None,
) -> Amount:
    """Draw a field and return what it holds, empty or wrong ones too; the caller says what is wrong."""
    text = st.text_input(
        label, "" if value is None else f"{value:.12g}", max_chars=LONGEST, width=width, placeholder="none",
        help=help, key=key,
    )  # fmt: skip
    return read(text, more_than=more_than, most=most)
