"""What a turn is asked with and what it tells its caller, in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.auth import DEFAULT
from pipeline.tasks import Task
from traces.records import Door, Outcome, Passage, Trace


@dataclass(frozen=True, slots=True)
class Message:
    """One earlier utterance of a conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a caller asks. `history` replaces the remembered conversation when it is given."""

    text: str
    user_id: str = "local"
    door: Door = "api"
    conversation_id: str | None = None
    client_turn_id: str | None = None
    kb: str | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)  # operators only: {"answer": "answer@v2"}
    model: str | None = None  # operators only: "openai:gpt-6-luna"
    history: tuple[Message, ...] | None = None
    task: Task | None = None  # an errand of a chat front end, which needs no model
    max_output_tokens: int | None = None  # the client's own cap
    tongue: str | None = None  # the language its user reads, where the text does not show it
    system: str | None = None  # the client's system text: looked at, never handed to a model
    run_id: str | None = None
    case_id: str | None = None
    workspace: str = DEFAULT  # whose documents, conversations and memory may be read


@dataclass(frozen=True, slots=True)
class Started:
    """The turn is accepted; event `turn`."""

    turn_id: str
    conversation_id: str


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages placed before the model, numbered; event `sources`."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """A streamed piece of the answer, already past the outbound guard; event `delta`."""

    text: str


@dataclass(frozen=True, slots=True)
class Retract:
    """The answer so far is withdrawn and replaced by `text`; event `retract`."""

    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A marker `[n]` of the answer and the passage it names."""

    n: int
    chunk_id: str
    document_id: str
    title: str
    url: str
    kb: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a turn: what `answerdeck ask --json` prints; event `done`."""

    turn_id: str
    conversation_id: str
    outcome: Outcome
    answer: str
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    usage: dict[str, int | None]
    cost_usd: float | None
    first_token_seconds: float | None
    seconds: float | None
    model: str | None = None
    notice: str | None = None  # a calm sentence for the user when something was not normal
    retry_after: float | None = None
    answer_checks: tuple[dict[str, Any], ...] = ()  # what the passages say to each sentence
    memory: dict[str, Any] | None = None  # {summary, facts}: what was remembered beside the last turns
    searched: str | None = None  # what the documents were searched for
    kb: str | None = None
    prompt: str | None = None  # name and version
    trace: Trace | None = None  # what was recorded of the turn, for callers inside the house

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON of a turn; raw retrieval scores stay inside the house."""
        return {
            "turn_id": self.turn_id,
            "conversation_id": self.conversation_id,
            "outcome": self.outcome,
            "answer": self.answer,
            "citations": [
                {
                    "n": citation.n,
                    "chunk_id": citation.chunk_id,
                    "document_id": citation.document_id,
                    "title": citation.title,
                    "url": citation.url,
                    "kb": citation.kb,
                }
                for citation in self.citations
            ],
            "passages": [public(passage) for passage in self.passages],
            "usage": self.usage,
            "cost_usd": self.cost_usd,
            "first_token_seconds": self.first_token_seconds,
            "seconds": self.seconds,
            "model": self.model,
            "notice": self.notice,
            "answer_checks": list(self.answer_checks),
            "memory": self.memory,
            "searched": self.searched,
            "kb": self.kb,
            "prompt": self.prompt,
        }


@dataclass(frozen=True, slots=True)
class Failed:
    """The turn ended without an answer; event `error`."""

    code: str
    message: str
    turn_id: str | None
    retry_after: float | None = None


Event = Started | Sources | Delta | Retract | Answer | Failed


def public(passage: Passage) -> dict[str, Any]:
    """Return what an end user may see of a passage."""
    return {
        "n": passage.n,
        "chunk_id": passage.chunk_id,
        "document_id": passage.document_id,
        "title": passage.title,
        "url": passage.url,
        "text": passage.text,
        "kb": passage.kb,
    }


async def last_event(events: AsyncGenerator[Event]) -> Event | None:
    """Run a turn to its end and return its last event; None when there was no event."""
    last: Event | None = None
    async with aclosing(events):
        async for event in events:
            last = event
    return last


def repeat(done: dict[str, Any]) -> Iterator[Event]:
    """Repeat the events of a turn this client already got."""
    passages = tuple(Passage(turn_id=done["turn_id"], rank=p["n"], **p) for p in done["passages"])
    yield Started(done["turn_id"], done["conversation_id"])
    yield Sources(passages)
    yield Delta(done["answer"])
    yield Answer(
        **{
            **done,
            "citations": tuple(Citation(**citation) for citation in done["citations"]),
            "passages": passages,
        }
    )
