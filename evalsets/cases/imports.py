"""Brings in evalsets of other tools, and says what of them a case cannot hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from evalsets.cases import beir, heads, jsonl, nested, promptfoo, public, sheets
from evalsets.cases.evalset import EvalsetError
from evalsets.cases.imported import ASKS, FORMATS, Format, Imported, Row
from evalsets.cases.row import LISTS, case, row_of

_YES = ("true", "yes", "1", "x", "y", "ja")
_NO = ("false", "no", "0", "n", "nein")
_LANGFUSE = {"expectedOutput", "datasetItemId", "sourceTraceId", "source_trace_id"}
_RAGAS = {"user_input", "retrieved_contexts", "reference_contexts", "ground_truths"}


def read(path: Path, format: Format | None = None, mapped: Mapping[str, str] | None = None) -> Imported:
    """Return the cases of a file or BEIR folder; without a format it is recognised.

    `mapped` says {field of a case: column} where the names of the columns do not. Raises EvalsetError
    when nothing can be read from it, or a column of answers would be lost.
    """
    whole, records, dropped = _opened(path, format)
    imported = Imported(format or ("csv" if mapped else _format(path, whole, records)), dropped=dropped)
    if path.suffix.lower() in sheets.TABLES:
        imported.dropped = []
        for name in dropped:
            imported.lose(f"sheet {name!r}", "its heads are others; save it as a file of its own")
    if imported.format == "beir":
        _beir(path, imported)
    elif imported.format == "promptfoo":
        promptfoo.read(whole, imported)
    elif imported.format == "csv":
        _table(path, _flat(records), mapped or {}, imported)
    elif imported.format in _READERS:
        _each(records, _READERS[imported.format], imported)
    else:
        public.read(records, path, imported)
    _number(imported)
    if not imported.rows:
        raise EvalsetError([f"{path.name}: no case could be made of it", *imported.dropped])
    return imported


def records(path: Path) -> Records:
    """Return the rows of a file's table, none for a document of its own shape; raises EvalsetError."""
    whole, records, _ = _opened(path, None)
    return _flat(records) if records and _format(path, whole, records) == "csv" else records


def detect(path: Path) -> Format:
    """Return the format a file is in, from its columns; raises EvalsetError when none fits."""
    whole, records, _ = _opened(path, None)
    return _format(path, whole, records)


def pairs(text: str | None) -> dict[str, str]:
    """Return {field: column} of "question=Frage,reference=Antwort"; raises EvalsetError."""
    columns: dict[str, str] = {}
    for part in filter(None, map(str.strip, (text or "").split(","))):
        field, equals, head = (word.strip() for word in part.partition("="))
        if not equals or not field or not head:
            raise EvalsetError([f"--map {part!r} is no FIELD=COLUMN, e.g. question=Frage,reference=Antwort"])
        columns[field] = head
    return columns


Records = Sequence[tuple[int, Row]]  # with the line or the place of each


def _opened(path: Path, format: Format | None) -> tuple[Any, Records, list[str]]:
    """Return a document of its own shape, or the rows of a table, and what could not be read of them."""
    if path.is_dir() or format == "beir":
        return None, (), []
    if not path.is_file():
        raise EvalsetError([f"there is no {str(path)!r}"])
    ending = path.suffix.lower()
    if ending in (".yaml", ".yml"):
        return document(path), (), []
    if ending == ".json":
        whole = document(path)
        special = isinstance(whole, dict) and whole.keys() & promptfoo.KEYS
        return whole, () if special else list(enumerate(nested.rows(whole), 1)), []
    if ending in sheets.TABLES:
        sheet = sheets.read(path, heads.asks)
        rows = [(line, {key: _loaded(text) for key, text in row.items()}) for line, row in sheet.rows]
        return None, rows, list(sheet.left)
    dropped: list[str] = []
    return None, list(jsonl.objects(path, dropped)), dropped


def _flat(records: Records) -> Records:
    return [(line, nested.spread(row)) for line, row in records]


def _format(path: Path, whole: Any, records: Records) -> Format:
    if path.is_dir():
        return "beir"
    if whole is not None and not records:
        if (isinstance(whole, dict) and whole.keys() & promptfoo.KEYS) or path.suffix.lower() != ".json":
            return "promptfoo"
        raise EvalsetError([f"{path.name}: expected a list of objects"])
    keys: set[str] = {key for _, row in records[:100] for key in row}
    example = next((row["input"] for _, row in records if "input" in row), None)
    if public_format := public.detect(keys):
        return public_format
    if "input" in keys and (keys & _LANGFUSE or (isinstance(example, dict) and "expected_output" in keys)):
        return "langfuse"
    if keys & _RAGAS or {"ground_truth", "contexts"} <= keys:
        return "ragas"
    if keys:
        return "csv"
    raise EvalsetError(
        [f"{path.name}: no row in it; it may also be named with --format {', '.join(FORMATS)}"]
    )


