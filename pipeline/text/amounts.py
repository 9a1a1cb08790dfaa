"""Reads amounts that are written in several ways: "half an hour" and "30 minutes", "6 pm" and "18:00"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from pipeline.text.polarity import figure

_COUNTS = """a an one two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty
    fifty sixty ninety"""
_NUMBER = rf"(?:\d+(?:[.,]\d+)*|(?:{'|'.join(_COUNTS.split())})\b)"
_SIZES = """time:1=second time:1=sec time:1=s time:60=minute time:60=min time:3600=hour time:3600=h
    time:86400=day time:604800=week time:1209600=fortnight month:1=month month:12=year length:1=mm
    length:1=millimetre length:10=cm length:10=centimetre length:1000=m length:1000=metre length:1000=meter
    length:1000000=km length:1000000=kilometre length:1000000=kilometer weight:1=g weight:1=gram
    weight:1000=kg weight:1000=kilo weight:1000=kilogram volume:1=ml volume:1=millilitre volume:1000=l
    volume:1000=litre volume:1000=liter money:100=euro money:100=eur money:100=dollar money:1=cent
    share:1=percent share:1=% times:1=time count:12=dozen"""
_UNITS = {
    unit: (dimension, float(size))
    for pair in _SIZES.split()
    for head, _, unit in [pair.partition("=")]
    for dimension, _, size in [head.partition(":")]
}
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_PART = (
    r"(?: ?(?P<part>(?:am|pm|a\.m\.|p\.m\.)(?!\w)|in the (?:morning|afternoon|evening)|at night|o['’]clock))"
)
_EACH = r"(?<!euros )(?<!euro )(?<!cents )(?<!times )(?<!once )(?<!twice )(?<!percent )(?<!hours )(?<!drops )"
_NOT_HALF = r"(?![ -](?:full|empty|open|filled|way|term|board|time|past|day|hour|year|dozen)\b)"
_SHARES = {"half": 50.0, "third": 100 / 3, "quarter": 25.0, "fifth": 20.0, "tenth": 10.0}
_PARTS = {"half": 0.5, "quarter": 0.25, "three quarters": 0.75}
_HALF_DAY = 720  # minutes
_FORENOON = ("am", "a.m.", "in the morning")
_AFTERNOON = ("pm", "p.m.", "in the afternoon", "in the evening", "at night")


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount's place in a text, and all that it may mean: "half past six" is early or late."""

    start: int
    end: int
    meanings: frozenset[str]


def respelled(text: str, others: Iterable[str]) -> str:
    """Return the text with its amounts as others write the same ones, where they do.

    So "You have a fortnight" is "You have 14 days" beside "Bills are due after 14 days".
    """
    mine = amounts(text)
    if not mine:
        return text
    theirs: dict[str, str] = {}
    for other in others:
        for amount in amounts(other):
            theirs.update(dict.fromkeys(amount.meanings, other[amount.start : amount.end]))
    wordings = {wording.casefold() for wording in theirs.values()}
    for amount in reversed(mine):
        wording = next((theirs[meaning] for meaning in sorted(amount.meanings) if meaning in theirs), None)
        if wording is not None and text[amount.start : amount.end].casefold() not in wordings:
            text = text[: amount.start] + wording + text[amount.end :]
    return text


@lru_cache(maxsize=4096)
def amounts(text: str) -> tuple[Amount, ...]:
    """Return the amounts of a text in their order; they do not overlap."""
    places: list[Amount] = []
    for pattern, read in _READERS:
        for match in pattern.finditer(text):
            start, end = match.span()
            if any(start < other.end and other.start < end for other in places):
                continue
            if meanings := read(match):
                places.append(Amount(start, end, frozenset(meanings)))
    return tuple(sorted(places, key=lambda amount: amount.start))


def _value(number: str) -> float:
    """Return a number, "1,000" and "1.5" as in English; a word's value otherwise."""
    word = number.lower()
    return 1.0 if word in ("a", "an") else float(figure(word).replace(",", "").rstrip("."))


def _meaning(dimension: str, size: float) -> str:
    return f"{dimension} {size:g}"


