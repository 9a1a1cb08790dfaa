"""Meets what people say that is no question about the documents: greetings, thanks, "who are you?"."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

from pipeline.events import Message
from pipeline.text.languages import LETTERS, language

PHRASES = Path(__file__).parent / "talk.toml"
LONGEST = 120  # characters; who writes more has something to ask
SAMPLE = 600  # characters of a passage that tell its language
QUOTED = 200  # characters of an earlier question that are repeated
QUOTING = frozenset({"simpler", "translate"})  # only a model that quotes must decline these
_PIECES = re.compile(r"[.!?;,…。！？，、；\n]+|\s[-–—]\s|\s(?=thank|danke|merci|gracias|obrigad)")
_KEPT = re.compile(r"[^\w\s'\u064b-\u0652\u0900-\u0dff\u0e00-\u0e7f-]+")  # some scripts write vowels as marks
_ABSTENTION = re.compile(
    r"^\W*(i (could|can|did)( ?not|n[’']t) find (this|that|it|the answer|any|an answer|information)"
    r"|this is not in the documents|the (documents|passages) do not)",
    re.IGNORECASE,
)
_ANY = re.compile(r"\w")
_COURTESIES = frozenset({"greeting", "wellbeing", "thanks", "agreement", "praise", "goodbye"})
_ASKING = re.compile(
    r"\W*(?:(?:and|but|so|then|now|also|please)\W+)*(?:how|what|when|where|why|who|whose|which|is|are|was|were|do"
    r"|does|did|can|could|may|should|will|would|has|have|had|i|we|my|tell|show|explain)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Tongue:
    """What is said in one language, and the replies."""

    say: dict[str, re.Pattern[str]]
    reply: dict[str, str]
    not_found: str
    foreign: str
    unsure: str


@dataclass(frozen=True, slots=True)
class SmallTalk:
    """An utterance that needs no document: what it is and the language it is in."""

    intent: str
    language: str


def heard(text: str, *, quoting: bool = True) -> SmallTalk | None:
    """Return what the text is when all of it is talk, or None when it may ask the documents.

    With a model that words its answers itself (`quoting` false), wishes for another wording are
    none of ours.
    """
    if len(text) > LONGEST:
        return None
    if not LETTERS.search(text):
        return _without_letters(text)
    phrases = [_piece(piece) for piece in _PIECES.split(_plain(text)) if _ANY.search(piece)]
    talks = [talk for talk in phrases if talk is not None]
    if not talks or len(talks) < len(phrases):
        return None
    last = next((t for t in reversed(talks) if t.intent not in ("greeting", "agreement")), talks[-1])
    return None if last.intent in QUOTING and not quoting else last


def asked(text: str) -> str:
    """Return what a message asks, without the courtesies around it: "Thanks! And how do I undo that?"."""
    if not _ASKING.search(text) or len(text) > QUOTED:
        return text
    cuts = [0, *(match.end() for match in _PIECES.finditer(text)), len(text)]
    spans = [span for span in pairwise(cuts) if _ANY.search(text[slice(*span)])]
    intents = [_courtesy(text[slice(*span)]) for span in spans]
    first = next((place for place, intent in enumerate(intents) if intent is None), None)
    if first is None:
        return text
    last = max(place for place, intent in enumerate(intents, 1) if intent not in ("thanks", "goodbye"))
    first = first if _ASKING.match(text[spans[first][0] :]) else 0
    return text[spans[first][0] : spans[last - 1][1]].strip(" \n,;-–—") if last - first < len(spans) else text


def asking(history: Sequence[Message]) -> tuple[Message, ...]:
    """Return the messages of a conversation without what is only said, and the replies to that."""
    messages: list[Message] = []
    talks = False
    for message in history:
        talks = heard(message.text) is not None if message.role == "user" else talks
        if not talks:
            messages.append(message)
    return tuple(messages)


def reply(talk: SmallTalk, history: Sequence[Message]) -> str:
    """Return the sentence to say; earlier questions are taken from the history."""
    sentences = _tongues()[talk.language].reply
    if not talk.intent.startswith("earlier"):
        return sentences[talk.intent]
    questions = [m.text for m in history if m.role == "user" and heard(m.text) is None]
    if not questions:
        return sentences["nothing_earlier"]
    question = " ".join(questions[0 if talk.intent == "earlier_first" else -1].split())[:QUOTED]
    return sentences[talk.intent].replace("{question}", question)


def not_found(question: str, code: str | None = None) -> str:
    """Return "I could not find this" in the language of the question, else in `code`, where known here."""
    return _tongues().get(language(question) or code or "en", _tongues()["en"]).not_found


def unsure(question: str) -> str:
    """Return "I am not sure which of these you mean:" in the language of the question, where known here."""
    return _tongues().get(language(question) or "en", _tongues()["en"]).unsure


def unserved(question: str, texts: Iterable[str], served: frozenset[str] | None) -> str | None:
    """Return what to say to a question in a language that the search does not serve, or None.

    `served` are the embedder's languages. Documents that are in the question's own language are
    found by their words, so they are answered from.
    """
    code = language(question)
    if served is None or code is None or code in served:
        return None
    there = {language(text[:SAMPLE]) for text in texts}
    if code in there or there.isdisjoint(served):
        return None
    return _tongues().get(code, _tongues()["en"]).foreign


def abstention(text: str) -> bool:
    """Tell whether a text is one of these sentences of "not found" or "not in this language"."""
    return any(text.strip() in (tongue.not_found, tongue.foreign) for tongue in _tongues().values())


def abstains(answer: str) -> bool:
    """Tell whether an answer says that the documents do not have it, and cites nothing."""
    return (bool(_ABSTENTION.match(answer)) or abstention(answer)) and "[" not in answer


def _without_letters(text: str) -> SmallTalk | None:
    """Read a text of signs alone: a thumb, a heart, question marks. Digits may name something."""
    if re.search(r"\d", text):
        return None
    for intent, signs in _data()["signs"].items():
        if any(sign in text for sign in signs):
            return SmallTalk(intent, "en")
    return SmallTalk("unreadable", "en")


def _courtesy(text: str) -> str | None:
    talk = _piece(_plain(text).strip(" -–—"))
    return talk.intent if talk and talk.intent in _COURTESIES else None


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("’", "'")


def _piece(piece: str) -> SmallTalk | None:
    return _phrase(" ".join(_KEPT.sub(" ", piece).split()))


@lru_cache(maxsize=512)  # a turn asks it of each of its phrases twice, and 150 patterns are tried
def _phrase(words: str) -> SmallTalk | None:
    for code, intent, pattern in _patterns():
        if pattern.fullmatch(words):
            return SmallTalk(intent, code)
    return None


@cache
def _patterns() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    return tuple(
        (code, intent, pattern)
        for code, tongue in _tongues().items()
        for intent, pattern in tongue.say.items()
    )


@cache
def _data() -> dict[str, dict[str, str]]:
    return tomllib.loads(PHRASES.read_text(encoding="utf-8"))


@cache
def _tongues() -> dict[str, _Tongue]:
    return dict(_read())


def _read() -> Iterator[tuple[str, _Tongue]]:
    for code, part in tomllib.loads(PHRASES.read_text(encoding="utf-8")).items():
        if code == "signs":
            continue
        gap = "" if code in ("zh", "ja", "th") else r"\s+"
        filler = rf"(?:{part.get('fillers', '')})"
        say = {
            intent: re.compile(rf"(?:{filler}{gap}){{0,3}}(?:{'|'.join(phrases)})(?:{gap}{filler}){{0,3}}")
            for intent, phrases in part.get("say", {}).items()
        }
        yield code, _Tongue(say, part.get("reply", {}), part["not_found"], part["foreign"], part["unsure"])
