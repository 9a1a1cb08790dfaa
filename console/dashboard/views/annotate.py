"""Annotate: turns that wait for a person's judgement, graded by keys, and how far people agree."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import Any

import streamlit as st

from console import format
from console.dashboard import agreement, clock, data, disk, markup, notices, turn_parts
from evalsets.judges import reviews
from evalsets.judges.agreement import Agreement
from evalsets.judges.reviews import ASPECTS, GRADES, Kappa
from traces.errors import JournalError
from traces.queries.reviews import NEWEST, Queue, WaitingTurn
from traces.records import PRODUCTION, TRIALS, Trace

QUEUES: dict[str, Queue] = {
    "Thumbs down": "thumbs_down",
    "Low groundedness": "low_groundedness",
    "Random sample": "random",
    "Judge and people differ": "disagreement",
}
DOORS = {"people's turns": PRODUCTION, "eval runs": TRIALS}
WORDS = {
    "faithfulness": ("Is everything it says in the passages?", "nothing", "hardly", "half", "mostly", "all"),
    "helpfulness": ("Does it answer the question?", "not at all", "hardly", "partly", "mostly", "fully"),
}
MOST_PAIRS = 6
WORTH_A_TABLE = 5  # turns that both graded


def page() -> None:
    """Draw the queue and the turn at its head, or what people's grades say so far."""
    with notices.problems():
        st.title("Annotate", anchor=False)
        review, agreement = st.tabs(["Review", "Agreement"], key="annotate_tab", bind="query-params")
        with review:
            _review()
        with agreement:
            _agreement()


def _review() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        reviewer = st.text_input("Reviewer", key="as", bind="query-params", max_chars=60, width=160).strip()
        shown = st.selectbox(
            "Queue", list(QUEUES), key="queue", bind="query-params", width=220,
            help=f"Low groundedness looks among the newest {NEWEST:,} answers, the lowest first.",
        )  # fmt: skip
        where = st.selectbox("From", list(DOORS), key="from", bind="query-params", width=160)
    if not reviewer:
        notices.note(
            "Who are you?", "Your name goes with each grade, so that two can be compared.", key="who"
        )
        return
    if problem := st.session_state.pop("not_graded", None):
        st.error(notices.plain(f"Not graded: {problem}."), icon=":material/database_off:")
    turns = _queue(reviewer, QUEUES[shown or "Thumbs down"], where or "people's turns")
    if not turns:
        notices.note("Nothing waits here", "Choose another queue, or other turns.", key="nothing")
        return
    graded = st.session_state.setdefault(f"graded-{reviewer}", {})
    done = sum(row.reviewed or set(ASPECTS) <= graded.get(row.turn_id, {}).keys() for row in turns)
    st.progress(done / len(turns), text=f"{done} of {len(turns)} reviewed by {reviewer}")
    place = min(st.session_state.get("place", _first(turns, graded)), len(turns) - 1)
    _turn(turns, place, reviewer, graded)


def _queue(reviewer: str, which: Queue, where: str) -> list[WaitingTurn]:
    """Return the queue as it stood when it was chosen: it must not move under the reviewer's keys."""
    chosen = (reviewer, which, where)
    if st.session_state.get("queue_of") != chosen:
        turns = data.read_queue(which, reviewer, DOORS[where])
        st.session_state.update(queue_of=chosen, queued=turns)
        st.session_state.pop("place", None)
    return st.session_state["queued"]


def _first(turns: list[WaitingTurn], graded: dict[str, dict[str, int]]) -> int:
    waiting = (n for n, row in enumerate(turns) if not row.reviewed and row.turn_id not in graded)
    return next(waiting, 0)


def _turn(turns: list[WaitingTurn], place: int, reviewer: str, graded: dict[str, Any]) -> None:
    row = turns[place]
    trace = data.read_trace(row.turn_id)
    if trace is None:
        notices.note("This turn is gone", "It was erased or pruned; go on with the next.", key="gone")
        _steps(place, len(turns))
        return
    mine = graded.setdefault(row.turn_id, _graded(trace, reviewer))
    aspect = next((name for name in ASPECTS if name not in mine), ASPECTS[-1])
    aspect = st.session_state.get("aspect") or aspect
    with st.container(border=True):
        _grades(trace, aspect, mine, reviewer, place)
    _steps(place, len(turns))
    markup.show(
        f'<div class="around">{_about(trace, row)}</div>{turn_parts.answer(trace)}', key=f"said-{place}"
    )


def _grades(trace: Trace, aspect: str, mine: dict[str, int], reviewer: str, place: int) -> None:
    """Draw the question in force with its five keys; the comment goes with the next key."""
    line = " · ".join(f"{name}: **{mine[name]}**" if name in mine else f"{name}: —" for name in ASPECTS)
    question, *words = WORDS[aspect]
    st.markdown(f"**{aspect.capitalize()}.** {question}")
    with st.container(horizontal=True, gap="small"):
        for number, word in zip(GRADES, words, strict=True):
            st.button(
                word,
                key=f"grade-{number}",
                shortcut=str(number),
                type="primary" if mine.get(aspect) == number else "secondary",
                on_click=partial(_give, trace, aspect, number, reviewer, place),
            )
    st.text_input(
        "Comment", key=f"comment-{place}", placeholder="why (goes with the next grade)", max_chars=500
    )
    st.caption(f"{line} · keys 1 to 5 grade, ← and → move")


