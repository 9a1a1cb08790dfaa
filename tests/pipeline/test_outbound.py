"""The outbound guard: nothing forbidden is ever streamed, however the text is cut."""

from __future__ import annotations

import codecs
import re
import time
from base64 import b64encode
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.guardrails.outbound import Outbound
from tests.factories import make_passage

PASSAGES = (
    "See https://docs.example.com/a/b or https://x.org. Mail support@acme.com, call +1 650-253-0000."
    " The deposit account is described in the guide."
)
PROMPT = (
    "You answer questions for the users of a product, from its documents only. Use only what the numbered"
    ' passages say. Say "I could not find this in the documents." when they do not answer the question.'
)
KEY = "sk-" + "a1B2c3D4e5F6g7H8i9J0"
JWT = "eyJhbGciOi.eyJzdWIiOiIx.sig"
CARD = "4111 1111 1111 1111"
IBAN = "DE89 3704 0044 0532 0130 00"
PIECES = [
    "Open Settings", " ", "  ", "\n", ".", ",", "[1]", "[9]", "[1, 2]", "[1-3]", "[", "]", "(", ")", "![",
    "!", "](", "](http://evil.com/x)", "](https://x.org)", "http://evil.com/?q=", "https://x.org",
    "www.evil.com",
    "<", ">", "<b>", "<script>", "</script>", "<img src=x onerror=y>", "<region>", "`", "```", "javascript:",
    "alert(1)", "data:text/html,x", KEY, "sk-", "AKIA" + "Q" * 16, CARD, "4111", "1111", "-", IBAN, "DE89",
    "123-45-6789", "+1 650-253-0001", "+1 650-253-0000", "joe@evil.com", "joe", "@", "evil.com", "password",
    " is ", ": ", "= ", "hunter2x!", "api", " key", "Bearer ", "abcdefghijklmnop12345", "\x00", "\u200b",
    "\u200d", "é", "\u202e", "\ud800", "a" * 90, "1 2 3 4 5 6 7 8 9 ",
    "-----BEGIN RSA PRIVATE KEY-----", "MIIE", "-----END RSA PRIVATE KEY-----",
    "from its documents only", "Use only what the numbered passages say", "://", JWT,
]  # fmt: skip
FORBIDDEN = re.compile(
    r"!\[|<(?:script|img)\b|javascript:\S|evil\.com/\?q|\]\(http://evil|www\.evil|[\x00\u200b\u202e\ud800]"
    r"|sk-a1B2c3D4e5F6g7H8|AKIAQ{16}|(?<![0-9])4111 1111 1111 1111(?![0-9])|DE89 3704 0044 0532 0130 00"
    r"|joe@evil|(?<![0-9])123-45-6789(?![0-9])|(?<![0-9+])\+1 650-253-0001(?![0-9).-])"
    r"|BEGIN RSA PRIVATE KEY|eyJhbGciOi\.eyJ",
    re.IGNORECASE,
)


