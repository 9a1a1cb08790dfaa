"""Writes a month of made-up traffic through the real journal and store, to look at and to measure with.

    .venv/bin/python -m tests.synthetic FOLDER --turns 20000

Questions and passages are the demo evalset's; times, prices, ratings and the two incidents (retrieval
on day -3, latency on day -6) are drawn from a seeded generator.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Literal, cast

from pipeline.knowledge.ingest import sample
from tests.synthetic_turn import HOURS, MODELS, PEOPLE, MadeTurn, nanoseconds
from traces.ids import uuid7
from traces.journal import Journal
from traces.records import (
    Case,
    Record,
    Run,
    Score,
    Turn,
)
from traces.store import Store

HERE = Path(__file__).parent.parent


def history(
    turns: int, *, days: int = 30, until: datetime | None = None, detailed: int = 2_000, seed: int = 7
) -> Iterator[Record]:
    """Yield `turns` turns of `days` days ending at `until`, oldest first, with ratings.

    Only the newest `detailed` turns have texts and many candidates, so that large histories stay small.
    """
    random = Random(seed)
    end = until or datetime.now(UTC)
    cases, documents = _cases(), _documents()
    moments = sorted(_moment(random, end, days) for _ in range(turns))
    conversations: list[tuple[str, str]] = []
    for number, started_at in enumerate(moments):
        if not conversations or random.random() < 0.45:
            conversations.append((uuid7(nanoseconds(started_at)), random.choice(PEOPLE)))
        conversation = random.choice(conversations[-6:])
        made = MadeTurn(random, started_at, (end - started_at).total_seconds() / 86_400, documents)
        case = random.choice(cases)
        trace = made.trace(case, *conversation, detailed=number >= turns - detailed)
        yield trace
        yield from made.rating(trace)


def runs(until: datetime | None = None, seed: int = 11, cases: int | None = None) -> Iterator[Record]:
    """Yield five finished runs of the demo evalset: two prompts, three models, one of retrieval only.

    `cases` is how many of its cases, all by default.
    """
    rows = _cases()[:cases]
    random = Random(seed)
    end = until or datetime.now(UTC)
    variants: list[tuple[str, Any, float, Literal["retrieval"] | None]] = [
        ("answer@v1", MODELS[0], 0.0, None),
        ("answer@v1", MODELS[0], 0.0, "retrieval"),
        ("answer@v2", MODELS[0], 0.045, None),
        ("answer@v2", MODELS[1], 0.012, None),
        ("answer@v2", MODELS[2], 0.085, None),
    ]
    for place, (prompt, model, better, only) in enumerate(variants):
        yield from _run(random, end - timedelta(hours=30 - 5 * place), rows, (prompt, model), better, only)


def write(folder: Path, turns: int, cases: int | None = None, **options: Any) -> None:
    """Write a history and the runs, of some cases or all, into a data folder and drain them."""
    journal = Journal(folder / "journal")
    for record in history(turns, **options):
        journal.write(record)
    for record in runs(options.get("until"), cases=cases):
        journal.write(record)
    journal.close()
    Store(folder).drain()


def _run(
    random: Random,
    began: datetime,
    cases: list[dict[str, Any]],
    answering: tuple[str, tuple[str, float, float, float, float | None, float | None]],
    better: float,
    only: Literal["retrieval"] | None,
) -> Iterator[Record]:
    run_id, documents = uuid7(nanoseconds(began)), _documents()
    prompt, model = answering
    shared = Random(5)  # the same cases are hard in every run
    failed = 0
    for number, row in enumerate(cases):
        at = began + timedelta(seconds=2 * number)
        made = MadeTurn(random, at, 1.0, documents)
        made.model, made.prompt, made.hit = model, prompt, shared.random() < 0.93
        made.outcome = "answered" if made.hit else "no_context"
        trace = made.trace(row, uuid7(nanoseconds(at)), "evals", detailed=True)
        turn = replace(trace.turn, door="eval", run_id=run_id, case_id=row["id"])
        scores = _eval_scores(random, shared, turn, better, only)
        yield replace(trace, turn=turn, scores=tuple(scores))
        yield Case(
            run_id,
            row["id"],
            row["question"],
            reference=row.get("reference"),
            relevant_ids=row.get("relevant_ids"),
            answerability=row.get("answerability"),
        )
        failed += any(score.failed for score in scores)
    ended = began + timedelta(seconds=2 * len(cases))
    yield Run(
        run_id,
        "demo",
        "4be1c7d09a55e210",
        f"{prompt} · {model[0]}" if only is None else "retrieval only",
        "finished",
        began,
        ended,
        prompt=prompt if only is None else None,
        prompt_fingerprint="8c1f02ab" if prompt == "answer@v2" else "1d90e7c4",
        model=model[0] if only is None else None,
        kb="default",
        index_version="3",
        guardrails="b7e21c90",
        code_version="0.1.0",
        only=only,
        cases=len(cases),
        done=len(cases),
        failed=failed,
        seed=1,
        cost_usd=None if only else 0.0021 * len(cases) * (model[4] or 0),
        seconds=(ended - began).total_seconds(),
    )


def _eval_scores(
    random: Random, shared: Random, turn: Turn, better: float, only: Literal["retrieval"] | None
) -> Iterator[Score]:
    recall = 1.0 if shared.random() < 0.86 + (0.03 if random.random() < 0.05 else 0) else 0.0
    values: dict[str, float | None] = {
        "completed": 1.0,
        "hit@5": recall,
        "recall@5": recall,
        "mrr@10": recall * shared.choice((1.0, 1.0, 0.5, 0.33)),
    }
    if only is None:
        hard = shared.gauss(0.84, 0.1)
        values["groundedness"] = min(1.0, max(0.0, hard + better + random.gauss(0, 0.05)))
        values["citation_precision"] = min(
            1.0, max(0.0, shared.gauss(0.9, 0.08) + better / 2 + random.gauss(0, 0.04))
        )
        values["abstention_correct"] = float(random.random() < 0.93)
        values["reference_f1"] = _share(shared.gauss(0.46, 0.15) + better + random.gauss(0, 0.06))
        values["seconds"], values["first_token_seconds"] = turn.seconds, turn.first_token_seconds
        values["cost_usd"] = turn.cost_usd
    for name, value in values.items():
        failed = name == "groundedness" and random.random() < 0.01
        yield Score(
            uuid7(),
            turn.turn_id,
            name,
            None if failed else value,
            "eval",
            turn.started_at,
            scorer=f"{name}@1",
            reason="no answer was given" if failed else None,
            failed=failed,
            run_id=turn.run_id,
            case_id=turn.case_id,
        )


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def _moment(random: Random, end: datetime, days: int) -> datetime:
    while True:
        moment = end - timedelta(seconds=random.random() * days * 86_400)
        busy = HOURS[moment.hour] / 22 * (0.45 if moment.weekday() > 4 else 1.0)
        if random.random() < busy:
            return moment


def _cases() -> list[dict[str, Any]]:
    return [cast(dict[str, Any], json.loads(line)) for line in _lines("evalsets/sets/demo.jsonl")]


@cache
def _documents() -> list[dict[str, str]]:
    return [
        {"id": page.document_id, "title": page.title, "text": page.text, "url": page.url} for page in sample()
    ]


def _lines(path: str) -> list[str]:
    return (HERE / path).read_text().splitlines()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--turns", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=30)
    asked = parser.parse_args()
    write(asked.folder, asked.turns, days=asked.days)
