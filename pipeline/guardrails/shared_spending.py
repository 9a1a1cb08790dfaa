"""What all machines spent together: each publishes the sums of its own file, which stay the truth."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any

from pipeline.databases.redis_server import RedisServer
from pipeline.errors import SessionsError
from pipeline.guardrails.spending import EVERYBODY, Reached, Spending, SpendingSums, Total
from traces.ids import uuid7

log = logging.getLogger(__name__)
DAY_SECONDS, MONTH_SECONDS = 3 * 86_400, 40 * 86_400  # how long sums of a day and of a month are kept there
NOTHING, UNLIMITED = SpendingSums(0.0, 0.0, 0.0), SpendingSums(inf, inf, inf)
ROWS_AT_ONCE = 200
ALONE = 0.5  # share of what is left that a machine may spend while it cannot ask the others

# `spent:PERIOD:WHO` holds a row "usd turns unpriced" for each machine, always the whole sum of its file, so
# that publishing again never doubles; `held:MONTH` holds "day usd who" for each turn that runs.
_COMMON = """
local function spent(key)
  local usd = 0
  for _, row in ipairs(redis.call('HVALS', key)) do usd = usd + string.match(row, '^%S+') end
  return usd
end
local function behind(key, machine, turns)
  local row = redis.call('HGET', key, machine)
  return tonumber(turns) > tonumber(row and string.match(row, '^%S+ (%S+)') or 0)
end
"""
# KEYS: spent of the user's day, of the day, of the month. ARGV: machine, its turns in the month
_SUMS = (
    _COMMON
    + """
if behind(KEYS[3], ARGV[1], ARGV[2]) then return false end
return {tostring(spent(KEYS[1])), tostring(spent(KEYS[2])), tostring(spent(KEYS[3]))}
"""
)
# KEYS: the same, then held. ARGV: machine, its turns in the month, turn, user, day, usd, most of the three
_HOLD = (
    _COMMON
    + """
if behind(KEYS[3], ARGV[1], ARGV[2]) then return false end
local sums, usd = {spent(KEYS[1]), spent(KEYS[2]), spent(KEYS[3])}, tonumber(ARGV[6])
local rows, held = redis.call('HGETALL', KEYS[4]), 0
for at = 1, #rows, 2 do
  local day, dollars, who = string.match(rows[at + 1], '^(%S+) (%S+) (.*)$')
  if rows[at] == ARGV[3] then held = tonumber(dollars) end
  if day == ARGV[5] and who == ARGV[4] then sums[1] = sums[1] + dollars end
  if day == ARGV[5] then sums[2] = sums[2] + dollars end
  sums[3] = sums[3] + dollars
end
for at = 1, 3 do
  if sums[at] + usd > tonumber(ARGV[6 + at]) then return 'full' end
end
redis.call('HSET', KEYS[4], ARGV[3], ARGV[5] .. ' ' .. tostring(held + usd) .. ' ' .. ARGV[4])
redis.call('EXPIRE', KEYS[4], ARGV[10])
return 'held'
"""
)
# KEYS: held, one for each row. ARGV: machine, turn that is over, then usd, turns, unpriced, seconds a row
_PUBLISH = """
for at = 2, #KEYS do
  local first = 3 + (at - 2) * 4
  local row = redis.call('HGET', KEYS[at], ARGV[1])
  if tonumber(ARGV[first + 1]) >= tonumber(row and string.match(row, '^%S+ (%S+)') or 0) then
    redis.call('HSET', KEYS[at], ARGV[1], table.concat({ARGV[first], ARGV[first + 1], ARGV[first + 2]}, ' '))
  end
  redis.call('EXPIRE', KEYS[at], ARGV[first + 3])
end
redis.call('HDEL', KEYS[1], ARGV[2])
"""
# As above with the user's day, the day and the month, then the sums of all machines in these; false when the
# server does not know this machine's month any more, although it has other turns in it.
_SETTLE = (
    _COMMON
    + """
if tonumber(ARGV[12]) > 1 and not redis.call('HGET', KEYS[4], ARGV[1]) then return false end
"""
    + _PUBLISH
    + """
return {tostring(spent(KEYS[2])), tostring(spent(KEYS[3])), tostring(spent(KEYS[4]))}
"""
)


@dataclass(frozen=True, slots=True)
class Known:
    """What the others and this machine had spent on a day and in its month, when that was last asked."""

    day: str = ""
    others: SpendingSums = NOTHING
    own: SpendingSums = NOTHING

    def on(self, day: str) -> Known:
        """Return the same seen from a day, which may have begun since."""
        if day == self.day:
            return self
        if day[:7] != self.day[:7]:
            return Known(day)
        return Known(day, SpendingSums(0.0, 0.0, self.others.month), SpendingSums(0.0, 0.0, self.own.month))

    def room(self, most: SpendingSums) -> SpendingSums:
        """Return the most that this machine's own sums may be while it cannot ask the others."""
        day, month = (
            own + ALONE * max(limit - others - own, 0.0)
            for limit, others, own in (
                (most.day, self.others.day, self.own.day),
                (most.month, self.others.month, self.own.month),
            )
        )
        return SpendingSums(ALONE * most.user_day, day, month)


