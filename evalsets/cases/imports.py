"""Brings in evalsets of other tools, and says what of them a case cannot hold."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evalsets.cases import jsonl, promptfoo, team
from evalsets.cases.cases import EvalsetError
from evalsets.cases.imported import ASKS, FORMATS, Format, Imported, Row


def read(path: Path, format: Format | None = None) -> Imported:
    """Return the cases of a file or BEIR folder; without a format it is recognised.

    Raises EvalsetError when nothing can be read from it.
    """
    found = Imported(format or detect(path))
    if found.format == "beir":
        _beir(path, found)
    elif found.format == "promptfoo":
        promptfoo.read(document(path), found)
    else:
        records = list(_records(path, found))
        _each(records, _READERS[found.format], found)
    _number(found)
    if not found.rows:
        raise EvalsetError([f"{path.name}: no case could be made of it", *found.dropped])
    return found


def detect(path: Path) -> Format:
    """Return the format a file is in, from its columns; raises EvalsetError when none fits."""
    if path.is_dir():
        return "beir"
    if path.suffix in (".yaml", ".yml"):
        return "promptfoo"
    if not path.is_file():
        raise EvalsetError([f"there is no {str(path)!r}"])
    if path.suffix == ".json":
        whole = document(path)
        if isinstance(whole, dict) and whole.keys() & {"tests", "testCases", "results", "providers"}:
            return "promptfoo"
    first = next(iter(_records(path, Imported("csv"))), None)
    keys = set(first or ())
    if keys & {"expectedOutput", "expected_output", "datasetItemId", "sourceTraceId", "source_trace_id"}:
        return "langfuse"
    if keys & {"user_input", "retrieved_contexts", "reference_contexts", "ground_truth", "ground_truths"}:
        return "ragas"
    if path.suffix in (".csv", ".jsonl", ".json") and keys & set(ASKS):
        return "csv"
    raise EvalsetError(
        [f"{path.name}: its format was not recognised; name it with --format {', '.join(FORMATS)}"]
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


def _records(path: Path, found: Imported) -> Iterator[Row]:
    """Yield the rows of a CSV, a JSON or a JSON Lines file."""
    if path.suffix == ".csv":
        csv.field_size_limit(10_000_000)
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                for row in csv.DictReader(file, restkey="…"):
                    yield {key: _loaded(text) for key, text in row.items() if text}
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise EvalsetError([f"{path.name}: cannot be read as CSV in UTF-8 ({error})"]) from None
    elif path.suffix == ".json":
        whole = document(path)
        yield from _listed(whole, path)
    else:
        yield from (row for _, row in jsonl.objects(path, found.dropped))


def _loaded(text: Any) -> Any:
    """Return the list or object a cell holds as JSON, or the text itself."""
    if isinstance(text, str) and text[:1] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _listed(whole: Any, path: Path) -> list[Row]:
    """Return the rows of a JSON document: a list, a list under a name, or columns of equal length."""
    if isinstance(whole, dict):
        named = next((whole[key] for key in ("items", "data", "samples", "rows") if key in whole), whole)
        if isinstance(named, dict) and named and all(isinstance(value, list) for value in named.values()):
            return [dict(zip(named, values, strict=False)) for values in zip(*named.values(), strict=False)]
        whole = named
    if isinstance(whole, list):
        return [row for row in whole if isinstance(row, dict)]
    raise EvalsetError([f"{path.name}: expected a list of objects"])


def _each(records: list[Row], reader: Callable[[Row, Imported], Row | str], found: Imported) -> None:
    for number, record in enumerate(records, 1):
        row = reader(record, found)
        if isinstance(row, str):
            found.dropped.append(f"row {number}: {row}")
        else:
            found.rows.append(row)


def _plain(record: Row, found: Imported) -> Row | str:
    """Map a table with our columns or the usual names for them."""
    from evalsets.cases.cases import FIELDS, case

    record = dict(record)
    asked = next((key for key in ASKS if key in record), None)
    if asked is None:
        return "no question"
    row: Row = {"question": str(record.pop(asked))}
    for key in ("reference", "answer", "expected", "expected_output", "ground_truth", "expected_answer"):
        if key in record:
            row["reference"] = str(record.pop(key))
            break
    for key in ("relevant", "relevant_docs", "document_id", "doc_id", "source_id"):
        if key in record:
            row["relevant_ids"] = _list(record.pop(key))
    for key, value in record.items():
        if key not in FIELDS:
            found.lose(key, "a case has no such field")
        elif key in ("relevant_ids", "must_contain", "tags"):
            row[key] = _list(value)
        elif key == "must_refuse":
            row[key] = (
                value if isinstance(value, bool) else str(value).strip().lower() in ("true", "yes", "1")
            )
        else:
            row[key] = value if key in ("history",) else str(value)
    problems: list[str] = []
    case({"id": "x", **row}, "", problems)
    return row if not problems else "; ".join(problem.removeprefix(": ") for problem in problems)


def _ragas(record: Row, found: Imported) -> Row | str:
    """Map a sample of RAGAS, of today's names and of those before 0.2."""
    asked = record.get("user_input", record.get("question"))
    row = _conversation(asked)
    if row is None:
        return "no user_input"
    reference = record.get("reference", record.get("ground_truth", record.get("ground_truths")))
    if isinstance(reference, list):
        if len(reference) > 1:
            found.lose("ground_truths", "a case has one reference; the first was taken")
        reference = next(iter(reference), None)
    if reference:
        row["reference"] = str(reference)
    ids = record.get("reference_context_ids")
    if ids:
        row["relevant_ids"] = [str(key) for key in _list(ids)]
    elif record.get("reference_contexts"):
        found.lose("reference_contexts", "texts without document ids; give reference_context_ids")
    for key, why in _RAGAS_LOST.items():
        if record.get(key):
            found.lose(key, why)
    known = {*_RAGAS_LOST, "user_input", "question", "reference", "ground_truth", "ground_truths"}
    for key in record.keys() - known - {"reference_context_ids", "reference_contexts", "id"}:
        found.lose(key, "a case has no such field")
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


