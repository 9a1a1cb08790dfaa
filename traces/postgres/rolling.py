"""Rollups in PostgreSQL: the shared statements over a connection, and those of a reader's live tail."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from traces import rollups
from traces.postgres import dialect
from traces.rollups import DAY, HOUR, Touched

if TYPE_CHECKING:
    import psycopg

ORDER = 0x726F6C6C  # the advisory lock of those who make rollups: two of one hour would count it twice


class SharedSql:
    """A connection that takes the SQL which both engines share."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def execute(self, query: str, parameters: Any = None, /) -> psycopg.Cursor:
        return self._connection.execute(dialect.bound(query).encode(), parameters or {})


def alone(connection: psycopg.Connection) -> None:
    """Let no other host make rollups until this transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s)", [ORDER])


def roll_live(connection: psycopg.Connection, changed: Touched) -> None:
    """Say in this transaction's settings what the live tail touches; the views make it anew."""
    shared, hours, ids = SharedSql(connection), sorted(changed.hours), sorted(changed.conversations)
    _set(shared, "hour", hours[0], hours[-1] + HOUR, hours)
    before = rollups.ended(shared, f"{dialect.STORED}.conversations", ids)
    stretches = rollups.whole(changed, before).values()
    first, last = min(first for first, _ in stretches), max(last for _, last in stretches)
    _set(shared, "conversation", first, last + HOUR, ids)
    after = rollups.ended(shared, "conversations", ids)
    talked = sorted({hour for _, *stretch in (*before, *after) for hour in stretch})
    _set(shared, "talk", talked[0], talked[-1] + HOUR, talked)
    [(through,)] = shared.execute("select max(through) from rolled").fetchall()
    touched = sorted(day for day in rollups.days_of({*hours, *talked}) if through and day < through)
    if touched:  # those between them too: a view makes one stretch
        count = (touched[-1] - touched[0]) // DAY + 1
        days = [touched[0] + timedelta(days=number) for number in range(count)]
        _set(shared, "day", days[0], days[-1] + DAY, days)


def _set(
    shared: SharedSql, group: str, since: datetime, until: datetime, keys: Collection[datetime | str]
) -> None:
    bound = {"since": since, "until": until}
    values: dict[str, Any] = {**bound, **(rollups.ends(shared, bound) or {})}
    for name, value in values.items():
        shared.execute("select set_config($name, cast($value as text), true)",
                       {"name": dialect.setting(f"{group}_{name}"), "value": str(value)})  # fmt: skip
    kind = "text" if isinstance(next(iter(keys)), str) else "timestamptz"
    shared.execute(f"select set_config($name, cast(cast($keys as {kind}[]) as text), true)",
                   {"name": dialect.setting(f"{group}_keys"), "keys": list(keys)})  # fmt: skip
