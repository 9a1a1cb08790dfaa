"""Times in the zone of whoever looks, with UTC on hover; days stay UTC days, and say so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from html import escape
from itertools import pairwise
from zoneinfo import ZoneInfo

import streamlit as st

from console import format

DAY = timedelta(days=1)
RENAMED = {  # browsers still name these zones as they were called before
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Asia/Saigon": "Asia/Ho_Chi_Minh",
    "Europe/Kiev": "Europe/Kyiv",
}


def zone() -> tzinfo:
    """Return the time zone of the visitor's browser; UTC where it names none that is known here."""
    name = st.context.timezone
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):  # no such zone, or no zone at all
        return UTC


def head(title: str) -> str:
    """Return the head of a column of times: "Time (Berlin)"; a space at its end stays."""
    key = getattr(zone(), "key", "UTC")
    name = RENAMED.get(key, key).rpartition("/")[2].replace("_", " ")
    return f"{title.rstrip()} ({name}){' ' if title.endswith(' ') else ''}"


def text(value: datetime | None, pattern: str = "%d %b %H:%M:%S") -> str:
    """Write a time: 22 Nov 23:35:07, in the visitor's zone."""
    return format.MISSING if value is None else f"{_local(value):{pattern}}".lstrip("0")


def short(value: datetime | None) -> str:
    """Write a time to the minute: 22 Nov 23:35, in the visitor's zone."""
    return text(value, "%d %b %H:%M")


def moment(value: datetime | None) -> str:
    """Return a time as HTML, with UTC on hover."""
    return _hover(value, text(value))


def minute(value: datetime | None) -> str:
    """Return a time to the minute as HTML, with UTC on hover."""
    return _hover(value, short(value))


def named(value: datetime | None) -> str:
    """Return a time as HTML with the name of its zone: 22 Nov 23:35:07 CET."""
    return _hover(value, plain(value))


def plain(value: datetime | None, pattern: str = "%d %b %H:%M:%S") -> str:
    """Write a time with the name of its zone, for sentences and labels."""
    return format.MISSING if value is None else f"{text(value, pattern)} {_local(value):%Z}"


def wall(times: Sequence[datetime]) -> list[datetime]:
    """Return times as the clock on the visitor's wall shows them, for the axis of a chart.

    Whole days stay days of UTC. Where the clock goes back within them, the last offset holds for all:
    an axis cannot show an hour twice.
    """
    if all(later - earlier >= DAY for earlier, later in pairwise(times)) and all(map(_midnight, times)):
        return [at.astimezone(UTC).replace(tzinfo=None) for at in times]
    local = [at.astimezone(zone()) for at in times]
    shown = [at.replace(tzinfo=None) for at in local]
    if all(earlier < later for earlier, later in pairwise(shown)):
        return shown
    shift = local[-1].utcoffset() or timedelta()
    return [(at.astimezone(UTC) + shift).replace(tzinfo=None) for at in times]


def on_wall(at: datetime) -> datetime:
    """Return one time as the clock on the visitor's wall shows it."""
    return at.astimezone(zone()).replace(tzinfo=None)


def _local(value: datetime) -> datetime:
    """Return a time in the visitor's zone; one without a zone is UTC, as everything that is kept."""
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(zone())


def _midnight(at: datetime) -> bool:
    return at.astimezone(UTC).timetz() == datetime.min.replace(tzinfo=UTC).timetz()


def _hover(value: datetime | None, shown: str) -> str:
    if value is None:
        return shown
    utc = _local(value).astimezone(UTC)
    title = f"{utc:%d %b %Y %H:%M:%S} UTC".lstrip("0")
    return f'<time datetime="{utc:%Y-%m-%dT%H:%M:%SZ}" title="{title}">{escape(shown)}</time>'