def document(path: Path) -> Any:
    """Return what a JSON or YAML file holds; raises EvalsetError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix in (".yaml", ".yml"):
            import yaml

            try:
                return yaml.safe_load(text)
            except (yaml.YAMLError, RecursionError) as error:
                raise EvalsetError([f"{path.name}: not YAML ({str(error).splitlines()[0]})"]) from None
        return json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise EvalsetError([f"{path.name}: cannot be read ({error})"]) from None


def _loaded(text: Any) -> Any:
    """Return the list or object a cell holds as JSON, or the text itself."""
    if isinstance(text, str) and text[:1] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _each(records: Records, reader: Callable[[Row, Imported], Row | str], imported: Imported) -> None:
    for number, (_, record) in enumerate(records, 1):
        row = reader(record, imported)
        if isinstance(row, str):
            imported.dropped.append(f"row {number}: {row}")
        else:
            imported.rows.append(row)


def _table(path: Path, records: Records, mapped: Mapping[str, str], imported: Imported) -> None:
    """Map rows by the names of their columns; what was not understood is said, answers never pass over."""
    columns = list(dict.fromkeys(key for _, row in records for key in row))
    filled = {key for _, row in records for key in row if row[key] not in (None, "", [])}
    empty = [head for head in columns if head not in filled]
    for head in empty:
        imported.lose(head, "it holds nothing in any row")
    try:
        imported.mapping = heads.mapping(columns, mapped, empty=empty)
    except EvalsetError as error:
        raise EvalsetError([f"{path.name}: {problem}" for problem in error.problems]) from None
    lost = heads.forgotten(columns, imported.mapping, [row for _, row in records])
    if lost and "reference" not in {*imported.mapping, *mapped}:
        shown = " or ".join(f"--map reference={head!r}" for head in lost)
        raise EvalsetError(
            [
                f"{path.name}: {', '.join(map(repr, lost))} may hold the expected answers; say so with "
                f"{shown}, or leave it out with --map reference=none"
            ]
        )
    for line, record in records:
        row = _plain(record, imported)
        if isinstance(row, str):
            imported.dropped.append(f"line {line}: {row}")
        else:
            imported.rows.append(row)


def _plain(record: Row, imported: Imported) -> Row | str:
    """Map a row of a table by the columns' names."""
    question = record.get(imported.mapping["question"])
    row = _conversation(question)
    if row is None:
        return "no question"
    for field, head in imported.mapping.items():
        if field != "question" and record.get(head) not in (None, "", []):
            row[field] = value(field, record[head])
    for head in record.keys() - set(imported.mapping.values()):
        if record[head] not in (None, "", []):
            imported.lose(head, "a case has no such field")
    problems: list[str] = []
    case({"id": "x", **row}, "", problems)
    return row if not problems else "; ".join(problem.removeprefix(": ") for problem in problems)


def value(field: str, value: Any) -> Any:
    """Return a cell as the field of a case holds it; what cannot be is left for `row.case` to name."""
    if field in LISTS:
        return _list(value)
    if field == "must_refuse" and not isinstance(value, bool):
        word = str(value).strip().lower()
        return True if word in _YES else False if word in _NO else value
    if field == "answerability":
        return str(value).strip().lower()
    if field == "history":
        return value
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return str(value)


def _ragas(record: Row, imported: Imported) -> Row | str:
    """Map a sample of RAGAS, of today's names and of those before 0.2."""
    question = record.get("user_input", record.get("question"))
    row = _conversation(question)
    if row is None:
        return "no user_input"
    reference = record.get("reference", record.get("ground_truth", record.get("ground_truths")))
    if isinstance(reference, list):
        if len(reference) > 1:
            imported.lose("ground_truths", "a case has one reference; the first was taken")
        reference = next(iter(reference), None)
    if reference:
        row["reference"] = str(reference)
    ids = record.get("reference_context_ids")
    if ids:
        row["relevant_ids"] = [str(key) for key in _list(ids)]
    elif record.get("reference_contexts"):
        imported.lose("reference_contexts", "texts without document ids; give reference_context_ids")
    for key, why in _RAGAS_LOST.items():
        if record.get(key):
            imported.lose(key, why)
    columns = {*_RAGAS_LOST, "user_input", "question", "reference", "ground_truth", "ground_truths"}
    for key in record.keys() - columns - {"reference_context_ids", "reference_contexts", "id"}:
        imported.lose(key, "a case has no such field")
    return {**row, **({"id": str(record["id"])} if record.get("id") else {})}


