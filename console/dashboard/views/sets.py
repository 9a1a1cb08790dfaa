"""The evalsets: all of them, and a file dropped in to become one, its columns shown before it is saved."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import streamlit as st

from console import format
from console.dashboard import evalsets_shown, markup, notices, visitor
from console.dashboard.evalsets_shown import Dropped, Taken
from evalsets.cases.cases import Listed
from evalsets.cases.heads import NAMES, NONE
from evalsets.cases.look import FilePreview

KINDS = ["csv", "tsv", "txt", "xlsx", "xlsm", "json", "jsonl", "yaml", "yml"]
TITLES = {
    "question": "Question",
    "reference": "Expected answer",
    "relevant_ids": "Relevant documents",
    "id": "Id",
    "tags": "Tags",
    "must_contain": "Must contain",
    "must_refuse": "Must be refused",
    "answerability": "Answerability",
    "history": "Conversation before",
}
NOT_THERE = "—"
TAKEN: dict[Taken, str] = {"add": "Add to it", "replace": "Replace its cases"}
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def page() -> None:
    """Draw the drop zone, then the list."""
    undone()
    _import()
    rows = [_row(row) for row in sorted(evalsets_shown.listed(), key=lambda row: row.shipped)]
    markup.show(markup.table(["Evalset", "Cases ", "From", "Source"], rows), key="sets")
    st.caption("Open one to see and change its cases. Shipped ones can be copied and then changed.")


def undone() -> None:
    """Offer to take the newest change back."""
    newest = evalsets_shown.newest()
    if newest is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.success(f"{notices.plain(newest.name)}: {notices.plain(newest.what)}.", icon=":material/check:")
        if newest.name in evalsets_shown.own():
            to = markup.address("evals", evalset=newest.name)
            markup.show(f"<p>{markup.link('run it →', to)}</p>", key="run-set")
        if st.button("Undo", icon=":material/undo:", key="undo-set"):
            visitor.need("editor", "change an evalset")
            notices.done(evalsets_shown.undo(), "Taken back")


def _row(row: Listed) -> str:
    to = markup.address("evals", part="Evalsets", set=row.name)
    about, source = row.problem or row.title, escape(row.source or "—")
    return markup.row(
        [
            markup.cell(markup.link(row.name, to) + markup.small(escape(about)), "text"),
            markup.cell(f"{row.cases:,}", "right"),
            markup.cell(markup.chip("shipped" if row.shipped else "yours", "#64748b")),
            markup.cell(f'<span class="clip" title="{source}">{source}</span>', "text quiet"),
        ],
        to,
    )


def _import() -> None:
    number = st.session_state.setdefault("set-drops", 0)
    with st.expander("Import an evalset", icon=":material/upload_file:"):
        file = st.file_uploader(
            "A table of questions and expected answers: CSV, Excel, JSON or JSON Lines",
            type=KINDS,
            key=f"set-drop-{number}",
            max_upload_size=50,
        )
        if file is None:
            st.caption("How its columns are understood is shown here before anything is saved.")
            return
        _dropped(Dropped(file.name, file.getvalue()), number)


def _dropped(dropped: Dropped, number: int) -> None:
    seen = evalsets_shown.understood(dropped, None, None)
    if seen.format == "csv":
        seen = _mapped(dropped, seen)
    for problem in seen.problems:
        st.error(notices.plain(problem), icon=":material/rule:")
    if seen.imported is None:
        return
    _preview(seen)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        stem = _NAME.sub("_", Path(dropped.name).stem).strip("_.-") or "evalset"
        name = st.text_input("Name", stem, max_chars=64, width=260, key=f"set-name-{number}").strip()
        there = name in evalsets_shown.own()
        how: Taken = "new"
        if there:
            how = st.radio(
                f"{name} is there already", list(TAKEN), list(TAKEN).index("add"), TAKEN.__getitem__,
                key=f"set-taken-{number}", horizontal=True,
            )  # fmt: skip
        if st.button("Save as evalset", type="primary", icon=":material/save:", key="save-set"):
            visitor.need("editor", "change an evalset")
            problem = evalsets_shown.bring_in(name, seen, dropped.name, how)
            if problem is None:
                st.session_state["set-drops"] = number + 1
            notices.done(problem and notices.plain(problem), f"Saved {name}")


def _mapped(dropped: Dropped, seen: FilePreview) -> FilePreview:
    """Draw which column is which field, as understood, and return the file under the person's choice."""
    options = [NOT_THERE, *seen.columns]
    guessed = seen.mapping
    st.markdown("**Which column is what**")
    chosen: dict[str, str] = {}
    with st.container(horizontal=True, gap="small"):
        for field in NAMES:
            usual = guessed.get(field, NOT_THERE)
            column = st.selectbox(
                TITLES[field],
                options,
                index=options.index(usual),
                width=190,
                key=f"map-{dropped.name}-{field}",
            )
            chosen[field] = NONE if column in (NOT_THERE, None) else column
    if seen.doubtful and chosen["reference"] == NONE and chosen["question"] != NONE:
        shown = notices.plain(" or ".join(map(repr, seen.doubtful)))
        st.warning(
            f"{shown} may hold the expected answers: choose it, or save without.", icon=":material/help:"
        )
    if chosen["question"] == NONE:
        st.warning("Say which column holds the questions.", icon=":material/help:")
        return FilePreview(seen.format, seen.columns, seen.sample)
    return evalsets_shown.understood(dropped, "csv", chosen)


def _preview(seen: FilePreview) -> None:
    """Show the first cases as they would be saved, and what would be left out."""
    assert seen.imported is not None
    rows, answers = seen.imported.rows, sum("reference" in row for row in seen.imported.rows)
    table = [
        markup.row(
            [
                markup.cell(escape(str(row.get("id", ""))[:24]), "mono"),
                markup.cell(f'<span class="clip">{escape(str(row["question"]))}</span>', "text"),
                markup.cell(f'<span class="clip">{escape(str(row.get("reference", "—")))}</span>', "text"),
            ]
        )
        for row in rows[:5]
    ]
    markup.show(markup.table(["Id", "Question", "Expected answer"], table), key="import-preview")
    st.caption(f"{format.many(len(rows), 'case')}, {answers} with an expected answer; the first are shown.")
    left = [
        *seen.imported.dropped[:10],
        *(f"column {name!r} is not used: {why}" for name, why in seen.imported.fields),
    ]
    if left:
        with st.expander(f"{format.many(len(left), 'thing')} left out", icon=":material/info:"):
            markup.show("".join(f"<p>{escape(note)}</p>" for note in left), key="import-left")
