"""A turn made a case: the form that is filled in from it, and the way back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import streamlit as st

from console.dashboard import boundary, data
from evalsets.cases import from_turn, team
from evalsets.cases.evalset import ANSWERABILITY, EvalsetError
from traces.records import Trace

FIRST_SET = "from_turns"
_TAKEN = "Somebody liked this answer: it stands as the reference. Correct it where it is not."
_EMPTY = (
    "Nobody has said that this answer is right, so the reference is empty: write what should be answered."
)
_NAME = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Added:
    """The case that was just made of a turn."""

    turn_id: str
    evalset: str
    case_id: str


def button(trace: Trace) -> None:
    """Draw the button that opens the form, and what became of the case just added."""
    if st.button("Add as case", icon=":material/playlist_add:", key="add-case"):
        _form(trace)
    added: Added | None = st.session_state.get("case_added")
    if added and added.turn_id == trace.turn.turn_id:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(f"Case {added.case_id} is in the evalset {added.evalset}.", icon=":material/check:")
            if st.button("Undo", icon=":material/undo:", key="undo-case"):
                team.remove(added.evalset, added.case_id)
                del st.session_state["case_added"]
                data.evalsets.clear()
                st.rerun()


@st.dialog("Add as case", width="large")
def _form(trace: Trace) -> None:
    boundary.guarded(_fields, "Add as case")(trace)  # a dialog is drawn again without its page


def _fields(trace: Trace) -> None:
    row = _drafted(trace)
    names = [FIRST_SET, *(name for name in team.names() if name != FIRST_SET)]
    name = st.selectbox("Evalset", names, accept_new_options=True, help="One of yours, or type a new name.")
    row["question"] = st.text_area("Question", row["question"], height=68)
    history = row.pop("history", None)
    if history and st.checkbox(f"After the conversation so far ({len(history)} messages)", value=True):
        row["history"] = history
    row["reference"] = st.text_area(
        "Reference: what should have been answered", row.get("reference", ""), height=120
    )
    row["relevant_ids"] = _relevant(trace, row.get("relevant_ids", []))
    left, right = st.columns(2)
    with left:
        kinds = ["not given", *ANSWERABILITY]
        row["answerability"] = st.selectbox(
            "Answerability", kinds, index=kinds.index(row.get("answerability", "not given"))
        )
        refuse = st.selectbox("Must it be refused?", ["not given", "yes", "no"])
    with right:
        row["must_contain"] = _lines(st.text_area("Texts the answer must hold, one a line", height=68))
        tags = _lines(st.text_area("Tags, one a line", "\n".join(row.get("tags", [])), height=68))
    st.caption(_TAKEN if row["reference"] else _EMPTY)
    guard = st.toggle("Guard every later release with it")
    row["tags"] = [*tags, team.GUARD] if guard and team.GUARD not in tags else tags
    if refuse != "not given":
        row["must_refuse"] = refuse == "yes"
    if st.button("Save case", type="primary", icon=":material/save:", key="save-case"):
        _save(trace, _NAME.sub("_", (name or FIRST_SET).strip()), row)


def _drafted(trace: Trace) -> dict[str, Any]:
    return from_turn.draft(trace, data.read_earlier(trace))


def _relevant(trace: Trace, chosen: list[str]) -> list[str]:
    """Let a person tick the documents that answer the question; the cited ones of a liked answer are."""
    titles: dict[str, str] = {}
    for item in sorted(trace.passages, key=lambda passage: passage.rank):
        titles.setdefault(item.document_id, f"{item.rank}. {item.title or item.document_id}")
    return st.multiselect(
        "Relevant documents, by rank",
        [*titles, *(key for key in chosen if key not in titles)],
        default=chosen,
        format_func=lambda key: str(titles.get(str(key), key)),
        accept_new_options=True,
        placeholder="none found by this turn; type a document id",
    )


def _save(trace: Trace, name: str, row: dict[str, Any]) -> None:
    fields = {key: value for key, value in row.items() if value not in ("", [], None, "not given")}
    head = {"title": name, "owner": "", "source": "turns of this ledger, corrected by people"}
    try:
        case = team.add(name, fields, head=head)
    except EvalsetError as error:
        st.error(str(error))
        return
    st.session_state["case_added"] = Added(trace.turn.turn_id, name, case.case_id)
    data.evalsets.clear()
    st.rerun()


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
