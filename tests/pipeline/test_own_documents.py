"""Documents as other programs write them are read as their owners mean them, each kind by its own page."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.extractive.rows import statements
from pipeline.knowledge.documents import Document, Skipped, cleaned
from pipeline.knowledge.reading.folders import read
from pipeline.text.sentences import sentences

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def text(path: Path, data: str | bytes) -> str:
    """Write a file and return all that is read of it, a reason in brackets."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return "\n".join(
        cleaned(entry).text if isinstance(entry, Document) else f"[{entry.name}: {entry.reason}]"
        for entry in read([path])
    )


def pdf(*pages: str, rotate: int = 0, fields: Sequence[str] = ()) -> bytes:
    """Return a PDF with the given drawing on each page; `fields` are dictionaries of form fields."""
    count = len(pages)
    fonts = 3 + 2 * count
    kids = " ".join(f"{3 + 2 * place} 0 R" for place in range(count))
    names = " ".join(f"{fonts + 1 + place} 0 R" for place in range(len(fields)))
    form = f"/AcroForm<</Fields[{names}]/DA(/F 10 Tf)/DR<</Font<</F {fonts} 0 R>>>>>>" if fields else ""
    bodies = [f"<</Type/Catalog/Pages 2 0 R{form}>>", f"<</Type/Pages/Kids[{kids}]/Count {count}>>"]
    for place, stream in enumerate(pages):
        annotations = f"/Annots[{names}]" if fields and place == 0 else ""
        bodies += [
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 400]/Rotate {rotate}/Contents {4 + 2 * place} 0 R"
            f"/Resources<</Font<</F {fonts} 0 R>>>>{annotations}>>",
            f"<</Length {len(stream)}>>stream\n{stream}\nendstream",
        ]
    bodies += ["<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>", *fields]
    data, places = "%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(data))
        data += f"{number} 0 obj{body}endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(bodies) + 1
    trailer = f"trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{len(data)}\n%%EOF\n"
    return f"{data}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()


def at(left: float, bottom: float, words: str) -> str:
    """Return the drawing of words at a place of the page."""
    return f"BT /F 10 Tf {left} {bottom} Td ({words}) Tj ET "


def lined(rows: Sequence[Sequence[str]], lefts: Sequence[float], top: float) -> str:
    """Return the drawing of a table whose cells are framed; the text stands close to the frame."""
    bottom = top - 20 * len(rows)
    drawing = "".join(f"{lefts[0]} {top - 20 * place} m {lefts[-1]} {top - 20 * place} l S "
                      for place in range(len(rows) + 1))  # fmt: skip
    drawing += "".join(f"{left} {top} m {left} {bottom} l S " for left in lefts)
    for place, row in enumerate(rows):
        drawing += "".join(
            at(left + 2, top - 20 * place - 14, cell) for left, cell in zip(lefts, row, strict=False) if cell
        )
    return drawing


