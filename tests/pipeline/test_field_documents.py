"""The field's inputs about documents, where they lie beside the checkout, read as their owners mean them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.knowledge.documents import Document, Skipped, cleaned
from pipeline.knowledge.reading.folders import read

FIELD = Path(__file__).parents[2].parent / "shared" / "data" / "field"
pytestmark = pytest.mark.skipif(not FIELD.is_dir(), reason="the field inputs are not beside the checkout")


def texts(name: str) -> str:
    return "\n".join(
        f"{one.document_id} {one.title}\n{one.text}"
        for one in map(cleaned, (one for one in read([FIELD / name]) if isinstance(one, Document)))
    )


@pytest.mark.parametrize(
    ("name", "shown", "hidden"),
    [
        (
            "pdf-columns/paint-two-columns.pdf",
            "dry on rack B|Office staff|Varnish|brushes are cleaned with soap",
            "ﬁ",
        ),
        ("pdf-encrypted/mixer-aes256.pdf", "every 900 hours", ""),
        ("pdf-form/vehicle-pass.pdf", "Pass number: QR-7714|Heaviest axle: 9.5 tonnes", ""),
        ("pdf-wrong-letters/ja-euc.pdf", "自転車は北門", ""),
        ("docx-table/tool-hire.docx", "Tool: Tile cutter; Price: 21.00; Deposit: 80", ""),
        ("docx-parts/market-rules.docx", "1.2. The fee is 24 euro|31 euro|Market rules of Lowbridge", ""),
        ("html-end-tags/hidden-li.html", "Tubes are changed|three days|Wednesdays", "8841"),
        ("html-end-tags/nav-open.html", "08:45 to 21:30", "Books"),
        ("html-furniture/1.html", "twenty bar", "cookie"),
        ("html-svg-title/menu-icons.html", "Key cutting\nA house key", "Basket"),
        ("charsets/latin1-label.html", "We’re open|“late Fridays”|€8", ""),
        ("charsets/late-meta.html", "ważne są dziesięć", ""),
        ("charsets/gb2312-label.html", "朱镕", ""),
        ("charsets/notes-mac.txt", "Schlüssel für das Gewächshaus", ""),
        ("csv-heads/preamble.csv", "Key: K4\nBoard: white|as of 2 May 2027", ""),
        ("csv-heads/sep-line.csv", "Item: Masks\nRack: R11", "sep="),
        ("csv-lost-cells/twin-heads.csv", "Price: 70.00|390.00", ""),
        ("csv-lost-cells/surplus-cell.csv", "change every 700 hours", ""),
        ("csv-lost-cells/text-and-more.csv", "16.80|30 June 2027", ""),
        ("jsonl-shapes/pretty.jsonl", "opens at eight|sells maps", ""),
        ("jsonl-shapes/page-content.jsonl", "every 60 days", ""),
        ("markdown-comment-in-code/style.md", "millimetres", ""),
        ("markdown-front-matter/trailing-blanks.md", "eight days|Lending skis", "layout"),
        ("markdown-front-matter/folded.md", "Lending tents in winter", ">-"),
        ("markdown-picture/plan.md", "R9 leads to the roof", "base64"),
        ("markdown-title/setext-and-shell.md", "setext-and-shell.md Setting up the scale", ""),
    ],
)
def test_the_text_is_what_its_owner_means(name: str, shown: str, hidden: str) -> None:
    text = texts(name)
    assert [part for part in shown.split("|") if part not in text] == []
    assert not hidden or hidden not in text


def test_text_that_word_stores_twice_is_read_once() -> None:
    assert texts("docx-twice/oven-start.docx").count("long gloves") == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pdf-encrypted/mixer-locked.pdf", "protected by a password"),
        ("pdf-page-without-text/harbour-order.pdf", "no text on it, only a picture"),
    ],
)
def test_what_is_left_out_is_named(name: str, reason: str) -> None:
    assert [reason in one.reason for one in read([FIELD / name]) if isinstance(one, Skipped)] == [True]
