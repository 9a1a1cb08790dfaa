"""SQL: questions people write themselves, read-only; kept under a name, and taken away as CSV."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import streamlit as st

from console import format
from console.dashboard import data, disk, downloads, markup, notices, releases, visitor
from traces.errors import Refused, StoreError
from traces.queries import free
from traces.queries.free import QueryResult

FIRST = """select date_trunc('day', started_at) as day, model, count(*) as turns,
       round(sum(cost_usd), 4) as usd
from turns
where door in ('chat', 'api', 'openai', 'mcp', 'cli')
group by 1, 2
order by 1 desc, 2"""
SHOWN = 500  # rows drawn; the CSV has all that came back
CELL = 300  # characters of a cell drawn


@dataclass(slots=True)
class QueryAnswer:
    """The question of this person's page and what came of it."""

    sql: str
    answer: QueryResult | None = None
    why: str | None = None  # nothing came of it


def page() -> None:
    """Draw the kept questions, the field, and what the last question found."""
    st.title("SQL", anchor=False)
    st.caption(
        f"One SELECT over the ledger, read-only: no files, no network, {free.SECONDS:g} seconds and "
        f"{free.MOST_ROWS:,} rows at most. Tables: {', '.join(free.TABLES)}."
    )
    with notices.problems():
        path = data.settings().data_dir / "console" / "questions.json"
        try:
            queries = {saved.name: saved for saved in free.saved(path)}
        except Refused as error:
            raise data.Problem(str(error), "The field below works without it.") from None
        name = st.selectbox(
            "Kept questions", list(queries), index=None, key="question", bind="query-params",
            placeholder="none chosen", width=360,
        )  # fmt: skip
        start = queries[name].sql if name in queries else FIRST
        sql = st.text_area(
            "Question in SQL", start, height=190, key=f"sql-{name}-{hash(start)}", max_chars=20_000
        )
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            if st.button("Ask", type="primary", icon=":material/play_arrow:"):
                st.session_state["sql_asked"] = _ask(sql or "")
            _keep(path, name, sql or "", queries)
        query: QueryAnswer | None = st.session_state.get("sql_asked")
        if query is not None:
            _answer(query)


def _ask(sql: str) -> QueryAnswer:
    try:
        with data.ledger() as opened:
            return QueryAnswer(sql, answer=free.ask(opened, sql))
    except (Refused, StoreError) as error:
        return QueryAnswer(sql, why=str(error))


def _keep(path: Any, name: str | None, sql: str, queries: dict[str, free.Saved]) -> None:
    """Draw what keeps a question under a name, or forgets it."""
    with st.popover("Keep", icon=":material/bookmark:"):
        new_name = st.text_input("Name", name or "", max_chars=80)
        if st.button("Keep it", type="primary", key="keep-sql", disabled=not new_name.strip()):
            visitor.need("editor", "keep questions")
            try:
                free.keep(path, new_name, sql, releases.actor())
            except (Refused, OSError) as error:
                st.error(notices.plain(disk.why(error)))
            else:
                notices.done(None, "Kept; choose it above")
    if name in queries and st.button(
        "Forget it", icon=":material/delete:", help=f"Kept by {queries[name].by}."
    ):
        visitor.need("editor", "forget questions")
        free.forget(path, name)
        notices.done(None, "Forgotten")


def _answer(query: QueryAnswer) -> None:
    if query.answer is None:
        st.error(notices.plain(query.why or ""), icon=":material/rule:")
        return
    candidate = query.answer
    many = "the first " if candidate.cut else ""
    st.caption(f"{many}{format.many(len(candidate.rows), 'row')} in {format.seconds(candidate.seconds)}")
    if not candidate.rows:
        notices.note("Nothing found", "The question is right, and no row answers it.", key="sql-none")
        return
    rows = [markup.row([_cell(value) for value in row]) for row in candidate.rows[:SHOWN]]
    markup.show(markup.table(candidate.columns, rows), key="sql-rows")
    if len(candidate.rows) > SHOWN:
        st.caption(f"{SHOWN} of them are drawn; the CSV has all {len(candidate.rows):,}.")
    downloads.button(_named(candidate), "answerdeck-sql")


def _named(candidate: QueryResult) -> list[dict[str, Any]]:
    """Return the rows by column; columns of the same name are numbered."""
    names: list[str] = []
    for name in candidate.columns:
        names.append(name if name not in names else f"{name}_{len(names) + 1}")
    return [dict(zip(names, row, strict=True)) for row in candidate.rows]


def _cell(value: Any) -> str:
    if value is None:
        return markup.cell("—", "quiet")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return markup.cell(escape(f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"), "right")
    text = str(value)
    cut = text[:CELL] + ("…" if len(text) > CELL else "")
    return markup.cell(escape(cut), "text" if len(text) > 40 else "")