def _langfuse(record: Row, found: Imported) -> Row | str:
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
            found.lose(f"expectedOutput.{key}", "a case has no such field")
        expected = text
    if expected:
        row["reference"] = str(expected)
    metadata = _loaded(record.get("metadata"))
    row |= _metadata(metadata if isinstance(metadata, dict) else {}, found)
    known = {"id", "input", "expectedOutput", "expected_output", "metadata", "status"}
    for key in record.keys() - known:
        if record[key] is not None:
            found.lose(key, "belongs to Langfuse's own bookkeeping")
    return {**row, **({"id": str(record["id"])} if record.get("id") else {})}


def _metadata(metadata: Row, found: Imported) -> Row:
    """Return the fields of a case that a Langfuse item's metadata holds."""
    row: Row = {}
    for key, value in metadata.items():
        if key in ("tags", "relevant_ids", "must_contain") and value:
            row[key] = _list(value)
        elif key == "answerability":
            row[key] = value
        else:
            found.lose(f"metadata.{key}", "a case has no such field")
    return row


_READERS: dict[str, Callable[[Row, Imported], Row | str]] = {
    "csv": _plain,
    "ragas": _ragas,
    "langfuse": _langfuse,
}


def _conversation(asked: Any) -> Row | None:
    """Return {question, history?} of a text, of an object with a question, or of messages."""
    if isinstance(asked, str):
        return {"question": asked.strip()} if asked.strip() else None
    if isinstance(asked, dict):
        messages = asked.get("messages")
        if messages:
            return _conversation(messages)
        return next((_conversation(asked[key]) for key in ASKS if isinstance(asked.get(key), str)), None)
    if not isinstance(asked, list):
        return None
    roles = {"human": "user", "user": "user", "ai": "assistant", "assistant": "assistant"}
    said = [
        {"role": roles[role], "text": str(message.get("content", message.get("text", "")))}
        for message in asked
        if isinstance(message, dict) and (role := str(message.get("type", message.get("role")))) in roles
    ]
    while said and said[-1]["role"] != "user":
        said.pop()
    if not said:
        return None
    return {"question": said[-1]["text"], **({"history": said[:-1]} if said[:-1] else {})}


def _list(value: Any) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(";") if part.strip()]
    return [str(part) for part in value] if isinstance(value, list) else [str(value)]


def _beir(path: Path, found: Imported) -> None:
    from evalsets.cases import beir

    read = beir.load(path)
    assert read.corpus is not None
    found.rows = [team.row_of(one) for one in read.cases]
    found.dropped += read.warnings
    found.corpus = [
        {"id": row.get("_id", row.get("id")), **{key: row.get(key) or "" for key in ("title", "text", "url")}}
        for _, row in jsonl.objects(read.corpus, found.dropped)
    ]


def _number(found: Imported) -> None:
    """Give each row an id: its own, or digits over what it asks; a second of the same is dropped."""
    kept: dict[str, Row] = {}
    for row in found.rows:
        asked = json.dumps([row["question"], row.get("history")], ensure_ascii=False)
        key = str(row.get("id") or hashlib.sha256(asked.encode()).hexdigest()[:10])
        if key in kept:
            found.dropped.append(f"{row['question'][:60]!r}: the id {key!r} is there already")
        else:
            kept[key] = {"id": key, **{name: value for name, value in row.items() if name != "id"}}
    found.rows = list(kept.values())
