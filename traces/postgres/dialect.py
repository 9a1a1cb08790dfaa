"""What PostgreSQL wants said otherwise: parameters, the schema's types, the readers' views, partitions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from traces import rollups
from traces.duck import SCHEMA
from traces.ids import TAIL
from traces.records import SPOKEN, json_columns
from traces.rollups import DAILY, HOURLY, TALKED, TOPICS, questions
from traces.rows import STATED, TABLES, Row, columns, stored_columns
from traces.views import SUMS, own

ROLLED = SCHEMA / "003_rollups.sql"  # the rollups that a ledger of before had as views
LATER = (SCHEMA / "008_leaving.sql", SCHEMA / "011_histograms.sql")  # where there are more of them
STORED = "answerdeck"  # the schema of the tables
READ = "answerdeck_read"  # the schema of the views that questions are asked of
OWN = "answerdeck_own"  # that of the views of one workspace's rows
WORKSPACE = "answerdeck.workspace"  # the setting that names it

_LISTED = re.compile(r"(?<!not )in \(select unnest\((cast\(\$[a-z_]+ as text\[\]\))\)\)")
_TOKEN = re.compile(r"'(?:[^']|'')*'|--[^\n]*|\$([a-z_][a-z_0-9]*)|%")
_TEXT = re.compile(r"^(    \S+) text\b", re.MULTILINE)
_SEARCHED = re.compile(r"^(    (?:question|answer)) text collate \"C\"", re.MULTILINE)
_UUID7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7")
_PAYLOADS = re.compile(r"(create table payloads \([^;]*\));")
_TABLE = re.compile(r"create table (?:if not exists )?(\w+) \((.*?)\n\);", re.DOTALL)
_COLUMN = re.compile(r"^    (\w+) (numeric\(\d+, \d+\)|double precision|\w+)", re.MULTILINE)
INDEXES = (
    ("turns", "turn_id"),
    ("turns", "started_at, turn_id"),
    ("turns", "conversation_id"),
    ("turns", "user_id"),
    ("turns", "run_id"),
    ("turns", "case_id"),
    ("payloads", "turn_id"),
    ("spans", "turn_id"),
    ("passages", "turn_id"),
    ("usages", "turn_id"),
    ("scores", "turn_id"),
    ("scores", "run_id"),
    ("scores", "created_at"),
    ("runs", "run_id"),
    ("cases", "run_id, case_id"),
    *((table, "hour") for table in (*HOURLY.values(), *TALKED.values())),
    *((table, "day") for table in DAILY),
    ("asked", "turn_id"),
    ("asked", "started_at"),
    ("asked", "words"),
    ("missing", "turn_id"),
    ("missing", "started_at"),
    ("latest", "words"),
    ("hourly_topics", "hour"),
    ("daily_topics", "day"),
    ("conversations", "conversation_id"),
    ("conversations", "began"),
    ("conversations", "ended"),
    ("words", "started_at"),
    ("words", "turn_id"),
)
# of each rollup: which of the settings of a live tail it is made with, and the column that they are about
_LIVE = {
    **dict.fromkeys(HOURLY.values(), ("hour", "hour", "timestamptz")),
    **dict.fromkeys(DAILY, ("day", "day", "timestamptz")),
    **dict.fromkeys(TALKED.values(), ("talk", "hour", "timestamptz")),
    "conversations": ("conversation", "conversation_id", "text"),
}


def bound(sql: str) -> str:
    """Return SQL with `$name` written as psycopg wants it; quoted text stays as it is.

    What is in a list is looked up in an index; of an unnested one the planner does not know how short.
    """

    def token(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"%({name})s" if name else match.group().replace("%", "%%")

    return _TOKEN.sub(token, _LISTED.sub(r"= any(\1)", sql))


def ddl(migration: str, search: str | None) -> str:
    """Return a migration for PostgreSQL: text compared by bytes as DuckDB does, payloads by month.

    `search` is the collation in which questions and answers are searched without regard to case.
    """
    text = _TEXT.sub(r'\1 text collate "C"', migration)
    text = _SEARCHED.sub(rf'\1 text collate "{search}"' if search else r"\1 text", text)
    parted = r"\1 partition by range (turn_id); create table payloads_other partition of payloads default;"
    return _PAYLOADS.sub(parted, text)


def listed(names: Iterable[str]) -> str:
    """Return column names for a statement; some are reserved words."""
    return ", ".join(f'"{name}"' for name in names)


def indexes() -> Iterator[str]:
    """Yield the statements that make the indexes there are not yet."""
    for table, keys in INDEXES:
        name = f"{table}_by_{keys.replace(', ', '_')}"
        yield f"create index if not exists {name} on {STORED}.{table} ({keys})"
    yield f"create index if not exists turns_by_tail on {STORED}.turns (right(turn_id, {TAIL}))"
    yield f"drop index if exists {STORED}.turns_by_started_at"  # a later one holds more


def views() -> Iterator[str]:
    """Yield the statements that make the views anew: stored rows and the live tail as one.

    The tail is a JSON text in a setting of the transaction, so that a reader writes nothing, not even
    a temporary table: it may ask a read-only replica.
    """
    yield f"drop schema if exists {READ} cascade"
    yield f"create schema {READ}"
    for table in TABLES:
        if table == "scores":
            yield _view("score_history", _whole(table))
            yield _view("scores", _in_force(listed(columns("scores"))))
        elif table in STATED:
            key = '"run_id"' if table == "runs" else '"run_id", "case_id"'
            yield _view(table, _newest(table, key))
        else:
            yield _view(table, _whole(table))


def rollup_tables(search: str | None) -> str:
    """Return the statements that make the tables of rollups, for a ledger that has none."""
    statements = (match.group() for match in _TABLE.finditer(ROLLED.read_text()))
    return ddl("\n".join(statements), search)


def rollup_views() -> Iterator[str]:
    """Yield the statements that make the views of the rollups: what is stored, but for what the tail touches.

    The question itself makes that anew, out of stored and live rows; `rolling.roll_live` says what it is.
    """
    texts = "\n".join(path.read_text() for path in (ROLLED, *LATER))
    every = _TABLE.findall(texts)
    tables = {name: dict(_COLUMN.findall(body)) for name, body in every if name in rollups.TABLES}
    for table in tables.keys() & set(SUMS):
        tables[table]["workspace"] = "text"  # a later migration's
    queries = questions()
    yield f"set local search_path = {READ}"
    for table, typed in tables.items():
        stored = f"select {listed(typed)} from {STORED}.{table}"  # noqa: S608 - constants
        if table not in _LIVE:
            yield _view(table, stored)
            continue
        group, column, kind = _LIVE[table]
        keys = _live_value(f"{group}_keys", f"{kind}[]", "{}")
        live = queries[table].replace("not $only", "false")
        for name in ("hours", "ids"):
            live = live.replace(f"any(${name})", f"any({keys})")
        for name, of in (
            ("since", "timestamptz"),
            ("until", "timestamptz"),
            ("first_id", "text"),
            ("last_id", "text"),
        ):
            live = live.replace(f"${name}", _live_value(f"{group}_{name}", of))
        # the rows of a subquery, so that the view's columns keep their names
        fresh = f"select * from ({live}) as live ({listed(typed)})"  # noqa: S608 - constants
        yield _view(table, f"{stored} where {column} <> all({keys}) union all {fresh}")
    for table in TOPICS:
        yield _view(table, f"select * from {STORED}.{table}")  # noqa: S608 - constants


def own_views() -> Iterator[str]:
    """Yield the statements that make the views of what belongs to the workspace of a setting."""
    yield f"drop schema if exists {OWN} cascade"
    yield f"create schema {OWN}"
    yield f"set local search_path = {OWN}"
    for name, query in own(READ, f"current_setting('{WORKSPACE}', true)"):
        yield f"create view {OWN}.{name} as {query}"


def _live_value(name: str, kind: str, default: str | None = None) -> str:
    """Return what reads a value of the tail's settings once a question, not once a row."""
    value = f"nullif(current_setting('{setting(name)}', true), '')"
    if default is not None:
        value = f"coalesce({value}, '{default}')"
    return f"(select {value}::{kind})::{kind}"