def _clock(match: re.Match[str]) -> list[str]:
    """Read "18:30", "6:30 pm", "6 pm", "six in the evening" and "12 o'clock"."""
    parts = match.groupdict()
    hour, minute = _value(parts["hour"]), float(parts.get("minute") or 0)
    if not hour.is_integer() or hour > 24:
        return []
    return _times(hour * 60 + minute, parts["part"] or "")


def _times(minutes: float, part: str) -> list[str]:
    """Return the minutes of the day that are meant, as written without a part of it; none of "19:30 am"."""
    part = part.lower()
    if part in _AFTERNOON and minutes < _HALF_DAY:
        minutes += _HALF_DAY
    elif part in _FORENOON and minutes >= _HALF_DAY:
        minutes -= _HALF_DAY
        if minutes >= 60:
            return []
    both = part.startswith("o") and minutes < _HALF_DAY
    return [_meaning("clock", minutes % 1440)] + ([_meaning("clock", minutes + _HALF_DAY)] if both else [])


def _past(match: re.Match[str]) -> list[str]:
    """Read "half past six" and "quarter to nine in the evening"."""
    words = match["past"].lower()
    minutes = 60 * _value(match["hour"]) + {"half past": 30, "quarter past": 15, "quarter to": -15}[words]
    return _times(minutes, match["part"] or "o'clock")


def _noon(match: re.Match[str]) -> list[str]:
    return [_meaning("clock", 0 if match[0].lower() == "midnight" else _HALF_DAY)]


def _partly(match: re.Match[str]) -> list[str]:
    """Read "half an hour", "a quarter of a year" and "three quarters of an hour"."""
    dimension, size = _UNITS[match["unit"].lower()]
    return [_meaning(dimension, size * _PARTS[match["part"].lower()])]


def _measure(match: re.Match[str]) -> list[str]:
    """Read "30 minutes", "an hour and a half", "two and a half hours" and "a fortnight"."""
    dimension, size = _UNITS[match["unit"].lower()]
    more = (match["more"] or match["odd"] or "").lower()
    value = _value(match["number"]) + (0.5 if "half" in more else 0.25 if "quarter" in more else 0.0)
    return [_meaning(dimension, value * size)]


def _price(match: re.Match[str]) -> list[str]:
    return [_meaning("money", 100 * _value(match["number"]))]


def _often(match: re.Match[str]) -> list[str]:
    return [_meaning("times", 1 if match[0].lower() == "once" else 2)]


def _share(match: re.Match[str]) -> list[str]:
    """Read "half", "a third" and "two thirds"."""
    count = _value(match["count"] or "a")
    return [_meaning("share", count * _SHARES[match["share"].lower().removesuffix("s")])]


_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], list[str]]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), read)
    for pattern, read in (
        (rf"\b(?P<past>half past|quarter past|quarter to) (?P<hour>{_NUMBER}){_PART}?", _past),
        (rf"\b(?P<hour>\d{{1,2}}):(?P<minute>\d\d)\b{_PART}?", _clock),
        (rf"\b(?P<hour>{_NUMBER}){_PART}", _clock),
        (r"\b(?:noon|midday|midnight)\b", _noon),
        (
            rf"{_EACH}\b(?:a )?(?P<part>half|quarter|three quarters) (?:of )?an? (?P<unit>{_UNIT})\b(?! day)",
            _partly,
        ),
        (
            rf"{_EACH}\b(?P<number>{_NUMBER})(?P<odd> and a half)?[ -]?(?P<unit>{_UNIT})s?(?!\w)"
            r"(?P<more> and a (?:half|quarter)\b)?",
            _measure,
        ),
        (r"[€$] ?(?P<number>\d+(?:[.,]\d+)?)", _price),
        (r"\b(?:twice\b|once\b(?= an?\b| per\b| every\b|[.,;]|$))", _often),
        (
            rf"\b(?:(?P<count>an?|one|two|three) )?"
            rf"(?P<share>half{_NOT_HALF}|thirds?|quarters?|fifths?|tenths?)\b",
            _share,
        ),
    )
)
