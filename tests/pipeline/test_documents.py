"""Files and folders become clean documents, and what cannot be read says why."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from pipeline.errors import KnowledgeError
from pipeline.knowledge.documents import Document, Skipped, clean, cleaned
from pipeline.knowledge.reading import files
from pipeline.knowledge.reading.charset import decode
from pipeline.knowledge.reading.folders import read

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def one(path: Path) -> Document | Skipped:
    found = list(read([path]))
    assert len(found) == 1
    return found[0]


def document(path: Path) -> Document:
    found = one(path)
    assert isinstance(found, Document), found
    return found


def reason(path: Path) -> str:
    found = one(path)
    assert isinstance(found, Skipped), found
    return found.reason


def write(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def docx(path: Path, body: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", body)
    return path


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("a\u200bb\u202ec\ufeff", "abc"),  # zero width, bidi override, byte order mark
        ("x\U000e0041\U000e0042y", "xy"),  # tags
        ("one\x00two\x1bthree", "one two three"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\n\n \n\n\nb", "a\n\nb"),
        ("👩\u200d🚀 नम\u200dस्ते", "👩\u200d🚀 नम\u200dस्ते"),  # joiners stay
        ("co\u00adoperate", "cooperate"),
    ],
)
def test_hidden_characters_go_and_needed_ones_stay(dirty: str, expected: str) -> None:
    assert clean(dirty) == expected


def test_hostile_names_become_plain_short_ids() -> None:
    hostile = cleaned(Document("../a\r\nb\u202e" + "x" * 5000, "t\nu", "text", "http://a b\n"))
    other = cleaned(Document("../a\r\nb\u202e" + "x" * 5001, "", "text"))
    assert len(hostile.document_id) <= 200 and "\n" not in hostile.document_id
    assert hostile.document_id != other.document_id
    assert (hostile.title, hostile.url) == ("t u", "http://ab")
    assert len(hostile.key) == 32


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("café".encode(), "café"),
        (b"\xef\xbb\xbf" + "café".encode(), "café"),
        ("café".encode("utf-16"), "café"),
        ("a long enough text".encode("utf-16-le"), "a long enough text"),
        ("Le café était fermé, hélas.".encode("cp1252"), "Le café était fermé, hélas."),
    ],
)
def test_encodings_are_decoded_by_rule(data: bytes, expected: str) -> None:
    assert decode(data) == expected


@pytest.mark.parametrize(
    "data",
    [
        "日本語のテキストです。これは長い文章です。".encode("shift_jis"),
        "Это русский текст, и он довольно длинный.".encode("cp1251"),
        b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x04evil",  # a pickle
        bytes(range(256)),
    ],
)
def test_other_bytes_are_refused_rather_than_garbled(data: bytes, tmp_path: Path) -> None:
    assert "encoding" in reason(path := write(tmp_path / "a.txt", data)) or "not a text" in reason(path)


def test_markdown_takes_its_title_and_drops_comments(tmp_path: Path) -> None:
    found = document(write(tmp_path / "a.md", "# Bounce keys\n\nShown.<!-- hidden -->\n"))
    assert (found.document_id, found.title) == ("a.md", "Bounce keys")
    assert "hidden" not in found.text
    assert document(write(tmp_path / "b.md", "---\ntitle: 'T'\n---\nText")).title == "T"
    assert document(write(tmp_path / "set-up_guide.md", "Text")).title == "set up guide"


def test_html_gives_what_a_reader_sees(tmp_path: Path) -> None:
    page = """<html><head><title>My  page</title><style>p{}</style></head><body><nav>Menu</nav>
    <h1>Top</h1><p>One &amp; <b>two</b>.<p>Three<div style="display: none">secret</div>
    <span hidden>gone</span><script>evil()</script><ul><li>first<li>second</ul></body>"""
    found = document(write(tmp_path / "a.html", page))
    assert found.title == "My page"
    assert "One & two." in found.text and "- first\n" in found.text
    assert not any(word in found.text for word in ("secret", "gone", "evil", "Menu", "p{}"))


def test_html_marks_its_sections_and_the_terms_that_paragraphs_explain(tmp_path: Path) -> None:
    page = """<h1>Kiln</h1><p>Warm.</p><h2>2.1. Options</h2><h3></h3><h3><pre>a\nb</pre></h3>
    <dl><dt><code>--depth=&lt;number&gt;</code></dt><dd><p>How deep it looks.</p></dd>
    <dt>Glaze</dt><dd>a coat of glass</dd></dl>"""
    lines = document(write(tmp_path / "a.html", page)).text.splitlines()
    assert lines[0] == "Kiln"
    assert [line for line in lines if line.startswith("#")] == ["## 2.1. Options", "##### --depth=<number>"]
    assert "Glaze: a coat of glass" in lines


def test_a_table_of_contents_is_no_text_of_its_page(tmp_path: Path) -> None:
    entries = "".join(f"<dt>{n}. <a href='a.html#q{n}'>Why is kiln {n} cold?</a></dt>" for n in range(4))
    page = f"<main><h1>Kiln</h1><dl>{entries}</dl><p>See <a href='#q1'>this</a>: it is warm.</p></main>"
    text = document(write(tmp_path / "a.html", page)).text
    assert "cold" not in text and "See this: it is warm." in text


def test_html_in_a_declared_encoding(tmp_path: Path) -> None:
    page = '<meta charset="shift_jis"><p>日本語のテキスト</p>'.encode("shift_jis")
    assert "日本語" in document(write(tmp_path / "a.html", page)).text


def test_word_documents(tmp_path: Path) -> None:
    body = f"""<w:document {WORD}><w:body><w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr>
    <w:r><w:t>Head</w:t></w:r></w:p><w:p><w:r><w:t>Hello </w:t></w:r><w:r><w:t>world.</w:t></w:r></w:p>
    </w:body></w:document>"""
    assert cleaned(document(docx(tmp_path / "a.docx", body))).text == "Head\n\nHello world."


def test_word_bombs_and_entities_are_refused(tmp_path: Path) -> None:
    bomb = docx(tmp_path / "bomb.docx", f"<w:document {WORD}>" + " " * 60_000_000)
    assert bomb.stat().st_size < 100_000
    assert "unpacks" in reason(bomb)
    lol = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + f"<w:document {WORD}>&b;</w:document>"
    assert "entities" in reason(docx(tmp_path / "lol.docx", lol))
    assert "Word" in reason(write(tmp_path / "cut.docx", bomb.read_bytes()[:50]))
    assert "Word" in reason(docx(tmp_path / "bad.docx", "<w:document"))


def pdf(text: str) -> bytes:
    """Return a one-page PDF with a proper cross-reference table."""
    stream = f"BT /F 12 Tf 20 100 Td ({text}) Tj ET"
    bodies = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
        f"<</Length {len(stream)}>>stream\n{stream}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    data, places = "%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(data))
        data += f"{number} 0 obj{body}endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    trailer = f"trailer<</Size 6/Root 1 0 R>>\nstartxref\n{len(data)}\n%%EOF\n"
    return f"{data}xref\n0 6\n0000000000 65535 f \n{table}{trailer}".encode()


def test_pdf_text_is_read_and_broken_or_empty_ones_say_so(tmp_path: Path) -> None:
    assert document(write(tmp_path / "a.pdf", pdf("Hello from a page."))).text == "Hello from a page."
    assert document(write(tmp_path / "named.txt", pdf("By content."))).text == "By content."
    assert "PDF" in reason(write(tmp_path / "cut.pdf", pdf("x")[:60]))
    assert "only images" in reason(write(tmp_path / "blank.pdf", pdf("")))


def test_rows_of_jsonl_and_csv(tmp_path: Path) -> None:
    lines = [
        json.dumps({"id": "a", "title": "A", "text": "Alpha", "url": "https://x"}),
        json.dumps({"_id": 7, "text": "Beta"}),
        "{broken",
        json.dumps({"id": "c"}),
        "",
        json.dumps({"text": "Gamma", "title": None}),
    ]
    found = list(read([write(tmp_path / "a.jsonl", "\n".join(lines))]))
    documents = [row for row in found if isinstance(row, Document)]
    assert [row.document_id for row in documents][:2] == ["a", "7"]
    assert documents[2].document_id.startswith("a.jsonl#") and documents[2].where == "a.jsonl:6"
    assert documents[0].url == "https://x"
    assert [(row.name, row.reason) for row in found if isinstance(row, Skipped)] == [
        ("a.jsonl:3", "not valid JSON"),
        ("a.jsonl:4", "has no field 'text' with a string in it"),
    ]
    table = document(write(tmp_path / "b.csv", 'id;text\n1;"two\nlines"\n'))
    assert (table.document_id, table.text, table.where) == ("1", "two\nlines", "b.csv:2")
    free = document(write(tmp_path / "c.csv", "name,price\nLamp,5\n"))
    assert (free.document_id, free.title, free.text) == ("c.csv#Lamp", "Lamp", "name: Lamp\nprice: 5")


def test_folders_are_read_in_order_and_what_is_left_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    write(tmp_path / ".git" / "x.md", "no")
    write(tmp_path / "sub" / "b.md", "B")
    write(tmp_path / "a.txt", "A")
    write(tmp_path / "image.png", b"\x89PNG")
    write(tmp_path / "big.txt", "x" * 2000)
    (tmp_path / "link.txt").symlink_to("/etc/passwd")
    monkeypatch.setattr(files, "FILE_BYTES", 1000)
    found = {row.document_id if isinstance(row, Document) else row.name: row for row in read([tmp_path])}
    assert [name for name, row in found.items() if isinstance(row, Document)] == ["a.txt", "sub/b.md"]
    skipped = {name: row.reason for name, row in found.items() if isinstance(row, Skipped)}
    assert "leads out of the folder" in skipped["link.txt"]
    assert "too large" in skipped["big.txt"] and ".png" in skipped["image.png"]
    with pytest.raises(KnowledgeError, match="no file or folder"):
        list(read([tmp_path / "nowhere"]))