def docx(path: Path, body: str) -> Path:
    """Write a Word document with the given body."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "word/document.xml",
            f'<w:document xmlns:w="{WORD}" xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math">'
            f"<w:body>{body}</w:body></w:document>",
        )
    return path


def words(text: str, form: str = "") -> str:
    return f"<w:p>{form}<w:r><w:t xml:space='preserve'>{text}</w:t></w:r></w:p>"


TARIFF = [["Route", "On foot", "Car up to 5 m"], ["Hella", "44", "118"], ["Lavik", "", "163"]]


def test_a_framed_table_of_a_pdf_is_read_by_its_frames(tmp_path: Path) -> None:
    page = lined(TARIFF, [20, 62, 100, 170], 300) + at(20, 222, "Dogs travel free of charge on every route.")
    found = text(tmp_path / "a.pdf", pdf(page))
    assert "Route: Hella; On foot: 44; Car up to 5 m: 118" in found
    assert "Route: Lavik; Car up to 5 m: 163" in found
    assert "\nDogs travel free" in found


def test_merged_heads_of_a_framed_table_name_every_column(tmp_path: Path) -> None:
    lines = [(20, 300, 200, 300), (80, 280, 200, 280), (20, 260, 200, 260), (20, 240, 200, 240),
             (20, 220, 200, 220), (20, 220, 20, 300), (80, 220, 80, 300), (140, 220, 140, 280),
             (200, 220, 200, 300)]  # fmt: skip
    drawing = "".join(f"{a} {b} m {c} {d} l S " for a, b, c, d in lines)
    cells = [(22, 275, "Clay"), (82, 285, "Firing"), (82, 265, "bisque"), (142, 265, "glaze"),
             (22, 245, "Stoneware"), (82, 245, "980"), (142, 245, "1,240"),
             (22, 225, "Porcelain"), (82, 225, "1,000"), (142, 225, "1,280")]  # fmt: skip
    found = text(tmp_path / "a.pdf", pdf(drawing + "".join(at(*cell) for cell in cells)))
    assert "Clay: Porcelain; Firing bisque: 1,000; Firing glaze: 1,280" in found


def test_a_table_goes_on_under_its_heads_on_the_next_page_and_loses_no_row(tmp_path: Path) -> None:
    lefts = [20, 100, 180]
    pages = [lined([["Part", "Price"], ["Nut 1", "1.50"], ["Nut 2", "2.50"]], lefts, 380)]
    pages += [
        lined([[f"Nut {3 * n}", f"{n}.50"], [f"Nut {3 * n + 1}", f"{n}.75"], ["Cap", f"{n}.10"]], lefts, 380)
        for n in range(1, 5)
    ]
    found = text(tmp_path / "a.pdf", pdf(*pages))
    assert [
        row for n in range(1, 5) for row in (f"Part: Nut {3 * n}; Price: {n}.50",) if row not in found
    ] == []


def test_page_numbers_are_left_out_where_they_run(tmp_path: Path) -> None:
    pages = [
        at(20, 380, "Price list")
        + at(20, 200, f"Nut {n * n} costs {n} euro.")
        + at(20, 20, f"Page {n + 1} of 5")
        for n in range(5)
    ]
    found = text(tmp_path / "a.pdf", pdf(*pages))
    assert found.count("Price list") == 1 and found.count("Page") == 1
    assert all(f"Nut {n * n} costs {n} euro." in found for n in range(5))


@pytest.mark.parametrize(("rotate", "matrix"), [(90, "0 1 -1 0 100 20"), (270, "0 -1 1 0 100 380")])
def test_a_turned_page_is_read_upright(tmp_path: Path, rotate: int, matrix: str) -> None:
    step = 16 if rotate == 90 else -16
    lines = ["The crane lifts 3 tonnes.", "At 20 metres it lifts 1 tonne.", "Wind stops all lifts."]
    first, _, rest = matrix.rpartition(" 100 ")
    drawing = "".join(
        f"BT /F 10 Tf {first} {100 + step * place} {rest} Tm ({line}) Tj ET "
        for place, line in enumerate(lines)
    )
    assert text(tmp_path / "a.pdf", pdf(drawing, rotate=rotate)).replace("\n\n", "\n").split("\n") == lines
    beside = at(20, 380, "An upright heading stands over the sideways table of this page, and is longer.")
    mixed = text(tmp_path / "b.pdf", pdf(beside + drawing))
    assert "\n".join(lines[:2]) in mixed and mixed.startswith("An upright heading")


def test_a_form_is_read_as_labels_with_their_values(tmp_path: Path) -> None:
    values = [("Havorn II", 340), ("C 14", 310), ("12 m", 280)]
    fields = [
        f"<</Type/Annot/Subtype/Widget/FT/Tx/T(f{place})/V({value})/Rect[150 {y - 4} 260 {y + 12}]/F 4>>"
        for place, (value, y) in enumerate(values)
    ]
    labels = "".join(
        at(20, y, label) for label, (_, y) in zip(("Boat", "Berth", "Length"), values, strict=True)
    )
    found = text(tmp_path / "a.pdf", pdf(labels, fields=fields))
    assert [row for row in ("Boat: Havorn II", "Berth: C 14", "Length: 12 m") if row not in found] == []


def test_columns_of_a_pdf_end_where_a_table_begins(tmp_path: Path) -> None:
    left = [
        "Bisque firing ends at a thousand",
        "degrees and the kiln is opened",
        "below ninety degrees only.",
    ]
    right = ["Officers check the brick floor", "once in a fortnight and they", "replace what is broken."]
    drawing = "".join(at(20, 380 - 12 * n, line) for n, line in enumerate(left))
    drawing += "".join(at(210, 380 - 12 * n, line) for n, line in enumerate(right))
    drawing += at(20, 320, "Clay") + at(210, 320, "Heat") + at(20, 306, "Stoneware") + at(210, 306, "980")
    found = text(tmp_path / "a.pdf", pdf(drawing))
    assert "\n".join(left) in found and "\n".join(right) in found


def test_changes_in_word_are_read_as_accepted(tmp_path: Path) -> None:
    gone = "<w:pPr><w:rPr><w:del w:id='1'/></w:rPr></w:pPr>"
    asks = "<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>{}</w:sdtContent></w:sdt>"
    body = words("Compost heaps stand ", gone) + words("two metres from the fence.")
    body += f"<w:p><w:r><w:t>Keeper: </w:t></w:r>{asks.format('<w:r><w:t>Click here</w:t></w:r>')}</w:p>"
    body += asks.format(words("Enter a date")) + "<w:p><m:oMath><m:r><m:t>A=l·w</m:t></m:r></m:oMath></w:p>"
    body += words("The last line ends nowhere.", gone)
    document = next(iter(read([docx(tmp_path / "a.docx", body)])))
    assert isinstance(document, Document)
    lines = cleaned(document).text.split("\n")
    assert lines == [
        "Compost heaps stand two metres from the fence.", "Keeper: ", "A=l·w", "The last line ends nowhere."
    ]  # fmt: skip


def test_a_table_within_a_cell_stays_in_its_row(tmp_path: Path) -> None:
    def row(*cells: str) -> str:
        return f"<w:tr>{''.join(f'<w:tc>{cell}</w:tc>' for cell in cells)}</w:tr>"

    inner = f"<w:tbl>{row(words('Half-yearly'), words('71'))}</w:tbl>{words('')}"
    table = row(words("Plot"), words("Rent"), words("Deposit")) + row(
        words("Small"), words("64"), words("30")
    )
    table += row(words("Large"), words("139") + inner, words("75"))
    document = next(iter(read([docx(tmp_path / "a.docx", f"<w:tbl>{table}</w:tbl>")])))
    assert isinstance(document, Document)
    assert "Plot: Large; Rent: 139 (Half-yearly: 71); Deposit: 75" in document.text


def test_html_keeps_numbers_terms_and_content_called_like_a_notice(tmp_path: Path) -> None:
    page = """<title>T</title><body><div class=cookies>Cookies? <button>Yes</button></div><main><h1>T</h1>
    <ol start=3><li>Cut the stems.<li value=9>Dry them.</ol><ol type=a><li>first</ol>
    <ol reversed><li>two<li>one</ol>
    <dl><dt>Paper<dd>every 14 days<dt>Why?<dd>It rots.</dl>
    <div class=newsletter-terms>The newsletter is sent on the 3rd.</div></main>"""
    found = text(tmp_path / "a.html", page)
    for part in ("3. Cut the stems.", "9. Dry them.", "a. first", "2. two", "1. one", "Paper: every 14 days",
                 "Why? It rots.", "sent on the 3rd"):  # fmt: skip
        assert part in found, found
    assert "Cookies" not in found


def test_a_table_that_lays_out_a_page_is_no_table(tmp_path: Path) -> None:
    links = "<br>".join(f"<a href={n}>Page {name}</a>" for n, name in enumerate(("one", "two", "six", "ten")))
    page = f"<table><tr><td>{links}</td><td><h1>Hut Lynx</h1><p>The hut has 38 beds.</td></tr></table>"
    assert text(tmp_path / "a.html", page) == "Hut Lynx\n\nThe hut has 38 beds."


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("7,Red,12.50\n8,Blue,13.75\n9,Green,14.20\n", "column 1: 7\ncolumn 2: Red\ncolumn 3: 12.50"),
        ("Item,2024,2025\nRope,7,8\nOar,5,6\n", "Item: Rope\n2024: 7\n2025: 8"),
        ("bus|leaves\n31|07:05\n32|09:50\n", "bus: 31\nleaves: 07:05"),
        (
            "id,question,answer\nq1,Where is the fuse?,Behind the panel\n",
            "Where is the fuse?\nBehind the panel\nid: q1",
        ),
        ("Frage;Antwort\nWann?;Um acht.\n", "Wann?\nUm acht."),
    ],
)
def test_tables_with_and_without_heads(tmp_path: Path, rows: str, expected: str) -> None:
    assert text(tmp_path / "a.csv", rows).startswith(expected)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {
                "messages": [
                    {"role": "user", "content": "When?"},
                    {"role": "assistant", "content": "At 04:35."},
                ]
            },
            "When?\nAt 04:35.",
        ),
        (
            {"prompt": "Where is the key?", "completion": "Under the pot."},
            "Where is the key?\nUnder the pot.",
        ),
        (
            {"version": 1, "rows": [{"text": "Ropes last 7 years."}, {"text": "Helmets 10."}]},
            "Ropes last 7 years.\nHelmets 10.",
        ),
    ],
)
def test_json_of_other_programs(tmp_path: Path, data: dict[str, object], expected: str) -> None:
    assert text(tmp_path / "a.json", json.dumps(data)) == expected
    assert text(tmp_path / "b.json", json.dumps(data, indent=2)) == expected


def test_ids_of_nodes_are_taken_as_given(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"id_": "n-1", "text": "Friday."}), "utf-8")
    documents = [entry for entry in read([tmp_path / "a.jsonl"]) if not isinstance(entry, Skipped)]
    assert [document.document_id for document in documents] == ["n-1"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("bus: 31X\nleaves: 07:35\ndays: Sat", ["bus: 31X; leaves: 07:35; days: Sat."]),
        (
            "Plot: Small; Rent: 64 €\nPlot: Large; Rent: 139 €",
            ["Plot: Small; Rent: 64 €.", "Plot: Large; Rent: 139 €."],
        ),
        (
            "bus: 31\nleaves: 07:05\nbus: 32\nleaves: 09:50",
            ["bus: 31; leaves: 07:05.", "bus: 32; leaves: 09:50."],
        ),
        ("| Lamp | Watt |\n|---|---|\n| Stair \\| cellar | 7 |", ["Lamp: Stair | cellar; Watt: 7."]),
        (
            "a wrapped line that runs on\nto the next: here it ends.",
            ["a wrapped line that runs on\nto the next: here it ends."],
        ),
    ],
)
def test_a_row_is_one_statement_whatever_its_letters(lines: str, expected: list[str]) -> None:
    assert [statement for statement, _, _ in statements(lines, sentences(lines))] == expected
