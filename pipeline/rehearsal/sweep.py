"""The fault sweep: breaks every call of a turn in every way it can break, and checks what must hold."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import orjson

from pipeline import notices
from pipeline.events import Answer, Delta, Event, Failed, Question, Retract
from pipeline.http.frames import frame
from pipeline.rehearsal.call import WORDS
from pipeline.rehearsal.points import KINDS, CallPoint, Points
from pipeline.rehearsal.shadow import KEY, Servers, shadow
from pipeline.settings import Settings, load_settings
from pipeline.steps.frame import SPARE_SECONDS
from pipeline.turn import Pipeline
from traces.ids import uuid7
from traces.store import Store

TURN_SECONDS = 2.5
FIRST = "How do I set a fallback model?"
FOLLOW_UP = "And how do I test it?"
CANARY = "canary-of-another-user-71b2"
MODEL_FAULTS = (
    *(
        f"status?code={code}"
        for code in (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504)
    ),
    *("status?code=502&html=1", "status?code=429&retry_after=0", "status?code=429&retry_after=99999"),
    *("status?code=429&retry_after=-1", "status?code=429&retry_after=abc", "status?code=503&retry_after=1"),
    *("quota", "overloaded", "overflow", "content_filter_400", "login_page", "login_page_as_stream"),
    *("json_error_200", "redirect", "error_first", "error_middle", "error_with_text", "reset", "garbage"),
    *("cut_first", "cut_middle", "end_first", "end_inside_event", "nothing", "hang", "hang_after_head"),
    *("only_pings", "stall", "drip?gap=0.2", "malformed", "wrong_shape", "odd_but_fine", "bytewise"),
    *("half_characters", "no_done", "never_closed", "long_line", "endless_line", "endless", "empty", "blank"),
    *("only_thinking", "tool_call", "refusal", "length", "usage?missing=1", "usage?input=-5&output=1e300"),
)
EMBED_FAULTS = (
    *(f"status?code={code}" for code in (400, 401, 403, 404, 413, 429, 500, 502, 503)),
    *("status?code=502&html=1", "quota", "login_page", "redirect", "reset", "garbage", "hang"),
    *("hang_after_head", *(f"vectors?wrong={wrong}" for wrong in ("nan", "huge", "zero", "short"))),
    *(f"vectors?wrong={wrong}" for wrong in ("none", "doubled", "text")),
)
LASTING = frozenset(
    ("status?code=500", "status?code=401", "overloaded", "reset", "hang", "cut_middle", "empty")
)
FORBIDDEN = re.compile(
    r"Traceback|\bFile \"|/tmp/|/home/|site-packages|\.py\b|\.rs\b|\b[A-Z]\w*(Error|Exception)\b|127\.0\.0\.1"
)
ACTIVE = re.compile(r"<script|<img|!\[|javascript:|data:text/html", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pair:
    """One call of the turn and one way for it to fail, once or from then on."""

    point: CallPoint
    fault: str
    lasting: bool = False
    primary_down: bool = False

    def __str__(self) -> str:
        more = (" from then on" if self.lasting else "") + (", primary down" if self.primary_down else "")
        return f"{self.point.number} {self.point.name}: {self.fault}{more}"


@dataclass(frozen=True, slots=True)
class Result:
    """What a turn came to under a fault; `broken` names the invariants that did not hold."""

    pair: Pair
    outcome: str
    error_class: str | None
    seconds: float
    broken: tuple[str, ...] = ()


class Sweep:
    """A shadow pipeline that stays up over all faults: that the next healthy turn works is checked too."""

    def __init__(self, pipeline: Pipeline, servers: Servers, points: Points, folder: Path) -> None:
        self.pipeline = pipeline
        self._servers = servers
        self._points = points
        self._folder = folder
        self._tasks = 0

    async def calls(self, *, primary_down: bool = False) -> list[CallPoint]:
        """Return the calls a turn makes that leave the process, with both providers well or one resting."""
        conversation = await self._begin()
        self._rest(primary_down)
        self._points.arm(None, None, lasting=False)
        await self._ask(conversation)
        self._points.off()
        self._rest(False)
        return self._points.seen

    async def pairs(self) -> list[Pair]:
        """Return every call with every way it can fail; the second provider's with the first one down."""
        jobs = list(_pairs(await self.calls()))
        second = [point for point in await self.calls(primary_down=True) if point.server == "anthropic"]
        return [*jobs, *_pairs(second, primary_down=True)]

    def _rest(self, primary_down: bool) -> None:
        breaker = self.pipeline.breakers()["openai:stub"]
        breaker.isolate("rehearsal") if primary_down else breaker.release("rehearsal")

    async def run(self, pair: Pair) -> Result:
        """Run a healthy turn, then one with the fault, and look at everything it left."""
        conversation = await self._begin()
        self._rest(pair.primary_down)
        self._tasks = len(asyncio.all_tasks())
        self._points.arm(pair.point, pair.fault, lasting=pair.lasting)
        began = time.monotonic()
        events = await self._ask(conversation)
        seconds = time.monotonic() - began
        self._points.off()
        self._servers.reset()
        for breaker in self.pipeline.breakers().values():
            breaker.release()
        self.pipeline.backlog.catch_up()
        await asyncio.sleep(0.01)
        return self._judge(pair, events, seconds)

    async def _begin(self) -> str:
        """Hold a healthy turn, which has to be answered whatever was broken before it."""
        conversation = uuid7()
        events = [event async for event in self.pipeline.answer(Question(FIRST, "ada", "api", conversation))]
        last = events[-1]
        if not isinstance(last, Answer) or last.outcome != "answered" or last.notice is not None:
            raise AssertionError(f"N9: after the last fault a healthy turn was not answered: {last}")
        return conversation

    async def _ask(self, conversation: str) -> list[Event]:
        question = Question(FOLLOW_UP, "ada", "api", conversation, client_turn_id=uuid7())
        return [event async for event in self.pipeline.answer(question)]

    def _judge(self, pair: Pair, events: Sequence[Event], seconds: float) -> Result:
        last = events[-1]
        turn_id = last.turn_id if isinstance(last, Answer | Failed) else None
        lines = [line for line in self._lines() if line["turn"]["turn_id"] == turn_id]
        turn: dict[str, Any] = lines[0]["turn"] if lines else {}
        passages = lines[0]["passages"] if lines else []
        repeats = pair.fault.startswith(("drip", "endless"))  # these servers say the same words for ever
        broken = [
            *_told(events, repeats=repeats),
            *_recorded(lines),
            *_timed(seconds),
            *_marked(last, passages),
        ]
        broken += self._durable(pair, last)
        if len(asyncio.all_tasks()) > self._tasks + 1:
            broken.append(f"N10: {len(asyncio.all_tasks())} tasks, {self._tasks} before")
        outcome = turn.get("outcome", last.code if isinstance(last, Failed) else "?")
        return Result(pair, outcome, turn.get("error_class"), seconds, tuple(broken))

    def _durable(self, pair: Pair, last: Event) -> Iterator[str]:
        remembered = pair.point.kind == "conversations" or not isinstance(last, Answer)
        if not remembered and self.pipeline.memory.owner(getattr(last, "turn_id", "")) != "ada":
            yield "N8: the answered turn is not in the conversation"

    def _lines(self) -> Iterator[dict[str, Any]]:
        for path in sorted(Store(self._folder).journal.glob("*.jsonl")):
            for line in path.read_bytes().splitlines()[-8:]:
                if line.startswith(b'{"kind":"trace"'):
                    yield orjson.loads(line)


