"""What the page can do: ask, stop, take back, rate, look up. Knows the pipeline, not Gradio.

The conversation is always read from the pipeline's memory; what a browser claims about it is
never believed. Turns that memory does not keep (stopped, not accepted) are held here for a while.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from markupsafe import Markup

from console.chat import sources, suggest, thread
from console.chat.archive import NAME, Archive, Filed
from console.chat.choice import Choice
from console.chat.exchange import Exchange
from console.chat.history import Link
from console.chat.opinions import Opinions
from console.chat.reader import Reader
from console.chat.running import FollowedRun, RunningAnswer
from console.chat.shelf import ConversationShelf
from console.chat.thread import Look
from console.chat.versions import placed
from console.chat.why import why
from pipeline.auth import DEFAULT
from pipeline.events import Question
from pipeline.guardrails.inbound import clean
from traces.ids import uuid7

KEPT = 2000  # conversations and tabs remembered beside the pipeline's memory
K = TypeVar("K")
V = TypeVar("V")


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
        self._pipeline, self._greeting = pipeline, greeting
        self.archive = Archive(pipeline.memory)
        self.shelf = ConversationShelf(self.archive)
        self.choice = Choice(pipeline, self.archive)
        self._opinions = Opinions(pipeline, self.archive, webhook)
        self._tabs: OrderedDict[tuple[str, str], str] = OrderedDict()  # the conversation each shows
        self._warned: OrderedDict[tuple[str, str], bool] = OrderedDict()  # tabs that read it is away
        self._keys: OrderedDict[tuple[str, str], str] = OrderedDict()  # conversations of questions
        self._runs: dict[tuple[str, str], RunningAnswer] = {}  # by user and conversation
        self._watches: dict[tuple[str, str], FollowedRun] = {}  # by user and tab
        self._loose: OrderedDict[tuple[str, str], list[Exchange]] = OrderedDict()

    def begun(self, reader: Reader) -> bool:
        """Tell whether something was asked in the reader's tab."""
        return bool(self._tabs.get((reader.user_id, reader.tab)))

    async def open(self, reader: Reader, conversation: str) -> View:
        """Show a conversation of the reader's; an unknown one shows the empty page."""
        self._turn_to(reader, conversation)
        self.choice.leave(reader)
        return await self._view(reader, conversation)

    async def visit(self, reader: Reader, conversation: str) -> AsyncGenerator[View]:
        """Show a conversation of the reader's, and the answer that comes into it just now."""
        yield await self.open(reader, conversation)
        async with aclosing(self._watch(reader, conversation)) as views:
            async for view in views:
                yield view

    async def resume(self, reader: Reader, conversation: str) -> AsyncGenerator[View]:
        """Show what became of the reader's tab while its connection was lost, or in another tab."""
        conversation = self._tabs.get((reader.user_id, reader.tab), conversation)
        if (reader.user_id, conversation) not in self._runs:
            self._turn_to(reader, conversation)
            yield await self._view(reader, conversation)
        async with aclosing(self._watch(reader, conversation)) as views:
            async for view in views:
                yield view

    async def remove(self, reader: Reader, conversation: str, shown: str) -> View:
        """Delete a conversation; the shown one stays, unless it is the one deleted."""
        if run := self._runs.pop((reader.user_id, conversation), None):
            run.stop()
        forget = self.archive.of(reader).forget
        if await self.archive.call(reader, forget, reader.user_id, conversation) is None:
            return await self.listed(reader, shown)  # it is there still
        self.archive.drop(reader, conversation)
        self._loose.pop((reader.user_id, conversation), None)
        if conversation == shown:
            return await self.open(reader, "")
        return await self.listed(reader, shown)

    async def ask(self, reader: Reader, conversation: str, text: str, key: str = "") -> AsyncGenerator[View]:
        """Answer a question, yielding the page as the answer comes; a key sent again asks nothing anew."""
        text = clean(text).strip()
        if not text:
            yield await self.open(reader, conversation)
            return
        before = self._keys.get((reader.user_id, key)) if key else None
        conversation = before or (conversation if NAME.match(conversation) else uuid7())
        self._turn_to(reader, conversation)
        if before is None:
            await self._begin(reader, conversation, text, key if NAME.match(key) else None)
        async with aclosing(self.resume(reader, conversation)) as views:
            async for view in views:
                yield view

    async def _begin(self, reader: Reader, conversation: str, text: str, key: str | None) -> None:
        """Let the answer to a question begin; one that still comes into the conversation is stopped."""
        if key is not None:
            _keep(self._keys, (reader.user_id, key), conversation)
        if run := self._runs.get((reader.user_id, conversation)):
            await run.close()
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
        run = RunningAnswer(question, self._pipeline.answer(question), self._settled)
        self._runs[reader.user_id, conversation] = run
        for exchange in (await self.archive.filed(reader, conversation)).turns:
            self._opinions.close(exchange.turn_id)

    async def _watch(self, reader: Reader, conversation: str) -> AsyncGenerator[View]:
        """Yield the page as the answer comes that is under way in a conversation, if there is one."""
        tab, run = (reader.user_id, reader.tab), self._runs.get((reader.user_id, conversation))
        if run is None:
            return
        filed = await self.archive.filed(reader, conversation)
        turns = self._exchanges(reader, conversation, filed)
        earlier = [turn for turn in turns if turn.turn_id != run.exchange.turn_id]  # it is over by now
        watch = self._watches[tab] = FollowedRun(run, self._turns(reader, filed, earlier))
        state, panel, drawer = None, Markup(), None
        try:
            async with aclosing(run.follow()) as exchanges:
                async for exchange in exchanges:
                    if self._watches.get(tab) is not watch:
                        return
                    if exchange.state != state:  # the panel and the list change with the state only
                        if not exchange.under_way:
                            filed = await self.archive.filed(reader, conversation)
                        state, panel = exchange.state, self._panel(reader, exchange, filed)
                        if drawer is None or not exchange.under_way:
                            drawer = await self.shelf.drawer(reader, conversation)
                    live = self._turns(reader, filed, [exchange], earlier, live=True)
                    view = View(watch.past, live, panel, conversation, drawer)
                    yield await self._warn(reader, conversation, view)
        finally:
            if self._watches.get(tab) is watch:
                del self._watches[tab]

    async def again(
        self, reader: Reader, conversation: str, turn_id: str, text: str = ""
    ) -> AsyncGenerator[View]:
        """Ask a turn's question again, or another in its place; it and later turns become a version."""
        question = await self._take_back(reader, conversation, turn_id, keep=True)
        async with aclosing(self.ask(reader, conversation, text or question)) as views:
            async for view in views:
                yield view

    async def undo(self, reader: Reader, conversation: str, turn_id: str) -> tuple[View, str]:
        """Take back a turn and the later ones; return its question to be written anew."""
        self._turn_to(reader, conversation)
        question = await self._take_back(reader, conversation, turn_id)
        return await self._view(reader, conversation), question

    def stop(self, reader: Reader) -> None:
        """Stop the answer that streams into the reader's tab; what came so far stays."""
        if watch := self._watches.get((reader.user_id, reader.tab)):
            watch.run.stop()

    async def show(self, reader: Reader, conversation: str, turn_id: str) -> View:
        """Show the sources of one turn in the panel."""
        filed = await self.archive.filed(reader, conversation)
        matching = [e for e in self._exchanges(reader, conversation, filed) if e.turn_id == turn_id]
        panel = self._panel(reader, matching[0], filed) if matching else None
        return await self._warn(reader, conversation, View(None, None, panel, None, None))

    async def rate(self, reader: Reader, conversation: str, turn_id: str, value: str) -> View:
        """Record a thumb; a thumb down asks what was wrong."""
        await self._opinions.rate(reader, turn_id, value)
        return await self._refreshed(reader, conversation)

    async def comment(
        self, reader: Reader, conversation: str, turn_id: str, tags: Sequence[str], comment: str
    ) -> View:
        """Record what was wrong with an answer."""
        await self._opinions.comment(reader, turn_id, tags, comment)
        return await self._refreshed(reader, conversation)

    async def dismiss(self, reader: Reader, conversation: str, turn_id: str) -> View:
        """Close the form of a thumb down; the thumb stays."""
        self._opinions.close(turn_id)
        return await self._refreshed(reader, conversation)

    async def listed(self, reader: Reader, conversation: str, link: Link | None = None) -> View:
        """Draw the list of conversations anew; nothing else changes."""
        drawer = await self.shelf.drawer(reader, conversation, link)
        return await self._warn(reader, conversation, View(None, None, None, None, drawer))

    async def flip(self, reader: Reader, conversation: str, head: str) -> View:
        """Show another version of a question, with what followed it."""
        parted = (await self.archive.filed(reader, conversation)).versions or {}
        before = next((before for before, heads in parted.items() if head in heads), None)
        if before is not None and (reader.user_id, conversation) not in self._runs:
            show = self.archive.of(reader).history.show
            await self.archive.call(reader, show, reader.user_id, conversation, head)
            key = (reader.user_id, conversation)
            if key in self._loose:
                self._loose[key] = [e for e in self._loose[key] if e.turn_id <= before]
        return await self._view(reader, conversation)

    async def forget(self, reader: Reader, conversation: str, turn_id: str, fact_id: str) -> View:
        """Forget what was remembered of the reader, and show the turn's panel without it."""
        if fact_id:
            forget = self.archive.of(reader).forget_facts
            await self.archive.call(reader, forget, reader.user_id, fact_id)
        return await self.show(reader, conversation, turn_id)

    async def contact(
        self, reader: Reader, conversation: str, turn_id: str, value: str, message: str
    ) -> View:
        """Open or close the form to a person, or hand the conversation over with a message."""
        await self._opinions.call(reader, conversation, turn_id, value, message)
        return await self._refreshed(reader, conversation)

    def _exchanges(self, reader: Reader, conversation: str, filed: Filed) -> list[Exchange]:
        """Return the turns of the reader's conversation, oldest first, with those that are not kept."""
        loose = self._loose.get((reader.user_id, conversation), [])
        turns = {exchange.turn_id: exchange for exchange in (*loose, *filed.turns)}
        return sorted(turns.values(), key=lambda exchange: exchange.turn_id)

    def _settled(self, run: RunningAnswer) -> None:
        """Hold a turn that memory does not keep; a turn without an id gets one to be named by."""
        key = (run.question.user_id, run.question.conversation_id or "")
        if self._runs.get(key) is not run:  # its conversation was deleted
            return
        del self._runs[key]
        if run.exchange.state == "done" and not self.archive.away:
            return
        run.exchange = replace(run.exchange, turn_id=run.exchange.turn_id or uuid7())
        _keep(self._loose, key, [*self._loose.get(key, ()), run.exchange])

    async def _take_back(self, reader: Reader, conversation: str, turn_id: str, *, keep: bool = False) -> str:
        filed = await self.archive.filed(reader, conversation)
        matching = [e for e in self._exchanges(reader, conversation, filed) if e.turn_id == turn_id]
        if not matching:
            return ""
        memory = self.archive.of(reader)
        take = memory.history.set_aside if keep else memory.forget_from
        taken = await self.archive.call(reader, take, reader.user_id, conversation, turn_id)
        if taken is None and not keep:  # it is there still
            return ""
        key = (reader.user_id, conversation)
        if key in self._loose:
            self._loose[key] = [e for e in self._loose[key] if e.turn_id < turn_id]
        return matching[0].question

    def _turn_to(self, reader: Reader, conversation: str) -> None:
        """Let the tab follow nothing any more; an answer that comes goes on for a while."""
        self._watches.pop((reader.user_id, reader.tab), None)
        _keep(self._tabs, (reader.user_id, reader.tab), conversation)

    async def _refreshed(self, reader: Reader, conversation: str) -> View:
        """Return the turns drawn anew; the one that streams right now draws itself."""
        filed = await self.archive.filed(reader, conversation)
        exchanges = self._exchanges(reader, conversation, filed)
        if watch := self._watches.get((reader.user_id, reader.tab)):
            watch.past = self._turns(reader, filed, exchanges)
            return View(watch.past, None, None, None, None)
        past, live = self._split(reader, filed, exchanges)
        return await self._warn(reader, conversation, View(past, live, None, None, None))

    async def _view(self, reader: Reader, conversation: str) -> View:
        """Return the whole page with a conversation; the empty one when there is no such."""
        filed = await self.archive.filed(reader, conversation)
        exchanges = self._exchanges(reader, conversation, filed)
        shown = conversation if exchanges else ""
        past, live = self._split(reader, filed, exchanges)
        panel = self._panel(reader, exchanges[-1] if exchanges else None, filed)
        drawer = await self.shelf.drawer(reader, shown)
        return await self._warn(reader, shown, View(past, live, panel, shown, drawer), whole=True)

    async def _warn(self, reader: Reader, conversation: str, view: View, *, whole: bool = False) -> View:
        """Let a view say once that conversations are away, and take that back once they are not."""
        tab, away = (reader.user_id, reader.tab), self.archive.away
        if not whole and away == (tab in self._warned):
            return view
        self._warned.pop(tab, None)
        if away:
            _keep(self._warned, tab, True)
        return view._replace(choice=await self.choice.drawn(reader, conversation))

    def _split(self, reader: Reader, filed: Filed, exchanges: list[Exchange]) -> tuple[Markup, Markup]:
        if not exchanges:
            examples = self.examples if reader.workspace == DEFAULT else ()  # titles of what is not theirs
            return thread.welcome(examples, self._greeting, reader.tongue), Markup("")
        *earlier, last = exchanges
        past = self._turns(reader, filed, earlier)
        return past, self._turns(reader, filed, [last], earlier, live=True)

    def _turns(
        self,
        reader: Reader,
        filed: Filed,
        exchanges: list[Exchange],
        earlier: Sequence[Exchange] = (),
        *,
        live: bool = False,
    ) -> Markup:
        """Return turns as HTML; `earlier` stand before them, the live one is the newest."""
        whole = [*earlier, *exchanges]
        parted = None if exchanges and exchanges[-1].under_way else filed.versions
        places = placed(whole, parted or {})
        questions = [exchange.question for exchange in whole]
        turns = []
        for exchange in exchanges:
            last = live and not exchange.under_way
            look = Look(
                last,
                self._opinions.rating(exchange.turn_id),
                reader.console,
                reader.tongue,
                versions=places.get(exchange.turn_id),
                next=suggest.following(exchange, questions) if last else (),
                contact=self._opinions.contact(exchange) if last else None,
            )
            turns.append(thread.turn(exchange, look))
        return Markup().join(turns)

    def _panel(self, reader: Reader, exchange: Exchange | None, filed: Filed) -> Markup:
        because = Markup()
        if exchange is not None and not exchange.under_way:
            staff = reader.console is not None
            because = why(exchange, reader.tongue, staff=staff, remembered=filed.facts)
        return sources.panel(exchange, reader.tongue, because)


def _keep(held: OrderedDict[K, V], key: K, value: V) -> None:
    """Keep a value as the newest; the oldest go once there are too many."""
    held[key] = value
    held.move_to_end(key)
    while len(held) > KEPT:
        held.popitem(last=False)
