"""Reads a BEIR folder: corpus.jsonl, queries.jsonl and qrels.tsv (or qrels/test.tsv)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsets.cases import jsonl
from evalsets.cases.evalset import ANSWERABILITY, Evalset, EvalsetError, Queries, fingerprint
from traces.records import Case


@dataclass(frozen=True, slots=True)
class Query:
    """A line of queries.jsonl or tasks.jsonl, as a case is made of it."""

    key: str
    text: str
    history: list[dict[str, str]] | None
    reference: str | None
    answerability: str | None


def load(folder: Path, form: Queries | None = None) -> Evalset:
    """Return the evalset of a BEIR folder; its corpus is to be indexed apart.

    Ids may be `id` or `_id`. Judgements above 0 count as relevant. `form` is "last" (the query as it
    stands, its earlier user turns as history), "rewrite" (its standalone form) or "tasks": tasks.jsonl,
    with the whole history, the answerability and the human reference of each turn; the default when
    that file is there. `kind` or `answerability`, and `reference`, are taken when present. Queries
    without judgement and without answerability are left out, as is usual with BEIR. Raises
    EvalsetError for bad lines and duplicate ids; judgements that name unknown queries or documents
    become warnings.
    """
    problems: list[str] = []
    qrels_path = _judgements(folder)
    corpus = folder / "corpus.jsonl"
    documents = set(_ids(corpus, problems))
    qrels = _qrels(qrels_path, problems)
    tasks = folder / "tasks.jsonl"
    form = form or ("tasks" if tasks.is_file() else "last")
    lines = tasks if form == "tasks" else folder / "queries.jsonl"
    queries = {query.key: query for query in _queries(lines, problems, rewritten=form == "rewrite")}
    cases = tuple(
        _case(query, qrels.get(query.key))
        for query in queries.values()
        if query.key in qrels or query.answerability is not None
    )
    if not cases and not problems:
        problems.append(f"{folder.name}: no query has a judgement")
    if problems:
        raise EvalsetError(problems)
    return Evalset(
        name=folder.resolve().name,
        fingerprint=fingerprint(cases, corpus.read_bytes()),
        cases=cases,
        title=folder.resolve().name,
        corpus=corpus,
        source=f"{folder.resolve().name}: {form}",
        warnings=tuple(_warnings(qrels, set(queries), documents, len(cases))),
    )


def _judgements(folder: Path) -> Path:
    """Return the file of judgements of a folder that has all files; raises EvalsetError."""
    path = next((path for path in _qrels_paths(folder) if path.is_file()), None)
    problems = [
        f"{folder.name}: {name} is missing, so this is no BEIR folder"
        for name in ("corpus.jsonl", "queries.jsonl")
        if not (folder / name).is_file()
    ]
    if path is None:
        problems.append(f"{folder.name}: neither qrels.tsv nor qrels/test.tsv is there")
    if problems or path is None:
        raise EvalsetError(problems)
    return path


def _qrels_paths(folder: Path) -> list[Path]:
    return [folder / "qrels.tsv", folder / "qrels" / "test.tsv", folder / "qrels" / "dev.tsv"]


def _key(row: Mapping[str, Any]) -> str | None:
    key = row.get("_id", row.get("id"))
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    return key if isinstance(key, str) and key else None


def _ids(path: Path, problems: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    for number, row in jsonl.objects(path, problems):
        key = _key(row)
        if key is None:
            problems.append(f"{path.name} line {number}: no id")
        elif key in seen:
            problems.append(f"{path.name} line {number}: id {key!r} is there already")
        elif not isinstance(row.get("text"), str):
            problems.append(f"{path.name} line {number}: text must be a text, got {row.get('text')!r}")
        else:
            seen.add(key)
            yield key


def _queries(path: Path, problems: list[str], *, rewritten: bool) -> Iterator[Query]:
    by_id: set[str] = set()
    for number, row in jsonl.objects(path, problems):
        key, text = _key(row), row.get("text", row.get("question"))
        if key is None:
            problems.append(f"{path.name} line {number}: no id")
        elif key in by_id:
            problems.append(f"{path.name} line {number}: id {key!r} is there already")
        elif not isinstance(text, str) or not text.strip():
            problems.append(f"{path.name} line {number}: text must be a text, got {text!r}")
        else:
            by_id.add(key)
            yield _rewritten(key, row, problems) if rewritten else _query(key, row, text)


def _query(key: str, row: Mapping[str, Any], text: str) -> Query:
    reference = row.get("reference")
    return Query(key, text, _history(row), reference if isinstance(reference, str) else None, _kind(row))


def _qrels(path: Path, problems: list[str]) -> dict[str, list[str]]:
    """Return the relevant document ids of each judged query; a header line is recognised."""
    judgements: dict[str, list[str]] = {}
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        cells = line.split("\t")
        if not line.strip() or (number == 1 and cells[-1].strip() == "score"):
            continue
        if len(cells) == 4:  # TREC's form: query, iteration, document, score
            del cells[1]
        try:
            query, document, score = cells[0], cells[1], int(cells[2])
        except (IndexError, ValueError):
            problems.append(f"{path.name} line {number}: expected query-id, corpus-id, score, got {line!r}")
            continue
        relevant = judgements.setdefault(query, [])
        if score > 0 and document not in relevant:
            relevant.append(document)
    return judgements


def _kind(row: Mapping[str, Any]) -> str | None:
    kind = str(row.get("answerability", row.get("kind", ""))).lower().replace("-", "_")
    return kind if kind in ANSWERABILITY else None


def _rewritten(key: str, row: Mapping[str, Any], problems: list[str]) -> Query:
    rewrite = row.get("rewrite")
    if not isinstance(rewrite, str) or not rewrite.strip():
        problems.append(f"query {key!r} has no rewrite; ask the last turn instead (--queries last)")
    return _query(key, {**row, "user_turns": None}, str(rewrite))


def _history(row: Mapping[str, Any]) -> list[dict[str, str]] | None:
    """Return what was said before: the whole conversation of a task, or the user's turns of a query."""
    history = row.get("history")
    if isinstance(history, list):
        return [
            {"role": message["role"], "text": message["text"]}
            for message in history
            if isinstance(message, dict) and message.get("role") in ("user", "assistant")
        ] or None
    turns = row.get("user_turns")
    earlier = turns[:-1] if isinstance(turns, list) else []
    return [{"role": "user", "text": str(text)} for text in earlier] or None


def _case(query: Query, relevant: list[str] | None) -> Case:
    return Case(
        run_id="",
        case_id=query.key,
        question=query.text,
        history=query.history,
        reference=query.reference,
        relevant_ids=relevant,
        answerability=query.answerability,
    )


def _warnings(
    qrels: Mapping[str, list[str]], queries: set[str], documents: set[str], cases: int
) -> Iterator[str]:
    strangers = sorted({key for relevant in qrels.values() for key in relevant} - documents)
    if strangers:
        yield f"the judgements name {len(strangers)} documents that the corpus lacks, e.g. {strangers[0]!r}"
    lost = sorted(qrels.keys() - queries)
    if lost:
        yield f"the judgements name {len(lost)} queries that do not exist, e.g. {lost[0]!r}"
    if cases < len(queries):
        yield f"{len(queries) - cases} queries without judgements were left out"