def _give(trace: Trace, aspect: str, number: int, reviewer: str, place: int) -> None:
    """Record a grade, and go on to the next question or the next turn."""
    turn_id = trace.turn.turn_id
    comment = (st.session_state.get(f"comment-{place}") or "").strip() or None
    try:
        data.write(reviews.score(turn_id, aspect, number, reviewer, comment))
    except JournalError as error:
        st.session_state["not_graded"] = disk.why(error)
        return
    mine = st.session_state[f"graded-{reviewer}"].setdefault(turn_id, {})
    mine[aspect] = number
    left = [name for name in ASPECTS if name not in mine]
    st.session_state["aspect"] = left[0] if left else None
    if not left:
        _go(place + 1)
    else:
        st.session_state["place"] = place


def _steps(place: int, length: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Previous",
            key="previous",
            shortcut="Left",
            icon=":material/arrow_back:",
            disabled=place == 0,
            on_click=partial(_go, place - 1),
        )
        st.button(
            "Next",
            key="next",
            shortcut="Right",
            icon=":material/arrow_forward:",
            disabled=place + 1 >= length,
            on_click=partial(_go, place + 1),
        )
        st.caption(f"turn {place + 1} of {length}", width="content")


def _go(place: int) -> None:
    st.session_state.update(place=place, aspect=None)


def _graded(trace: Trace, reviewer: str) -> dict[str, int]:
    mine = [score for score in trace.scores if score.source == "reviewer" and score.user_id == reviewer]
    return {score.name: reviews.grade(score.value) for score in mine if score.value is not None}


def _about(trace: Trace, row: WaitingTurn) -> str:
    parts = [
        markup.link(f"turn {format.short_id(trace.turn.turn_id)}", f"/turns?turn={trace.turn.turn_id}"),
        clock.named(trace.turn.started_at),
        escape(format.model(trace.turn.model or "no model")),
    ]
    if row.groundedness is not None:
        parts.append(f"groundedness {row.groundedness:.2f}")
    parts += [
        f"thumb: {escape(score.reason)}"
        for score in trace.scores
        if score.name == "feedback" and score.reason
    ]
    return "".join(f"<span>{part}</span>" for part in parts)


def _agreement() -> None:
    on_record = agreement.table()
    if on_record:
        st.header("Scorers against people's labels", anchor=False)
        markup.show(on_record, key="trust")
        st.caption("A judge counts in a gate when its best set reaches the floor (`eval calibrate`).")
    rows = data.read_grades()
    if not rows:
        notices.note(
            "No grades yet", "Review some turns; two reviewers are needed to compare.", key="no-grades"
        )
        return
    people = len({row.user_id for row in rows})
    turns = len({row.turn_id for row in rows})
    grades = f"{format.many(len(rows), 'grade')} by {format.many(people, 'reviewer')}"
    st.caption(f"{grades} on {format.many(turns, 'turn')}")
    for aspect in ASPECTS:
        st.header(f"Two reviewers on {aspect}", anchor=False)
        pair = reviews.pairs(rows, aspect)[:MOST_PAIRS]
        if not pair:
            st.caption("No two people graded the same turn yet.")
        for number, candidate in enumerate(pair):
            markup.show(_kappa(candidate), key=f"kappa-{aspect}-{number}")
    st.header("Groundedness against reviewers' faithfulness", anchor=False)
    measured = reviews.grounded(rows)
    if not measured:
        st.caption("Fewer than two graded turns have a groundedness.")
        return
    named = {"spearman": "Spearman's ρ with the mean grade", "auc": "AUC: grades 4 and 5 against the rest"}
    markup.show(
        markup.table(
            ["Agreement", "Value ", "95 % interval ", "n "], [_row(named[k], v) for k, v in measured.items()]
        ),
        key="grounded",
    )


def _kappa(kappa: Kappa) -> str:
    """Return κ in a sentence and the table of who said what."""
    value = "κ cannot be told" if kappa.value is None else f"κ = {kappa.value:.2f}"
    interval = "" if kappa.low is None else f" ({kappa.low:.2f} to {kappa.high:.2f})"
    a, b = map(escape, kappa.reviewers)
    head = f"<p><b>{a}</b> and <b>{b}</b>: {value}{interval}, n = {kappa.n}, quadratic weights</p>"
    if kappa.n < WORTH_A_TABLE:
        return head
    rows = [
        markup.row(
            [
                markup.cell(f"{a}: {mine}"),
                *(markup.cell(str(kappa.table.get((mine, other), "·")), "right") for other in GRADES),
            ]
        )
        for mine in GRADES
    ]
    return head + markup.table(["Grade", *(f"{kappa.reviewers[1]}: {other} " for other in GRADES)], rows)


def _row(name: str, agreement_row: Agreement) -> str:
    interval = "—" if agreement_row.low is None else f"{agreement_row.low:.2f} to {agreement_row.high:.2f}"
    value = "—" if agreement_row.value is None else f"{agreement_row.value:.2f}"
    return markup.row(
        [
            markup.cell(escape(name)),
            markup.cell(f"<b>{value}</b>", "right"),
            markup.cell(interval, "right"),
            markup.cell(str(agreement_row.n), "right"),
        ]
    )