def _pairs(calls: Sequence[CallPoint], *, primary_down: bool = False) -> Iterator[Pair]:
    for point in calls:
        names = KINDS.get(point.kind, ())
        if point.server in ("openai", "anthropic"):
            names = MODEL_FAULTS
        elif point.server == "embeddings":
            names = EMBED_FAULTS
        for fault in names:
            yield Pair(point, fault, primary_down=primary_down)
            if fault in LASTING and names is MODEL_FAULTS:
                yield Pair(point, fault, lasting=True, primary_down=primary_down)


def _told(events: Sequence[Event], *, repeats: bool) -> Iterator[str]:
    """N1, N3, N5, N6: what the user was told."""
    text = b"".join(map(frame, events)).decode()
    if match := FORBIDDEN.search(text) or re.search(re.escape(KEY), text):
        yield f"N1: the user was told {match[0]!r}"
    ends = [event for event in events if isinstance(event, Answer | Failed)]
    if len(ends) != 1 or ends[0] is not events[-1]:
        yield f"N3: {len(ends)} ends"
    elif isinstance(ends[0], Answer) and not any(isinstance(event, Retract) for event in events):
        answer = "".join(event.text for event in events if isinstance(event, Delta)).strip()
        if answer != ends[0].answer or not answer:
            yield "N3: what was streamed is not the answer"
        goes_on = notices.GOES_ON in answer or notices.RESORTS in answer  # the scripted model begins anew
        if answer.count("".join(WORDS[:4])) > 1 and not repeats and not goes_on:
            yield "N3: two answers in one"
    if CANARY in text:
        yield "N5: another user's words"
    if match := ACTIVE.search(text):
        yield f"N6: active content {match[0]!r}"


