"""One evalset: its cases to search, read, change, add and delete with a way back, and to take away."""

from __future__ import annotations

import json
from html import escape
from typing import Any

import streamlit as st

from console.dashboard import data, evalsets_shown, markup, notices, visitor
from console.dashboard.views import sets
from evalsets.cases import team
from evalsets.cases.evalset import ANSWERABILITY, Evalset
from evalsets.cases.row import row_of
from pipeline.configuration import gated
from traces.ids import uuid7
from traces.records import Case

PAGE = 50
NEW = "new"  # of an address: the form of a case that is not there yet
REFUSE = {"not given": None, "yes": True, "no": False}


def page(name: str) -> None:
    """Draw the evalset of this name, or say that there is none."""
    of = {"set": name} if "case" in st.query_params else {}
    to = markup.address("evals", part="Evalsets", **of)
    back = markup.link("← The evalset" if of else "← All evalsets", to, "back")
    markup.show(f"<p>{back}</p>", key="back")
    sets.undone()
    evalset = evalsets_shown.read(name)
    if evalset is None:
        label = f'<span class="mono">{escape(name[:64])}</span>'
        notices.note("No such evalset", f"{label} is neither shipped nor among yours.", key="no-set")
        return
    own = name in team.names()
    _head(evalset, own)
    case_id = st.query_params.get("case")
    if case_id:
        _one(evalset, case_id)
        return
    _actions(evalset, own)
    _list(evalset)


def _head(evalset: Evalset, own: bool) -> None:
    answers = sum(bool(case.reference) for case in evalset.cases)
    chip = markup.chip("yours" if own else "shipped", "#64748b")
    facts = [
        f"{len(evalset.cases)} cases",
        f"{answers} with an expected answer",
        evalset.source,
        evalset.licence,
    ]
    run = markup.link("run it →", markup.address("evals", evalset=evalset.name))
    around = "".join(f"<span>{escape(fact)}</span>" for fact in facts if fact) + f"<span>{run}</span>"
    markup.show(
        f'<div class="head"><h1>{escape(evalset.title or evalset.name)}</h1>'
        f'<div class="chips">{chip}</div></div>'
        f'<div class="around">{around}</div>',
        key="set-head",
    )


def _actions(evalset: Evalset, own: bool) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        if own:
            if st.button("Add a case", icon=":material/add:", type="primary"):
                visitor.need("editor", "change an evalset")
                st.query_params["case"] = NEW
                st.rerun()
            _delete_set(evalset.name)
        elif evalset.corpus is None:
            _copy(evalset)
        _gate(evalset.name)
        for kind, ending in (("JSON Lines", ".jsonl"), ("CSV", ".csv")):
            st.download_button(
                kind,
                data=lambda ending=ending: team.exported(evalset, ending),
                file_name=f"{evalset.name}{ending}",
                on_click="ignore",
                icon=":material/download:",
                key=f"export{ending}",
            )


def _gate(name: str) -> None:
    """Draw the button that makes prompts pass this set before they are promoted, or takes that back."""
    settings = data.settings()
    own, chosen = gated.read(settings.own.path), settings.gate.evalsets
    decides = name in chosen
    label = "Take it out of the gate" if decides else "Put it into the gate"
    result = f"A prompt must pass {', '.join(chosen)} before it is promoted."
    if not own and not decides:
        result += " Your own choice takes its place."
    if st.button(label, icon=":material/verified:", help=result, disabled=decides and not own):
        names = [other for other in own if other != name] if decides else [*own, name]
        problem = evalsets_shown.decide(names)
        now = ", ".join(names) or "what the configuration names"
        notices.done(problem and notices.plain(problem), f"A prompt must now pass {now}")


def _copy(evalset: Evalset) -> None:
    with st.popover("Copy to change", icon=":material/content_copy:"):
        name = st.text_input("Name of the copy", f"my_{evalset.name}", max_chars=64).strip()
        if st.button("Copy", type="primary", key="copy-set"):
            visitor.need("editor", "change an evalset")
            problem = evalsets_shown.copy(evalset, name)
            notices.done(problem and notices.plain(problem), f"Copied to {name}")


def _delete_set(name: str) -> None:
    with st.popover("Delete the set", icon=":material/delete:"):
        st.write("It leaves the lists; its file is kept in the folder `deleted` of your evalsets.")
        if st.button("Delete it", type="primary", key="delete-set"):
            visitor.need("editor", "change an evalset")
            problem = evalsets_shown.change(name, "deleted", lambda: team.delete(name))
            notices.done(problem and notices.plain(problem), f"Deleted {name}")


