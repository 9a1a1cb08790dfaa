"""Quiet hours: when notices wait and only pages are sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which only what must wake somebody is sent; the rest waits until they end."""

    begins: int  # minutes after midnight
    ends: int
    zone: str = "UTC"

    @classmethod
    def parse(cls, text: str) -> Quiet:
        """Read "22:00-07:00" or "22:00-07:00 Europe/Berlin"; raises ValueError."""
        span, _, zone = text.strip().partition(" ")
        begins, _, ends = span.partition("-")
        ZoneInfo(zone or "UTC")
        first, last = _minutes(begins), _minutes(ends)
        if first == last:
            raise ValueError(f"{span!r} ends when it begins: it is no hours, or all of them")
        return cls(first, last, zone or "UTC")

    def until(self, now: datetime) -> datetime:
        """Return when messages may be sent: now, or when the quiet hours that go on end."""
        local = now.astimezone(ZoneInfo(self.zone))
        minute = local.hour * 60 + local.minute
        inside = (minute - self.begins) % 1440 < (self.ends - self.begins) % 1440
        if not inside:
            return now
        end = local.replace(hour=self.ends // 60, minute=self.ends % 60, second=0, microsecond=0)
        return (end if end > local else end + timedelta(days=1)).astimezone(now.tzinfo)


def _minutes(text: str) -> int:
    hour, _, minute = text.partition(":")
    if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
        raise ValueError(f"{text!r} is no time of day, such as 22:00")
    return int(hour) * 60 + int(minute)
