"""Talk is met without a search; what may ask the documents never is."""

from __future__ import annotations

import pytest

from pipeline.events import Message, Sources
from pipeline.talk import abstention, asked, asking, heard, not_found, reply, unserved, unsure
from pipeline.text import languages
from tests.pipeline.turns import ask, make_pipeline, recorded


@pytest.mark.parametrize(
    ("text", "intent", "code"),
    [
        ("hello there", "greeting", "en"),
        ("what can you do for me", "abilities", "en"),
        ("cheers mate", "thanks", "en"),
        ("perfect thank you very much", "thanks", "en"),
        ("Hi, thanks for the help", "thanks", "en"),
        ("Are you a bot or a human?", "identity", "en"),
        ("what was my first question?", "earlier_first", "en"),
        ("That's wrong.", "complaint", "en"),
        ("explain that more simply", "simpler", "en"),
        ("👏", "praise", "en"),
        ("???", "unreadable", "en"),
        ("Was kannst du?", "abilities", "de"),
        ("Danke schön!", "thanks", "de"),
        ("merci beaucoup", "thanks", "fr"),
        ("¿Qué puedes hacer?", "abilities", "es"),
        ("obrigado", "thanks", "pt"),
        ("谢谢", "thanks", "zh"),
        ("grazie mille!", "thanks", "it"),
        ("Dank u wel", "thanks", "nl"),
        ("Здравствуйте!", "greeting", "ru"),
        ("ありがとうございます", "thanks", "ja"),
        ("شكرًا", "thanks", "ar"),
        ("धन्यवाद", "thanks", "hi"),
        ("ขอบคุณครับ", "thanks", "th"),
        ("hyvää huomenta", "greeting", "fi"),
        ("do widzenia", "goodbye", "pl"),
    ],
)
def test_talk_is_told_with_its_language(text: str, intent: str, code: str) -> None:
    talk = heard(text)
    assert talk is not None
    assert (talk.intent, talk.language) == (intent, code)
    assert reply(talk, ())


@pytest.mark.parametrize(
    "text",
    [
        "Thanks! And how do I undo that?",
        "hello, how do I turn on bounce keys?",
        "Can you help me with the printer?",
        "what can you do with a mouse?",
        "no, I meant the webcam",
        "How old is the pump?",
        "E-104",
        "12",
        "goodbye screen",
        "hello " * 60,
    ],
)
def test_a_question_is_no_talk(text: str) -> None:
    assert heard(text) is None


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Thanks! And how do I undo that?", "And how do I undo that?"),
        ("Great, thank you! what about the second one", "what about the second one"),
        ("Good morning - where is the key?", "where is the key?"),
        ("danke, and how do I close it?", "and how do I close it?"),
        ("How do I lock it? Thanks!", "How do I lock it?"),
        ("Nice, Lyon or Paris: which has a tram?", "Nice, Lyon or Paris: which has a tram?"),
        ("What do yes, no and ok mean?", "What do yes, no and ok mean?"),
        ("The lamp flickers. Thanks!", "The lamp flickers. Thanks!"),
        ("thanks", "thanks"),
    ],
)
def test_a_question_is_taken_out_of_the_courtesies_around_it(text: str, question: str) -> None:
    assert asked(text) == question


def test_talk_is_no_part_of_what_a_follow_up_leans_on() -> None:
    history = [
        Message("user", "How do I turn on bounce keys?"),
        Message("assistant", "So [1]."),
        Message("user", "thanks"),
        Message("assistant", "You're welcome!"),
    ]
    assert asking(history) == tuple(history[:2])


def test_another_wording_is_declined_only_by_a_model_that_quotes() -> None:
    assert heard("explain that more simply", quoting=False) is None
    assert heard("thanks", quoting=False) is not None


def test_earlier_questions_are_repeated_without_the_talk_between() -> None:
    history = [
        Message("user", "hello"),
        Message("assistant", "Hello!"),
        Message("user", "How do I turn on bounce keys?"),
        Message("assistant", "So [1]."),
        Message("user", "thanks"),
    ]
    first = heard("What was my first question?")
    assert first is not None
    assert "How do I turn on bounce keys?" in reply(first, history)
    assert "not asked anything" in reply(first, ())


def test_not_found_speaks_the_language_of_the_question() -> None:
    assert not_found("Wo finde ich die Einstellungen für den Drucker?").startswith("Das habe ich")
    assert not_found("Where is it?") == not_found("x") == "I could not find this in the documents."
    assert abstention(not_found("Wo finde ich die Einstellungen für den Drucker?"))


async def test_a_talk_turn_counts_apart_from_retrieval() -> None:
    pipeline = await make_pipeline()
    answer, events = await ask(pipeline, "thanks!")
    assert (answer.outcome, answer.citations) == ("answered", ())  # pyright: ignore[reportAttributeAccessIssue] no failure
    assert [event.passages for event in events if isinstance(event, Sources)] == [()]
    turn = recorded(pipeline, answer.turn_id or "").turn
    assert (turn.route, turn.hit, turn.top_score) == ("talk", None, None)


@pytest.mark.parametrize(
    ("question", "begins"),
    [
        ("Wie ändere ich den Bildschirmhintergrund?", "Ich kann diese Dokumente nur auf Englisch"),
        ("Comment changer le fond d'écran ?", "Je ne peux chercher"),
        ("¿Cómo activo el modo avión?", "Solo puedo buscar"),
        ("Como posso ligar o teclado da minha conta?", "Só consigo pesquisar"),
        ("如何打开键盘？", "我只能用英语"),
    ],
)
async def test_a_language_the_embedder_does_not_serve_is_said_to_be_so(question: str, begins: str) -> None:
    answer, _ = await ask(await make_pipeline(), question)
    assert answer.outcome == "no_context"  # pyright: ignore[reportAttributeAccessIssue] no failure
    assert answer.answer.startswith(begins)  # pyright: ignore[reportAttributeAccessIssue] no failure


@pytest.mark.parametrize(
    ("code", "question"),
    [
        ("sv", "Hur kan jag lägga till en fil och var är den?"),
        ("pl", "Jak mogę dodać plik i gdzie jest to?"),
        ("tr", "Bu dosyayı nasıl eklerim ve nerede?"),
        ("ko", "문서를 어떻게 추가하나요?"),
        ("ar", "كيف يمكنني إضافة مستند جديد؟"),
        ("he", "איך אני מוסיף משתמש חדש?"),
        ("el", "Πώς προσθέτω ένα έγγραφο;"),
        ("hi", "मैं दस्तावेज़ कैसे जोड़ूँ?"),
        ("th", "ฉันจะเพิ่มเอกสารได้อย่างไร"),
    ],
)
def test_a_language_that_is_not_served_is_told_so_in_itself(code: str, question: str) -> None:
    text = unserved(question, ["The lid closes the laptop, and that is how it sleeps."], frozenset({"en"}))
    assert text is not None
    assert languages.language(question) == code
    assert text != unserved("Wie geht das mit dem Fisch?", ["The lid is what it was."], frozenset({"en"}))
    assert languages.language(text) in (code, None)  # a sentence may be too short to tell
    assert abstention(text)
    assert languages.language(not_found(question)) in (code, None)
    assert unsure(question) != unsure("Which is it?")