def _list(evalset: Evalset) -> None:
    search = st.text_input(
        "Search",
        key="holds",
        bind="query-params",
        placeholder="words of the question or the answer",
        max_chars=200,
        width=340,
    ).strip()
    cases = [case for case in evalset.cases if _holds(case, search)]
    if not cases:
        notices.note("No case", "No question or expected answer holds these words.", key="no-case")
        return
    pages = -(-len(cases) // PAGE)
    number = st.pagination(pages, key="cases_page", bind="query-params") if pages > 1 else 1
    first = (min(number or 1, pages) - 1) * PAGE
    shown = cases[first : first + PAGE]
    markup.show(
        markup.table(
            ["Id", "Question", "Expected answer", "Asks for"], [_row(evalset.name, case) for case in shown]
        ),
        key="cases",
    )


def _holds(case: Case, search: str) -> bool:
    return search.casefold() in f"{case.case_id}\n{case.question}\n{case.reference or ''}".casefold()


def _row(name: str, case: Case) -> str:
    before = markup.small(f"after {len(case.history)} messages") if case.history else ""
    asks = [
        *(["must be refused"] if case.must_refuse else []),
        *([case.answerability] if case.answerability else []),
        *([f"{len(case.relevant_ids)} relevant documents"] if case.relevant_ids else []),
        *([f"{len(case.must_contain)} texts"] if case.must_contain else []),
        *(case.tags or []),
    ]
    to = markup.address("evals", part="Evalsets", set=name, case=case.case_id)
    return markup.row(
        [
            markup.cell(markup.link(case.case_id[:24], to, "mono")),
            markup.cell(f'<span class="clip">{escape(case.question)}</span>{before}', "text"),
            markup.cell(f'<span class="clip">{escape(case.reference or "—")}</span>', "text"),
            markup.cell(escape(", ".join(asks)) or "—", "text quiet"),
        ],
        to,
    )


def _one(evalset: Evalset, case_id: str) -> None:
    """Draw the form of one case, or of a new one; a shipped set's is only read."""
    case = next((case for case in evalset.cases if case.case_id == case_id), None)
    if case is None and case_id != NEW:
        notices.note("No such case", f"{escape(case_id[:64])} is not in this evalset.", key="no-case")
        return
    own = evalset.name in team.names()
    row = row_of(case) if case else {"id": uuid7()[-8:]}
    with st.form("case", border=True):
        given, history = _fields(row, locked=not own, old=case is not None)
        saved = st.form_submit_button("Save", type="primary", icon=":material/save:", disabled=not own)
    if saved:
        visitor.need("editor", "change an evalset")
        _save(evalset.name, case, given, history)
    if own and case and st.button("Delete", icon=":material/delete:"):
        visitor.need("editor", "change an evalset")
        _done(
            evalsets_shown.change(
                evalset.name, f"case {case_id} deleted", lambda: team.remove(evalset.name, case_id)
            )
        )


def _fields(row: dict[str, Any], *, locked: bool, old: bool) -> tuple[dict[str, Any], str]:
    """Draw the fields of a case; return what they hold, and the conversation before it as text."""
    key = row["id"]
    given: dict[str, Any] = {
        "id": st.text_input("Id", key, max_chars=100, disabled=old or locked),
        "question": st.text_area("Question", row.get("question", ""), height=80, disabled=locked),
        "reference": st.text_area("Expected answer", row.get("reference", ""), height=120, disabled=locked),
    }
    left, right = st.columns(2)
    words = list(REFUSE)
    with left:
        given["relevant_ids"] = _lines("Relevant documents, one a line", row.get("relevant_ids"))
        kinds = ["not given", *ANSWERABILITY]
        kind = st.selectbox("Answerability", kinds, index=kinds.index(row.get("answerability", kinds[0])))
        given["answerability"] = None if kind == kinds[0] else kind
    with right:
        given["must_contain"] = _lines("Texts the answer must hold, one a line", row.get("must_contain"))
        at = [REFUSE[word] for word in words].index(row.get("must_refuse"))
        given["must_refuse"] = REFUSE[st.selectbox("Must it be refused?", words, index=at)]
    given["tags"] = _lines("Tags, one a line", row.get("tags"))
    before = json.dumps(row["history"], ensure_ascii=False, indent=1) if "history" in row else ""
    return given, st.text_area("Conversation before it, as JSON: a list of {role, text}", before, height=80)


def _done(problem: str | None) -> None:
    """Go back to the list after a change, or say why there was none."""
    if problem:
        st.error(notices.plain(problem))
        return
    del st.query_params["case"]
    st.rerun()


def _save(name: str, case: Case | None, given: dict[str, Any], history: str) -> None:
    try:
        given["history"] = json.loads(history) if history.strip() else None
    except ValueError as error:
        st.error(f"The conversation before it is not JSON: {notices.plain(str(error))}")
        return
    row = {key: value if value not in ("", []) else None for key, value in given.items()}
    if case is None:
        row = {key: value for key, value in row.items() if value is not None}
        problem = evalsets_shown.change(name, f"case {row.get('id')} added", lambda: team.add(name, row))
    else:
        key = case.case_id
        problem = evalsets_shown.change(name, f"case {key} changed", lambda: team.change(name, key, row))
    _done(problem)


def _lines(label: str, value: list[str] | None) -> list[str]:
    text = st.text_area(label, "\n".join(value or []), height=68)
    return [line.strip() for line in text.splitlines() if line.strip()]
