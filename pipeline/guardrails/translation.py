"""Holds a sentence against passages in another language: numbers, units, names and denials alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.guardrails.lines import PassageSentence
from pipeline.text.amounts import amounts
from pipeline.text.foreign import READ, Quantity, codes, denies, folded, has_name, names, quantities, refuses
from pipeline.text.polarity import counted
from pipeline.text.sentences import STOP_WORDS, tokens

_DIGITS = re.compile(r"\d+(?:[.,]\d+)*(?!\d*[月日])")
_PART = re.compile(r"; |, (?:but|yet|while|though) ")
COGNATE = 5  # first letters by which words of two languages are taken for the same
DAY = 1440  # minutes
ANY = ("euro", "percent", "minute", "metre", "litre")  # units that may be left out or written unlike ours


def departures(plain: str, code: str, theirs: frozenset[str], lines: Sequence[PassageSentence]) -> list[str]:
    """Return what a sentence in the language `code` says otherwise than lines in `theirs`, as reasons.

    Of lines in another language than English, and of sentences in one that we do not read, digits alone.
    """
    if theirs != {"en"} or code not in READ:
        return [f"The number {value} does not stand there." for value in sorted(_digits_apart(plain, lines))]
    reasons = [_reason(odd) for odd in _odd(quantities(plain, code), lines)]
    everywhere = " ".join(folded(line.text) for line in lines)
    people = names(plain) if any(has_name(line.text) for line in lines) else []
    reasons += [
        f"{name!r} does not stand there." for name in people + codes(plain) if folded(name) not in everywhere
    ]
    if not reasons and _turned(plain, code, lines):
        reasons.append("One of the two denies what the other says.")
    return reasons


def _digits_apart(plain: str, lines: Sequence[PassageSentence]) -> set[str]:
    """Return the numbers in digits that no line has, however points and commas are set: "6 pm" is "18"."""
    there = {_digits_alone(number) for line in lines for number in _DIGITS.findall(line.text)}
    there |= {value for line in lines for value in counted(line.text)}
    return {
        number
        for number in _DIGITS.findall(plain)
        if _digits_alone(number) not in there and _afternoon(number) not in there
    }


def _digits_alone(number: str) -> str:
    return "".join(char for char in number if char.isdigit())


def _afternoon(number: str) -> str:
    """Return the hour on a clock of twelve: "18" may be "6 pm"."""
    return str(int(number) - 12) if number.isdecimal() and 12 < int(number) < 24 else number


def _reason(odd: Quantity) -> str:
    return f"The number {odd.text}{' ' + odd.unit if odd.unit else ''} does not stand there."


def _odd(claimed: Sequence[Quantity], lines: Sequence[PassageSentence]) -> list[Quantity]:
    """Return the quantities that no line has, or only in other units."""
    if not claimed:
        return []
    meanings = {meaning for line in lines for amount in amounts(line.text) for meaning in amount.meanings}
    bare = {float(value) for line in lines for value in counted(_bare(line.text)) if _decimal(value)}
    return [
        quantity
        for quantity in claimed
        if quantity.value not in bare and meanings.isdisjoint(_meant(quantity))
    ]


def _bare(text: str) -> str:
    """Return a text without its amounts, so that its other numbers remain."""
    for amount in reversed(amounts(text)):
        text = f"{text[: amount.start]} {text[amount.end :]}"
    return text


def _decimal(value: str) -> bool:
    return value.replace(".", "", 1).isdecimal()


def _meant(quantity: Quantity) -> set[str]:
    """Return what a quantity may mean: an amount, without a unit any, or an hour on either clock."""
    if ":" in quantity.text:
        hour, _, minute = quantity.text.partition(":")
        return _clock(int(hour) * 60 + int(minute[:2]))
    units = [quantity.unit] if quantity.unit else ANY
    meanings = {
        meaning
        for unit in units
        for amount in amounts(f"{quantity.value:g} {unit}")
        for meaning in amount.meanings
    }
    if not quantity.unit or quantity.unit == "hour":
        meanings |= _clock(60 * quantity.value)
    return meanings


def _clock(minutes: float) -> set[str]:
    """Return the time of the day in 24 hours and as a clock of twelve has it."""
    return {f"clock {minutes % DAY:g}", f"clock {minutes % (DAY / 2):g}"}


def _turned(plain: str, code: str, lines: Sequence[PassageSentence]) -> bool:
    """Tell whether the sentence denies and the line it translates does not, or the other way round.

    The line is the one that shares most numbers and words of both languages with it; without one a denial
    counts only where no line has any.
    """
    denial = denies(plain, code)
    parts = [part for line in lines for part in _PART.split(line.text)]
    part = _original(plain, code, parts)
    if part is None:
        return denial and not any(denies(part, "en") or refuses(part, "en") for part in parts)
    if denial:
        return not denies(part, "en") and not refuses(part, "en")
    return denies(part, "en") and "," not in part and not refuses(plain, code)


def _original(plain: str, code: str, parts: Sequence[str]) -> str | None:
    """Return the part that shares most with the sentence; None when none or several do."""
    sought = _anchors(plain) | {f"{quantity.value:g}" for quantity in quantities(plain, code)}
    shared = [len(sought & (_anchors(part) | counted(part))) for part in parts]
    most = max(shared, default=0)
    return parts[shared.index(most)] if most and shared.count(most) == 1 else None


def _anchors(text: str) -> set[str]:
    """Return the beginnings of a text's words, which "consent" and "consentimiento" share."""
    words = [folded(token) for token in tokens(text) if token not in STOP_WORDS and not token[0].isdigit()]
    return {word[:COGNATE] for word in words if len(word) >= COGNATE - 1}
