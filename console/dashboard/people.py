"""What the pages about people's questions read of the ledger, opened as `data` opens it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from console.dashboard import data, filters
from evalsets.topics import Gap, Topic, gaps, topics
from traces.queries import asked, conversations, overview
from traces.queries.asked import Leaving
from traces.queries.conversations import Conversation, Said, Which


@dataclass(frozen=True, slots=True)
class Topics:
    """What people asked about in a range, what had no answer, and where they left."""

    questions: int
    topics: list[Topic]
    gaps: list[Gap]
    leaving: list[Leaving]
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of conversations, and how many match in all."""

    rows: list[Conversation]
    matching: int
    newest: datetime | None


@st.cache_data(ttl=60, max_entries=10, show_spinner="Sorting the questions …")
def read_topics(range_name: str, door: str) -> Topics:
    """Return the topics of a range; read anew each minute."""
    window = filters.window(range_name, door)
    with data.ledger() as opened:
        questions = asked.questions(opened, window)
        leaving = asked.leaving(opened, window)
        newest = overview.newest(opened)
    return Topics(
        len(questions), topics(questions, window.since, window.until), gaps(questions), leaving, newest
    )


def read_conversations(which: Which, page: int) -> Listing:
    """Return a page of the conversations that match."""
    with data.ledger() as opened:
        matching = conversations.count(opened, which)
        page = min(page, max(1, -(-matching // data.PAGE_SIZE)))
        rows = conversations.page(opened, which, data.PAGE_SIZE, (page - 1) * data.PAGE_SIZE)
        return Listing(rows, matching, overview.newest(opened))


def read_said(conversation_id: str) -> list[Said]:
    """Return what was said in a conversation."""
    with data.ledger() as opened:
        return conversations.talk(opened, conversation_id)
