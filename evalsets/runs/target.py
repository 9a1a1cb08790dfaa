"""Asks another chatbot over HTTP as a run asks the pipeline; its turns go into the same journal."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from evalsets.metrics.unknowable import ASKED, never_known
from evalsets.runs.reply import TargetReply, read
from evalsets.runs.template import Template, at
from pipeline.citations import cited_numbers
from pipeline.errors import ModelError
from pipeline.events import Answer, Event, Failed, Question
from pipeline.models.connection import broken, network_errors, pool
from pipeline.models.failures import failure
from pipeline.models.watch import CallLimits
from traces.ids import uuid7
from traces.recorder import Recorder, Sink
from traces.records import DEFAULT, Trace, Turn, Usage

if TYPE_CHECKING:
    import httpx2

    from evalsets.runs.asker import Readable

TRIES = 4  # of one question that the rate limit turned away
LONGEST_WAIT = 60.0  # seconds a question waits for the rate limit, all its waits together
LARGEST = 5_000_000  # bytes of a reply


class Target:
    """Another chatbot, askable by a run. Close it in the event loop that asked it."""

    rules: Any = None  # a target's are not known
    force: Any = None

    def __init__(
        self,
        template: Template,
        journal: Sink,
        store: Readable,
        *,
        model: str | None,
        key: str | None,
        workspace: str = DEFAULT,
    ) -> None:
        self.workspace = workspace  # that its turns are recorded for
        self.journal = journal
        self.store = store
        self.name = f"target:{template.host}" + (f"/{model}" if model else "")
        reading = template.reply
        self.blind = never_known(passages=reading.passages is not None, refusals=bool(reading.refuses))
        self._template = template
        self._values = {"model": model or "", "key": key or ""}
        self._client: httpx2.AsyncClient | None = None
        self._free_at = 0.0  # on the monotonic clock; until then its rate limit lets nobody in

    async def answer(self, question: Question) -> AsyncGenerator[Event]:
        """Ask once and yield the Answer, or Failed with the class of the error."""
        recorder = Recorder(replace(_turn(question), workspace=self.workspace), self.journal)
        try:
            reply = await self._reply(question, recorder)
        except ModelError as error:
            recorder.note(error_class=error.error_class)
            recorder.close("failed")
            yield Failed(error.error_class, str(error), recorder.turn.turn_id, error.retry_after)
            return
        except BaseException:  # the trace is closed, the error passed on
            recorder.note(error_class="cancelled")
            recorder.close("abandoned")
            raise
        yield self._ended(reply, recorder)

    async def retrieve(self, question: Question) -> Trace:
        """A target cannot be asked to search alone."""
        raise ModelError("config", f"{self.name}: a target has no search that could be asked alone")

    async def warm(self) -> httpx2.AsyncClient:
        """Load what the first question would wait for: its time is to be the target's."""
        if self._client is None:
            seconds = self._template.seconds
            self._client = pool(CallLimits(min(seconds, 10.0), seconds, seconds))
        return self._client

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()

    def _ended(self, reply: TargetReply, recorder: Recorder) -> Answer:
        recorder.retrieved(reply.passages)
        searched = reply.seen.search is None and reply.seen.broken is None
        recorder.note(
            answer=reply.answer,
            model=self.name,
            stop_reason=reply.stop,
            hit=bool(reply.passages) if searched else None,
            passages=sum(row.n is not None for row in reply.passages) if searched else None,
            citations=len(cited_numbers(reply.answer)) or None,
        )
        trace = recorder.close(reply.outcome)
        turn = trace.turn
        return Answer(
            turn.turn_id,
            turn.conversation_id,
            turn.outcome,
            reply.answer,
            (),
            reply.passages,
            {"input_tokens": turn.input_tokens, "output_tokens": turn.output_tokens},
            None,
            None,
            turn.seconds,
            model=self.name,
            trace=trace,
        )

    async def _reply(self, question: Question, recorder: Recorder) -> TargetReply:
        """Ask until the rate limit lets the question in, within bounds; raises ModelError."""
        history = [{"role": line.role, "content": line.text} for line in question.history or ()]
        messages = [*history, {"role": "user", "content": question.text}]
        values = {"question": question.text, "history": history, "messages": messages}
        request = self._template.request({**self._values, **values})
        waited = 0.0
        with recorder.span(ASKED, "model", host=self._template.host) as span:
            body, attempt = None, 0
            while body is None:
                waited += await self._let_in(LONGEST_WAIT - waited)
                attempt += 1
                try:
                    body = await self._call(request, recorder)
                except ModelError as error:
                    pause = _pause(error, attempt, LONGEST_WAIT - waited)
                    if pause is None:
                        raise
                    self._free_at = max(self._free_at, time.monotonic() + pause)
            reply = read(body, self._template, recorder.turn.turn_id, waited=waited > 0)
            span.note(seen=asdict(reply.seen))
        return reply

    async def _let_in(self, most: float) -> float:
        """Wait until the rate limit that any question met is over; return the seconds waited."""
        pause = min(self._free_at - time.monotonic(), most)
        if pause <= 0:
            return 0.0
        await asyncio.sleep(pause)
        return pause

    async def _call(self, request: dict[str, Any], recorder: Recorder) -> Any:
        """Return the decoded reply of one request, recorded as a call; raises ModelError."""
        began = time.perf_counter()
        error_class: str | None = None
        tokens: tuple[int | None, int | None] = (None, None)
        try:
            body = await self._exchange(request)
            tokens = _tokens(body)
            return body
        except ModelError as error:
            error_class = error.error_class
            raise
        finally:
            seconds = time.perf_counter() - began
            recorder.used(
                Usage("", 0, "answer", self.name, *tokens, seconds=seconds, error_class=error_class)
            )

    async def _exchange(self, request: dict[str, Any]) -> Any:
        host, seconds = self._template.host, self._template.seconds
        client = await self.warm()
        try:
            async with asyncio.timeout(seconds), client.stream(**request) as response:
                data = await _whole(response, host)
        except TimeoutError:
            raise ModelError("deadline", f"{host}: no answer within {seconds:g} s") from None
        except network_errors() as error:
            raise broken(host, error) from None
        text = data.decode("utf-8", "replace")
        if self._values["key"]:
            text = text.replace(self._values["key"], "[hidden]")
        body = _decoded(text)
        if not 200 <= response.status_code < 300:
            raise failure(host, response.status_code, text if body is None else body, response.headers)
        if body is None:
            raise ModelError("protocol", f"{host}: the reply is no JSON")
        return body


def _pause(error: ModelError, attempt: int, most: float) -> float | None:
    """Return the seconds to wait before asking again; None when the error is to be counted."""
    polite = error.status == 429 or (error.status == 503 and error.retry_after is not None)
    if not polite or attempt == TRIES:
        return None
    pause = 2.0**attempt if error.retry_after is None else error.retry_after
    return pause if pause <= most else None


def _tokens(body: Any) -> tuple[int | None, int | None]:
    """Return the tokens in and out that a reply in OpenAI's form reports."""
    return _count(at(body, "usage.prompt_tokens")), _count(at(body, "usage.completion_tokens"))


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 10**9 else None


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


async def _whole(response: httpx2.Response, host: str) -> bytes:
    data = bytearray()
    async for part in response.aiter_bytes():
        data += part
        if len(data) > LARGEST:
            raise ModelError("protocol", f"{host}: the reply is larger than {LARGEST:,} bytes")
    return bytes(data)


def _turn(question: Question) -> Turn:
    return Turn(
        uuid7(),
        question.conversation_id or uuid7(),
        question.user_id,
        question.door,
        datetime.now(UTC),
        question.text,
        "failed",
        run_id=question.run_id,
        case_id=question.case_id,
    )
