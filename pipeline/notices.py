"""The sentences the product itself says: calm, one thought each."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from pipeline.knowledge.standing import Lag
from pipeline.text.polarity import digits
from pipeline.text.sentences import words

_SPOKEN = Path(__file__).with_suffix(".toml")
NOT_FOUND = "I could not find this in the documents."
EMPTY = "There are no documents to answer from yet. Add some with `answerdeck ingest PATH`."
NO_KNOWLEDGE = "I cannot search the documents right now. Please try again in a moment."
PARTIAL_SEARCH = "Only a part of the search worked for this answer."
DEGRADED = "The language model is not reachable; these are the best matching passages."
TOO_LONG = "This was too long for the language model; these are the best matching passages."
FORGOTTEN = "I could not look up our earlier conversation for this answer."
NOT_KEPT = "Your feedback cannot be kept right now. Please try again in a moment."
STOPPING = "The server is being restarted. Please ask again in a moment."
CUT = "The answer was cut short. Please ask again for the rest."
GOES_ON = "The answer broke off here and goes on:"
RESORTS = "The answer broke off here. The documents say:"
RESUMED = "The language model broke off in the middle of this answer; the text says where."
THOUGHT_ALONE = "The model reached its length limit before its answer. Please ask a narrower question."
SHORTENED = "The answer reached its length limit."
UNCITED = "This answer names no source. Please check it before you rely on it."
DECLINED = "The language model declined to answer this question."
WITHHELD = "I cannot show this answer."
BUSY = "Too many questions are being answered right now. Please try again in a few seconds."
ONE_BY_ONE = "Several of your questions are still being answered. Please wait for them."
BUDGET = "The budget for answers is used up for now; these are the best matching passages."
NO_BUDGET = "The budget is used up for now."
UNPRICED = "The model has no known price, so only the best matching passages are shown."
SLOW_DOWN = "You are asking faster than allowed. Please wait {seconds} s and try again."
SORRY = "Something went wrong on our side. Please try again; if it stays, name turn {turn_id}."
SORRY_SOON = "Something went wrong on our side. Please try again in a moment."
UPLOAD_KIND = "{name} cannot be added: files of this kind are not read."
UPLOAD_LARGE = "{name} cannot be added: a file may have {megabytes} MB at most."
UPLOAD_MANY = "You have {files} documents, as many as you may have. Please remove one first."
UPLOAD_LONG = "{name} cannot be added: all your documents together may have {pages} pages."
UPLOAD_LOCKED = "{name} cannot be added: it is protected by a password."
UPLOAD_EMPTY = "{name} cannot be added: there is no text in it."
UPLOAD_BROKEN = "{name} cannot be added: it may be damaged, or is not what its name says."
UPLOAD_STOPPED = "{name} was not added: the server was restarted meanwhile. Please add it again."
UPLOAD_FAILED = "{name} was not added: something went wrong on our side. Please try again in a moment."
SIGN_IN = "Sign in"
SIGN_IN_ELSEWHERE = "Sign in with your organisation"
SIGN_IN_NAME = "Name"
SIGN_IN_SECRET = "Password or key"
SIGN_IN_KEY = "With a key, leave the name empty."
WRONG_PASSWORD = "This name and password are not known."
WRONG_KEY = "This key is not known."
WRONG_OFTEN = "Too many wrong tries. Please wait {minutes} min and try again."
ELSEWHERE_ODD = "Your organisation's sign-in did not work. Please try again; if it stays, tell an admin."
ELSEWHERE_AWAY = "Your organisation's sign-in cannot be reached right now. Please try again in a moment."
ELSEWHERE_ENDED = "This sign-in has ended. Please begin again."
NO_WORKSPACE = "You are signed in, but belong to no workspace here yet. Please ask an admin for one."
NO_ROLE = "You are signed in, but have no role here yet. Please ask an admin for one."
NO_UPLOADS = "Documents of your own cannot be added here."
WAITING = "{title} is not indexed yet; please ask again later for what it says."
WAITING_ONE = "1 document is not indexed yet; this answer does not know it."
WAITING_MANY = "{count} documents are not indexed yet; this answer does not know them."


def slow_down(seconds: float) -> str:
    return SLOW_DOWN.format(seconds=max(round(seconds), 1))


def sorry(turn_id: str) -> str:
    return SORRY.format(turn_id=turn_id)


def spoken(text: str, code: str | None) -> str:
    """Return a sentence of this file in a language (ISO 639-1); other text and languages stay as they are.

    Sentences are written in English where they arise and put into the user's language where they leave.
    """
    tongue = _tongues().get(code or "en")
    if tongue is None:
        return text
    for name, pattern in _patterns():
        if match := pattern.fullmatch(text):
            return tongue[name].format(**match.groupdict())
    return text


@cache
def _tongues() -> dict[str, dict[str, str]]:
    return tomllib.loads(_SPOKEN.read_text(encoding="utf-8"))


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Return the English sentences by name as patterns whose groups are their values."""
    english = {name: value for name, value in globals().items() if name.isupper() and isinstance(value, str)}
    return [
        (name, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(text)), re.DOTALL))
        for name, text in english.items()
    ]


def _nearness(title: str, question: str) -> float:
    """Return the share of a title's words in a question; 0 under a half, or when a number differs."""
    title_words = set(words(title))
    if not title_words or not digits(title) <= digits(question):
        return 0.0
    share = len(title_words & set(words(question))) / len(title_words)
    return share if share >= 0.5 else 0.0


def indexing(question: str, lag: Lag) -> str | None:
    """Say that documents still wait to be indexed, naming the one that the question seems to need."""
    if not lag.pending:
        return None
    title = max(lag.waiting, key=lambda title: _nearness(title, question), default=None)
    if title is not None and _nearness(title, question):
        return WAITING.format(title=repr(title))
    return WAITING_MANY.format(count=lag.pending) if lag.pending > 1 else WAITING_ONE
