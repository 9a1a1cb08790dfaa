"""Many users at once in several workspaces: nothing of one reaches another, by any way."""

from __future__ import annotations

import asyncio
import json
import random
import re
from pathlib import Path

import pytest

from evalsets.cases import cases
from pipeline import shelving
from pipeline.context.memory import Memory
from pipeline.events import Answer, Question
from pipeline.knowledge.documents import Document
from pipeline.knowledge.ingest import store
from pipeline.models.scripted import Scripted
from pipeline.settings import Settings, load_settings
from pipeline.turn import Pipeline
from tests.pipeline.turns import make_pipeline

USERS, SPACES, AT_ONCE = 50, 5, 20
_USER, _SPACE = re.compile(r"badge-(\d+)"), re.compile(r"hall-(\d+)")
# The same questions everywhere, so that a cache could mix them up; each user also says who they are.
QUESTIONS = (
    "My name is badge-{user}. Where is the kettle?",
    "Where is the kettle?",
    "And the cups?",
    "What is my name?",
    "Where are the keys kept?",
)


def documents(space: int) -> list[Document]:
    return [
        Document("kettle", "The kettle", f"The kettle stands in hall-{space}, beside the cups."),
        Document("keys", "The keys", f"The keys are kept in hall-{space} behind the door."),
    ]


async def turn(pipeline: Pipeline, user: int, number: int) -> list[str]:
    """Ask one question of a user and return what leaked into its answer."""
    space = user % SPACES
    question = Question(
        QUESTIONS[number % len(QUESTIONS)].format(user=user),
        user_id=f"user-{user}",
        conversation_id=f"c-{user}-{number // len(QUESTIONS)}",
        kb=f"space-{(space + number) % SPACES}" if number % 7 == 6 else None,  # often another's, too
        workspace=f"team-{space}",
    )
    *_, last = [event async for event in pipeline.answer(question)]
    assert isinstance(last, Answer), last
    searching = question.text != "What is my name?"  # which is answered from what the user said
    assert (last.outcome == "degraded") == (searching and question.kb not in (None, f"space-{space}")), last
    whole = str({**last.to_dict(), "kb": None})
    return [text for text in _USER.findall(whole) if text != str(user)] + [
        text for text in _SPACE.findall(whole) if text != str(space)
    ]


def remembered(memory: Memory, user: int, *, own: bool) -> int:
    """Count what a workspace remembers of a user and should not: others' words, or anything elsewhere."""
    theirs = memory.history.conversations(f"user-{user}", limit=1000)
    facts = [fact.text for fact in memory.facts(f"user-{user}")]
    assert bool(theirs and facts) == own
    leaked = sum(not row["conversation_id"].startswith(f"c-{user}-") for row in theirs)
    leaked += sum(f"badge-{user}" not in fact for fact in facts)
    return leaked + (memory.conversation(f"user-{user}", f"c-{(user + 1) % USERS}-0") is not None)


def own_prompt(settings: Settings, space: int) -> None:
    """Put a prompt of a workspace's own in force, which says whose it is."""
    prompts, force = shelving.library(settings), shelving.force(settings)
    first = prompts.get("answer@v1")
    path = prompts.new(
        "answer", first, first.text.replace("# system\n", f"# system\nYou serve hall-{space}.\n")
    )
    version = prompts.get(f"answer@{path.stem}")
    force.change(version.label, version.fingerprint, action="promote", actor="test")


def add_case(settings: Settings, space: int, user: int) -> None:
    """Put a case into the own evalset of a workspace, as the console does when somebody keeps a turn."""
    folder = settings.own.evalsets
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kept.toml").write_text(f'title = "Kept in hall-{space}"\n')
    case = {"id": f"badge-{user}", "question": f"badge-{user}: where is the kettle in hall-{space}?"}
    with (folder / "kept.jsonl").open("a") as file:
        file.write(json.dumps(case) + "\n")


def foreign_cases(space: int) -> int:
    """Count the cases of a workspace's own evalset that another's people asked, by list and by name."""
    with cases.belonging(f"team-{space}"):
        own = [row.title for row in cases.list_sets() if not row.shipped]
        questions = [case.question for case in cases.load_evalset("kept").cases]
    assert own == [f"Kept in hall-{space}"] and len(questions) == USERS // SPACES
    theirs = {f"badge-{user}: where is the kettle in hall-{space}?" for user in range(space, USERS, SPACES)}
    return len(set(questions) - theirs)


def mixed(model: Scripted) -> list[str]:
    """Return the prompts in which two users or two knowledge bases meet."""
    prompts = [prompt.render() for prompt in model.prompts]
    return [
        text for text in prompts if len(set(_USER.findall(text))) > 1 or len(set(_SPACE.findall(text))) > 1
    ]


async def kept_cases(folder: Path) -> int:
    """Let all users keep a case at once, then all workspaces read theirs at once; count what leaked."""
    settings = [load_settings(data_dir=folder, workspace=f"team-{space}") for space in range(SPACES)]
    for user in range(USERS):
        add_case(settings[user % SPACES], user % SPACES, user)
    return sum(await asyncio.gather(*(asyncio.to_thread(foreign_cases, n % SPACES) for n in range(20))))


async def leaks(folder: Path, turns: int) -> tuple[int, int]:
    """Run interleaved turns; return how many there were and how many leaked."""
    model = Scripted("It stands in the hall [1].")
    limits = {"requests_per_minute": 100_000, "user_turns": 1000}
    pipeline = await make_pipeline(model, documents=(), data_dir=folder, limits=limits)
    for space in range(SPACES):
        pipeline.workspaces.add(f"team-{space}", "test")
        pipeline.workspaces.give(f"team-{space}", f"space-{space}", "test")
        await store(documents(space), f"space-{space}", pipeline.knowledge)
        own_prompt(load_settings(data_dir=folder, workspace=f"team-{space}"), space)
    order = [(user, number) for number in range(turns // USERS) for user in range(USERS)]
    chance = random.Random(7)
    leaked = 0
    for start in range(0, len(order), USERS):  # users by turns, each in the order of their questions
        wave = order[start : start + USERS]
        chance.shuffle(wave)
        for at in range(0, USERS, AT_ONCE):
            results = await asyncio.gather(*(turn(pipeline, *place) for place in wave[at : at + AT_ONCE]))
            leaked += sum(map(bool, results))
    leaked += len(mixed(model)) + await kept_cases(folder)
    assert sum("You serve hall-" in prompt.render() for prompt in model.prompts) >= turns / 2
    for user in range(USERS):
        for space in range(SPACES):
            leaked += remembered(pipeline.memory.within(f"team-{space}"), user, own=user % SPACES == space)
    await pipeline.close()
    return len(order), leaked


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))  # where evalsets are looked for by name
    return tmp_path


async def test_350_interleaved_turns_leak_nothing(folder: Path) -> None:
    assert await leaks(folder, 350) == (350, 0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_10_000_interleaved_turns_leak_nothing(folder: Path) -> None:
    assert await leaks(folder, 10_000) == (10_000, 0)