def _view(name: str, query: str) -> str:
    return f"create view {READ}.{name} as {query}"


def _whole(table: str) -> str:
    names = listed(stored_columns(table))
    tail = f"nullif(current_setting('{setting(table)}', true), '')::json"
    live = f"json_populate_recordset(null::{STORED}.{table}, {tail})"
    return f"select {names} from {STORED}.{table} union all select {names} from {live}"  # noqa: S608 - names


def _newest(table: str, key: str) -> str:
    names = listed(columns(table))
    age = f"row_number() over (partition by {key} order by written_ns desc) as age"
    return f"select {names} from (select *, {age} from ({_whole(table)}) as every) as aged where age = 1"  # noqa: S608


def _in_force(names: str) -> str:
    history, spoken = f"{READ}.score_history", ", ".join(f"'{source}'" for source in SPOKEN)
    order = "partition by turn_id, name, source, user_id order by created_at desc, score_id desc"
    last = f"select *, row_number() over ({order}) as age from {history} where source in ({spoken})"  # noqa: S608
    others = f"select {names} from {history} where source not in ({spoken})"  # noqa: S608
    return f"{others} union all select {names} from ({last}) as aged where age = 1"  # noqa: S608


def setting(name: str) -> str:
    """Return the name of the setting that holds a table's live rows, or what they touch."""
    return f"answerdeck.live_{name}"


def live_text(table: str, rows: Iterable[Row]) -> str:
    """Return rows as the JSON text of the setting."""
    names, inside = stored_columns(table), json_columns(TABLES[table])
    objects = [
        {
            name: orjson.Fragment(value) if name in inside and value is not None else value
            for name, value in zip(names, clean(row), strict=True)
        }
        for row in rows
    ]
    return orjson.dumps(objects).decode()


def clean(row: Row) -> Row:
    """Return a row without the character PostgreSQL cannot hold (NUL); it becomes U+FFFD."""
    if not any(isinstance(value, str) and ("\x00" in value or "\\u0000" in value) for value in row):
        return row
    return tuple(_without_nul(value) if isinstance(value, str) else value for value in row)


def _without_nul(text: str) -> str:
    if "\\u0000" not in text:
        return text.replace("\x00", "\ufffd")
    # an escape in a JSON text; one whose backslash is itself escaped is no escape
    return re.sub(r"(\\\\)|\\u0000", lambda match: match.group(1) or "\ufffd", text).replace("\x00", "\ufffd")


@dataclass(frozen=True, slots=True)
class Month:
    """A month of payloads: its partition, and the turn ids from `begin` up to `end`."""

    name: str
    begin: str
    end: str


def month(turn_id: str) -> Month | None:
    """Return the month in which a turn's id was made; None for ids that do not say."""
    match = _UUID7.match(turn_id)
    if match is None:
        return None
    at = datetime.fromtimestamp(int(match[1] + match[2], 16) / 1000, UTC)
    first = datetime(at.year, at.month, 1, tzinfo=UTC)
    later = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
    return Month(f"payloads_{first:%Y_%m}", lowest_id(first), lowest_id(later))


def lowest_id(moment: datetime) -> str:
    digits = f"{int(moment.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"
