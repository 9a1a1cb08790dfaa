"""A version answers only as long as its file is what came into force."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.events import Answer
from pipeline.prompts.choice import choose, lot, trouble
from pipeline.prompts.force import Force, PromptStanding
from pipeline.prompts.library import SHIPPED, Library, PromptError
from tests.pipeline.turns import ask, make_pipeline, recorded

DEFAULTS = {"answer": "answer@v1", "condense": "condense@v1"}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Answer v1 and v2, condense v1, in a folder of their own."""
    folder = tmp_path / "prompts"
    for name in ("answer", "condense"):
        (folder / name).mkdir(parents=True)
        text = (SHIPPED / name / "v1.md").read_text()
        (folder / name / "v1.md").write_text(text)
    second = (SHIPPED / "answer" / "v1.md").read_text().replace("short plain", "very short")
    (folder / "answer" / "v2.md").write_text(second)
    return Library(folder)


@pytest.fixture
def force(tmp_path: Path) -> Force:
    return Force(tmp_path / "data" / "audit.jsonl", DEFAULTS)


def promote(library: Library, force: Force, label: str) -> None:
    version = library.get(label)
    force.change(label, version.fingerprint, action="promote", actor="ada")


def test_the_promoted_version_answers_until_its_file_changes(library: Library, force: Force) -> None:
    promote(library, force, "answer@v2")
    assert choose(library, force, "answer", "c").label == "answer@v2"
    assert trouble(library, force) is None
    path = library.folder / "answer" / "v2.md"
    sound = path.read_text()
    path.write_text(sound.replace("very short", "endless"))
    assert choose(library, force, "answer", "c").label == "answer@v1"
    said = trouble(library, force)
    assert said is not None
    assert "answer@v2 came into force as" in said
    assert "answer@v1 answers instead" in said
    path.unlink()
    assert choose(library, force, "answer", "c").label == "answer@v1"
    path.write_text(sound)
    assert choose(library, force, "answer", "c").label == "answer@v2"
    assert trouble(library, force) is None


def test_without_any_sound_version_it_says_so(library: Library, force: Force) -> None:
    (library.folder / "answer" / "v1.md").write_text("no prompt")
    with pytest.raises(PromptError, match="no version of 'answer' can be used"):
        choose(library, force, "answer", "c")
    assert "nothing answers instead" in (trouble(library, force) or "")


def test_a_canary_keeps_its_conversations_while_it_grows(library: Library, force: Force) -> None:
    version = library.get("answer@v2")
    conversations = [f"c{number}" for number in range(400)]
    answered: list[set[str]] = []
    for share in (0.1, 0.5):
        force.change("answer@v2", version.fingerprint, action="canary", actor="ada", share=share)
        found = {key for key in conversations if choose(library, force, "answer", key).label == "answer@v2"}
        assert abs(len(found) / len(conversations) - share) < 0.06
        answered.append(found)
    assert answered[0] < answered[1]
    assert force.label("answer") == "answer@v1"
    force.change("answer@v1", "x", action="return", actor="guard", reason="worse")
    assert {choose(library, force, "answer", key).label for key in conversations} == {"answer@v1"}
    assert [change.share for change in force.changes()] == [0.1, 0.5, None]


def test_a_promotion_ends_the_canary(library: Library, force: Force) -> None:
    version = library.get("answer@v2")
    force.change("answer@v2", version.fingerprint, action="canary", actor="ada", share=0.01)
    promote(library, force, "answer@v2")
    assert force.standing("answer").canary is None
    assert choose(library, force, "answer", "any").label == "answer@v2"


def test_an_altered_log_keeps_what_was_read_before(library: Library, force: Force) -> None:
    promote(library, force, "answer@v2")
    assert choose(library, force, "answer", "c").label == "answer@v2"
    force.path.write_text(force.path.read_text().replace("ada", "eve"))
    assert choose(library, force, "answer", "c").label == "answer@v2"
    assert "line 1 was altered" in (trouble(library, force) or "")


def test_lots_are_even() -> None:
    drawn = [lot("answer@v2", f"c{number}") for number in range(2000)]
    assert abs(sum(drawn) / len(drawn) - 0.5) < 0.03


async def test_a_running_pipeline_takes_it_up_with_the_next_turn(library: Library) -> None:
    pipeline = await make_pipeline(prompts={"folder": str(library.folder)})
    for label in ("answer@v1", "answer@v2"):
        done, _ = await ask(pipeline, "How do I turn on bounce keys?")
        assert done.turn_id
        assert recorded(pipeline, done.turn_id).turn.prompt == label
        other = Force(pipeline.force.path, DEFAULTS)  # as another process would
        promote(library, other, "answer@v2")
    await pipeline.close()


async def test_a_turn_reads_no_prompt_twice_and_none_it_does_not_need(library: Library) -> None:
    pipeline = await make_pipeline(prompts={"folder": str(library.folder)})
    asked_for: list[str] = []
    standing = pipeline.force.standing

    def counted(name: str) -> PromptStanding:
        asked_for.append(name)
        return standing(name)

    pipeline.force.standing = counted
    answer, _ = await ask(pipeline, "What happens when I close the lid of my laptop?")
    assert isinstance(answer, Answer)
    assert (answer.outcome, asked_for) == ("answered", ["answer"])
    await pipeline.close()
