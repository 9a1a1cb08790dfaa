"""Topics & gaps: what people ask about, what has no answer and who looks after it, and where they leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from html import escape

import streamlit as st

from console import format
from console.dashboard import (
    clock,
    data,
    downloads,
    filters,
    markup,
    notices,
    palette,
    people,
    releases,
    whose,
)
from evalsets import assigned, reasking
from evalsets.assigned import Assigned
from evalsets.reasking import Reasked
from evalsets.topics import Gap, Topic
from pipeline.desk import desk
from traces.queries.asked import AskedQuestion, Leaving

SECTIONS = ("Topics", "Unanswered", "Where people leave")
MOST = 50
MOST_QUESTIONS = 25
STATES = {
    "open": palette.OUTCOMES["no_context"],
    "assigned": palette.MODELS[0],
    "answered since": palette.GOOD,
    "answered now": palette.GOOD,
    "closed": palette.NEUTRAL,
}


def page() -> None:
    """Draw the choice of range and section, and the chosen one."""
    door, range_name = filters.head("Topics & gaps", "topics_via", "topics_last", "7d")
    section = st.segmented_control(
        "Section",
        SECTIONS,
        default=SECTIONS[0],
        required=True,
        key="topics_part",
        bind="query-params",
        label_visibility="collapsed",
    )
    with notices.problems():
        DRAW[section or SECTIONS[0]](range_name, door)


def _empty(turns: int, newest: datetime | None, range_name: str, door: str) -> bool:
    """Say so when a range has no turns; returns whether it has none."""
    if newest is None:
        notices.no_turns_yet(data.settings().server.port)
    elif not turns:
        notices.none_in_range(newest, range_name, door)
    return not turns or newest is None


def _topics(range_name: str, door: str) -> None:
    topics = people.read_topics(range_name, door)
    if _empty(topics.sorted.turns, topics.newest, range_name, door):
        return
    rows = [_topic(topic) for topic in topics.sorted.topics[:MOST]]
    heads = ["Topic", "Turns ", "Trend ", "No answer ", "Refused ", "Thumbs down ", "Left after ", "Cost "]
    markup.show(markup.table(heads, rows), key="topics")
    with st.container(horizontal=True, vertical_alignment="center"):
        downloads.button([asdict(topic) for topic in topics.sorted.topics], "topics")
        st.caption(
            f"{topics.sorted.turns:,} questions, sorted by their words as they come in. Trend: the second "
            "half of the range against the first. Left after: its turn was the last of the conversation."
        )
    name = st.query_params.get("topic")
    chosen = next((topic for topic in topics.sorted.topics if topic.name == name), None)
    if chosen:
        _questions(chosen, people.read_questions(range_name, door, chosen.name, MOST_QUESTIONS))


def _topic(topic: Topic) -> str:
    to = markup.address("topics", topic=topic.name, **_kept())
    trend = "—" if topic.change is None else f"{topic.change:+.0%}"
    down = "—" if topic.down is None else format.share(topic.down) + markup.small(f"of {topic.rated}")
    return markup.row(
        [
            markup.cell(markup.link(topic.name, to) + markup.small(escape(topic.example[:120])), "text"),
            markup.cell(format.count(topic.turns), "right"),
            markup.cell(trend, "right"),
            markup.cell(format.share(topic.unanswered), "right"),
            markup.cell(format.share(topic.refused), "right"),
            markup.cell(down, "right"),
            markup.cell("—" if topic.left is None else format.share(topic.left), "right"),
            markup.cell(format.usd(topic.cost_usd), "right"),
        ],
        to,
    )


def _questions(topic: Topic, questions: list[AskedQuestion]) -> None:
    st.header(notices.plain(topic.name), anchor=False)
    rows = [
        markup.row(
            [
                markup.cell(clock.minute(question.started_at)),
                markup.cell(
                    markup.link(question.question[:240], markup.address("turns", turn=question.turn_id)),
                    "text",
                ),
                markup.cell(markup.outcome_chip(question.outcome)),
                markup.cell(markup.rating(question.rating)),
            ]
        )
        for question in questions
    ]
    markup.show(markup.table([clock.head("Time"), "Question", "Outcome", "Rating"], rows), key="questions")
    st.caption(f"The newest {len(rows)} of {topic.turns:,}.")


def _gaps(range_name: str, door: str) -> None:
    read = people.read_gaps(range_name, door)
    if read.newest is None:
        notices.no_turns_yet(data.settings().server.port)
        return
    if not read.gaps:
        notices.note("Nothing is unanswered", "Every question of this range found documents.", key="no-gaps")
        return
    desk(data.settings()).look()
    assignments = assigned.read(data.settings().data_dir)
    reasked = reasking.read(data.settings().data_dir)
    rows = [_gap(gap, assignments.get(_key(gap)), reasked.get(_key(gap))) for gap in read.gaps[:MOST]]
    heads = ["Question", "Asked ", clock.head("First, newest, asked again"), "State", "With whom"]
    markup.show(markup.table(heads, rows), key="gaps")
    with st.container(horizontal=True, vertical_alignment="center"):
        downloads.button(
            [
                {"question": gap.question, "times": gap.times, "conversations": gap.people,
                 "first": gap.first_at, "newest": gap.newest_at,
                 "state": state(gap, assignments.get(_key(gap)), reasked.get(_key(gap)))}
                for gap in read.gaps
            ],
            "unanswered",
        )  # fmt: skip
        st.caption(
            "Answered since: its newest turn, in the same words, was answered. Answered now: asked again by "
            "itself, of the embedded model, after documents came."
        )
    _assign(read.gaps[:MOST], assignments)


def _key(gap: Gap) -> str:
    return assigned.keyed(gap.key, whose.seen())


def state(gap: Gap, last: Assigned | None, reasked: Reasked | None) -> str:
    """Return how a question stands; an answer given since counts more than a closing by hand."""
    if gap.answered:
        return "answered since"
    if reasking.closed(gap, last):
        return "closed"
    if reasked and reasked.answered and reasked.after(gap):
        return "answered now"
    return "assigned" if last and last.to else "open"


def _gap(gap: Gap, last: Assigned | None, reasked: Reasked | None) -> str:
    standing = state(gap, last, reasked)
    moments = [(gap.first_at, gap.first_id), (gap.newest_at, gap.newest_id)]
    if reasked and reasked.after(gap):
        moments.append((datetime.fromisoformat(reasked.asked_at), reasked.turn_id))
    links = [markup.link(clock.short(at), markup.address("turns", turn=turn_id)) for at, turn_id in moments]
    who = escape(last.to) + markup.small(escape(last.note)) if last else "—"
    return markup.row(
        [
            markup.cell(escape(gap.question[:240]), "text"),
            markup.cell(
                f"{gap.times:,}"
                + markup.small(f"{gap.people:,} conversation{'' if gap.people == 1 else 's'}"),
                "right",
            ),
            markup.cell("<br>".join(links)),
            markup.cell(markup.chip(standing, STATES[standing])),
            markup.cell(who, "text"),
        ]
    )


def _assign(gaps: list[Gap], assignments: dict[str, Assigned]) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="bottom", gap="small"):
        gap = st.selectbox("Question", gaps, format_func=lambda gap_row: gap_row.question[:120], width=420)
        last = assignments.get(_key(gap)) if gap else None
        to = st.text_input("With whom", value=last.to if last else "", max_chars=100, width=170)
        text = st.text_input("Note", value=last.note if last else "", max_chars=500, width=240)
        for label, closed in (("Assign", False), ("Close", True)):
            if st.button(label, key=f"gap-{label}") and gap:
                settings, by = data.settings(), releases.actor()
                with desk(settings).together():
                    assigned.note(
                        settings.data_dir,
                        _key(gap),
                        to=to,
                        closed=closed,
                        note=text,
                        by=by,
                        turn_id=gap.newest_id,
                    )
                st.rerun()
        markup.show(markup.link("Add a document", markup.address("knowledge"), "back"), key="add-document")


def _leaving(range_name: str, door: str) -> None:
    topics = people.read_leaving(range_name, door)
    if topics.newest is None:
        notices.no_turns_yet(data.settings().server.port)
        return
    if not topics.leaving:
        notices.note(
            "No conversation is over yet", "One is, half an hour after its last turn.", key="no-leaving"
        )
        return
    _ends(topics.leaving)
    _left_on(topics.sorted.topics)


def _ends(leaving: Sequence[Leaving]) -> None:
    """Show after which turn conversations end."""
    most = max(row.reached for row in leaving)
    rows = [
        markup.row(
            [
                markup.cell(f"{row.turn}{'+' if row is leaving[-1] and row.turn >= 12 else ''}", "right"),
                markup.cell(f"{row.reached:,}", "right"),
                markup.cell(f"{row.ended:,}", "right"),
                markup.cell(_bar(row.ended / row.reached) + format.share(row.ended / row.reached)),
                markup.cell(format.share(row.unhappy / row.ended) if row.ended else "—", "right"),
            ]
        )
        for row in leaving
    ]
    heads = [
        "After turn ",
        "Conversations that reached it ",
        "Ended there ",
        "Share",
        "Of these without an answer ",
    ]
    markup.show(markup.table(heads, rows), key="leaving")
    downloads.button([asdict(row) for row in leaving], "leaving")
    st.caption(f"{most:,} conversations that are over, turns of this range.")


def _left_on(topics: Iterable[Topic]) -> None:
    """Show which topics conversations end with."""
    left = sorted(topics, key=lambda topic: -topic.ended)[:MOST_QUESTIONS]
    st.header("What they left on", anchor=False)
    lines = [
        markup.row(
            [
                markup.cell(escape(topic.name), "text"),
                markup.cell(f"{topic.ended:,}", "right"),
                markup.cell("—" if topic.left is None else format.share(topic.left), "right"),
            ]
        )
        for topic in left
    ]
    markup.show(markup.table(["Topic", "Last turns ", "Of its turns "], lines), key="left-on")


def _bar(share: float) -> str:
    return f'<span class="bar"><i style="--c:{palette.MODELS[0]};width:{share:.0%}"></i></span> '


def _kept() -> dict[str, str]:
    """Return what the address says besides the topic."""
    return {name: value for name, value in st.query_params.items() if name != "topic"}


DRAW = {"Topics": _topics, "Unanswered": _gaps, "Where people leave": _leaving}
