"""What a team asks of its own documents, from file to answer: the field's cases and sisters of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.events import Answer
from pipeline.knowledge.cross_encoder import CrossEncoder
from pipeline.knowledge.documents import Document
from pipeline.knowledge.ingest import ingest
from tests.pipeline.field_cases import (
    MENUS,
    OF_THE_FIELD,
    PASSES,
    READ_BESIDE,
    SAMPLES,
    SISTERS,
    TASKS,
    THAWED,
    Case,
)
from tests.pipeline.turns import ask, make_pipeline, recorded

FIELD = Path(__file__).parents[2].parent / "shared" / "data" / "field"
MISSING = CrossEncoder().trouble


@pytest.fixture(autouse=True, params=["words alone", "cross-encoder"])
def crossing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Ask everything twice, by each of the two ways in which an answer is chosen; return which it is."""
    crossing = request.param == "cross-encoder"
    if crossing and MISSING is not None:
        pytest.skip(MISSING)
    monkeypatch.setenv("ANSWERDECK_MODELS__CROSS_ENCODER", str(crossing).lower())
    monkeypatch.setenv("ANSWERDECK_LIMITS__REQUESTS_PER_MINUTE", "600")
    return crossing


async def wrong(shelves: Iterable[tuple[list[Path], list[Case]]]) -> list[str]:
    """Put each set of files on a shelf of its own in a fresh data folder and return what is not right."""
    pipeline = await make_pipeline(documents=())
    failed: list[str] = []
    for number, (paths, cases) in enumerate(shelves):
        kb = f"shelf{number}"
        await ingest(paths, kb, pipeline.knowledge)
        for question, inside, outside in cases:
            answer, _ = await ask(pipeline, question, kb=kb)
            assert isinstance(answer, Answer)
            there = all(part in answer.answer for part in (inside or "").split("&"))
            there = there or any(part in answer.answer for part in (inside or "").split("|"))
            there = there and not any(part in answer.answer for part in filter(None, outside.split("|")))
            if not there or answer.outcome != ("no_context" if inside is None else "answered"):
                failed.append(f"{question} {answer.outcome}: {answer.answer}")
    await pipeline.close()
    return failed


async def test_an_answer_is_about_what_was_asked(crossing: bool, tmp_path: Path) -> None:
    shelves: list[tuple[list[Path], list[Case]]] = []
    sisters = [*SISTERS, (PASSES, READ_BESIDE), (MENUS, TASKS), (SAMPLES, THAWED)] if crossing else SISTERS
    for number, (documents, cases) in enumerate(sisters):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, text in documents.items():
            (folder / name).write_text(text, encoding="utf-8")
        shelves.append(([folder], cases))
    assert await wrong(shelves) == []


@pytest.mark.skipif(not FIELD.is_dir(), reason="the field inputs are not beside the checkout (../shared)")
async def test_the_field_is_answered_as_expected() -> None:
    shelves = (
        (sorted(path for path in (FIELD / name).iterdir() if path.name != "expect.md"), cases)
        for name, cases in OF_THE_FIELD.items()
    )
    assert await wrong(shelves) == []


TALK = [
    ("hello there", "talk"),
    ("what can you do for me", "talk"),
    ("How do I turn on bounce keys?", "answered"),
    ("cheers mate", "talk"),
    ("what was my first question?", "talk"),
    ("👏", "talk"),
    ("good evening!", "talk"),
    ("you're brilliant", "talk"),
    ("who made you?", "talk"),
    ("ok got it", "talk"),
    ("see you tomorrow", "talk"),
    ("vielen Dank", "talk"),
    ("bonjour", "talk"),
    ("What happens when I close the lid of my laptop?", "answered"),
]


async def test_talk_between_questions_is_no_missed_retrieval() -> None:
    pipeline = await make_pipeline()
    conversation: str | None = None
    wrong: list[str] = []
    for text, kind in TALK:
        answer, _ = await ask(pipeline, text, conversation_id=conversation)
        assert isinstance(answer, Answer)
        conversation = answer.conversation_id
        row = recorded(pipeline, answer.turn_id).turn
        talked = row.route == "talk" and row.hit is None and not answer.citations
        if answer.outcome != "answered" or talked != (kind == "talk") or "could not find" in answer.answer:
            wrong.append(f"{text}: {answer.outcome} {row.route} {answer.answer}")
    await pipeline.close()
    assert wrong == []


DUPLEX = (
    Document(
        "duplex",
        "Duplex printing",
        "## Enable duplex printing\n\n1. Open the tray menu.\n2. Choose Duplex.\n\n"
        "## Disable duplex printing\n\n1. Open the tray menu.\n2. Choose Single.\n",
    ),
)


async def test_a_follow_up_leans_on_the_question_before_not_on_thanks_between() -> None:
    pipeline = await make_pipeline(documents=DUPLEX)
    conversation: str | None = None
    answer = ""
    for text in ("How do I enable duplex printing?", "great, thanks!", "And how do I undo that?"):
        last, _ = await ask(pipeline, text, conversation_id=conversation)
        assert isinstance(last, Answer)
        conversation, answer = last.conversation_id, last.answer
    await pipeline.close()
    assert "Choose Single" in answer and "Choose Duplex" not in answer


QUOTED = (
    '"bounce keys"',
    '"turn on" "bounce keys"',
    '""',
    "'lid' OR \"wifi\"",
    "lid^2 AND (title:*",
    '"lid',
    "~ + - \\",
)
UNSERVED = (
    ("¿Cómo activo las teclas de rebote?", "inglés"),
    ("Wie verbinde ich mich mit einem versteckten Funknetz?", "Englisch"),
    ("Comment fermer le capot de mon ordinateur ?", "anglais"),
    ("Milloin laitan näppäimet päälle?", "englanniksi"),
    ("Hvordan åbner jeg låget?", "engelsk"),
    ("Коли закривається кришка?", "англійською"),
    ("how do i tunr on bounec keys", "Bounce Keys"),
    ("conect to hiden wirless netwrok", "Hidden Network"),
)


async def test_a_question_is_text_and_breaks_no_search_and_no_breaker() -> None:
    pipeline = await make_pipeline()
    for question in QUOTED:
        answer, _ = await ask(pipeline, question, user_id="ada")
        assert isinstance(answer, Answer)
        assert (answer.notice, answer.outcome in ("answered", "no_context")) == (None, True), question
    other, _ = await ask(pipeline, "How do I turn on bounce keys?", user_id="bob")
    assert isinstance(other, Answer)
    assert (other.outcome, other.notice) == ("answered", None)
    assert not any(span.error for span in recorded(pipeline, other.turn_id).spans)
    await pipeline.close()


async def test_other_languages_and_misspelt_words_are_met() -> None:
    pipeline = await make_pipeline()
    for question, inside in UNSERVED:
        answer, _ = await ask(pipeline, question)
        assert isinstance(answer, Answer)
        assert inside in answer.answer
    await pipeline.close()
