"""The conversation itself: questions, answers, their notices and what can be done with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from console.chat import markup
from console.chat.exchange import Exchange
from pipeline import notices

Rating = Literal["up", "down", "asking", "thanked", "failed"]  # asking: a thumb down whose form is open
REASONS = {
    "not_correct": "Not correct",
    "not_complete": "Not complete",
    "wrong_sources": "Wrong sources",
    "other": "Something else",
}


Contact = Literal["offered", "open", "sent", "failed"]


@dataclass(frozen=True, slots=True)
class Versions:
    """Where a turn stands among the versions of its question; heads name the versions beside it."""

    place: int
    count: int
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Look:
    """How a turn is shown, beside what is in it."""

    last: bool = False  # the newest turn can be asked again and taken back
    rating: Rating | None = None
    console: str | None = None  # address of the console, for operators only
    tongue: str = "en"
    versions: Versions | None = None  # of the question, when it was edited or asked again
    next: Sequence[str] = ()  # questions that may follow
    contact: Contact | None = None  # whether a person can be talked to about it


def welcome(examples: Sequence[str], greeting: str | None = None, tongue: str = "en") -> Markup:
    """Return what an empty conversation shows."""
    return markup.render("welcome.html", examples=examples, greeting=greeting, tongue=tongue)


def turn(exchange: Exchange, look: Look) -> Markup:
    """Return one question with its answer."""
    titles = {passage["n"]: passage["title"] for passage in exchange.passages}
    return markup.render(
        "thread.html",
        turn=exchange,
        look=look,
        html=markup.answer(exchange.answer, exchange.turn_id, titles, look.tongue),
        cited=markup.cited(exchange.answer) & titles.keys(),
        reasons=REASONS,
        not_kept=notices.spoken(notices.NOT_KEPT, look.tongue),
        tongue=look.tongue,
    )
