"""The page people sign in on: in their language, under the product's configured name."""

from __future__ import annotations

import html

import pytest
from starlette.requests import Request

from pipeline import notices
from pipeline.access.accounts import AccessError
from pipeline.access.people import People, Throttled
from pipeline.auth import Keys
from pipeline.http.sign_in_page import SignInPage
from pipeline.text.languages import SPOKEN

FIXED = (notices.SIGN_IN, notices.SIGN_IN_ELSEWHERE, notices.SIGN_IN_SECRET, notices.SIGN_IN_KEY)


def drawn(accept_language: str, message: str = "", name: str = "Answerdeck") -> str:
    headers = [(b"accept-language", accept_language.encode())]
    return SignInPage(name).of(Request({"type": "http", "headers": headers}), "/way").drawn(message)


@pytest.mark.parametrize("code", SPOKEN)
def test_it_speaks_the_language_of_the_browser(code: str) -> None:
    page = drawn(f"{code}-XX,{code};q=0.9,en;q=0.5", notices.NO_ROLE)
    assert f'<html lang="{code}">' in page
    for text in (*FIXED, notices.NO_ROLE):
        assert html.escape(notices.spoken(text, code)) in page
        assert (text in page) == (code == "en")


def test_it_bears_the_configured_name_and_escapes_what_it_is_given() -> None:
    page = drawn("fi", "<b>no</b>", "Ask <Acme>")
    assert "Ask &lt;Acme&gt;</h1>" in page and "&lt;b&gt;no" in page and '<html lang="en">' in page


@pytest.mark.parametrize("name", ["", "ada"])
def test_what_a_wrong_try_says_is_translated(name: str) -> None:
    people = People(None, Keys("env:viewer:" + "0" * 64))
    with pytest.raises(AccessError) as wrong:
        people.sign_in(name, "nothing", "")
    people.close()
    for sentence in (str(wrong.value), str(Throttled(300.0))):
        assert notices.spoken(sentence, "de") != sentence
