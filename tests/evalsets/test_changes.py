"""What changed between two runs is named part by part, and nothing that is unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from evalsets.release import changes
from traces.records import Run, RunSettings

BASE = Run(
    "r", "demo", "f", "answer@v1 · extractive", "finished", datetime.now(UTC),
    prompt="answer@v1", prompt_fingerprint="aa", model="extractive", kb="default",
    index_version="3", guardrails="gg", code_version="cc",
    settings=RunSettings(retrieval={"passages": 5, "candidates": 30}, condense="condense@v1 11"),
)  # fmt: skip


def told(**changed: Any) -> list[str]:
    return [str(change) for change in changes.between(BASE, replace(BASE, **changed))]


def test_each_part_is_named() -> None:
    assert told() == []
    assert told(model="openai:x") == ["model extractive → openai:x"]
    assert told(prompt="answer@v2", prompt_fingerprint="bb") == ["prompt answer@v1 → answer@v2"]
    assert told(prompt_fingerprint="bb") == ["prompt file aa → bb"]
    settings = RunSettings(retrieval={"passages": 2, "candidates": 30}, condense="condense@v2 22")
    assert told(settings=settings, code_version="dd") == [
        "code cc → dd",
        "condense prompt condense@v1 11 → condense@v2 22",
        "passages 5 → 2",
    ]


def test_what_is_unknown_is_no_change() -> None:
    assert told(prompt=None, prompt_fingerprint=None, model=None, settings=RunSettings()) == []


def test_over_time_only_runs_after_a_change_count() -> None:
    second, third = replace(BASE, index_version="4"), replace(BASE, index_version="4")
    ((run, parts),) = changes.over_time([BASE, second, third])
    assert run is second
    assert [str(part) for part in parts] == ["index 3 → 4"]
    assert changes.over_time([BASE]) == []
