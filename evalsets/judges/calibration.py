"""Holds a scorer against people's labels, and remembers how well it did: what its word is worth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalsets.judges.agreement import Kind, above_chance, agree, between_people
from evalsets.judges.judge_metrics import missing
from evalsets.judges.judgement import ScoreWorker
from evalsets.judges.labelled import Labelled, LabelledSet
from evalsets.judges.task import JudgeTask
from evalsets.metrics.judged import Judged
from evalsets.metrics.metric import SCORER
from evalsets.metrics.table import is_judged
from pipeline.configuration.data_folder import DataFolder
from pipeline.extractive.evidence import strength
from pipeline.guardrails.grounding import ground
from pipeline.knowledge.chunking import chunk
from pipeline.knowledge.documents import Document
from pipeline.knowledge.embedding import Embedder
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.talk import abstention
from traces.records import Passage

FREE = ("groundedness", "evidence")  # scorers that need no judge
Progress = Callable[[int, int], None]
Scored = tuple[float | None, str | None]  # a value, or None and why


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a scorer's agreement with people was, on one set."""

    metric: str  # "groundedness", "faithfulness", ...
    scorer: str  # as in the scores it gives: "answerdeck@1", "ragas-0.4.3/openai:...@1a2b3c4d"
    labelled: str
    fingerprint: str
    kind: Kind
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    failed: int
    not_applicable: int
    people: float | None  # one annotator against the others, where the single ratings are known
    made_at: str

    def plain(self) -> dict[str, Any]:
        """Return its JSON, the value under its kind: {"spearman": 0.61, "ci_low": ...}."""
        fields = asdict(self)
        return {
            self.kind: fields.pop("value"),
            **{key: fields[key] for key in ("ci_low", "ci_high", "n")},
            **fields,
        }


def calibrate(
    labelled: LabelledSet, metric: str, scorer: str, scores: Sequence[Scored], seed: int = 0
) -> Calibration:
    """Compare scores with what people said; those that failed or do not apply are counted apart."""
    pairs = [
        (calibration, value)
        for calibration, (value, _) in zip(labelled.items, scores, strict=True)
        if value is not None
    ]
    values = [value for _, value in pairs]
    kind: Kind = "auc" if labelled.kind == "label" else "spearman"
    agreement = agree(
        values, [sample.truth for sample, _ in pairs], [sample.group for sample, _ in pairs], kind, seed
    )
    apart = [reason or "" for value, reason in scores if value is None]
    idle = sum(reason.startswith("not applicable") for reason in apart)
    return Calibration(
        metric=metric,
        scorer=scorer,
        labelled=labelled.name,
        fingerprint=labelled.fingerprint,
        kind=kind,
        value=agreement.value,
        ci_low=agreement.low,
        ci_high=agreement.high,
        n=agreement.n,
        failed=len(apart) - idle,
        not_applicable=idle,
        people=between_people([item.ratings for item in labelled.items]),
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def grounded(labelled: LabelledSet) -> list[Scored]:
    """Score every answer with our own groundedness, without any model."""
    return [_grounded(sample) for sample in labelled.items]


async def evident(labelled: LabelledSet, embedder: Embedder, progress: Progress) -> list[Scored]:
    """Score every question with the strength of the evidence in its passages, as the chat does."""
    scores: list[Scored] = []
    for sample in labelled.items:
        scores.append(await _evidence(sample, embedder))
        progress(len(scores), len(labelled.items))
    return scores


async def judged(
    labelled: LabelledSet, metric: Judged, worker: ScoreWorker, progress: Progress
) -> list[Scored]:
    """Score every answer with a judge's metric; answers not asked for lack of budget count as failed."""
    scores: list[Scored] = [(None, "failed: not asked")] * len(labelled.items)
    tasks: list[JudgeTask] = []
    for place, sample in enumerate(labelled.items):
        if (reason := missing(metric, sample.sample)) is not None:
            scores[place] = (None, f"not applicable: {reason}")
        else:
            tasks.append(JudgeTask(place, metric.name, sample.sample.inputs(metric)))
    done = 0
    async with aclosing(worker.opinions(tasks)) as opinions:
        async for opinion in opinions:
            done += 1
            progress(done, len(tasks))
            if not opinion.stopped:
                scores[opinion.place] = (opinion.value, opinion.reason)
    return scores


def remember(data_dir: Path, calibration: Calibration) -> None:
    """Append a calibration to those on record; the newest of a metric, scorer and set is in force."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with DataFolder(data_dir).calibrations.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(calibration), allow_nan=False) + "\n")


def on_record(data_dir: Path) -> list[Calibration]:
    """Return the calibrations in force, in the order they were first made."""
    path = DataFolder(data_dir).calibrations
    newest: dict[tuple[str, str, str], Calibration] = {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        calibration = Calibration(**json.loads(line))
        newest[calibration.metric, calibration.scorer, calibration.labelled] = calibration
    return list(newest.values())


def distrust(data_dir: Path, used: Iterable[tuple[str, str]], floor: float) -> dict[str, str]:
    """Return for each judged metric why it may not decide in a gate; `used` are (metric, scorer) pairs.

    Only judges need to prove themselves: their best set must lie at or above the floor, on the scale
    where 0 is chance and 1 is perfect agreement.
    """
    record, reasons = on_record(data_dir), dict[str, str]()
    for metric, scorer in dict.fromkeys(used):
        if not is_judged(metric) or scorer == SCORER:
            continue
        values = [
            above_chance(calibration.kind, calibration.value)
            for calibration in record
            if (calibration.metric, calibration.scorer) == (metric, scorer) and calibration.value is not None
        ]
        if not values:
            reasons[metric] = f"{scorer} was never held against people's labels: answerdeck eval calibrate"
        elif max(values) < floor:
            reasons[metric] = (
                f"{scorer} agrees with people at {max(values):.2f}, under the floor of {floor:g}"
            )
    return reasons


def _grounded(labelled: Labelled) -> Scored:
    if abstention(labelled.sample.response):
        return None, "not applicable: no answer was given"
    passages = [_passage(i, text) for i, text in enumerate(labelled.sample.retrieved_contexts, 1)]
    score = ground(labelled.sample.response, passages, labelled.heard).score
    return score, None if score is not None else "not applicable: the answer states nothing"


async def _evidence(labelled: Labelled, embedder: Embedder) -> Scored:
    question = labelled.sample.user_input
    vector = await embedder.embed_query(question)
    candidates: list[RetrievedChunk] = []
    for text in labelled.sample.retrieved_contexts:
        title, _, body = text.partition("\n")
        parts = chunk(Document(f"d{len(candidates)}", title, body, ""))
        embedded = [part.embedded for part in parts]
        vectors = await embedder.embed_passages(
            [text for text, _ in embedded], [spans for _, spans in embedded]
        )
        for part, embedded_piece in zip(parts, vectors, strict=True):
            score = float(embedded_piece.vector @ vector)
            passage = _passage(len(candidates) + 1, part.text, title=part.title, score=score)
            candidates.append(RetrievedChunk(passage, part.spans, embedded_piece.sentences))
    if not candidates:
        return None, "not applicable: no passage was given"
    return strength(question, Retrieved(question, vector, tuple(candidates), "", None, None)), None


def _passage(n: int, text: str, title: str = "", score: float | None = None) -> Passage:
    return Passage("", n, f"c{n}", f"d{n}", title, "", text, n, vector_score=score)