def _recorded(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """N2: exactly one trace, which says what happened."""
    if len(lines) != 1:
        yield f"N2: {len(lines)} traces"
        return
    turn = lines[0]["turn"]
    if turn["outcome"] in ("degraded", "cut", "failed") and turn["error_class"] is None:
        yield f"N2: outcome {turn['outcome']} without an error class"
    if KEY in orjson.dumps(lines[0]).decode():
        yield "N1: the key is in the trace"


def _timed(seconds: float) -> Iterator[str]:
    """N4: the turn ended by its deadline and what a last answer may take after it."""
    if seconds > TURN_SECONDS + SPARE_SECONDS + 0.5:
        yield f"N4: took {seconds:.1f} s"


def _marked(last: Event, passages: Sequence[dict[str, Any]]) -> Iterator[str]:
    """N7: nothing without passages is presented as an answer from the documents."""
    answered = isinstance(last, Answer) and last.outcome == "answered"
    if answered and not any(passage["n"] is not None for passage in passages):
        yield "N7: answered without passages"


class Rehearsal:
    """Servers, folder and pipeline for one sweep; `async with` it."""

    def __init__(self, *, remote: bool = True) -> None:
        self._remote = remote

    async def __aenter__(self) -> Sweep:
        self._folder = TemporaryDirectory(prefix="answerdeck-sweep-")
        self._servers = Servers()
        folder, points = Path(self._folder.name), Points()
        settings = rehearsed(folder)
        self._pipeline = await shadow(
            settings, self._servers, points, seconds=TURN_SECONDS, remote=self._remote
        )
        async for _ in self._pipeline.answer(Question(f"Do you know {CANARY}?", "eve", "api", uuid7())):
            pass
        return Sweep(self._pipeline, self._servers, points, folder)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._pipeline.close()
        self._servers.close()
        self._folder.cleanup()


def rehearsed(folder: Path) -> Settings:
    """Return the configuration of a rehearsal: ours, in a folder of its own, without anybody's limits."""
    return load_settings(
        data_dir=folder,
        embedder="minilm",
        models={"primary": "extractive", "fallback": None},
        limits={"requests_per_minute": 10**6, "tokens_per_minute": 10**9},
    )


def open_files() -> int:
    """Return how many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def sweep_all(progress: Callable[[str], None]) -> list[Result]:
    """Run all pairs; a healthy turn that fails between them ends the sweep as a broken pair."""
    results: list[Result] = []
    async with Rehearsal() as sweep:
        pairs = await sweep.pairs()
        for number, pair in enumerate(pairs):
            if number % 50 == 0:
                progress(f"fault sweep: {number} of {len(pairs)} pairs")
            try:
                results.append(await sweep.run(pair))
            except AssertionError as error:
                results.append(Result(pair, "not run", None, 0.0, (str(error),)))
                break
    return results
