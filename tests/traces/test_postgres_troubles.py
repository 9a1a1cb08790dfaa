"""What is wrong with a PostgreSQL server is one line, and people's questions can only read."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import ids, record
from tests.traces.postgres_ledger import address, alive, run, shared
from traces import engines
from traces.errors import Refused, StoreBusy, StoreError, StoreVersion
from traces.journal import Journal
from traces.postgres import dialect, ready
from traces.postgres.connection import naming
from traces.postgres.schema import check_writable
from traces.postgres.tables import REST_SECONDS, SharedTables
from traces.queries import free
from traces.store import Store

__all__ = ["address", "alive", "shared"]


def test_what_is_wrong_with_the_server_is_one_line(shared: Store, alive: Journal, address: str) -> None:
    record(alive, 1)
    gone = Store(shared.data_dir, "postgresql://ada:s3cret@127.0.0.1:1/turns")
    for ask in (gone.drain, lambda: gone.read().__enter__()):
        with pytest.raises(
            StoreError, match=r"^postgresql://127\.0\.0\.1:1/turns cannot be reached"
        ) as caught:
            ask()
        assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)
    assert "cannot be reached" in (gone.health().trouble or "")
    shared.drain()
    name = address.partition("?")[0].rpartition("/")[2]
    run(address, f"alter database {name} set default_transaction_read_only = on")
    record(alive, 1)
    with pytest.raises(StoreError, match="is a read-only replica: give the address of the primary"):
        Store(shared.data_dir, address).drain()
    assert len(ids(Store(shared.data_dir, address))) == 2  # reading needs no right to write
    with pytest.raises(StoreError, match="is a read-only replica: give the address of the primary"):
        check_writable(address)
    run(f"{address}&options=-cdefault_transaction_read_only%3Doff", f"alter database {name} reset all")
    run(
        address,
        "set default_transaction_read_only = off; insert into answerdeck.migrations values (99, now())",
    )
    for ask in (shared.drain, lambda: check_writable(address)):
        with pytest.raises(StoreVersion, match="schema version 99, .*: update this program"):
            ask()
    assert len(ids(shared)) == 2  # as long as what is asked for is there
    run(address, "drop schema answerdeck_read cascade")
    with pytest.raises(StoreVersion, match="schema version 99, .*: update this program"):
        ids(shared)


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        ("could not write init file: No space left on device\nIs it full?", StoreError, "has no space left"),
        ('role "ada" does not exist', StoreError, "refuses the name or the password"),
        ('password authentication failed for user "ada"', StoreError, "refuses the name or the password"),
        (
            'database "turns" does not exist',
            StoreError,
            "has no database of that name: create it, or mend the address",
        ),
        (
            "sorry, too many clients already",
            StoreBusy,
            "lets nobody in now (sorry, too many clients already); try again in a moment",
        ),
        (
            "the database system is starting up",
            StoreBusy,
            "lets nobody in now (the database system is starting up); try again in a moment",
        ),
        ("something else", StoreError, "cannot be reached: something else"),
    ],
)
def test_what_a_server_says_that_lets_nobody_in(answer: str, kind: type[StoreError], sentence: str) -> None:
    import psycopg

    with pytest.raises(StoreError) as caught, naming("turns"):
        raise psycopg.OperationalError(f'connection to server on socket "/run/x" failed: FATAL:  {answer}')
    assert (type(caught.value), str(caught.value)) == (kind, f"turns {sentence}")


def test_a_question_too_large_is_not_a_server_away() -> None:
    from psycopg import errors

    with (
        pytest.raises(StoreError, match="^turns cannot answer so much at once: stack depth"),
        naming("turns"),
    ):
        raise errors.StatementTooComplex("stack depth limit exceeded")


def test_tables_of_another_version_are_named(address: str) -> None:
    tables = SharedTables(address, "create table if not exists notes (a text)")
    tables.execute("insert into notes values (?)", ["x"])
    with pytest.raises(StoreVersion, match="tables of another version of this program"):
        tables.execute("select later from notes")
    assert tables.execute("select a from notes").fetchall() == [("x",)]
    tables.close()


def test_a_server_that_went_silent_is_not_waited_for(address: str) -> None:
    days = "create table if not exists days (day text)"
    now = [0.0]
    tables = SharedTables(address, days, patience=0.3, clock=lambda: now[0] + time.monotonic())
    assert tables.execute("select 1").fetchone() == (1,)
    with pytest.raises(StoreError, match=r"cannot be reached: no answer within 0\.3 s"):
        tables.execute("select pg_sleep(20)")
    with pytest.raises(StoreError, match=r"no answer within 0\.3 s"):
        tables.execute("select 1")  # at once: for a while nobody waits again
    assert tables._connection is None
    now[0] += REST_SECONDS
    assert tables.execute("select 1").fetchone() == (1,), "the next statement connects anew"
    tables.close()


def test_readers_share_a_connection_that_forgets_and_is_replaced_when_it_ends(
    shared: Store, alive: Journal, address: str
) -> None:
    record(alive, 1)
    shared.drain()
    whose = "select pg_backend_pid() as pid, current_setting('jit') as jit"

    def asked() -> dict[str, Any]:
        with shared.read() as ledger:
            [row] = ledger.rows(whose)
            ledger.ask("select pg_advisory_lock(7)", 1, 5)
            return row

    first = asked()
    assert asked() == first and first["jit"] == "off"
    assert run(address, "select 1 from pg_locks where locktype = 'advisory' and objid = 7") == []
    run(address, f"select pg_terminate_backend({first['pid']})")
    assert asked()["pid"] != first["pid"]
    with pytest.raises(ZeroDivisionError), shared.read():
        raise ZeroDivisionError
    assert address not in {place for _, place, _, _ in ready._ready}, "what broke is not lent again"


def test_a_locked_table_is_busy_not_broken(
    shared: Store, alive: Journal, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr("traces.postgres.writing.WAIT_SECONDS", 0.1)
    keys = record(alive, 1)
    shared.drain()
    keys += record(alive, 1)
    with psycopg.connect(address) as connection:
        connection.execute("lock table answerdeck.turns")
        with pytest.raises(StoreBusy):
            shared.drain()
    assert shared.drain().lines == 1
    assert ids(shared) == sorted(keys)


def test_a_dropped_database_is_filled_again_from_the_journal(
    shared: Store, alive: Journal, address: str
) -> None:
    keys = record(alive, 3)
    shared.drain()
    run(address, "drop schema answerdeck cascade; drop schema answerdeck_read cascade")
    keys += record(alive, 1)
    assert shared.drain().lines == 4
    assert ids(shared) == sorted(keys)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("delete from answerdeck.turns returning turn_id", "syntax error"),
        ("select 1; select 2", "syntax error"),
        ("select 1) as a; delete from answerdeck.turns; select (1", "multiple commands"),
        ("with gone as (delete from answerdeck.turns returning 1) select * from gone", "top level"),
        ("select set_config('transaction_read_only', 'off', false)", "read-write mode"),
        ("select pg_read_file('/etc/passwd')", "permission denied"),
        ("select nextval('nothing')", "does not exist"),
        ("select 1) as a; commit; delete from answerdeck.turns; select (1", "multiple commands"),
        ("select pg_sleep(20)", "stopped: it took longer than 0.2 s"),
        ("select 1 / 0", "division by zero"),
    ],
)
def test_a_persons_question_can_only_read(shared: Store, alive: Journal, sql: str, said: str) -> None:
    keys = record(alive, 1)
    shared.drain()
    with shared.read() as ledger:
        with pytest.raises(Refused, match=re.escape(said)):
            free.ask(ledger, sql, seconds=0.2)
        found = free.ask(ledger, "select turn_id, 5 % 2 as rest from turns -- all", most=1)
    assert (found.columns, found.rows, found.cut) == (("turn_id", "rest"), ((keys[0], 1),), False)


def test_a_superuser_is_not_lent_to_people(shared: Store, address: str) -> None:
    boss = Store(shared.data_dir, address.replace("ledger@", "ada@"))
    with boss.read() as ledger, pytest.raises(Refused, match="is a superuser of PostgreSQL"):
        free.ask(ledger, "select 1")


@pytest.mark.parametrize(
    "wrong",
    ["postgresql://host", "mysql://host/db", "postgresql://host:port/db", "/tmp/file", ""],
)
def test_an_address_that_cannot_be_one_is_refused_without_repeating_it(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such engine"):
        engines.engine(wrong, tmp_path)


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traces.engines.find_spec", lambda _: None)
    assert engines.wrong("postgresql://ada@host/db") == (
        'PostgreSQL needs its driver: pip install "answerdeck[postgres]"'
    )


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("select $a, $a_b", "select %(a)s, %(a_b)s"),
        ("x like 'limit:%' and y = $y", "x like 'limit:%%' and y = %(y)s"),
        ("'$a' || 'it''s $b' -- $c", "'$a' || 'it''s $b' -- $c"),
        ("5 % 2", "5 %% 2"),
        ("x in (select unnest(cast($a_b as text[])))", "x = any(cast(%(a_b)s as text[]))"),
        ("x not in (select unnest(cast($a as text[])))", "x not in (select unnest(cast(%(a)s as text[])))"),
    ],
)
def test_parameters_are_written_as_the_driver_wants_them(sql: str, wanted: str) -> None:
    assert dialect.bound(sql) == wanted
