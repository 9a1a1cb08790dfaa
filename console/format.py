"""How numbers, times and ids are written on every page; a missing value is always a dash."""

from __future__ import annotations

from datetime import UTC, datetime

TIMES = 10  # a growth from here on is no percentage that anybody reads
MISSING = "—"


def seconds(value: float | None) -> str:
    """Write a duration: 655 ms under a second, 2.75 s above, 3 min 05 s from two minutes."""
    if value is None:
        return MISSING
    if value < 0.0095:
        return f"{value * 1000:.1f} ms"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.2f} s"
    return f"{int(value) // 60} min {int(value) % 60:02d} s"


def usd(value: float | None) -> str:
    """Write money: $0.0012 under a dollar, $12.34 above; nothing spent is $0."""
    if value is None:
        return MISSING
    if value == 0:
        return "$0"
    if 0 < value < 0.00005:
        return "<$0.0001"
    return f"${value:.4f}" if value < 1 else f"${value:,.2f}"


def count(value: int | None) -> str:
    """Write a count: 9,999 in full, 23.3K and 1.2M above."""
    if value is None:
        return MISSING
    for limit, unit in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")):
        if abs(value) >= limit and abs(value) >= 10_000:
            return f"{value / limit:.1f}{unit}"
    return f"{value:,}"


def many(number: int, noun: str) -> str:
    """Write a number of things: 1 row, 2,000 rows."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def share(value: float | None) -> str:
    """Write a share of one: 92.3%, with two decimals under 1%."""
    if value is None:
        return MISSING
    return f"{value:.2%}" if 0 < value < 0.00995 else f"{value:.1%}"


def score(value: float | None) -> str:
    """Write a score with three decimals."""
    return MISSING if value is None else f"{value:.3f}"


def change(now: float | None, before: float | None) -> str | None:
    """Write a relative change, "+9.4%", from ten times on "× 25"; None without anything to compare with."""
    if now is None or not before:
        return None
    times = now / before
    return f"{times - 1:+.1%}" if times < TIMES else f"× {times:,.0f}"


def points(now: float | None, before: float | None) -> str | None:
    """Write the change of a share in percentage points, "-1.6 pp"."""
    if now is None or before is None:
        return None
    difference = (now - before) * 100
    return f"{difference:+.2f} pp" if abs(difference) < 0.995 else f"{difference:+.1f} pp"


def moment(value: datetime | None) -> str:
    """Write a time: 22 Nov 23:35:07, in UTC."""
    return MISSING if value is None else f"{_utc(value):%d %b %H:%M:%S}".lstrip("0")


def minute(value: datetime | None) -> str:
    """Write a time to the minute: 22 Nov 23:35, in UTC."""
    return MISSING if value is None else f"{_utc(value):%d %b %H:%M}".lstrip("0")


def ago(value: datetime, now: datetime) -> str:
    """Write how long ago something happened, in its largest unit."""
    passed = (now - value).total_seconds()
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if passed >= length:
            return f"{int(passed // length)} {unit} ago"
    return "just now"


def model(name: str) -> str:
    """Return a model's name without its provider."""
    return name.partition(":")[2] or name


def variant(label: str) -> str:
    """Return the label of a run's variant with its model shortened."""
    return " · ".join(model(part) for part in label.split(" · "))


def short_id(turn_id: str) -> str:
    """Return the random end of a UUIDv7; its begin is the clock and looks alike for all turns."""
    return turn_id.replace("-", "")[-8:]


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)
