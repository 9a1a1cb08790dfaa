"""What was recorded comes back, by SQL that only reads."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories import make_passage, make_score, make_trace
from tests.recorded import record
from traces.errors import StoreError
from traces.journal import Journal
from traces.queries import listing, runs
from traces.queries.turns import trace
from traces.records import Case, Run, RunSettings, Span, SpanKind, Usage
from traces.rows import TABLES, columns
from traces.store import Store

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


texts = st.text(st.characters(codec=None), max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def any_trace(draw: st.DrawFn) -> Any:
    base = make_trace(
        question=draw(texts),
        answer=draw(st.none() | texts),
        started_at=draw(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
        cost_usd=draw(st.none() | numbers),
        input_tokens=draw(st.none() | st.integers(0, 2**62)),
        hit=draw(st.none() | st.booleans()),
    )
    key = base.turn.turn_id
    kinds = st.sampled_from(get_args(SpanKind))
    return replace(
        base,
        payload=replace(base.payload, prompt=draw(st.none() | texts), raw_response=draw(st.none() | texts)),
        spans=tuple(
            Span(
                key, n, draw(st.none() | st.just(0)), draw(texts), draw(kinds), draw(numbers), 0.5, draw(each)
            )
            for n, each in enumerate(
                [st.dictionaries(st.text(max_size=5), values, max_size=3)] * draw(st.integers(0, 3))
            )
        ),
        passages=tuple(
            make_passage(key, n, text=draw(st.none() | texts), vector_score=draw(st.none() | numbers))
            for n in range(1, draw(st.integers(0, 3)) + 1)
        ),
        usages=tuple(
            Usage(
                key,
                n,
                "answer",
                draw(texts),
                cost_usd=draw(st.none() | numbers),
                estimated=draw(st.booleans()),
            )
            for n in range(1, draw(st.integers(0, 2)) + 1)
        ),
        scores=tuple(
            make_score(
                key,
                draw(texts),
                draw(st.none() | numbers),
                source="online",
                created_at=NOW + timedelta(seconds=n),
            )
            for n in range(draw(st.integers(0, 2)))
        ),
    )


def sound(value: Any) -> Any:
    """Replace lone surrogates as the journal does."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, tuple):
        return tuple(sound(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        return replace(value, **{field.name: sound(getattr(value, field.name)) for field in fields(value)})
    return value


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_trace(), min_size=1, max_size=4))
def test_a_trace_comes_back_as_it_was_recorded(tmp_path: Path, recorded: list[Any]):
    data = tmp_path / recorded[0].turn.turn_id
    store, journal = Store(data), Journal(data / "journal")
    for each in recorded:
        journal.write(each)
    for _ in ("from the live tail", "from the store"):
        with store.read() as ledger:
            for each in recorded:
                assert trace(ledger, each.turn.turn_id) == sound(each)
        store.drain()
    journal.close()


def test_nothing_is_unknown_to_an_empty_store(store: Store):
    with store.read() as ledger:
        assert trace(ledger, "nobody") is None
        assert ledger.rows("select count(*) as n from turns") == [{"n": 0}]
    assert store.drain().lines == 0
    assert not store.data_dir.exists()


def test_a_turn_is_found_by_the_start_of_its_id(store: Store, journal: Journal):
    (key,) = record(journal, 1)
    with store.read() as ledger:
        assert listing.named(ledger, key[:13]) == [key]
        assert listing.named(ledger, "zzz") == []


def test_tables_have_exactly_the_columns_of_the_dataclasses(store: Store, journal: Journal):
    record(journal, 1)
    for _ in range(2):
        with store.read() as ledger:
            for table in TABLES:
                assert list(ledger.frame(f"table {table}").columns) == list(columns(table))
        store.drain()


