"""What the page can do: ask, stop, take back, rate, look up. Knows the pipeline, not Gradio.

The conversation is always read from the pipeline's memory; what a browser claims about it is
never believed. Turns that memory does not keep (stopped, not accepted) are held here for a while.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from markupsafe import Markup

from console.chat import sources, suggest, thread
from console.chat.choice import Choice
from console.chat.contact import hand_over
from console.chat.exchange import Exchange, recorded
from console.chat.history import Link
from console.chat.running import Run, Watch
from console.chat.shelf import Reader, Shelf
from console.chat.thread import REASONS, Contact, Look, Rating
from console.chat.versions import placed
from console.chat.why import why
from pipeline.auth import DEFAULT
from pipeline.context.memory import Memory
from pipeline.errors import Refused
from pipeline.events import Question
from pipeline.guardrails.inbound import clean
from traces.ids import uuid7

log = logging.getLogger(__name__)
KEPT = 2000  # conversations and ratings remembered beside the pipeline's memory
K = TypeVar("K")
V = TypeVar("V")
_ID = re.compile(r"^[A-Za-z0-9_-]{1,64}$")


class View(NamedTuple):
    """The parts of the page that change; None leaves a part as it is."""

    past: str | None
    live: str | None
    panel: str | None
    conversation: str | None
    drawer: str | None
    choice: str | None = None


class Talk:
    """The conversations of all open tabs."""

    def __init__(
        self,
        pipeline: Any,
        examples: Sequence[str] = (),
        *,
        greeting: str | None = None,
        webhook: str | None = None,  # who hands a conversation to a person
    ) -> None:
        self.examples = examples
        self._pipeline = pipeline
        self._greeting, self._webhook = greeting, webhook
        self.shelf = Shelf(pipeline.memory)
        self.choice = Choice(pipeline)
        self._tabs: OrderedDict[tuple[str, str], str] = OrderedDict()  # the conversation each shows
        self._keys: OrderedDict[tuple[str, str], str] = OrderedDict()  # conversations of questions
        self._contacts: OrderedDict[str, Contact] = OrderedDict()
        self._runs: dict[tuple[str, str], Run] = {}  # by user and conversation
        self._watches: dict[tuple[str, str], Watch] = {}  # by user and tab
        self._loose: OrderedDict[tuple[str, str], list[Exchange]] = OrderedDict()
        self._ratings: OrderedDict[str, Rating] = OrderedDict()

    def begun(self, reader: Reader) -> bool:
        """Tell whether something was asked in the reader's tab."""
        return bool(self._tabs.get((reader.user_id, reader.tab)))

    def open(self, reader: Reader, conversation: str) -> View:
        """Show a conversation of the reader's; an unknown one shows the empty page."""
        self._turn_to(reader, conversation)
        self.choice.leave(reader)
        exchanges = self._exchanges(reader, conversation)
        return self._view(reader, conversation if exchanges else "", exchanges)

    async def visit(self, reader: Reader, conversation: str) -> AsyncGenerator[View]:
        """Show a conversation of the reader's, and the answer that comes into it just now."""
        yield self.open(reader, conversation)
        async with aclosing(self._watch(reader, conversation)) as views:
            async for view in views:
                yield view

    async def resume(self, reader: Reader, conversation: str) -> AsyncGenerator[View]:
        """Show what became of the reader's tab while its connection was lost, or in another tab."""
        conversation = self._tabs.get((reader.user_id, reader.tab), conversation)
        if (reader.user_id, conversation) not in self._runs:
            self._turn_to(reader, conversation)
            exchanges = self._exchanges(reader, conversation)
            yield self._view(reader, conversation if exchanges else "", exchanges)
        async with aclosing(self._watch(reader, conversation)) as views:
            async for view in views:
                yield view

    def remove(self, reader: Reader, conversation: str, shown: str) -> View:
        """Delete a conversation; the shown one stays, unless it is the one deleted."""
        if run := self._runs.pop((reader.user_id, conversation), None):
            run.stop()
        self._memory(reader).forget(reader.user_id, conversation)
        self._loose.pop((reader.user_id, conversation), None)
        if conversation == shown:
            return self.open(reader, "")
        return self.listed(reader, shown)

    async def ask(self, reader: Reader, conversation: str, text: str, key: str = "") -> AsyncGenerator[View]:
        """Answer a question, yielding the page as the answer comes; a key sent again asks nothing anew."""
        text = clean(text).strip()
        if not text:
            yield self.open(reader, conversation)
            return
        before = self._keys.get((reader.user_id, key)) if key else None
        conversation = before or (conversation if _ID.match(conversation) else uuid7())
        self._turn_to(reader, conversation)
        if before is None:
            await self._begin(reader, conversation, text, key if _ID.match(key) else None)
        async with aclosing(self.resume(reader, conversation)) as views:
            async for view in views:
                yield view

    async def _begin(self, reader: Reader, conversation: str, text: str, key: str | None) -> None:
        """Let the answer to a question begin; one that still comes into the conversation is stopped."""
        if key is not None:
            _keep(self._keys, (reader.user_id, key), conversation)
        if run := self._runs.get((reader.user_id, conversation)):
            await run.close()
        for exchange in self._exchanges(reader, conversation):
            self._close_form(exchange.turn_id)
        question = Question(
            text,
            user_id=reader.user_id,
            door="chat",
            conversation_id=conversation,
            client_turn_id=key,
            tongue=reader.tongue,
            workspace=reader.workspace,
            kb=self.choice.kb(reader),
        )
        run = Run(question, self._pipeline.answer(question), self._settled)
        self._runs[reader.user_id, conversation] = run

    async def _watch(self, reader: Reader, conversation: str) -> AsyncGenerator[View]:
        """Yield the page as the answer comes that is under way in a conversation, if there is one."""
        tab, run = (reader.user_id, reader.tab), self._runs.get((reader.user_id, conversation))
        if run is None:
            return
        earlier = self._exchanges(reader, conversation)
        watch = self._watches[tab] = Watch(run, self._turns(reader, conversation, earlier))
        state, panel, drawer = None, Markup(), Markup()
        try:
            async with aclosing(run.follow()) as exchanges:
                async for exchange in exchanges:
                    if self._watches.get(tab) is not watch:
                        return
                    if exchange.state != state:  # the panel and the list change with the state only
                        state, panel = exchange.state, self._panel(reader, exchange)
                        same = exchange.under_way and drawer
                        drawer = drawer if same else self.shelf.drawer(reader, conversation)
                    live = self._turns(reader, conversation, [exchange], earlier, live=True)
                    yield View(watch.past, live, panel, conversation, drawer)
        finally:
            if self._watches.get(tab) is watch:
                del self._watches[tab]

    def again(self, reader: Reader, conversation: str, turn_id: str, text: str = "") -> AsyncGenerator[View]:
        """Ask a turn's question again, or another in its place; it and later turns become a version."""
        question = self._take_back(reader, conversation, turn_id, keep=True)
        return self.ask(reader, conversation, text or question)

    def undo(self, reader: Reader, conversation: str, turn_id: str) -> tuple[View, str]:
        """Take back a turn and the later ones; return its question to be written anew."""
        self._turn_to(reader, conversation)
        question = self._take_back(reader, conversation, turn_id)
        return self._view(reader, conversation, self._exchanges(reader, conversation)), question

    def stop(self, reader: Reader) -> None:
        """Stop the answer that streams into the reader's tab; what came so far stays."""
        if watch := self._watches.get((reader.user_id, reader.tab)):
            watch.run.stop()

    def show(self, reader: Reader, conversation: str, turn_id: str) -> View:
        """Show the sources of one turn in the panel."""
        matching = [e for e in self._exchanges(reader, conversation) if e.turn_id == turn_id]
        panel = self._panel(reader, matching[0]) if matching else None
        return View(None, None, panel, None, None)

    async def rate(self, reader: Reader, conversation: str, turn_id: str, value: str) -> View:
        """Record a thumb; a thumb down asks what was wrong."""
        rating: Rating = "up" if value == "up" else "asking"
        if await self._feedback(reader, turn_id, 1 if value == "up" else -1):
            self._rated(turn_id, rating)
        return self._refreshed(reader, conversation)

    async def comment(
        self, reader: Reader, conversation: str, turn_id: str, tags: Sequence[str], comment: str
    ) -> View:
        """Record what was wrong with an answer."""
        chosen = [tag for tag in REASONS if tag in tags]
        if await self._feedback(reader, turn_id, -1, clean(comment).strip()[:2000] or None, chosen or None):
            self._rated(turn_id, "thanked")
        return self._refreshed(reader, conversation)

    def dismiss(self, reader: Reader, conversation: str, turn_id: str) -> View:
        """Close the form of a thumb down; the thumb stays."""
        self._close_form(turn_id)
        return self._refreshed(reader, conversation)

    def listed(self, reader: Reader, conversation: str, link: Link | None = None) -> View:
        """Draw the list of conversations anew; nothing else changes."""
        return View(None, None, None, None, self.shelf.drawer(reader, conversation, link))

    def flip(self, reader: Reader, conversation: str, head: str) -> View:
        """Show another version of a question, with what followed it."""
        parted = self._parted(reader, conversation)
        before = next((before for before, heads in parted.items() if head in heads), None)
        if before is not None and (reader.user_id, conversation) not in self._runs:
            self._memory(reader).history.show(reader.user_id, conversation, head)
            key = (reader.user_id, conversation)
            if key in self._loose:
                self._loose[key] = [e for e in self._loose[key] if e.turn_id <= before]
        return self._view(reader, conversation, self._exchanges(reader, conversation))

    def forget(self, reader: Reader, conversation: str, turn_id: str, fact_id: str) -> View:
        """Forget what was remembered of the reader, and show the turn's panel without it."""
        if fact_id:
            self._memory(reader).forget_facts(reader.user_id, fact_id)
        return self.show(reader, conversation, turn_id)

    async def contact(
        self, reader: Reader, conversation: str, turn_id: str, value: str, message: str
    ) -> View:
        """Open or close the form to a person, or hand the conversation over with a message."""
        turns = self._memory(reader).conversation(reader.user_id, conversation)
        if self._webhook is None or not turns or turn_id not in {turn["turn_id"] for turn in turns}:
            return self._refreshed(reader, conversation)
        if value:
            state: Contact = "open" if value == "open" else "offered"
        else:
            title = self._memory(reader).history.title(reader.user_id, conversation) or ""
            text = clean(message).strip()[:2000]
            letter = (self._webhook, reader.user_id, conversation, title, text, turns)
            state = "sent" if await asyncio.to_thread(hand_over, *letter) else "failed"
        _keep(self._contacts, turn_id, state)
        return self._refreshed(reader, conversation)

    async def _feedback(
        self,
        reader: Reader,
        turn_id: str,
        value: int,
        comment: str | None = None,
        tags: list[str] | None = None,
    ) -> bool:
        try:
            words = (comment, tags, reader.workspace)
            await self._pipeline.feedback(turn_id, reader.user_id, value, *words)
        except Refused as refused:
            log.warning("feedback on turn %s not accepted: %s", turn_id, refused)
            return False
        return True

    def _exchanges(self, reader: Reader, conversation: str) -> list[Exchange]:
        """Return the turns of the reader's conversation, oldest first; none when it is not theirs."""
        if not _ID.match(conversation):
            return []
        turns = self._memory(reader).conversation(reader.user_id, conversation) or []
        loose = self._loose.get((reader.user_id, conversation), [])
        return sorted([*map(recorded, turns), *loose], key=lambda exchange: exchange.turn_id)

    def _settled(self, run: Run) -> None:
        """Hold a turn that memory does not keep; a turn without an id gets one to be named by."""
        key = (run.question.user_id, run.question.conversation_id or "")
        if self._runs.get(key) is not run:  # its conversation was deleted
            return
        del self._runs[key]
        if run.exchange.state == "done":
            return
        run.exchange = replace(run.exchange, turn_id=run.exchange.turn_id or uuid7())
        _keep(self._loose, key, [*self._loose.get(key, ()), run.exchange])

    def _take_back(self, reader: Reader, conversation: str, turn_id: str, *, keep: bool = False) -> str:
        matching = [e for e in self._exchanges(reader, conversation) if e.turn_id == turn_id]
        if not matching:
            return ""
        memory = self._memory(reader)
        take = memory.history.set_aside if keep else memory.forget_from
        take(reader.user_id, conversation, turn_id)
        key = (reader.user_id, conversation)
        if key in self._loose:
            self._loose[key] = [e for e in self._loose[key] if e.turn_id < turn_id]
        return matching[0].question

    def _turn_to(self, reader: Reader, conversation: str) -> None:
        """Let the tab follow nothing any more; an answer that comes goes on for a while."""
        self._watches.pop((reader.user_id, reader.tab), None)
        _keep(self._tabs, (reader.user_id, reader.tab), conversation)

    def _close_form(self, turn_id: str) -> None:
        if self._ratings.get(turn_id) == "asking":
            self._rated(turn_id, "down")

    def _rated(self, turn_id: str, rating: Rating) -> None:
        _keep(self._ratings, turn_id, rating)

    def _refreshed(self, reader: Reader, conversation: str) -> View:
        """Return the turns drawn anew; the one that streams right now draws itself."""
        exchanges = self._exchanges(reader, conversation)
        if watch := self._watches.get((reader.user_id, reader.tab)):
            watch.past = self._turns(reader, conversation, exchanges)
            return View(watch.past, None, None, None, None)
        past, live = self._split(reader, conversation, exchanges)
        return View(past, live, None, None, None)

    def _view(self, reader: Reader, conversation: str, exchanges: list[Exchange]) -> View:
        past, live = self._split(reader, conversation, exchanges)
        panel = self._panel(reader, exchanges[-1] if exchanges else None)
        lists = (self.shelf.drawer(reader, conversation), self.choice.drawn(reader, conversation))
        return View(past, live, panel, conversation, *lists)

    def _split(self, reader: Reader, conversation: str, exchanges: list[Exchange]) -> tuple[Markup, Markup]:
        if not exchanges:
            examples = self.examples if reader.workspace == DEFAULT else ()  # titles of what is not theirs
            return thread.welcome(examples, self._greeting, reader.tongue), Markup("")
        *earlier, last = exchanges
        past = self._turns(reader, conversation, earlier)
        return past, self._turns(reader, conversation, [last], earlier, live=True)

    def _turns(
        self,
        reader: Reader,
        conversation: str,
        exchanges: list[Exchange],
        earlier: Sequence[Exchange] = (),
        *,
        live: bool = False,
    ) -> Markup:
        """Return turns as HTML; `earlier` stand before them, the live one is the newest."""
        whole = [*earlier, *exchanges]
        parted = {} if exchanges and exchanges[-1].under_way else self._parted(reader, conversation)
        places = placed(whole, parted)
        questions = [exchange.question for exchange in whole]
        turns = []
        for exchange in exchanges:
            last = live and not exchange.under_way
            look = Look(
                last,
                self._ratings.get(exchange.turn_id),
                reader.console,
                reader.tongue,
                versions=places.get(exchange.turn_id),
                next=suggest.following(exchange, questions) if last else (),
                contact=self._contact(exchange) if last else None,
            )
            turns.append(thread.turn(exchange, look))
        return Markup().join(turns)

    def _memory(self, reader: Reader) -> Memory:
        return self._pipeline.memory.within(reader.workspace)

    def _parted(self, reader: Reader, conversation: str) -> dict[str, list[str]]:
        return self._memory(reader).history.versions(reader.user_id, conversation)

    def _contact(self, exchange: Exchange) -> Contact | None:
        if self._webhook is None or exchange.state != "done":
            return None
        return self._contacts.get(exchange.turn_id, "offered")

    def _panel(self, reader: Reader, exchange: Exchange | None) -> Markup:
        because = Markup()
        if exchange is not None and not exchange.under_way:
            facts = self._memory(reader).facts(reader.user_id) if exchange.memory else []
            remembered = {fact.fact_id for fact in facts}
            because = why(exchange, reader.tongue, staff=reader.console is not None, remembered=remembered)
        return sources.panel(exchange, reader.tongue, because)


def _keep(held: OrderedDict[K, V], key: K, value: V) -> None:
    """Keep a value as the newest; the oldest go once there are too many."""
    held[key] = value
    held.move_to_end(key)
    while len(held) > KEPT:
        held.popitem(last=False)
