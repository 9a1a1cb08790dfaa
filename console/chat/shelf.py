"""The list of a reader's conversations, and what can be done with one: find, name, pin, share."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from console.chat import history
from console.chat.history import Link
from pipeline.auth import DEFAULT
from pipeline.context.memory import Memory
from pipeline.guardrails.folding import clean

KEPT = 2000  # tabs whose search is remembered


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks at the page, in one browser tab; `console` is its address, for operators only."""

    user_id: str
    tab: str
    login: str | None = None  # the name somebody signed in with
    console: str | None = None
    tongue: str = "en"  # the language of the browser
    workspace: str = DEFAULT


class Shelf:
    """Draws the list for each tab, as its reader searched it last."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._searches: OrderedDict[tuple[str, str], str] = OrderedDict()

    def drawer(self, reader: Reader, conversation: str, link: Link | None = None) -> Markup:
        """Return the list with one conversation as the current one."""
        search = self._searches.get((reader.user_id, reader.tab), "")
        return history.drawer(
            self._memory.within(reader.workspace).history.conversations(reader.user_id, search=search),
            conversation,
            datetime.now(UTC).date(),
            reader.login,
            search=search,
            link=link,
            tongue=reader.tongue,
        )

    def search(self, reader: Reader, text: str) -> None:
        """List only the conversations that have these words, until the search is emptied."""
        key = (reader.user_id, reader.tab)
        self._searches.pop(key, None)
        if text := clean(text).strip()[:200]:
            self._searches[key] = text
        while len(self._searches) > KEPT:
            self._searches.popitem(last=False)

    def rename(self, reader: Reader, conversation: str, name: str) -> None:
        self._memory.within(reader.workspace).history.label(reader.user_id, conversation, title=clean(name))

    def pin(self, reader: Reader, conversation: str, *, pinned: bool) -> None:
        self._memory.within(reader.workspace).history.label(reader.user_id, conversation, pinned=pinned)

    def share(self, reader: Reader, conversation: str) -> Link | None:
        """Make a link to the conversation as it is now; None when there is no such one."""
        token = self._memory.within(reader.workspace).history.share(reader.user_id, conversation)
        return None if token is None else Link(conversation, f"shared/{token}")

    def unshare(self, reader: Reader, conversation: str) -> Link:
        """End all links to the conversation."""
        self._memory.within(reader.workspace).history.unshare(reader.user_id, conversation)
        return Link(conversation, None)
