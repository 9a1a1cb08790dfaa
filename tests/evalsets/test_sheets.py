"""Tables as people save them become cases, or one sentence says why not; no answer is lost in silence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from evalsets.cases import cases, imports
from evalsets.cases.evalset import EvalsetError

SHARED = Path(__file__).parents[3] / "shared/data/field/evalset-sheets"
PAIR = ("How do I print?", "Open the panel.")


def _read(
    tmp_path: Path, data: bytes | str, name: str = "a.csv", **mapped: str
) -> list[tuple[str, str | None]]:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    found = imports.read(path, mapped=mapped or None)
    return [(row["question"], row.get("reference")) for row in found.rows]


@pytest.mark.parametrize(
    "text",
    [
        "Question,Expected answer\nHow do I print?,Open the panel.\n",
        "question;ground_truth\nHow do I print?;Open the panel.\n",
        "input,output\nHow do I print?,Open the panel.\n",
        "question,expected answer\nHow do I print?,Open the panel.\n",
        "question,expected_output\nHow do I print?,Open the panel.\n",
        " QUESTION , Ideal Answer \n How do I print? , Open the panel. \n",
        "query\tGolden Answer\nHow do I print?\tOpen the panel.\n",
        "Prompt|Reference\nHow do I print?|Open the panel.\n",
        "sep=;\r\nFrage;Antwort\r\nHow do I print?;Open the panel.\r\n",
        '\ufeff"Question","Correct Answer"\r\n"How do I print?","Open the panel."\r\n',
        "Our questions of May\n\nUserQuestion,expectedOutput\nHow do I print?,Open the panel.\n",
        "nr,question,answer,ground_truth\n1,How do I print?,It said this and that,Open the panel.\n",
    ],
)
def test_heads_and_delimiters_people_use(tmp_path: Path, text: str) -> None:
    assert _read(tmp_path, text) == [PAIR]


def test_windows_1252(tmp_path: Path) -> None:
    text = "Frage;Antwort\nWie öffne ich das Menü?;Über die Schaltfläche „Menü“.\n"
    expected = [("Wie öffne ich das Menü?", "Über die Schaltfläche „Menü“.")]
    assert _read(tmp_path, text.encode("cp1252")) == expected
    assert _read(tmp_path, text.encode("utf-16")) == expected


def test_texts_with_the_delimiter_stay_whole(tmp_path: Path) -> None:
    assert _read(tmp_path, "question\nHow do I print, scan and fax?\nWhy, then, is it slow?\n") == [
        ("How do I print, scan and fax?", None),
        ("Why, then, is it slow?", None),
    ]
    with pytest.raises(EvalsetError, match="line 2: 3 cells under 2 heads"):
        _read(tmp_path, "question,answer\nHow do I print?,Open the panel, then print.\n")


def test_an_unclosed_quotation_mark_is_refused_with_its_line(tmp_path: Path) -> None:
    for rest in ('C,"c"\n', "C,c\n", '"C",c\n'):
        with pytest.raises(EvalsetError, match="line 3: a quotation mark is not closed"):
            _read(tmp_path, f'question,answer\nA,a\n"B,b\n{rest}')


def test_an_answer_column_of_another_name_is_never_lost_in_silence(tmp_path: Path) -> None:
    text = "question,Dazu\nHow do I print?,Open the panel.\nHow do I scan?,Lift the lid first.\n"
    with pytest.raises(EvalsetError, match=r"'Dazu' may hold the expected answers.*--map reference='Dazu'"):
        _read(tmp_path, text)
    assert _read(tmp_path, text, reference="Dazu")[0] == PAIR
    assert _read(tmp_path, text, reference="none")[0] == (PAIR[0], None)


def test_columns_are_mapped_by_hand(tmp_path: Path) -> None:
    text = "Was,Dann,Rest\nHow do I print?,Open the panel.,x\n"
    with pytest.raises(EvalsetError, match="no column holds the questions among 'Was', 'Dann', 'Rest'"):
        _read(tmp_path, text)
    assert _read(tmp_path, text, question="was", reference="Dann") == [PAIR]
    with pytest.raises(EvalsetError, match="no column is called 'Dan'; there are 'Was', 'Dann', 'Rest'"):
        _read(tmp_path, text, question="Was", reference="Dan")
    with pytest.raises(EvalsetError, match="a case has no field 'answer'"):
        _read(tmp_path, text, answer="Dann")
    assert imports.pairs("question=Frage, reference = Antwort") == {
        "question": "Frage",
        "reference": "Antwort",
    }
    with pytest.raises(EvalsetError, match="is no FIELD=COLUMN"):
        imports.pairs("question")


def _workbook(path: Path, *sheets: Sequence[Sequence[object]]) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.worksheets[0])
    for rows in sheets:
        page = book.create_sheet()
        for row in rows:
            page.append(row)
    book.save(path)
    return path


def test_a_workbook(tmp_path: Path) -> None:
    notes = [["read me"], ["made by the team"]]
    table = [
        ["Question ", "Expected answer", "Level"],
        [PAIR[0], PAIR[1], 1.0],
        [None, None],
        ["How many?", 42],
    ]
    path = _workbook(tmp_path / "a.xlsx", notes, table)
    found = imports.read(path)
    assert [(row["question"], row["reference"]) for row in found.rows] == [PAIR, ("How many?", "42")]
    assert found.mapping == {"question": "Question", "reference": "Expected answer"}
    assert cases.load_evalset(path).cases[0].reference == PAIR[1]
    assert cases.load_evalset(path).warnings[-1] == "column 'Level' is not used: a case has no such field"


@pytest.mark.parametrize("name", ["a.xlsx", "a.csv"])
def test_a_damaged_workbook_is_one_sentence(tmp_path: Path, name: str) -> None:
    whole = _workbook(tmp_path / "b.xlsx", [["question"], ["A?"]]).read_bytes()
    for data in (whole[: len(whole) // 2], b"PK\x03\x04" + b"x" * 50, b"\xd0\xcf\x11\xe0" + b"x" * 50):
        with pytest.raises(EvalsetError, match="an Excel workbook that cannot be read; save it as CSV"):
            _read(tmp_path, data, name)


def test_json_and_json_lines_of_others(tmp_path: Path) -> None:
    assert _read(tmp_path, '[{"Question": "How do I print?", "Answer": "Open the panel."}]', "a.json") == [
        PAIR
    ]
    line = '{"input": "How do I print?", "output": "Open the panel."}\n'
    assert _read(tmp_path, line, "a.jsonl") == [PAIR]
    assert cases.load_evalset(tmp_path / "a.jsonl").cases[0].reference == PAIR[1]
    talk = '{"input": [{"role": "user", "content": "How do I print?"}], "ideal": "Open the panel."}\n'
    assert _read(tmp_path, talk, "b.jsonl") == [PAIR]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the field inputs do not lie beside the checkout")
def test_the_field(tmp_path: Path) -> None:
    for name, count in (("semicolons.csv", 2), ("capitals.csv", 1)):
        found = cases.load_evalset(SHARED / name)
        assert len(found.cases) == count
        assert found.qrels["1"] == ("a11y-bouncekeys",)
    with pytest.raises(EvalsetError, match="an Excel workbook.*save it as CSV") as caught:
        cases.load_evalset(SHARED / "workbook.csv")
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("lines", "head"),
    [
        ('{"id": "1", "question": "x"}', 'title = "broken'),
        ('{"id": "1", "question": "x"}', 'corpus = "gone.jsonl"'),
        ('{"id": "1", "question"', 'title = "x"'),
        ("", 'title = "x"'),
        ('{"id": "1", "question": "x"}', b"title = '\xff'"),
        (b"\xff\xfe\x00", 'title = "x"'),
    ],
)
def test_a_broken_set_is_named_and_the_others_stay(
    tmp_path: Path, lines: str | bytes, head: str | bytes
) -> None:
    for ending, text in (("jsonl", lines), ("toml", head)):
        (tmp_path / f"half.{ending}").write_bytes(text if isinstance(text, bytes) else text.encode())
    listed = {row.name: row for row in cases.list_sets(tmp_path)}
    assert listed["half"].problem
    assert listed["demo"].cases > 0 and listed["demo"].problem is None


@pytest.mark.parametrize(
    "head",
    ["Fragen;Antworten", "Kundenfragen;Erwartete Antworten", "Frage;Referenz", "Preguntas;Respuestas",
     "Questions;Réponses", "Domande;Risposte", "Perguntas;Respostas", "Test questions;Approved answers"],
)  # fmt: skip
def test_heads_in_the_plural_are_understood(tmp_path: Path, head: str) -> None:
    assert _read(tmp_path, f"\ufeff{head}\nHow do I print?;Open the panel.\n") == [PAIR]


def test_a_column_without_a_name_can_be_chosen(tmp_path: Path) -> None:
    text = "Frage;;Quelle\nHow do I print?;Open the panel.;a page\nHow do I scan?;Lift the lid.;a page\n"
    assert _read(tmp_path, text, reference="column 2")[0] == PAIR
    with pytest.raises(EvalsetError, match="line 4: 4 cells under 3 heads"):
        _read(tmp_path, f"{text}How do I fax?;Open it; then print.;a page\n")
