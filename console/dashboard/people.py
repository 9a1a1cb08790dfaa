"""What the pages about people's questions read of the ledger, opened as `data` opens it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from console.dashboard import data, filters, whose
from evalsets.topics import Gap, Sorted, gaps, questions, topics
from traces.queries import asked, conversations, overview
from traces.queries.asked import AskedQuestion, Leaving
from traces.queries.conversations import Conversation, Said, Which


@dataclass(frozen=True, slots=True)
class Topics:
    """What people asked about in a range, and when anything was asked last."""

    sorted: Sorted
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class Gaps:
    """What had no answer in a range."""

    gaps: list[Gap]
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class Left:
    """Where people left in a range, and on which topics."""

    leaving: list[Leaving]
    sorted: Sorted
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """A page of conversations, and how many match in all."""

    rows: list[Conversation]
    matching: int
    newest: datetime | None


@whose.cached(ttl=10, max_entries=10, show_spinner=False)
def read_topics(range_name: str, door: str) -> Topics:
    """Return the topics of a range."""
    with data.ledger() as opened:
        return Topics(topics(opened, filters.window(range_name, door)), overview.newest(opened))


def read_questions(range_name: str, door: str, topic: str, most: int) -> list[AskedQuestion]:
    """Return the newest questions of a topic."""
    with data.ledger() as opened:
        return questions(opened, filters.window(range_name, door), topic, most)


@whose.cached(ttl=2, max_entries=10, show_spinner=False)
def read_gaps(range_name: str, door: str) -> Gaps:
    """Return what had no answer in a range."""
    with data.ledger() as opened:
        return Gaps(gaps(opened, filters.window(range_name, door)), overview.newest(opened))


@whose.cached(ttl=10, max_entries=10, show_spinner=False)
def read_leaving(range_name: str, door: str) -> Left:
    """Return where people left in a range."""
    window = filters.window(range_name, door)
    with data.ledger() as opened:
        leaving = asked.leaving(opened, window)
        return Left(leaving, topics(opened, window), overview.newest(opened))


def read_conversations(which: Which, page: int) -> ConversationPage:
    """Return a page of the conversations that match."""
    with data.ledger() as opened:
        matching = conversations.count(opened, which)
        page = min(page, max(1, -(-matching // data.PAGE_SIZE)))
        rows = conversations.page(opened, which, data.PAGE_SIZE, (page - 1) * data.PAGE_SIZE)
        return ConversationPage(rows, matching, overview.newest(opened))


def read_said(conversation_id: str) -> list[Said]:
    """Return what was said in a conversation."""
    with data.ledger() as opened:
        return conversations.talk(opened, conversation_id)
