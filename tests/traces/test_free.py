"""SQL that people write: one SELECT, nothing outside the ledger, never without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories import make_trace
from traces import readers
from traces.errors import Refused
from traces.journal import Journal
from traces.queries import free
from traces.store import Store

pytestmark = pytest.mark.usefixtures("shipped_stores")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("free")
    journal = Journal(folder / "journal")
    for number in range(7):
        journal.write(make_trace(question=f"question {number}"))
    journal.close()
    made = Store(folder)
    made.drain()
    (folder / "secret.csv").write_text("a\n1\n")
    return made


def ask(store: Store, sql: str, **limits: float) -> free.QueryResult:
    with store.read() as ledger:
        return free.ask(ledger, sql, **limits)  # type: ignore[arg-type] # most is a whole number


def test_a_select_finds_rows_with_their_columns(store: Store) -> None:
    found = ask(store, "-- mine\nselect question, hit from turns order by question;")
    assert found.columns == ("question", "hit")
    assert found.rows[0] == ("question 0", True) and len(found.rows) == 7 and not found.cut
    assert ask(store, "with t as (select 1 as n) select n, n from t").columns == ("n", "n")


def test_only_so_many_rows_come_back(store: Store) -> None:
    found = ask(store, "select * from range(100000000)", most=3)
    assert len(found.rows) == 3 and found.cut


def test_what_takes_too_long_is_stopped_and_the_next_is_answered(store: Store) -> None:
    with store.read() as ledger:
        with pytest.raises(Refused, match=r"longer than 0\.2 s"):
            free.ask(
                ledger, "select sum(a.range * b.range) from range(10000000) a, range(10000000) b", seconds=0.2
            )
        assert free.ask(ledger, "select count(*) from turns").rows == ((7,),)


def test_a_refused_question_costs_no_reader(store: Store) -> None:
    """Making one takes longer than most questions."""
    ask(store, "select 1")
    lent = readers.IDLE.ready[-1]
    for sql in ("select nothing", "delete from turns", "select * from nowhere"):
        with pytest.raises(Refused):
            ask(store, sql)
        assert readers.IDLE.ready[-1][2] is lent[2]
    assert ask(store, "select count(*) from turns").rows == ((7,),)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('{folder}/secret.csv')",
        "select * from '{folder}/secret.csv'",
        "select * from read_text('{folder}/secret.csv')",
        "select * from read_blob('/etc/passwd')",
        "select * from glob('/etc/*')",
        "select * from read_parquet('https://example.com/x.parquet')",
        "select * from sqlite_scan('{folder}/spending.sqlite', 'spending')",
        "select getenv('HOME')",
        "attach '{folder}/other.duckdb'",
        "copy turns to '{folder}/out.csv'",
        "copy (select 1) to '{folder}/out.csv'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "reset lock_configuration",
        "pragma database_list",
        "create table x as select 1",
        "create macro f(x) as x",
        "insert into live.turns (turn_id) values ('x')",
        "update stored.turns set question = 'x'",
        "delete from stored.turns",
        "drop view turns",
        "export database '{folder}/all'",
        "import database '{folder}/all'",
        "checkpoint",
        "begin",
        "use stored",
        "call pragma_version()",
        "explain analyze select 1",
        "prepare p as select 1",
        "execute p",
        "vacuum",
        "select 1; select 2",
        "select 1; drop view turns",
        "",
        "-- nothing",
        "selec 1",
        "select nosuch from turns",
    ],
)
def test_anything_else_is_refused_in_words(store: Store, sql: str) -> None:
    with pytest.raises(Refused) as refused:
        ask(store, sql.format(folder=store.data_dir))
    assert str(refused.value).strip() and "Traceback" not in str(refused.value)
    assert not (store.data_dir / "out.csv").exists()


def test_questions_are_kept_replaced_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "console" / "questions.json"
    assert free.saved(path) == []
    free.keep(path, "b", "select 1", "ada")
    free.keep(path, "A", "select 2", "ada")
    free.keep(path, "b", "select 3", "bob")
    assert [(one.name, one.sql, one.by) for one in free.saved(path)] == [
        ("A", "select 2", "ada"), ("b", "select 3", "bob"),
    ]  # fmt: skip
    free.forget(path, "A")
    assert [one.name for one in free.saved(path)] == ["b"]
    with pytest.raises(Refused, match="one line"):
        free.keep(path, "a\nb", "select 1", "ada")
    path.write_text("{")
    with pytest.raises(Refused, match="cannot be read"):
        free.saved(path)
