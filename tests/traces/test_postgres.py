"""The ledger in PostgreSQL keeps what the embedded one promises, from many hosts and over kills."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Databases
from tests.factories import make_passage, make_score, make_trace
from tests.recorded import ids, record
from traces import engines
from traces.errors import Refused, StoreBusy, StoreError, StoreVersion
from traces.export import export_jsonl, export_parquet
from traces.ids import uuid7
from traces.journal import Journal
from traces.postgres import dialect, ready, schema
from traces.postgres.connection import naming
from traces.postgres.schema import check_writable
from traces.postgres.tables import REST_SECONDS, SharedTables
from traces.queries import free
from traces.queries.turns import trace
from traces.records import Payload, Trace
from traces.retention import erase, forget_turns, prune_turns
from traces.rows import TABLES, columns
from traces.store import Store

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


@pytest.fixture
def address(postgres: Databases) -> str:
    return postgres.fresh()


@pytest.fixture
def shared(address: str, tmp_path: Path) -> Store:
    return Store(tmp_path / "data", address)


@pytest.fixture
def alive(shared: Store) -> Iterator[Journal]:
    journal = Journal(shared.journal)
    yield journal
    journal.close()


def run(address: str, sql: str) -> list[Any]:
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def test_lines_are_drained_once(shared: Store, alive: Journal, address: str) -> None:
    keys = record(alive, 5)
    assert ids(shared) == sorted(keys)  # the live tail
    assert shared.drain().lines == 5
    assert shared.drain().lines == 0
    keys += record(alive, 3)
    assert ids(shared) == sorted(keys)
    assert Store(shared.data_dir, address).drain().lines == 3
    assert ids(shared) == sorted(keys)
    alive.close()
    assert shared.drain().retired == 1
    assert ids(shared) == sorted(keys)


def test_two_drainers_with_old_marks_add_nothing_twice(shared: Store, alive: Journal, address: str) -> None:
    other = Store(shared.data_dir, address)
    keys = record(alive, 2)
    shared.drain()
    other.drain()
    keys += record(alive, 2)
    other.drain()
    keys += record(alive, 2)
    assert shared.drain().lines == 2
    assert ids(shared) == sorted(keys)


def test_hosts_share_one_ledger_and_see_their_own_tail(postgres: Databases, tmp_path: Path) -> None:
    address = postgres.fresh()
    hosts = [Store(tmp_path / name, address) for name in ("one", "two")]
    journals = [Journal(host.journal) for host in hosts]
    first, second = record(journals[0], 3), record(journals[1], 2)
    hosts[0].drain()
    assert ids(hosts[0]) == sorted(first)
    assert ids(hosts[1]) == sorted(first + second)
    hosts[1].drain()
    assert ids(hosts[0]) == ids(hosts[1]) == sorted(first + second)
    for journal in journals:
        journal.close()


def test_hosts_that_start_at_once_make_one_schema(postgres: Databases, tmp_path: Path) -> None:
    address, keys, troubles = postgres.fresh(), [], []
    stores = [Store(tmp_path / str(number), address) for number in range(4)]
    for store in stores:
        journal = Journal(store.journal)
        keys += record(journal, 2)
        journal.close()

    def drain(store: Store) -> None:
        try:
            store.drain()
        except StoreError as error:
            troubles.append(error)

    threads = [threading.Thread(target=drain, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (troubles, ids(stores[0])) == ([], sorted(keys))
    assert run(address, "select count(*) from answerdeck.migrations") == [(len(schema.migrations()),)]


def test_a_line_that_fits_no_table_is_put_aside_alone(shared: Store, alive: Journal) -> None:
    keys = record(alive, 3)
    (path,) = shared.journal.glob("[0-9]*.jsonl")
    with path.open("ab") as file:
        file.write(
            b'{"kind":"score","written_ns":1,"score_id":"s","turn_id":"t","name":"n","value":"many",'
            b'"source":"user","created_at":"2026-11-23T05:00:00Z","failed":false}\n'
        )
    keys += record(alive, 2)
    with shared.read() as ledger:  # the tail cannot be read whole, but the store can
        assert ledger.hidden_bytes > 0
    done = shared.drain()
    assert (done.lines, done.damaged) == (5, 1)
    assert ids(shared) == sorted(keys)


def test_a_trace_comes_back_as_it_was_recorded(shared: Store, alive: Journal) -> None:
    made = make_trace(
        question="ü\u2028 \\ 'q' %s $x", answer="a\tb\\n", started_at=NOW, hit=None, cost_usd=1e-9
    )
    odd = {"a\x00": [1, None, "\\u0000"], "ü": {"b": 1.5}}
    made = replace(made, spans=(replace(made.spans[0], attributes=odd), *made.spans[1:]))
    alive.write(made)
    tidy = {"a\ufffd": [1, None, "\\u0000"], "ü": {"b": 1.5}}
    wanted = replace(made, spans=(replace(made.spans[0], attributes=tidy), *made.spans[1:]))
    for _ in ("from the live tail", "from the store"):
        with shared.read() as ledger:
            assert trace(ledger, made.turn.turn_id) == wanted
        shared.drain()


def test_tables_have_the_columns_of_the_dataclasses_and_go_to_files(
    shared: Store, alive: Journal, tmp_path: Path
) -> None:
    import pyarrow.parquet

    record(alive, 2)
    alive.write(make_score("t", tags="a,b"))
    shared.drain()
    record(alive, 1)
    with shared.read(exporting=True) as ledger:
        for table in TABLES:
            assert list(ledger.frame(f"table {table}").columns) == list(columns(table))
    files = export_parquet(partial(shared.read, exporting=True), tmp_path / "out")
    assert export_jsonl(shared.read, tmp_path / "out.jsonl") == 3
    read = {file.stem: pyarrow.parquet.read_table(file) for file in files}
    assert [table.num_rows for table in read.values()] == [3, 3, 6, 3, 3, 1, 0, 0]
    assert str(read["turns"].schema.field("started_at").type) == "timestamp[us, tz=UTC]"
    assert read["spans"]["attributes"][0].as_py() == "{}"


def user_trace(user: str, word: str, **columns: Any) -> Trace:
    made = make_trace(user_id=user, question=f"{word} question", answer=f"{word} answer", **columns)
    key = made.turn.turn_id
    payload = Payload(key, f"{word} prompt", f"{word} raw")
    return replace(made, payload=payload, passages=(make_passage(key, text=f"{word} passage"),))


def test_an_erased_user_is_gone_from_the_ledger_and_this_journal(postgres: Databases, tmp_path: Path) -> None:
    address = postgres.fresh()
    here, there = Store(tmp_path / "here", address), Store(tmp_path / "there", address)
    for store in (here, there):
        journal = Journal(store.journal)
        mine, others = user_trace("eve", "xylophone"), user_trace("bob", "other")
        for line in (mine, others, make_score(others.turn.turn_id, user_id="eve", reason="xylophone")):
            journal.write(line)
        journal.close()
        store.drain()
    done = erase(here, "eve")
    assert (done.turns, done.scores, done.lines) == (2, 2, 2)
    (left,) = done.left
    assert re.fullmatch(r"the journal of host \S+", left)
    with here.read() as ledger:
        assert ledger.rows("select user_id, count(*) as n from turns group by 1") == [
            {"user_id": "bob", "n": 2}
        ]
        assert ledger.rows("select * from scores") == []
        assert ledger.rows("select * from payloads where prompt like 'xylo%'") == []
    assert erase(there, "eve").lines == 2


def test_old_texts_are_forgotten_month_by_month_and_turns_stay(
    shared: Store, alive: Journal, address: str
) -> None:
    def at(days: float) -> Trace:
        started_at = NOW - timedelta(days=days)
        return user_trace("ada", "w", started_at=started_at, turn_id=uuid7(int(started_at.timestamp() * 1e9)))

    odd = user_trace("ada", "w", started_at=NOW - timedelta(days=90), turn_id="imported-1")
    for made in (at(100), at(70), at(69), at(24), at(22), at(1), odd):
        alive.write(made)
    shared.drain()
    parts = "select relname from pg_class where relname like 'payloads\\_20%' and relkind = 'r' order by 1"
    assert [row[0] for row in run(address, parts)] == [f"payloads_2026_{n:02d}" for n in (8, 9, 10, 11)]
    done = prune_turns(shared, 23, NOW)
    assert (done.payloads, done.passages) == (5, 5)
    assert [row[0] for row in run(address, parts)] == ["payloads_2026_10", "payloads_2026_11"]
    with shared.read() as ledger:
        assert ledger.rows("select count(*) as n from turns") == [{"n": 7}]
        assert ledger.rows("select count(*) as n from payloads") == [{"n": 2}]
    assert prune_turns(shared, 23, NOW).payloads == 0
    assert forget_turns(shared, 80, NOW) == 2
    with shared.read() as ledger:
        assert ledger.rows("select count(*) as n from spans where turn_id = 'imported-1'") == [{"n": 0}]
        assert ledger.rows("select count(*) as n from turns") == [{"n": 5}]


def test_the_months_bounds_hold_every_id_of_the_month() -> None:
    for moment in ("2026-12-31T23:59:59.999", "2026-12-01T00:00:00", "2027-01-01T00:00:00"):
        when = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        key = uuid7(int(when.timestamp() * 1000) * 1_000_000)
        month = dialect.month(key)
        assert month is not None and month.begin <= key < month.end, moment
        assert month.name == f"payloads_{when:%Y_%m}"
    assert dialect.month("imported-1") is None


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
