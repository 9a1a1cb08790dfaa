"""Nothing that comes from outside becomes markup."""

from __future__ import annotations

import pytest

from console.chat import markup, sources, thread
from console.chat.exchange import Exchange, recorded
from console.chat.thread import Look

EVIL = '<img src=x onerror="alert(1)">'


def answer(text: str, titles: dict[int, str] | None = None) -> str:
    return str(markup.answer(text, "t1", titles or {1: "One", 2: "Two"}))


@pytest.mark.parametrize(
    "text",
    [
        EVIL,
        "<script>alert(1)</script>",
        "<style>*{display:none}</style>",
        "<details open ontoggle=alert(1)>",
        "</div></article><iframe src=//evil.example>",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](vbscript:x)",
        "<javascript:alert(1)>",
        "[1]: javascript:alert(1)\n\n[1]",
        '[a](https://x.example/"onmouseover="alert(1))',
        "![p](https://evil.example/p.png)",
        "![p][1]\n\n[1]: https://evil.example/p.png",
        "`" + EVIL + "`",
        "```html\n" + EVIL + "\n```",
        "| a |\n|---|\n| " + EVIL + " |",
    ],
)
def test_answers_carry_no_active_content(text: str) -> None:
    html = answer(text).lower()
    for tag in (
        "<img",
        "<script",
        "<style",
        "<iframe",
        "<details",
        'href="javascript',
        'href="data',
        'href="vb',
    ):
        assert tag not in html
    assert ' onmouseover="' not in html


def test_titles_and_ids_are_escaped_in_chips() -> None:
    html = answer("Yes [1].", {1: '"><script>alert(1)</script>'})
    assert "<script" not in html
    assert 'aria-label="Source 1: &#34;&gt;&lt;script' in html


def test_each_block_runs_as_its_own_letters_do() -> None:
    html = answer("نظف الآلة.\n\n1. اضغط\n2. انتظر\n\nThen wait.")
    assert html.count('<p dir="auto">') == 2 and '<ol dir="auto">' in html and "<li>" in html
    assert 'class="bubble" dir="auto"' in thread.turn(Exchange("كيف أنظف الآلة؟"), Look())


def test_numbers_become_chips_only_where_a_passage_has_them() -> None:
    html = answer("A [1][2]. B [7]. `code [1]` and [one [1] link](https://example.com).")
    assert html.count('class="cite"') == 2
    assert "[7]" in html
    assert "<code>code [1]</code>" in html


def test_chips_of_one_number_are_counted_as_the_panel_counts_its_marks() -> None:
    html = answer("A [1]. `[1]` B [2] [1].\n\n```\n[1]\n```\n\n- C [1]")
    assert [part[0] for part in html.split('data-n="1" data-k="')[1:]] == ["0", "2", "4"]


def test_a_marker_still_arriving_is_not_shown() -> None:
    assert answer("Open Settings [1") == '<p dir="auto">Open Settings</p>\n'


def test_links_open_apart_and_keep_their_address() -> None:
    html = answer("[site](https://example.com/a?b=1&c=2)")
    assert (
        'href="https://example.com/a?b=1&amp;c=2" target="_blank" rel="noopener noreferrer nofollow"' in html
    )


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://example.com/a", "https://example.com/a"),
        (" http://example.com ", "http://example.com"),
        ("javascript:alert(1)", None),
        ("//example.com", None),
        ("https:///nohost", None),
        ("http://[broken", None),
        ("notes/a.md", None),
        ("", None),
    ],
)
def test_web_addresses(url: str, address: str | None) -> None:
    assert markup.web_address(url) == address


def test_places_read_well() -> None:
    help_page = "https://help.example.org/users/desktop-help/stable/a11y-bouncekeys.html.en"
    assert markup.place(help_page, "x") == "help.example.org › desktop-help › a11y-bouncekeys"
    assert markup.place("", "handbook.pdf") == "handbook.pdf"


def test_a_whole_turn_and_its_panel_escape_everything() -> None:
    passage = {
        "n": 1,
        "chunk_id": EVIL,
        "document_id": EVIL,
        "title": EVIL,
        "url": "javascript:x",
        "text": EVIL * 30,
    }
    turn = {
        "question": EVIL,
        "turn_id": EVIL,
        "answer": f"{EVIL} [1]",
        "outcome": "degraded",
        "passages": [passage],
        "notice": EVIL,
        "usage": {},
        "first_token_seconds": None,
        "cost_usd": None,
    }
    exchange = recorded(turn)
    for html in (
        thread.turn(exchange, Look(last=True, rating="asking", console="http://127.0.0.1:1")),
        sources.panel(exchange),
        thread.turn(Exchange(EVIL, EVIL, "failed", notice=EVIL), Look()),
        thread.welcome([EVIL]),
    ):
        assert "<img" not in html
        assert "javascript:" not in html
