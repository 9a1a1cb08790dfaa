"""The words of the page: all there in each language, and the language a browser wants."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from console.chat import history, thread, why, words
from console.chat.markup import SOURCE, answer, render
from pipeline.text.languages import SPOKEN, accepted

TEMPLATES = Path(words.__file__).parent / "templates"
_SAID = re.compile(r"_\('((?:[^'\\]|\\.)*)'|(?:tool|flip)\('([^']+)'")
_VALUE = re.compile(r"\{\w*\}")


def texts() -> set[str]:
    """Return every English text that the page may show."""
    shown = {
        first or second
        for path in TEMPLATES.glob("*.html")
        for first, second in _SAID.findall(path.read_text("utf-8"))
    }
    ages = ("Today", "Yesterday", "Last 7 days", "Earlier", "Pinned")
    shown |= {SOURCE, "1 cited"}
    return shown | set(words.SCRIPTED) | set(thread.REASONS.values()) | set(why.SUPPORTS.values()) | set(ages)


@pytest.mark.parametrize("code", SPOKEN[1:])
def test_every_text_is_there_with_the_same_values(code: str) -> None:
    missing = [text for text in texts() if text not in words._texts()]
    assert missing == []
    for text in texts():
        translated = words.say(code, text)
        assert translated, text
        assert sorted(_VALUE.findall(translated)) == sorted(_VALUE.findall(text)), text


def test_no_line_is_left_that_nothing_shows() -> None:
    assert set(words._texts()) - texts() - {"{n} read", "{n} cited"} == set()


def test_a_page_is_drawn_in_the_language() -> None:
    assert "您想了解什么？" in thread.welcome((), None, "zh")
    assert 'aria-label="来源 1：Oven"' in answer("Turn it [1].", "t", {1: "Oven"}, "zh")
    assert "Willkommen" in thread.welcome((), "Willkommen", "de")
    assert "Rechercher" not in render("fine_print.html", disclaimer="Own & only", tongue="fr")
    assert "Own &amp; only" in render("fine_print.html", disclaimer="Own & only", tongue="fr")
    drawer = history.drawer([], "", __import__("datetime").date(2026, 1, 1), tongue="es")
    assert "Aquí aparecerán sus conversaciones." in drawer


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("fi, zh-CN;q=0.8, en;q=0.7", "zh"),
        ("en;q=0.1, pt-BR;q=0.9", "pt"),
        ("fr;q=0, en", "en"),
        ("fi", None),
        ("", None),
        ("*;q=x,;;;,\x00", None),
    ],
)
def test_the_browsers_language(header: str, expected: str | None) -> None:
    assert accepted(header) == expected
