"""The drill: holds shadow conversations while one dependency after the other fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.breaker import Policy, Transition
from pipeline.events import Answer, Event, Failed, Question, last_event
from pipeline.rehearsal.points import Points
from pipeline.rehearsal.shadow import Servers, shadow
from pipeline.rehearsal.sweep import rehearsed
from pipeline.turn import Pipeline
from traces.ids import uuid7

QUESTIONS = (
    "How do I set a fallback model?",
    "Which file formats are supported?",
    "How do I delete a knowledge base?",
    "How long are prompts kept?",
    "What does exit code 2 mean?",
)
POLICY = Policy(open_seconds=1.0, longest_open_seconds=1.0, slow_seconds=0.3)
TURN_SECONDS = 6.0
BROWN_OUT_TURNS = 60


@dataclass(frozen=True, slots=True)
class Scene:
    """One rehearsed failure: what breaks, how many turns meet it, and which outcomes are right."""

    name: str
    expected: frozenset[str]
    openai: str = "ok"
    anthropic: str = "ok"
    broken: dict[str, str] = field(default_factory=dict)  # dependency -> fault, see pipeline.rehearsal.points
    turns: int = 8
    share: float = 1.0  # of the calls that fail
    success: float = 1.0  # least share of the turns with an expected outcome


@dataclass(slots=True)
class SceneResult:
    """What a scene came to."""

    name: str
    outcomes: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    calls: int = 0  # at the providers
    changes: list[Transition] = field(default_factory=list)
    recorded: int = 0
    recovered: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def turns(self) -> int:
        return len(self.seconds)

    def to_dict(self) -> dict[str, Any]:
        ordered = sorted(self.seconds)
        return {
            "scene": self.name,
            "turns": self.turns,
            "outcomes": self.outcomes,
            "seconds_p50": ordered[len(ordered) // 2],
            "seconds_most": ordered[-1],
            "provider_calls": self.calls,
            "recorded": self.recorded,
            "recovered": self.recovered,
            "breaker_changes": [{"name": change.name, **change.to_dict()} for change in self.changes],
            "problems": self.problems,
        }


ANSWERED = frozenset(("answered",))
DEGRADED = frozenset(("degraded",))
SCENES = (
    Scene("all well", ANSWERED),
    Scene("primary down", ANSWERED, openai="reset"),
    Scene("primary overloaded (529)", ANSWERED, openai="overloaded"),
    Scene("primary silent", ANSWERED, openai="hang"),
    Scene("primary cuts mid-stream", frozenset(("cut", "answered")), openai="cut_middle"),
    Scene("both providers down", DEGRADED, openai="status?code=503", anthropic="overloaded", turns=12),
    Scene("embedder down", ANSWERED, broken={"search embedder": "runtime_error"}),
    Scene("knowledge damaged", DEGRADED, broken={"knowledge open": "io_error"}),
    Scene("full-text index damaged", ANSWERED, broken={"search full-text": "runtime_error"}),
    Scene("conversations locked", ANSWERED, broken={"conversations": "locked"}),
    Scene("journal unwritable", ANSWERED, broken={"journal write": "disk_full"}),
    Scene(
        "brown-out, 30 % errors",
        ANSWERED,
        openai="status?code=500",
        turns=BROWN_OUT_TURNS,
        share=0.3,
        success=0.995,
    ),
    Scene("brown-out, ten times as slow", ANSWERED, openai="ok?first=0.35", turns=20, success=0.995),
)


class Drill:
    """A shadow pipeline and its three servers."""

    def __init__(self, pipeline: Pipeline, servers: Servers, points: Points) -> None:
        self._pipeline, self._servers, self._points = pipeline, servers, points
        self._traced: list[str] = []
        pipeline.observers.append(lambda trace: self._traced.append(trace.turn.turn_id))

    async def warm(self) -> None:
        """Hold a turn with each provider, so that no scene pays for imports and tables."""
        for fault in ("ok", "reset"):
            self._servers.openai.default = fault
            await self._ask(QUESTIONS[0])
        self._mend()

    async def play(self, scene: Scene) -> SceneResult:
        """Break things, hold the conversation, mend things, see that it recovers."""
        played = SceneResult(scene.name)
        self._reset()
        calls = self._calls()
        self._break(scene)
        for number in range(scene.turns):
            if scene.share < 1:
                self._servers.openai.default = scene.openai if number % 10 < scene.share * 10 else "ok"
            await self._turn(played, number, scene)
        played.calls = self._calls() - calls
        self._mend()
        await self._recover(played)
        self._check(scene, played)
        return played

    async def _turn(self, played: SceneResult, number: int, scene: Scene) -> None:
        began = time.monotonic()
        last = await self._ask(QUESTIONS[number % len(QUESTIONS)])
        played.seconds.append(time.monotonic() - began)
        outcome = last.outcome if isinstance(last, Answer) else f"error {getattr(last, 'code', '?')}"
        played.outcomes[outcome] = played.outcomes.get(outcome, 0) + 1
        turn_id = getattr(last, "turn_id", None)
        played.recorded += turn_id is not None and self._traced.count(turn_id) == 1

    async def _ask(self, text: str) -> Event:
        last = await last_event(self._pipeline.answer(Question(text, "drill", "api", uuid7())))
        return last or Failed("internal", "no event", None)

    async def _recover(self, played: SceneResult) -> None:
        """Ask until a turn is answered by the primary and nothing waits for the journal."""
        until = time.monotonic() + POLICY.open_seconds * 1.1 + 5.0
        while time.monotonic() < until and not played.recovered:
            last = await self._ask(QUESTIONS[0])
            well = isinstance(last, Answer) and (last.outcome, last.notice) == ("answered", None)
            shut = any(
                report.state == "open" for report in self._pipeline.report()
            )  # half open: not asked yet
            played.recovered = well and not shut and self._pipeline.backlog.held == 0
            await asyncio.sleep(0.0 if played.recovered else 0.1)
        for report in self._pipeline.report():
            played.changes += report.history
        played.changes.sort(key=lambda change: change.at)

    def _check(self, scene: Scene, played: SceneResult) -> None:
        right = sum(count for outcome, count in played.outcomes.items() if outcome in scene.expected)
        if right < scene.success * played.turns:
            outcomes = ", ".join(sorted(scene.expected))
            played.problems.append(f"{right} of {played.turns} turns ended as {outcomes}")
        if played.recorded != played.turns:
            played.problems.append(f"{played.recorded} of {played.turns} turns have exactly one trace")
        if max(played.seconds) > TURN_SECONDS + 0.5:
            played.problems.append(f"a turn took {max(played.seconds):.1f} s")
        if not played.recovered:
            played.problems.append("did not recover")

    def _break(self, scene: Scene) -> None:
        self._servers.openai.default, self._servers.anthropic.default = scene.openai, scene.anthropic
        self._points.broken = dict(scene.broken)

    def _mend(self) -> None:
        self._servers.openai.default = self._servers.anthropic.default = "ok"
        self._points.broken = {}

    def _reset(self) -> None:
        for breaker in self._pipeline.breakers().values():
            breaker.release()
            breaker.history.clear()

    def _calls(self) -> int:
        return len(self._servers.openai.requests) + len(self._servers.anthropic.requests)


@asynccontextmanager
async def rehearsal() -> AsyncIterator[Drill]:
    """Start servers and pipeline in a folder that is thrown away."""
    servers, points = Servers(), Points()
    with TemporaryDirectory(prefix="answerdeck-drill-") as name:
        folder = Path(name)
        pipeline = await shadow(
            rehearsed(folder), servers, points, seconds=TURN_SECONDS, remote=False, policy=POLICY
        )
        try:
            rehearse = Drill(pipeline, servers, points)
            await rehearse.warm()
            yield rehearse
        finally:
            await pipeline.close()
            servers.close()


async def rehearse(progress: Callable[[str], None], scenes: Sequence[Scene] = SCENES) -> list[SceneResult]:
    """Play all scenes, one after the other."""
    played: list[SceneResult] = []
    async with rehearsal() as stage:
        for scene in scenes:
            progress(scene.name)
            played.append(await stage.play(scene))
    return played