def stream(text: str, size: int | list[int] = 10_000, **policy: str) -> tuple[str, list[str]]:
    """Send the text in pieces (all of one size, or cut at the given places); return it as shown."""
    guard = Outbound(**policy).open({1, 2, 3}, PASSAGES, PROMPT)  # type: ignore[arg-type]  # Literals
    cuts = size if isinstance(size, list) else list(range(size, len(text), size))
    edges = [0, *sorted(set(cuts)), len(text)]
    pieces = [guard.feed(text[a:b]) for a, b in pairwise(edges)]
    return "".join([*pieces, guard.finish()]), sorted(guard.findings)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Open Settings [1].", "Open Settings [1]."),
        ("A [1,2] b [1-3] c [1][2].", "A [1][2] b [1][2][3] c [1][2]."),
        ("A [9]. B [2, 9] c [^1].", "A. B [2] c [1]."),
        ("First [0]. Second 【1】. Third 【9】, fourth [doc 3], fifth 【2:0†guide.md】.",
         "First. Second [1]. Third, fourth [3], fifth [2]."),
        ("【注意】请重启。", "【注意】请重启。"),
        ("Use 10.0.0.7, 192.168.0.9, 172.16.3.4 or fd00:ab::1, not 172.32.0.1 or 8.8.8.8.",
         "Use [private address removed], [private address removed], [private address removed] or"
         " [private address removed], not 172.32.0.1 or 8.8.8.8."),
        ("Set `list[0]` and `a[7]`, range [0-9].", "Set `list[0]` and `a[7]`, range [0-9]."),
        ("Great![1]", "Great! [1]"),
        ("x ![a](http://evil.com/?q=1) y", "x [image removed] y"),
        ("![a][ref]\n\n[ref]: http://evil.com/x", "! [a][ref]\n\n[ref]: [link removed]"),
        ("[here](http://evil.com/x) [d](https://x.org)", "here [d](https://x.org)"),
        ("[a[b]](http://evil.com) c", "[a[b]] c"),
        ("[x](javascript:alert(1)) y", "x y"),
        ("[x](//evil.com/a) [y](data:text/html,b)", "x y"),
        ("[x](&#106;avascript:alert(1))", "x"),
        ("see https://x.org. or https://evil.com/a?b=c, ok", "see https://x.org. or [link removed], ok"),
        ("(https://x.org)SECRET", "([link removed])SECRET"),
        ("<https://evil.com/x> www.evil.com", "[link removed] [link removed]"),
        ("<script>alert(1)</script> <b>bold</b>", "alert(1) bold"),
        ('put `<script src="http://evil.com/x">` in', 'put `‹script src="[link removed]"›` in'),
        ("a `<iframe>` and `<img onerror=x>`", "a `‹iframe›` and `‹img onerror=x›`"),
        ("Use <kbd> for keys. The tag <table> draws (like <hr/>).",
         "Use `<kbd>` for keys. The tag `<table>` draws (like `<hr/>`)."),
        ("Use <form> for input, <b>heavy</b><br> and <p>so</p>.", "Use ‹form› for input, heavy and so."),
        ("<ul>\n<li>One</li>\n</ul>\nTwo", "\nOne\n\nTwo"),
        ("Put <input onfocus=x> here", "Put  here"),
        ("login -r <region> if a<b then", "login -r <region> if a< b then"),
        ("<region onclick=x> <svg/onload=x>", " "),
        (f"key {KEY} end", "key [secret removed] end"),
        ("The password is hunter2x! ok", "The password is [secret removed]! ok"),
        ("password: required, token = YOUR_TOKEN1", "password: required, token = YOUR_TOKEN1"),
        ("api key=ab12cd34ef", "api key=[secret removed]"),
        ("postgres://ann:s3cret@db/x", "postgres://[secret removed]@db/x"),
        ("Bearer abcdefghijklmnop12345 x", "Bearer [secret removed] x"),
        ("eyJhbGciOi.eyJzdWIiOiIx.sig-x y", "[secret removed] y"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- z", "[secret removed] z"),
        ("Mail joe@evil.com or Support@acme.com.", "Mail [e-mail removed] or Support@acme.com."),
        (f"card {CARD}, not 4111 1111 1111 1112", "card [card number removed], not 4111 1111 1111 1112"),
        (f"iban {IBAN}.", "iban [account number removed]."),
        ("ssn 123-45-6789.", "ssn [ID number removed]."),
        ("call +1 650-253-0001 or +1 650-253-0000", "call [phone number removed] or +1 650-253-0000"),
        ("order 2024-11-0045, 127.0.0.1, v1.2.3.4", "order 2024-11-0045, 127.0.0.1, v1.2.3.4"),
        ("a\x00b\u200bc\u202ed\ud800e", "abcde"),
        ("x" * 300 + " y", "[long text removed] y"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)  # fmt: skip
def test_rewrites(said: str, shown: str) -> None:
    assert stream(said)[0] == shown
    assert stream(said, 1)[0] == shown
    assert stream(said, 3)[0] == shown


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25), st.data())
def test_pieces_do_not_matter_and_nothing_forbidden_leaves(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    whole, findings = stream(text)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    assert stream(text, cuts) == (whole, findings)
    assert stream(text, 1) == (whole, findings)
    assert not FORBIDDEN.search(whole)
    assert "`" in text or "[9]" not in whole  # in code, [9] is an index
    assert "`" in text or "<b" not in whole.replace("`<b>`", "")  # the bare name of an element is notation


def test_system_prompt_is_withheld_in_any_cut() -> None:
    said = "Sure. " + PROMPT.split(" Say ")[0].lower() + " And so on."
    whole = Outbound().open({1}, PASSAGES, PROMPT)
    shown = whole.feed(said) + whole.finish()
    assert whole.blocked == "prompt_leak"
    assert "leak:prompt" in whole.findings
    assert len(shown.split()) <= 8
    for size in (1, 5, 17):
        assert stream(said, size)[0] == shown


DISGUISES: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "a list": lambda text: "\n".join(f"{n}. {word}" for n, word in enumerate(text.split(), 1)),
    "hyphens": lambda text: "-".join(text.split()),
    "underscores": lambda text: "_".join(text.split()),
    "bold words": lambda text: " ".join(f"**{word}**" for word in text.split()),
    "accents": lambda text: text.replace("e", "é"),
    "look-alikes": lambda text: text.replace("a", "а").replace("o", "о"),
    "digits": lambda text: text.replace("e", "3"),
    "backwards": lambda text: " ".join(reversed(text.split())),
    "mirrored": lambda text: text[::-1],
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "base64": lambda text: b64encode(text.encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
}


@pytest.mark.parametrize("kind", DISGUISES)
@pytest.mark.parametrize("size", [1, 7, 4000])
def test_a_disguised_prompt_is_withheld(kind: str, size: int) -> None:
    rules = "Answer only from the numbered passages below and cite each sentence with its number, never more."
    text = DISGUISES[kind](rules)
    stream = Outbound().open({1}, PASSAGES, f"{PROMPT} {rules}")
    shown = "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.finish()
    assert stream.blocked == "prompt_leak"
    assert len(shown) < len(text) / 2


def test_sentences_the_prompt_asks_for_may_be_said() -> None:
    guard = Outbound().open(set(), "", PROMPT)
    said = "I could not find this in the documents."
    assert guard.feed(said) + guard.finish() == said
    assert guard.blocked is None


def test_policies() -> None:
    said = "joe@evil.com and [d](https://x.org)"
    assert stream(said, pii="off", links="strip") == ("joe@evil.com and d", ["link"])
    assert stream(said, pii="flag")[1] == ["pii:e-mail"]
    assert stream("https://x.org", links="strip")[0] == "[link removed]"
    assert Outbound().fingerprint != Outbound(pii="off").fingerprint
    assert len(Outbound().fingerprint) == 8


def test_first_words_come_at_once_and_little_waits() -> None:
    guard = Outbound().open({1}, PASSAGES, PROMPT)
    assert guard.feed("Open") == ""
    assert guard.feed(" the") == "Open "
    assert guard.feed(" Settings page.") == "the Settings "
    assert guard.feed(" Then") == "page. "
    most = 0
    for char in "[" * 500 + "(" * 500 + "<a" * 300 + "1 " * 300 + "!" * 300:
        guard.feed(char)
        most = max(most, guard.waiting)
    assert most <= 450  # two windows of about 200 each


ANSWER = (
    "To turn on bounce keys, press the search key and write Settings [1]. Click on Settings,"
    " then choose Accessibility on the left. Press Keyboard help in the Typing part"
    " and set the Bounce Keys switch to on [1][2]. Move the slider called Delay to choose how"
    " long the keyboard waits before it takes the next press of the same key from the same hand of yours"
    " [2]. Tick Sound for dropped presses when you want to hear a short tone for each of those that came"
    " too early for the keyboard to count, in this program as in all the others [3]."
)


@pytest.mark.parametrize(
    "unit", [ANSWER, "a ", "[1", "<b", "0171 ", "a@b.", "http://x/", "sk-a1", "**a", "Answer from "]
)
def test_time_is_linear(unit: str) -> None:
    def seconds(size: int) -> float:
        guard, text = Outbound().open({1, 2, 3}, PASSAGES, PROMPT), (unit * size)[:size]
        began = time.process_time()
        for at in range(0, size, 40):
            guard.feed(text[at : at + 40])
        guard.finish()
        return time.process_time() - began

    short, long = min(seconds(1_000) for _ in range(3)), seconds(10_000)
    assert long <= 50 * max(short, 0.0005)  # ten times the text; a square would be a hundred times


@pytest.mark.slow
def test_is_fast() -> None:
    pieces = [ANSWER[at : at + 4] for at in range(0, 600, 4)]
    outbound = Outbound()
    best = 1.0
    for _ in range(7):
        guard = outbound.open({1, 2, 3}, PASSAGES, PROMPT)
        began = time.process_time()
        for piece in pieces:
            guard.feed(piece)
        guard.finish()
        best = min(best, time.process_time() - began)
    assert best < 0.006  # about 1.5 ms on an idle machine


@pytest.mark.parametrize(
    ("regions", "said", "shown"),
    [
        (["DE"], "Call 030 901820, 0171/3920000.", "Call [phone number removed], [phone number removed]."),
        (["US"], "Call 030 901820.", "Call 030 901820."),
        (["DE"], "Her tax number is 65 929 970 489.", "Her tax number is [ID number removed]."),
        (["US"], "Her tax number is 65 929 970 489.", "Her tax number is 65 929 970 489."),
        (["GB", "FR"], "NHS 943 476 5919, Paris 01 42 68 53 00.",
         "NHS [ID number removed], Paris [phone number removed]."),
        (["CN"], "编号 11010519491231002 5。", "编号 11010519491231002 5。"),
    ],
)  # fmt: skip
def test_numbers_of_the_regions_are_personal(regions: list[str], said: str, shown: str) -> None:
    for size in (1, 3, len(said)):
        guard = Outbound(regions=regions).open({1}, "", "")
        pieces = [guard.feed(said[at : at + size]) for at in range(0, len(said), size)]
        assert "".join(pieces) + guard.finish() == shown


def test_a_region_that_is_none_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match="regions: unknown"):
        Outbound(regions=["DE", "Germany"])


def test_what_is_masked_in_the_answer_is_masked_in_the_passage() -> None:
    text = (
        "The default password is admin123. Card 4111 1111 1111 1111. Call (415) 555-2671 or write to"
        " desk@example.org from 10.0.0.7; see https://example.org/" + "a" * 220 + " first."
    )
    passage = make_passage(text=text)
    shown = Outbound().shown(passage).text or ""
    assert shown == text.replace("admin123", "[secret removed]").replace(
        "4111 1111 1111 1111", "[card number removed]"
    )
    guard = Outbound().open({1}, text, "")
    assert guard.feed("The default password is admin123.") + guard.finish() in shown
    calm = make_passage(text="Press Enter.")
    assert Outbound().shown(calm) is calm
