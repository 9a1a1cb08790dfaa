"""Machines with one ledger share their prompts, and what is in force."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest

from pipeline import build, shelving
from pipeline.prompts.force import Overtaken
from pipeline.prompts.library import SHIPPED
from pipeline.settings import Settings, load_settings
from tests.databases import Databases
from traces.errors import StoreError

TEXT = (SHIPPED / "answer" / "v1.md").read_text("utf-8")


@pytest.fixture
def machines(postgres: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    monkeypatch.setenv("ANSWERDECK_LEDGER", postgres.fresh())
    return [load_settings(data_dir=tmp_path / name) for name in ("north", "south")]


def write_second_version(settings: Settings, word: str = "Be brief.") -> None:
    library = shelving.library(settings)
    library.new("answer", library.get("answer@v1"), TEXT.replace("# system\n", f"# system\n{word} "))


def promote(settings: Settings, label: str = "answer@v2", expected: str | None = None) -> None:
    version = shelving.library(settings).get(label)
    shelving.force(settings).change(
        label, version.fingerprint, action="promote", actor="ada", expected=expected
    )


def test_a_version_written_and_promoted_on_one_machine_answers_on_the_other(machines: list[Settings]) -> None:
    north, south = machines
    write_second_version(north)
    promote(north)
    assert shelving.force(south).label("answer") == "answer@v2"
    assert "Be brief." in shelving.library(south).get("answer@v2").system
    assert [change.after for change in shelving.force(south).changes()] == ["answer@v2"]
    write_second_version(south, "Be kind.")
    assert [version.label for version in shelving.library(north).versions()][:3] == [
        "answer@v1",
        "answer@v2",
        "answer@v3",
    ]


async def test_a_running_pipeline_learns_of_it_by_itself(machines: list[Settings]) -> None:
    north, south = machines
    write_second_version(north)
    pipeline = build.build(south)
    try:
        assert pipeline.force.label("answer") == "answer@v1"
        promote(north)
        for _ in range(600):
            if pipeline.force.label("answer") == "answer@v2":
                break
            await asyncio.sleep(0.05)
        assert pipeline.force.label("answer") == "answer@v2"
        assert pipeline.prompts.get("answer@v2").version == 2
    finally:
        await pipeline.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "mirror"]


def test_two_machines_promote_one_after_the_other(machines: list[Settings]) -> None:
    north, south = machines
    write_second_version(north)
    promote(north, expected="answer@v1")
    with pytest.raises(Overtaken):
        promote(south, expected="answer@v1")
    threads = [threading.Thread(target=promote, args=(settings,)) for settings in machines * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(shelving.force(settings).changes()) for settings in machines] == [7, 7]


def test_without_the_ledger_the_last_copies_answer_and_nothing_changes(
    machines: list[Settings], postgres: Databases
) -> None:
    north, _ = machines
    write_second_version(north)
    promote(north)
    postgres.kill()
    try:
        force = shelving.force(north)
        assert force.label("answer") == "answer@v2"
        with pytest.raises(StoreError):
            promote(north, "answer@v1")
        with pytest.raises(StoreError):
            write_second_version(north, "Be quick.")
        assert force.label("answer") == "answer@v2"
        assert len(shelving.library(north).versions()) == 3
    finally:
        postgres.start()


def test_what_a_machine_had_of_its_own_is_put_aside(machines: list[Settings], tmp_path: Path) -> None:
    north, south = machines
    write_second_version(north)
    promote(north)
    own = b'{"a log": "of its own"}\n'
    south.data_dir.mkdir(exist_ok=True)
    (south.data_dir / "audit.jsonl").write_bytes(own)
    assert shelving.force(south).label("answer") == "answer@v2"
    (aside,) = south.data_dir.glob("audit.jsonl.own-*")
    assert aside.read_bytes() == own
    assert time.time() - aside.stat().st_mtime < 3600


def test_names_that_lead_out_of_the_folder_are_not_written(machines: list[Settings], tmp_path: Path) -> None:
    north, south = machines
    copies = shelving.mirror(north)
    assert copies is not None
    with copies._files.writing() as shared:
        shared.put("data/../escaped", b"x")
        shared.put("elsewhere/escaped", b"x")
        shared.put("data/audit.jsonl", b"")
    shelving.force(south)
    assert not list(tmp_path.rglob("escaped"))
    assert (south.data_dir / "audit.jsonl").read_bytes() == b""
