"""The nouns of the ledger: one frozen dataclass per table, its fields the table's columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, get_type_hints

from traces.processes import Process

Outcome = Literal["answered", "no_context", "refused", "degraded", "cut", "abandoned", "failed"]
Door = Literal["cli", "api", "openai", "chat", "mcp", "eval", "replay", "task", "search", "otlp"]
SpanKind = Literal["turn", "guard", "memory", "retrieval", "model", "cache", "store"]
Source = Literal["user", "online", "eval", "reviewer"]
PRODUCTION: tuple[Door, ...] = ("api", "chat", "cli", "mcp", "openai")  # the doors that people come in by
TRIALS: tuple[Door, ...] = ("eval", "replay")  # the doors of our own trials, which are no production
ERRANDS: tuple[Door, ...] = ("task", "search")  # what programs ask for themselves: titles, tags, passages
FOREIGN: tuple[Door, ...] = ("otlp",)  # turns of other programs, which sent their spans here
ERRORS: tuple[Outcome, ...] = ("failed", "cut", "degraded")  # the outcomes an error rate counts
SPOKEN: tuple[Source, ...] = ("user", "reviewer")  # sources of scores of which a person's last word counts
NO_ANSWER: tuple[Outcome, ...] = (
    "no_context",
    "failed",
    "cut",
    "degraded",
)  # what leaves it open
DEFAULT = "default"  # the workspace of what nobody put into another
RunState = Literal["running", "finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer (table `turns`). None means not measured, never zero."""

    turn_id: str  # UUIDv7
    conversation_id: str
    user_id: str
    door: Door
    started_at: datetime  # UTC
    question: str
    outcome: Outcome
    client_turn_id: str | None = None
    standalone: str | None = None  # the condensed query, when the question needed its history
    answer: str | None = None
    error_class: str | None = None  # see pipeline.errors.ErrorClass
    refusal: str | None = None  # the rule that refused, e.g. "injection:ignore_previous"
    kb: str | None = None
    index_version: str | None = None
    embedder: str | None = None  # fingerprint
    prompt: str | None = None  # "answer@v1"
    prompt_fingerprint: str | None = None
    model: str | None = None  # the model that answered
    model_wanted: str | None = None  # the model that was asked first
    route: str | None = None  # cheap | strong | talk (no document was searched)
    guardrails: str | None = None  # fingerprint of the rules in force
    code_version: str | None = None
    seconds: float | None = None  # whole turn, wall clock
    first_token_seconds: float | None = None  # from acceptance to the first delta
    input_tokens: int | None = None  # sums over the turn's usages, cached tokens included
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cost_usd: float | None = None  # None when any call of the turn has no known price
    attempts: int | None = None  # model calls made, retries and fallbacks included
    stop_reason: str | None = None
    top_score: float | None = None  # cosine of the best passage with the query, -1..1
    hit: bool | None = None  # at least one passage above the score floor; None without retrieval
    passages: int | None = None  # passages placed in the prompt
    citations: int | None = None  # distinct passages cited in the answer
    run_id: str | None = None
    case_id: str | None = None
    workspace: str | None = None  # whose turn it was; None before there were any


@dataclass(frozen=True, slots=True)
class Payload:
    """The bulky texts of a turn (table `payloads`), kept for a shorter time than the turn."""

    turn_id: str
    prompt: str | None = None  # the fully assembled prompt, as sent
    raw_response: str | None = None  # what the model said, before the outbound guard


@dataclass(frozen=True, slots=True)
class Span:
    """One timed step of a turn (table `spans`)."""

    turn_id: str
    span_id: int  # 0 is the turn itself, then in order of opening
    parent_id: int | None
    name: str
    kind: SpanKind
    start_seconds: float  # since the turn was accepted
    seconds: float
    attributes: dict[str, Any]  # JSON column
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk retrieved for a turn (table `passages`), with its scores at every stage."""

    turn_id: str
    rank: int  # 1-based order after the last stage
    chunk_id: str
    document_id: str
    title: str
    url: str
    text: str | None = None  # None for candidates that did not reach the prompt
    n: int | None = None  # its number in the prompt; None when it did not reach it
    vector_score: float | None = None  # cosine, -1..1
    vector_rank: int | None = None
    text_score: float | None = None  # BM25
    text_rank: int | None = None
    fused_score: float | None = None
    fused_rank: int | None = None
    rerank_score: float | None = None
    cited: bool = False
    kb: str | None = None  # the knowledge base it is from; None before several were searched at once


@dataclass(frozen=True, slots=True)
class Usage:
    """One model call of a turn (table `usages`): tokens, time and price."""

    turn_id: str
    call: int  # 1-based within the turn
    purpose: str  # answer | condense | summarise | judge
    model: str  # "anthropic:claude-haiku-5-5"
    input_tokens: int | None = None  # cached tokens included
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    estimated: bool = False
    cost_usd: float | None = None
    price_version: str | None = None
    first_token_seconds: float | None = None
    seconds: float | None = None
    stop_reason: str | None = None
    error_class: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A named number about a turn (table `scores`): thumbs, metrics, judges, reviewers alike."""

    score_id: str  # UUIDv7
    turn_id: str
    name: str  # "feedback", "recall@5", "groundedness", ...
    value: float | None  # None when scoring failed or does not apply; `reason` says which
    source: Source
    created_at: datetime
    scorer: str | None = None  # name and version of what scored it
    reason: str | None = None  # a comment, or why the value is what it is
    failed: bool = False  # scoring was tried and failed; never averaged as zero
    tags: str | None = None  # comma-separated
    user_id: str | None = None  # who gave it, for people's scores
    run_id: str | None = None
    case_id: str | None = None
    repetition: int | None = None  # of a case that a run asks several times; the first one is 1


