"""Reads labelled sets in the formats they are published in, as rows that `labelled` knows."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalsets.cases.jsonl import objects

Row = dict[str, Any]


def rows(path: Path, problems: list[str]) -> Iterator[tuple[int, Row]]:
    """Yield (line or place, row) of a labelled file; what cannot be read is added to `problems`.

    Knows BEGIN (TSV), the human evaluations of MTRAG (JSON), RAGTruth (response.jsonl beside
    source_info.jsonl) and ClapNQ (JSON Lines); any other row is passed on as it is.
    """
    sources: dict[str, Row] | None = None
    for number, row in _read(path, problems):
        if "begin_label" in row:
            yield number, {**row, "label": row["begin_label"]}
        elif {"source_id", "response", "labels"} <= row.keys():
            sources = _sources(path, problems) if sources is None else sources
            source = sources.get(str(row["source_id"]))
            if source is None:
                problems.append(f"{path.name} line {number}: source {row['source_id']!r} is not beside it")
            else:
                yield number, _ragtruth(row, source)
        elif {"input", "passages", "output"} <= row.keys():
            yield number, _clapnq(row)
        else:
            yield number, row


def _read(path: Path, problems: list[str]) -> Iterator[tuple[int, Row]]:
    ending = path.suffix.lower()
    if ending in (".tsv", ".csv"):
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                quoting = csv.QUOTE_NONE if ending == ".tsv" else csv.QUOTE_MINIMAL
                reader = csv.DictReader(file, delimiter="\t" if ending == ".tsv" else ",", quoting=quoting)
                for number, row in enumerate(reader, 2):
                    yield number, {key: cell for key, cell in row.items() if key and cell is not None}
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            problems.append(f"{path.name}: cannot be read ({error})")
    elif ending == ".json":
        yield from _evaluations(path, problems)
    else:
        yield from objects(path, problems)


def _evaluations(path: Path, problems: list[str]) -> Iterator[tuple[int, Row]]:
    """Yield the rated answers of MTRAG's human evaluation: tasks, documents and evaluations in one file."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        tasks = {_of(task, "task_id"): task for task in whole["tasks"]}
        documents = {_of(document, "document_id"): document for document in whole.get("documents") or ()}
        given = list(whole["evaluations"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        problems.append(f"{path.name}: no evaluations of people in it ({error})")
        return
    for place, rating in enumerate(given, 1):
        try:
            yield place, _rated(rating, tasks[_of(rating, "task_id")], documents)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            problems.append(f"{path.name} evaluation {place}: not as published ({error})")


def _rated(document: Row, task: Row, documents: Mapping[Any, Row]) -> Row:
    heard = [turn for turn in task["input"] if turn.get("text")]
    passages = [documents.get(_of(passage, "document_id"), passage) for passage in task.get("contexts") or ()]
    ratings = document["annotations"]["faithfulness"].values()
    targets = task.get("targets") or [{}]
    return {
        "task_id": _of(task, "task_id"),
        "question": heard[-1]["text"],
        "history": heard[:-1],
        "response": _of(document, "model_response"),
        "contexts": passages,
        "reference": targets[0].get("text"),
        "human": {"faithfulness": [float(rating["value"]) for rating in ratings]},
    }


def _of(row: Row, name: str) -> Any:
    """Return a field that some editions write as task_id and others as taskId."""
    head, *rest = name.split("_")
    return row[name] if name in row else row[head + "".join(word.title() for word in rest)]


def _sources(path: Path, problems: list[str]) -> dict[str, Row]:
    beside = path.with_name("source_info.jsonl")
    return {str(row.get("source_id")): row for _, row in objects(beside, problems)}


def _ragtruth(row: Row, source: Row) -> Row:
    """Return an answer that is supported when nobody marked a span of it."""
    given = source["source_info"]
    prompt = given if isinstance(given, dict) and "passages" in given else {"question": "", "passages": given}
    text = prompt["passages"]
    return {
        "question": prompt.get("question") or "",
        "answer": row["response"],
        "contexts": [text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)],
        "label": "unsupported" if row["labels"] else "supported",
        "group": str(row["source_id"]),
    }


def _clapnq(row: Row) -> Row:
    """Return a question that is answerable when an annotator wrote an answer."""
    passages = row["passages"]
    return {
        "id": row.get("id"),
        "question": row["input"],
        "answerable": any((answer.get("answer") or "").strip() for answer in row["output"]),
        "title": passages[0].get("title") if passages else "",
        "sentences": [
            sentence for passage in passages for sentence in passage.get("sentences") or [passage["text"]]
        ],
    }
