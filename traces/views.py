"""The views that readers of the embedded store ask: with the journal's live tail, or without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from traces.engine import Connection, Tables

_SQL = Path(__file__).parent / "schema" / "views.sql"
NO_STORE = "attach ':memory:' as stored; copy from database empty to stored (schema)"
_LIVE = re.compile(
    r"\s+union all by name select \* from live\.\w+|\s+where \w+ not in \(select \w+ from live\.\w+\)"
    r"|create table live\.[^;]+;"
)
_PLAIN = re.compile(r"create view (\w+) as\s+select \* from stored\.\1;")


@cache
def whole() -> str:
    """Return the statements that make the views of stored and live rows as one."""
    return _SQL.read_text()


@cache
def settled() -> str:
    """Return those of the stored rows alone: a question of them costs half as much."""
    return _LIVE.sub("", whole())


@cache
def judged() -> str:
    """Return those of the stored rows that are more than a table of the store under its own name."""
    return _PLAIN.sub("", settled())


SUMS = (
    "hourly", "hourly_models", "hourly_histograms", "hourly_stages", "hourly_caches", "hourly_talks",
    "hourly_left", "hourly_topics", "daily", "daily_histograms", "daily_sides", "daily_users", "daily_topics",
    "conversations",
)  # fmt: skip
_TURNS, _RUNS = "turn_id in (select turn_id from turns)", "run_id in (select run_id from runs)"
_OWN = {  # in order: later ones ask earlier ones
    "turns": "coalesce(workspace, 'default') = {workspace}",
    "runs": "coalesce(settings->>'workspace', 'default') = {workspace}",
    "cases": _RUNS,
    **dict.fromkeys(("payloads", "spans", "passages", "usages", "asked", "missing"), _TURNS),
    **dict.fromkeys(("scores", "score_history"), f"{_TURNS} or {_RUNS}"),
    **dict.fromkeys(SUMS, "workspace = {workspace}"),
    **dict.fromkeys(("rolled", "sortings", "topics"), "true"),
}
_HIDDEN = {"topics": "topic, 'Topic ' || topic as name, '' as example, words"}
_LATEST = """
    select words, door, started_at, turn_id, outcome
    from (
        select *, row_number() over (partition by words, door order by started_at desc, turn_id desc) as age
        from asked where words in (select words from missing)
    ) as aged
    where age = 1
"""


def own(schema: str, workspace: str) -> Iterator[tuple[str, str]]:
    """Yield the views of a workspace's own rows and their queries, in order, out of those of a schema.

    `workspace` is the SQL that gives its name. What is in none of them is nobody's to see. Topics are
    fitted to everybody's questions: their words place a question, their names and examples stay hidden.
    """
    for table, where in _OWN.items():
        columns = _HIDDEN.get(table, "*")
        yield table, f"select {columns} from {schema}.{table} where {where.format(workspace=workspace)}"  # noqa: S608
    yield "latest", _LATEST  # the stored one knows the newest turn of all people


@contextmanager
def _without_store(connection: Connection) -> Iterator[None]:
    connection.execute(NO_STORE)
    yield
    connection.execute("use memory.main; detach stored")


def make(connection: Connection) -> None:
    """Make in a reader the views of all rows, and those of the stored ones alone."""
    with _without_store(connection):
        connection.execute("use memory.main")
        connection.execute(whole())
        connection.execute("create schema memory.judged; use memory.judged")
        connection.execute(judged())


def make_own(connection: Connection) -> None:
    """Make the views of a workspace's own rows, unless the reader has them: they cost as much as all else."""
    if connection.execute("from duckdb_schemas() where schema_name = 'own_main'").fetchall():
        return
    with _without_store(connection):
        connection.execute("create schema memory.settled; use memory.settled")
        connection.execute(settled())
        for schema in ("main", "settled"):
            connection.execute(f"create schema memory.own_{schema}; use memory.own_{schema}")
            for name, query in own(f"memory.{schema}", "getvariable('workspace')"):
                connection.execute(f"create view {name} as {query}")


def choose(connection: Connection, tables: Tables) -> None:
    """Let what is asked from here on see all rows: without a live tail, the store's tables themselves.

    Each view between a question and its table is a millisecond of planning.
    """
    connection.execute("use memory.main" if tables else "set search_path = 'memory.judged,stored.main'")


def restrict(connection: Connection, workspace: str, tables: Tables) -> None:
    """Let what is asked from here on see a workspace's own rows alone; `tables` is the live tail."""
    connection.execute("set variable workspace = $workspace", {"workspace": workspace})
    connection.execute("use memory.own_main" if tables else "use memory.own_settled")
