"""What the data of each console page costs, and that it stays so from ten thousand turns to a million."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from console.bench import foreign, traffic
from console.bench.figures import Figure, Goal
from traces.queries.conversations import Which
from traces.queries.listing import Filter
from traces.queries.reviews import Queue
from traces.records import PRODUCTION

SIZES = (10_000, 100_000, 1_000_000)
QUICK = (2_000, 20_000)
TIMES = 5
CPU_MS, WALL_MS, SEARCH_MS = 80, 250, 300
Page = tuple[str, Callable[[], object]]


def measure(folder: Path, *, quick: bool, progress: Callable[[str], None]) -> list[Figure]:
    """Read the data of every page from ledgers of growing size; the goals are of the largest."""
    figures: list[Figure] = []
    sizes = QUICK if quick else SIZES
    for size in sizes:
        progress(f"console: making a ledger of {size:,} turns")
        data_dir = folder / str(size)
        data_dir.mkdir()
        traffic.make(data_dir, size)
        progress(f"console: reading every page at {size:,} turns")
        with _configured(data_dir):
            for name, read in pages(data_dir):
                figures += _timed(f"{name}, {size:,} turns", read, goals=size == sizes[-1])
    progress("console: taking turns of other programs")
    return [*figures, foreign.measure(folder / "foreign", quick=quick)]


def pages(data_dir: Path) -> Iterator[Page]:
    """Yield the name of every page whose cost could grow with the turns, and what reads its data."""
    from console.dashboard import costs, data, people
    from console.dashboard.filters import RANGES
    from console.dashboard.views import models, searches

    now = datetime.now(UTC)
    turns = _turns(now)
    for span in RANGES:
        yield f"Overview {span}", lambda span=span: data.read_overview(span, "production")
    yield "Turns", lambda: data.read_listing(turns(), 1)
    yield "Turns, thumbs down", lambda: data.read_listing(turns(rating="down"), 1)
    yield "Turns, errors only", lambda: data.read_listing(turns(errors=True), 1)
    yield "Turns, page 200", lambda: data.read_listing(turns(), 200)
    yield "search, a rare word", lambda: data.read_listing(turns(text=traffic.RARE), 1)
    yield "search, a frequent word", lambda: data.read_listing(turns(text="answer"), 1)
    yield "search, two words", lambda: data.read_listing(turns(text="knowledge base"), 1)
    yield "search, no match", lambda: data.read_listing(turns(text="quetzalcoatl"), 1)
    turn_id = data.read_listing(turns(), 1).rows[0].turn_id
    yield "search, end of an id", lambda: data.find_turns(turn_id[-8:])
    yield "Turn", lambda: data.read_turn(turn_id)
    for span in ("7d", "30d"):
        yield f"Conversations {span}", lambda span=span: people.read_conversations(_talks(span), 1)
    yield "Costs", costs.read
    yield "Models & prompts", lambda: models.read("30d", "production")
    yield "Retrieval 7d", lambda: searches.read("7d", "production")
    yield "Retrieval 30d", lambda: searches.read("30d", "production")
    for span in ("7d", "30d"):
        yield f"Topics {span}", lambda span=span: people.read_topics(span, "production")
        yield f"Topics, unanswered {span}", lambda span=span: people.read_gaps(span, "production")
        yield f"Topics, where people leave {span}", lambda span=span: people.read_leaving(span, "production")
    yield "Prompts, live", lambda: data.read_live("answer", now - timedelta(days=30))
    for queue in get_args(Queue):
        yield f"Annotate, {queue}", lambda queue=queue: data.read_queue(queue, "ada", PRODUCTION)
    yield "Evals", data.read_runs


def _turns(now: datetime) -> Callable[..., Any]:
    return lambda **more: Filter(since=now - timedelta(days=30), until=now, **more)


def _talks(span: str) -> Any:
    from console.dashboard import filters

    return Which(filters.window(span, "production"))


@contextmanager
def _configured(data_dir: Path) -> Iterator[None]:
    """Let the console's readers read this folder."""
    from console.dashboard import installed

    before = os.environ.get("ANSWERDECK_DATA_DIR")
    os.environ["ANSWERDECK_DATA_DIR"] = str(data_dir)
    installed.settings.clear()
    try:
        yield
    finally:
        os.environ.pop("ANSWERDECK_DATA_DIR")
        if before is not None:
            os.environ["ANSWERDECK_DATA_DIR"] = before
        installed.settings.clear()


def _timed(name: str, read: Callable[[], object], *, goals: bool) -> list[Figure]:
    import streamlit

    cpu: list[float] = []
    wall: list[float] = []
    for number in range(TIMES + 1):
        streamlit.cache_data.clear()
        began, used = time.perf_counter(), time.process_time()
        read()
        if number:  # the first one opens a reader
            cpu.append((time.process_time() - used) * 1000)
            wall.append((time.perf_counter() - began) * 1000)
    most = SEARCH_MS if name.startswith("search") else WALL_MS
    return [
        Figure("console", name, "ms CPU", tuple(cpu), (), Goal(CPU_MS, "value") if goals else None),
        Figure("console", name, "ms", tuple(wall), (), Goal(most, "value") if goals else None),
    ]