_RAGAS_LOST = {
    "response": "what a system answered is no part of a case",
    "answer": "what a system answered is no part of a case",
    "retrieved_contexts": "what a system found is no part of a case",
    "retrieved_context_ids": "what a system found is no part of a case",
    "contexts": "what a system found is no part of a case",
    "rubrics": "our metrics take no rubric",
    "reference_topics": "our metrics take no topics",
    "reference_tool_calls": "a turn calls no tools",
}


def _langfuse(record: Row, imported: Imported) -> Row | str:
    """Map a dataset item of Langfuse."""
    if str(record.get("status", "")).upper() == "ARCHIVED":
        return "archived in Langfuse"
    row = _conversation(_loaded(record.get("input")))
    if row is None:
        return f"no question in its input {str(record.get('input'))[:60]!r}"
    expected = _loaded(record.get("expectedOutput", record.get("expected_output")))
    if isinstance(expected, dict):
        named = ("answer", "reference", "output", "text", "content")
        text = next((expected[key] for key in named if isinstance(expected.get(key), str)), None)
        for key in expected.keys() - set(named):
            imported.lose(f"expectedOutput.{key}", "a case has no such field")
        expected = text
    if expected:
        row["reference"] = str(expected)
    metadata = _loaded(record.get("metadata"))
    row |= _metadata(metadata if isinstance(metadata, dict) else {}, imported)
    columns = {"id", "input", "expectedOutput", "expected_output", "metadata", "status"}
    for key in record.keys() - columns:
        if record[key] is not None:
            imported.lose(key, "belongs to Langfuse's own bookkeeping")
    return {**row, **({"id": str(record["id"])} if record.get("id") else {})}


def _metadata(metadata: Row, imported: Imported) -> Row:
    """Return the fields of a case that a Langfuse item's metadata holds."""
    row: Row = {}
    for key, value in metadata.items():
        if key in ("tags", "relevant_ids", "must_contain") and value:
            row[key] = _list(value)
        elif key == "answerability":
            row[key] = value
        else:
            imported.lose(f"metadata.{key}", "a case has no such field")
    return row


_READERS: dict[str, Callable[[Row, Imported], Row | str]] = {
    "ragas": _ragas,
    "langfuse": _langfuse,
}


def _conversation(conversation: Any) -> Row | None:
    """Return {question, history?} of a text, of an object with a question, or of messages."""
    if isinstance(conversation, str):
        return {"question": conversation.strip()} if conversation.strip() else None
    if isinstance(conversation, dict):
        messages = conversation.get("messages")
        if messages:
            return _conversation(messages)
        return next(
            (_conversation(conversation[key]) for key in ASKS if isinstance(conversation.get(key), str)), None
        )
    if not isinstance(conversation, list):
        return None
    roles = {"human": "user", "user": "user", "ai": "assistant", "assistant": "assistant"}
    turns = [
        {"role": roles[role], "text": str(message.get("content", message.get("text", "")))}
        for message in conversation
        if isinstance(message, dict) and (role := str(message.get("type", message.get("role")))) in roles
    ]
    while turns and turns[-1]["role"] != "user":
        turns.pop()
    if not turns:
        return None
    return {"question": turns[-1]["text"], **({"history": turns[:-1]} if turns[:-1] else {})}


def _list(value: Any) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(";") if part.strip()]
    return [str(part) for part in value] if isinstance(value, list) else [str(value)]


def _beir(path: Path, imported: Imported) -> None:
    read = beir.load(path)
    assert read.corpus is not None
    imported.rows = [row_of(item) for item in read.cases]
    imported.dropped += read.warnings
    imported.corpus = [
        {"id": row.get("_id", row.get("id")), **{key: row.get(key) or "" for key in ("title", "text", "url")}}
        for _, row in jsonl.objects(read.corpus, imported.dropped)
    ]


def _number(imported: Imported) -> None:
    """Give each row an id: its own, or digits over what it asks; what asks the same is dropped."""
    rows_by_id: dict[str, Row] = {}
    for row in imported.rows:
        question = json.dumps([row["question"], row.get("history")], ensure_ascii=False)
        key = str(row.get("id") or hashlib.sha256(question.encode()).hexdigest()[:10])
        twin = rows_by_id.get(key)
        if twin and (twin["question"], twin.get("history")) != (row["question"], row.get("history")):
            key = next(other for n in count(2) if (other := f"{key}-{n}") not in rows_by_id)
            twin = None
        if twin:
            imported.dropped.append(f"{row['question'][:60]!r}: the id {key!r} is there already")
        else:
            rows_by_id[key] = {
                "id": key,
                **{name: value for name, value in row.items() if name != "id"},
            }
    imported.rows = list(rows_by_id.values())
