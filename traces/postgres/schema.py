"""The schema in PostgreSQL: the embedded store's migrations, with indexes, views and hosts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from traces import rollups
from traces.duck import SCHEMA, WORKSPACES
from traces.errors import StoreError, StoreVersion
from traces.postgres import dialect, words
from traces.postgres.connection import REPLICA, connected, naming, shown
from traces.postgres.rolling import SharedSql

if TYPE_CHECKING:
    import psycopg

LOCK = 0x616E7377  # the advisory lock of this program
ROLLED = (2, 3)  # the embedded store's migrations that make rollups, which were views here
TABLES = 5  # since when they are tables


_JOURNALS = (
    b"create table if not exists journals"
    b" (journal text primary key, host text not null, drained_at timestamptz not null)"
)


def migrations() -> tuple[str, ...]:
    """Return the numbered migrations' SQL, in order; they are those of the embedded store."""
    return tuple(path.read_text() for path in sorted(SCHEMA.glob("[0-9]*.sql")))


def version(connection: psycopg.Connection) -> int:
    """Return the schema's version, 0 when there is none."""
    # a query of the catalog, not to_regclass: that may remember the state before another host's migration
    tables = "select 1 from pg_tables where schemaname = %s and tablename = 'migrations'"
    if connection.execute(tables, [dialect.STORED]).fetchone() is None:
        return 0
    row = connection.execute(f"select max(version) from {dialect.STORED}.migrations".encode()).fetchone()  # noqa: S608
    return (row[0] if row else None) or 0


def check_not_newer(connection: psycopg.Connection, name: str) -> None:
    """Raise StoreVersion when a newer program made the schema."""
    present, newest = version(connection), len(migrations())
    if present > newest:
        raise StoreVersion(
            f"{name} has schema version {present}, this program knows {newest};"
            " it is not written to: update this program"
        )


def check_writable(address: str) -> None:
    """Raise StoreError when nothing can be written at an address: a read-only replica, a newer schema."""
    name = shown(address)
    with connected(address, name) as connection, naming(name):
        sql = "select pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on'"
        row = connection.execute(sql).fetchone()
        check_not_newer(connection, name)
    if row is not None and row[0]:
        raise StoreError(f"{name} {REPLICA}")


def migrate(connection: psycopg.Connection, name: str) -> None:
    """Apply the migrations the ledger lacks, all or none, while other hosts wait."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [LOCK])
        check_not_newer(connection, name)
        present, steps = version(connection), migrations()
        if present == len(steps):
            return
        connection.execute(f"create schema if not exists {dialect.STORED}".encode())
        connection.execute(f"set local search_path = {dialect.STORED}".encode())
        search = _search_collation(connection)
        for number, statements in enumerate(steps[present:], present + 1):
            if number == TABLES:
                connection.execute(dialect.rollup_tables(search).encode())
            if number not in ROLLED:
                connection.execute(dialect.ddl(statements, search).encode())
            connection.execute("insert into migrations values (%s, %s)", [number, datetime.now(UTC)])
        connection.execute(_JOURNALS)
        if present < TABLES or (present < WORKSPACES and rollups.shared(SharedSql(connection))):
            connection.execute("set local timezone = 'UTC'")
            rollups.rebuild(SharedSql(connection))
        for statement in (
            *words.statements(),
            *dialect.indexes(),
            *dialect.views(),
            *dialect.rollup_views(),
            *dialect.own_views(),
        ):
            connection.execute(statement.encode())


def _search_collation(connection: psycopg.Connection) -> str | None:
    """Return a collation that knows the case of every script; None when only the database's own is there."""
    names = ("pg_c_utf8", "und-x-icu")
    row = connection.execute(
        "select collname from pg_collation where collname = any(%s)"
        " order by array_position(%s, collname::text)",
        [list(names), list(names)],
    ).fetchone()
    return row[0] if row else None
