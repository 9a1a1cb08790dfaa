"""A canary is taken back when it does worse beyond chance, and only then."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evalsets.release import canary
from pipeline.prompts.force import Force
from pipeline.prompts.library import SHIPPED, Library
from pipeline.prompts.shelves import PromptShelf
from tests.factories import make_score, make_trace
from traces.errors import StoreBusy
from traces.journal import Journal
from traces.queries.window import Rows
from traces.store import Store

DEFAULTS = {"answer": "answer@v1", "condense": "condense@v1"}


@pytest.fixture
def prompts(tmp_path: Path) -> Library:
    folder = tmp_path / "prompts" / "answer"
    folder.mkdir(parents=True)
    for number in (1, 2):
        text = (SHIPPED / "answer" / "v1.md").read_text()
        (folder / f"v{number}.md").write_text(text + f"\n{number}\n")
    return Library(folder.parent)


def talk(data: Path, label: str, turns: int, *, down: int = 0, failed: int = 0) -> None:
    """Write turns of a version, all rated, some of them thumbs down or failed."""
    journal = Journal(data / "journal")
    for number in range(turns):
        outcome = "failed" if number < failed else "answered"
        trace = make_trace(prompt=label, outcome=outcome, started_at=datetime.now(UTC) + timedelta(seconds=1))
        journal.write(trace)
        journal.write(make_score(trace.turn.turn_id, value=-1.0 if number < down else 1.0))
    journal.close()


def watched(data: Path, prompts: Library, force: Force) -> list[str]:
    store = Store(data)
    store.drain()
    with store.read() as ledger:
        later = datetime.now(UTC) + timedelta(seconds=60)
        return [change.reason or "" for change in canary.watch(prompts, force, ledger, later)]


@pytest.mark.parametrize(
    ("worse", "said"),
    [({"down": 30}, "thumbs down 60.0% of 50"), ({"failed": 20}, "errors 40.0% of 50"), ({"down": 8}, None)],
)
def test_it_is_taken_back_for_a_reason(
    tmp_path: Path, prompts: Library, worse: dict[str, int], said: str | None
) -> None:
    force = Force(tmp_path / "audit.jsonl", DEFAULTS)
    canary.begin_canary(prompts, force, "answer@v2", 0.2, actor="ada")
    talk(tmp_path, "answer@v1", 200, down=10)
    talk(tmp_path, "answer@v2", 50, **worse)
    reasons = watched(tmp_path, prompts, force)
    if said is None:
        assert reasons == []
        assert force.standing("answer").canary is not None
    else:
        assert len(reasons) == 1
        assert said in reasons[0]
        assert force.standing("answer").canary is None
        assert [change.action for change in force.changes()] == ["canary", "return"]
        assert watched(tmp_path, prompts, force) == []


def test_few_turns_prove_nothing(tmp_path: Path, prompts: Library) -> None:
    force = Force(tmp_path / "audit.jsonl", DEFAULTS)
    canary.begin_canary(prompts, force, "answer@v2", 0.2, actor="ada")
    talk(tmp_path, "answer@v1", 200)
    talk(tmp_path, "answer@v2", 20, down=20)
    assert watched(tmp_path, prompts, force) == []


def test_what_cannot_be_read_is_looked_at_again(
    tmp_path: Path, prompts: Library, caplog: pytest.LogCaptureFixture
) -> None:
    """The watch goes on after a failure, asks nothing without a canary, and ends when told to."""
    force = Force(tmp_path / "audit.jsonl", DEFAULTS)
    stop, reads = threading.Event(), 0

    @contextmanager
    def read() -> Iterator[Rows]:
        nonlocal reads
        reads += 1
        if reads == 2:
            stop.set()
        raise StoreBusy("somebody else has it")
        yield

    watching = threading.Thread(
        target=canary.watch_forever,
        args=(lambda: [("default", PromptShelf(prompts, force))], read, stop, 0.01),
    )
    watching.start()
    time.sleep(0.1)
    assert reads == 0
    canary.begin_canary(prompts, force, "answer@v2", 0.2, actor="ada")
    watching.join(60)
    assert not watching.is_alive() and reads == 2
    assert "the canaries could not be watched: somebody else has it" in caplog.text


def test_turns_of_another_workspace_say_nothing_about_a_canary(tmp_path: Path, prompts: Library) -> None:
    force = Force(tmp_path / "audit.jsonl", DEFAULTS)
    canary.begin_canary(prompts, force, "answer@v2", 0.2, actor="ada")
    talk(tmp_path, "answer@v1", 50)
    talk(tmp_path, "answer@v2", 50, down=30)
    store, later = Store(tmp_path), datetime.now(UTC) + timedelta(seconds=60)
    store.drain()
    with store.read() as ledger:
        assert canary.watch(prompts, force, ledger, later, "sales") == []
        assert len(canary.watch(prompts, force, ledger, later, "default")) == 1