@dataclass(frozen=True, slots=True)
class Bill:
    """What asking a judge took; `usd` is None once any call had no known price."""

    calls: int = 0
    cached: int = 0  # replies that were remembered: they cost nothing
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0

    def __add__(self, other: Bill) -> Bill:
        usd = None if self.usd is None or other.usd is None else self.usd + other.usd
        return Bill(
            self.calls + other.calls,
            self.cached + other.cached,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            usd,
        )


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the machine was during a run; load averages are of one minute."""

    cores: int
    at_start: float
    most: float
    runs: int  # evals and replays of this data folder that went on at once, this one included
    stalled_seconds: float  # the longest time in which the run's own process did not get to work
    waited_seconds: float  # all such times together

    def __str__(self) -> str:
        others = f", {self.runs} runs at once" if self.runs > 1 else ""
        stood = f", stood still for {self.stalled_seconds:.1f} s" if self.stalled_seconds >= 0.1 else ""
        return f"load {self.at_start:.1f} to {self.most:.1f} on {self.cores} cores{others}{stood}"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What shaped a run besides its columns; None and empty are not set."""

    title: str | None = None  # of the evalset
    workspace: str | None = None  # whose evalset it was; None: that of `default`
    source: str | None = None
    licence: str | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)  # metric -> least (or most) mean
    warnings: tuple[str, ...] = ()  # about the cases
    chunks: bool | None = None  # relevant ids name chunks instead of documents
    limit: int | None = None  # cases chosen
    repetitions: int = 1
    concurrency: int | None = None
    budget_usd: float | None = None
    estimate_usd: float | None = None  # told before the run
    retrieval: Mapping[str, Any] | None = None  # the configuration's values by their keys
    contents: str | None = None  # fingerprint of the knowledge base's documents, the same on every machine
    condense: str | None = None  # "condense@v1 959ce9fa"
    trial: str | None = None  # which change a bisection tried with it
    process: Process | None = None  # that makes the run
    session: str | None = None  # the same for runs whose cases were asked by turns, side by side
    beside: tuple[str, ...] = ()  # the variants of the session
    order: str | None = None  # a digit a case, as asked: at which place of the session this run came
    load: Load | None = None
    judges: Mapping[str, Bill] = field(default_factory=dict)  # scorer -> what its judging took
    rubric: dict[str, Any] = field(default_factory=dict)  # the team's criteria by their names

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> RunSettings:
        """Return the settings of the JSON column; keys of another version are left out."""
        columns = {column.name for column in fields(cls)}
        values = {key: value for key, value in (stored or {}).items() if key in columns and value is not None}
        for key in values.keys() & {"warnings", "beside"}:
            values[key] = tuple(values[key])
        if "load" in values:
            values["load"] = Load(**values["load"])
        if "process" in values:
            values["process"] = Process.read(values["process"])
        if "judges" in values:
            values["judges"] = {scorer: Bill(**bill) for scorer, bill in values["judges"].items()}
        return cls(**values)

    def stored(self) -> dict[str, Any] | None:
        """Return the JSON column: what is set, or None."""
        return {key: value for key, value in asdict(self).items() if value not in (None, (), {})} or None


@dataclass(frozen=True, slots=True)
class Run:
    """An evalset through one variant (table `runs`); the newest record of a run_id is in force."""

    run_id: str
    evalset: str
    evalset_fingerprint: str
    variant: str  # "answer@v1 · extractive"
    state: RunState
    started_at: datetime
    finished_at: datetime | None = None
    prompt: str | None = None
    prompt_fingerprint: str | None = None
    model: str | None = None
    kb: str | None = None
    index_version: str | None = None
    guardrails: str | None = None
    code_version: str | None = None
    only: Literal["retrieval"] | None = None  # "retrieval" when no answers were made
    settings: RunSettings = field(default_factory=RunSettings)  # JSON column
    cases: int | None = None
    done: int | None = None
    failed: int | None = None
    seed: int | None = None
    cost_usd: float | None = None
    seconds: float | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        return {**columns, "settings": self.settings.stored()}


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that runs and turns are made with: its column, its name in a sentence and in a table."""

    key: str
    name: str
    title: str


MADE_WITH = (
    Part("prompt", "prompt", "Prompt"),
    Part("prompt_fingerprint", "prompt file", "Prompt fingerprint"),
    Part("model", "model", "Model"),
    Part("kb", "knowledge base", "Knowledge base"),
    Part("index_version", "index", "Index version"),
    Part("guardrails", "guardrails", "Guardrails"),
    Part("code_version", "code", "Code version"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """An evalset's case as it stood in a run (table `cases`)."""

    run_id: str
    case_id: str
    question: str
    history: list[dict[str, str]] | None = None  # JSON column: {role, text}
    reference: str | None = None
    relevant_ids: list[str] | None = None  # JSON column
    answerability: str | None = None  # answerable | partial | unanswerable | off_topic | conversational
    must_refuse: bool | None = None
    must_contain: list[str] | None = None  # JSON column
    tags: list[str] | None = None  # JSON column


@dataclass(frozen=True, slots=True)
class Trace:
    """All that is recorded of one turn: one line in the journal, one row set in the store."""

    turn: Turn
    payload: Payload
    spans: tuple[Span, ...] = ()
    passages: tuple[Passage, ...] = ()
    usages: tuple[Usage, ...] = ()
    scores: tuple[Score, ...] = ()


Record = Trace | Score | Run | Case


def json_columns(record: type) -> tuple[str, ...]:
    """Return which fields of a record are JSON columns."""
    hints = get_type_hints(record)
    return tuple(
        column.name for column in fields(record) if any(kind in str(hints[column.name]) for kind in _IN_JSON)
    )


_IN_JSON = ("dict", "list", "RunSettings")