class SharedSpending(Spending):
    """Adds up the dollars of all machines that share a server.

    The file of each machine stays the truth of what that machine spent; the server only knows the sums of
    all and may be emptied at any time. While it is gone, a machine goes on with what the others had spent
    and may use half of what was left.
    """

    def __init__(self, path: Path, server: RedisServer) -> None:
        super().__init__(path)
        self._server = server
        self._machine = self._identity()
        self._known = Known()

    def sums(self, who: str, day: str) -> SpendingSums:
        own = super().sums(who, day)
        try:
            return self._together(who, day, own)
        except SessionsError as error:
            return self._alone(error, day, own)

    def hold(self, turn_id: str, who: str, day: str, usd: float, clock: float, most: SpendingSums) -> bool:
        try:
            with self._begin() as db:
                lost = self._sweep(db, clock)
            for its_turn, its_day, its_user in lost:
                self._publish(self._rows(its_day, its_user), its_day, its_turn)
            fits = self._hold_together(turn_id, who, day, usd, most)
            return fits and super().hold(turn_id, who, day, usd, clock, UNLIMITED)
        except SessionsError as error:
            self._alone(error, day, super().sums(who, day))
            return super().hold(turn_id, who, day, usd, clock, self._known.on(day).room(most))

    def settle(self, turn_id: str, who: str, day: str, usd: float, unpriced: int) -> SpendingSums:
        with self._lock:
            held = self._db.execute("select day from held where turn_id = ?", (turn_id,)).fetchone()
        own, its_day = super().settle(turn_id, who, day, usd, unpriced), held[0] if held else day
        try:
            rows = self._rows(its_day, who)
            if its_day == day and len(rows) == len(_sums_of(who, day)):
                return self._settled(turn_id, who, day, own, rows)
            self._publish(rows, its_day, turn_id)
            return self._together(who, day, own)
        except SessionsError as error:
            return self._alone(error, day, own)

    def reach(self, period: str, who: str, level: str) -> bool:
        first, name = super().reach(period, who, level), self._server.key(f"reached:{period}")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            first = bool(self._server.ask(lambda client: client.hsetnx(name, f"{level} {who}", now)))
            self._server.ask(lambda client: client.expire(name, _seconds(period)))
        except SessionsError as error:
            log.error("who else reached %s of %s cannot be asked: %s", level, period, error)
        return first

    def reached(self, *periods: str) -> list[Reached]:
        try:
            rows = [row for period in periods for row in self._reached(period)]
        except SessionsError as error:
            self._complain(error)
            return super().reached(*periods)
        return sorted(rows, key=lambda row: row.at, reverse=True)

    def totals(self, period: str) -> Total:
        try:
            self._publish(self._rows(period, EVERYBODY), period)
            name = self._server.key(_spent(period, EVERYBODY))
            rows = [row.split() for row in self._server.ask(lambda client: client.hvals(name))]
        except SessionsError as error:
            self._complain(error)
            return super().totals(period)
        usd, turns, unpriced = (sum(float(row[at]) for row in rows) for at in range(3))
        return Total(usd, int(turns), int(unpriced))

    def forget(self, who: str) -> int:
        """Delete what names a person, here and on the server; other machines' files are erased on them."""
        count, today = super().forget(who), datetime.now(UTC).date()
        days = [(today - timedelta(days=back)).isoformat() for back in range(DAY_SECONDS // 86_400 + 1)]
        months = sorted({day[:7] for day in days})
        try:
            for day in days:
                name = self._server.key(_spent(day, who))
                self._server.ask(lambda client, name=name: client.delete(name))
            for period in (*days, *months):
                fields = [f"{level} {who}" for level in (*(f"{level}%" for level in range(101)), "unpriced")]
                name = self._server.key(f"reached:{period}")
                self._server.ask(lambda client, name=name, fields=fields: client.hdel(name, *fields))
        except SessionsError as error:
            log.error("what the server of all machines keeps for %d days stays: %s", len(days), error)
        return count

    def close(self) -> None:
        super().close()
        self._server.close()

    def _identity(self) -> str:
        """Return the name of this machine's file: a new file is a new machine."""
        with self._begin() as db:
            db.execute("create table if not exists machine (name text not null)")
            if (row := db.execute("select name from machine").fetchone()) is not None:
                return row[0]
            name = uuid7()
            db.execute("insert into machine values (?)", (name,))
            return name

    def _together(self, who: str, day: str, own: SpendingSums) -> SpendingSums:
        """Return the sums over all machines; raises SessionsError."""
        return self._learned(day, own, self._caught_up(_SUMS, _sums_of(who, day), day))

    def _settled(
        self, turn_id: str, who: str, day: str, own: SpendingSums, rows: list[tuple[Any, ...]]
    ) -> SpendingSums:
        """Tell the server what a turn of the day took, and return the sums over all machines, in one go."""
        keys = _sums_of(who, day)
        by_key = {_spent(period, name): (*sums, _seconds(period)) for period, name, *sums in rows}
        values = [value for key in keys for value in by_key[key]]
        call = (_SETTLE, (f"held:{day[:7]}", *keys), (self._machine, turn_id, *values))
        everybody = self._server.run(*call)
        if everybody is None:
            self._publish_all(day)
            everybody = self._server.run(*call)
        return self._learned(day, own, everybody)

    def _learned(self, day: str, own: SpendingSums, sums: Iterable[str]) -> SpendingSums:
        """Keep what the others spent, of the sums over all machines."""
        everybody = SpendingSums(*map(float, sums))
        others = SpendingSums(*(max(all_usd - usd, 0.0) for all_usd, usd in zip(everybody, own, strict=True)))
        self._known, self.trouble = Known(day, others, own), None
        return everybody

    def _alone(self, error: SessionsError, day: str, own: SpendingSums) -> SpendingSums:
        """Return the sums as far as this machine knows them."""
        self._complain(error)
        others = self._known.on(day).others
        return SpendingSums(own.user_day, own.day + others.day, own.month + others.month)

    def _complain(self, error: SessionsError) -> None:
        if self.trouble is None:
            log.error("budgets: half of what was left may be spent here: %s", error)
        self.trouble = f"budgets are kept by each machine alone: {error}"

    def _hold_together(self, turn_id: str, who: str, day: str, usd: float, most: SpendingSums) -> bool:
        keys = (*_sums_of(who, day), f"held:{day[:7]}")
        limits = [limit if limit < inf else "inf" for limit in most]
        values = (turn_id, who, day, usd, *limits, MONTH_SECONDS)
        return self._caught_up(_HOLD, keys, day, *values) == "held"

    def _caught_up(self, script: str, keys: Sequence[str], day: str, *values: Any) -> Any:
        """Run a script that asks what everybody spent; a server that was emptied is told first."""
        turns = super().totals(day[:7]).turns
        result = self._server.run(script, keys, (self._machine, turns, *values))
        if result is None:
            self._publish_all(day)
            result = self._server.run(script, keys, (self._machine, turns, *values))
        if result is None:
            raise SessionsError(f"{self._server.name} loses what it is told")
        return result

    def _rows(self, day: str, who: str) -> list[tuple[Any, ...]]:
        """Return this machine's sums that a turn of a user touches."""
        return self._select("(period = ? and who in ('', ?)) or (period = ? and who = '')", day, who, day[:7])

    def _publish_all(self, day: str) -> None:
        rows = self._select("period in (?, ?)", day, day[:7])
        for at in range(0, len(rows), ROWS_AT_ONCE):
            self._publish(rows[at : at + ROWS_AT_ONCE], day)

    def _select(self, condition: str, *values: str) -> list[tuple[Any, ...]]:
        statement = f"select period, who, usd, turns, unpriced from spent where {condition}"  # noqa: S608 ours
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def _publish(self, rows: list[tuple[Any, ...]], day: str, turn_id: str = "") -> None:
        """Tell the server this machine's sums, and that a turn holds nothing any more."""
        keys = [f"held:{day[:7]}", *(_spent(period, who) for period, who, *_ in rows)]
        values = [value for period, _, *sums in rows for value in (*sums, _seconds(period))]
        self._server.run(_PUBLISH, keys, (self._machine, turn_id, *values))

    def _reached(self, period: str) -> Iterator[Reached]:
        name = self._server.key(f"reached:{period}")
        for field, at in self._server.ask(lambda client: client.hgetall(name)).items():
            level, _, who = field.partition(" ")
            yield Reached(period, who, level, at)


def _spent(period: str, who: str) -> str:
    return f"spent:{period}:{who}"


def _sums_of(who: str, day: str) -> tuple[str, str, str]:
    return _spent(day, who), _spent(day, EVERYBODY), _spent(day[:7], EVERYBODY)


def _seconds(period: str) -> int:
    return DAY_SECONDS if len(period) > len("2026-11") else MONTH_SECONDS
