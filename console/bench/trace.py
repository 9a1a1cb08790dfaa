"""What recording a turn costs, and how soon another process sees it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path

from console.bench.figures import Figure, Goal
from console.bench.processes import BenchError, running
from pipeline.knowledge.chunking import Chunk, chunk
from pipeline.knowledge.ingest import sample
from traces.ids import uuid7
from traces.journal import Journal
from traces.records import Passage, Payload, Score, Span, Trace, Turn, Usage
from traces.store import Store, drain_forever

ROUNDS, WRITES = 9, 500
SIGHTINGS = 5
_WATCH = """
import sys, time
from pathlib import Path
from traces.store import Store
store = Store(Path(sys.argv[1]))
for line in sys.stdin:
    deadline = time.time() + 20
    while time.time() < deadline:
        with store.read() as ledger:
            if ledger.rows("select 1 as seen from turns where turn_id = $turn_id", turn_id=line.strip()):
                break
        time.sleep(0.05)
    print(time.time(), flush=True)
"""


def measure(folder: Path, *, quick: bool, progress: Callable[[str], None]) -> list[Figure]:
    """Time the write inside a turn, then the way of a turn to a reader in another process."""
    progress("traces: writing")
    figures = [_writing(folder / "written", 3 if quick else ROUNDS)]
    progress("traces: reading in a second process")
    return [*figures, _freshness(folder, 2 if quick else SIGHTINGS)]


def _writing(folder: Path, rounds: int) -> Figure:
    journal = Journal(folder)
    costs: list[float] = []
    for _ in range(rounds):
        records = [example() for _ in range(WRITES)]
        cpu = time.thread_time()
        for record in records:
            journal.write(record)
        costs.append((time.thread_time() - cpu) / WRITES * 1e6)
    journal.close()
    return Figure("trace", "write one turn", "µs CPU", tuple(costs), (), Goal(50, "value"), rounds * WRITES)


def _freshness(folder: Path, times: int) -> Figure:
    data_dir, stop = folder / "fresh", threading.Event()
    journal = Journal(Store(data_dir).journal)
    journal.write(example())
    Store(data_dir).drain()
    drainer = threading.Thread(target=drain_forever, args=(Store(data_dir), stop), daemon=True)
    drainer.start()
    waits: list[float] = []
    with running(["-c", _WATCH, str(data_dir)], folder / "watch.log", pipes=True) as watcher:
        assert watcher.stdin is not None and watcher.stdout is not None
        for number in range(times + 1):
            record = example()
            watcher.stdin.write(record.turn.turn_id + "\n")
            watcher.stdin.flush()
            time.sleep(2.0 if number == 0 else 0.7)  # the reader is at it when the turn ends
            began = time.time()
            journal.write(record)
            seen = watcher.stdout.readline()
            if not seen:
                raise BenchError("the reader of the traces ended")
            if number:  # the first one paid for the reader's imports
                waits.append(max(float(seen) - began, 0.0))
    stop.set()
    drainer.join()
    journal.close()
    return Figure("trace", "seen by another process", "s", tuple(waits), (), Goal(2, "value"))


def example() -> Trace:
    """Return a turn of usual size: 13 spans, 20 candidates of the sample, 5 of them in the prompt."""
    turn_id, chunks = uuid7(), _chunks()
    passages = [_passage(turn_id, rank, source) for rank, source in enumerate(chunks, 1)]
    prompt = "\n\n".join(f"[{passage.n}] {passage.text}" for passage in passages if passage.text)
    answer = chunks[0].text[:600]
    turn = Turn(
        turn_id=turn_id,
        conversation_id=uuid7(),
        user_id="bench",
        door="api",
        started_at=datetime.now(UTC),
        question=f"{chunks[0].title}: how is it done?",
        outcome="answered",
        answer=answer,
        kb="bench",
        model="openai:stub",
        seconds=0.03,
        passages=5,
    )
    spans = [Span(turn_id, n, 0, f"step {n}", "retrieval", 0.001 * n, 0.001, {"found": n}) for n in range(13)]
    usage = Usage(turn_id, 1, "answer", "openai:stub", input_tokens=1200, output_tokens=154, cost_usd=0.001)
    score = Score(uuid7(), turn_id, "groundedness", 0.9, "online", datetime.now(UTC), scorer="lexical")
    payload = Payload(turn_id, prompt=prompt, raw_response=answer)
    return Trace(turn, payload, tuple(spans), tuple(passages), (usage,), (score,))


@cache
def _chunks() -> list[Chunk]:
    return list(islice((part for document in sample() for part in chunk(document)), 20))


def _passage(turn_id: str, rank: int, source: Chunk) -> Passage:
    """Return a candidate; the first five reached the prompt."""
    placed = rank <= 5
    return Passage(
        turn_id,
        rank,
        source.chunk_id,
        source.document_id,
        source.title,
        source.url,
        text=source.text if placed else None,
        n=rank if placed else None,
        vector_score=0.5,
        vector_rank=rank,
        text_score=3.0,
        fused_score=1.5,
        fused_rank=rank,
        rerank_score=2.5,
    )