def test_the_newest_record_of_a_run_and_the_last_word_of_a_user_count(store: Store, journal: Journal):
    run = Run("r", "demo", "f", "answer@v1", "running", NOW, done=0)
    journal.write(run)
    journal.write(Case("r", "c", "Why?", relevant_ids=["a", "b"], history=[{"role": "user", "text": "Hi"}]))
    journal.write(make_score("t", value=1.0, user_id="ada", created_at=NOW))
    store.drain()
    finished = replace(run, state="finished", done=7, settings=RunSettings(retrieval={"candidates": 20}))
    journal.write(finished)
    journal.write(make_score("t", value=-1.0, user_id="ada", created_at=NOW + timedelta(seconds=1)))
    journal.write(make_score("t", value=1.0, user_id="bob", created_at=NOW))
    journal.write(make_score("t", "recall@5", 0.2, source="eval"))
    for _ in range(2):
        with store.read() as ledger:
            assert runs.runs(ledger) == [finished]
            (case,) = ledger.rows("select * from cases")
            assert Case(**case).relevant_ids == ["a", "b"]
            assert Case(**case).history == [{"role": "user", "text": "Hi"}]
            in_force = ledger.rows("select user_id, value from scores order by user_id nulls last")
            assert [(row["user_id"], row["value"]) for row in in_force] == [
                ("ada", -1.0),
                ("bob", 1.0),
                (None, 0.2),
            ]
            assert len(ledger.rows("select * from score_history")) == 4
        store.drain()


PORTABLE = """
with hourly as (
    select date_trunc('hour', started_at) as hour, model,
           percentile_cont(0.95) within group (order by seconds) as p95,
           count(*) filter (where outcome = 'failed') as failed,
           avg(case when hit then 1.0 else 0.0 end) as hit_rate
    from turns where started_at >= $since and question ilike $like group by 1, 2
)
select *, row_number() over (partition by model order by hour) as n from hourly order by hour
"""


def test_the_shared_subset_of_sql_works_with_bound_values(store: Store, journal: Journal):
    journal.write(make_trace(started_at=NOW, seconds=1.0, question="100% sure?"))
    journal.write(make_trace(started_at=NOW + timedelta(minutes=1), seconds=2.0, outcome="failed"))
    store.drain()
    with store.read() as ledger:
        (row,) = ledger.rows(PORTABLE, since=NOW - timedelta(days=1), like="%")
        assert row["hour"] == NOW
        assert row["p95"] == pytest.approx(1.95)
        assert (row["failed"], row["hit_rate"], row["n"]) == (1, 1.0, 1)
        assert ledger.rows(PORTABLE, since=NOW, like="' or 1=1 --") == []
        with pytest.raises(duckdb.Error):
            ledger.rows("select * from no_such_table")


FORBIDDEN = (
    "select * from read_text('/etc/passwd')",
    "copy (select 1) to '/tmp/out.csv'",
    "attach '/tmp/other.duckdb' as other",
    "set enable_external_access = true",
    "install httpfs",
    "select * from os",  # a Python name is no table
    "delete from stored.turns",
)


@pytest.mark.usefixtures("shipped_stores")
def test_a_reader_can_only_read_the_ledger(store: Store, journal: Journal):
    record(journal, 1)
    store.drain()
    for sql in FORBIDDEN:
        with store.read() as ledger, pytest.raises((duckdb.Error, StoreError)):
            ledger.rows(sql)
            pytest.fail(sql)
    with store.read() as ledger:
        assert ledger.rows("select count(*) as n from turns") == [{"n": 1}]


@pytest.mark.usefixtures("shipped_stores")
def test_an_answer_left_half_taken_harms_no_later_reader(store: Store, journal: Journal):
    record(journal, 5)
    store.drain()
    with store.read() as ledger:
        assert len(next(ledger.batches("select turn_id from turns", size=2))) == 2
    with store.read() as ledger:
        assert ledger.rows("select count(*) as n from turns") == [{"n": 5}]
    record(journal, 1)
    for _ in range(2):
        with store.read() as ledger:
            assert ledger.rows("select count(*) as n from turns") == [{"n": 6}]
