"""Reads public test sets in the formats they are published in, so that nobody has to convert them first.

None is shipped: each has a licence of its own. A format is known by its columns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any

from evalsets.cases.evalset import EvalsetError
from evalsets.cases.imported import Format, Imported, Row

# the columns that tell a format from others, in the order they are tried
COLUMNS: tuple[tuple[Format, frozenset[str]], ...] = (
    ("harmbench", frozenset({"Behavior", "SemanticCategory", "BehaviorID"})),
    ("jailbreakbench", frozenset({"Goal", "Target", "Behavior"})),
    ("ailuminate", frozenset({"release_prompt_id", "prompt_text", "hazard"})),
    ("xstest", frozenset({"prompt", "type", "focus"})),
    ("mtrag", frozenset({"task_id", "input", "contexts"})),
    ("clapnq", frozenset({"input", "passages", "output"})),
    ("ragtruth", frozenset({"source_id", "task_type", "source_info"})),
    ("bipia", frozenset({"context", "ideal"})),
)
ATTACKS = "text_attack_*.json"  # of BIPIA: the lines that are planted into its contexts


def detect(keys: Set[str]) -> Format | None:
    """Return the public format whose columns are among the keys, or None."""
    return next((name for name, columns in COLUMNS if columns <= keys), None)


def read(records: Sequence[tuple[int, Row]], path: Path, imported: Imported) -> None:
    """Add the cases of the records, and the documents they are about, to `found`."""
    if imported.format == "bipia":
        _bipia(records, path, imported)
        return
    reader = READERS[imported.format]
    documents: dict[str, Row] = {}
    for number, record in records:
        try:
            row = reader(record, documents)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            what = f"has no {error}" if isinstance(error, KeyError) else f"is not as published ({error})"
            row = what
        if isinstance(row, str):
            imported.dropped.append(f"row {number}: {row}")
            continue
        if imported.format == "jailbreakbench":
            row["must_refuse"] = "benign" not in path.name.lower()
        imported.rows.append(row)
    imported.corpus = list(documents.values()) or None


def _xstest(row: Row, documents: dict[str, Row]) -> Row | str:
    """Map {id, prompt, type, label?, focus}; older editions mark unsafe ones by a type "contrast_…"."""
    label = row.get("label") or row.get("final_label")
    label = label or ("unsafe" if str(row["type"]).startswith("contrast") else "safe")
    if label not in ("safe", "unsafe"):
        return f"label {label!r} is neither safe nor unsafe"
    return {
        "id": str(row.get("id") or row.get("id_v2") or row.get("id_v1") or "") or None,
        "question": str(row["prompt"]),
        "must_refuse": label == "unsafe",
        "tags": [str(row["type"])],
    }


def _harmbench(row: Row, documents: dict[str, Row]) -> Row | str:
    """Map a behaviour; one that needs a context is asked with it."""
    context = str(row.get("ContextString") or "").strip()
    return {
        "id": str(row["BehaviorID"]),
        "question": f"{context}\n\n{row['Behavior']}" if context else str(row["Behavior"]),
        "must_refuse": True,
        "tags": _tags(row.get("SemanticCategory"), row.get("FunctionalCategory")),
    }


def _jailbreakbench(row: Row, documents: dict[str, Row]) -> Row | str:
    """Map a behaviour; the file's name says whether its goals are harmful or benign."""
    number = row.get("Index")
    return {
        "id": None if number in (None, "") else f"jbb-{number}",
        "question": str(row["Goal"]),
        "tags": _tags(row.get("Category"), row.get("Behavior")),
    }


def _ailuminate(row: Row, documents: dict[str, Row]) -> Row | str:
    return {
        "id": str(row["release_prompt_id"]),
        "question": str(row["prompt_text"]),
        "must_refuse": True,
        "tags": _tags(row["hazard"], row.get("persona"), row.get("locale")),
    }


def _mtrag(row: Row, documents: dict[str, Row]) -> Row | str:
    """Map a generation task: the conversation, its passages and the reference that people wrote."""
    roles = {"user": "user", "agent": "assistant"}
    heard = [{"role": roles[turn["speaker"]], "text": turn["text"]} for turn in row["input"]]
    if not heard or heard[-1]["role"] != "user":
        return "its conversation does not end with a question"
    kinds = row.get("Answerability") or []
    kind = str(kinds[0] if isinstance(kinds, list) and kinds else kinds).lower()
    case: Row = {"id": str(row["task_id"]), "question": heard[-1]["text"]}
    if heard[:-1]:
        case["history"] = heard[:-1]
    if kind in ("answerable", "partial", "unanswerable"):
        case["answerability"] = kind
    targets = row.get("targets") or []
    if targets and targets[0].get("text"):
        case["reference"] = targets[0]["text"]
    keys = [
        _keep(documents, context["document_id"], context.get("title"), context["text"])
        for context in row["contexts"]
    ]
    if keys and kind != "unanswerable":
        case["relevant_ids"] = keys
    return case


def _clapnq(row: Row, documents: dict[str, Row]) -> Row | str:
    """Map an annotated question; it is answerable when an annotator wrote an answer."""
    answers = [output["answer"].strip() for output in row["output"] if (output.get("answer") or "").strip()]
    keys = [
        _keep(documents, f"{row['id']}-{number}", passage.get("title"), passage["text"])
        for number, passage in enumerate(row["passages"])
    ]
    case: Row = {"id": str(row["id"]), "question": str(row["input"])}
    if not answers:
        return {**case, "answerability": "unanswerable"}
    return {**case, "answerability": "answerable", "reference": answers[0], "relevant_ids": keys}


def _ragtruth(row: Row, documents: dict[str, Row]) -> Row | str:
    """Map a question with its passages; summaries and texts of data ask no question."""
    source = row["source_info"]
    if row["task_type"] != "QA" or not isinstance(source, dict):
        return f"{row['task_type']} asks no question"
    key = _keep(documents, str(row["source_id"]), None, source["passages"])
    return {"id": str(row["source_id"]), "question": source["question"], "relevant_ids": [key]}


READERS: dict[str, Callable[[Row, dict[str, Row]], Row | str]] = {
    "xstest": _xstest,
    "harmbench": _harmbench,
    "jailbreakbench": _jailbreakbench,
    "ailuminate": _ailuminate,
    "mtrag": _mtrag,
    "clapnq": _clapnq,
    "ragtruth": _ragtruth,
}


def _bipia(records: Sequence[tuple[int, Row]], path: Path, imported: Imported) -> None:
    """Plant the attacks that lie beside the contexts, each in turn, at the end of one context."""
    attacks = _attacks(path)
    imported.corpus = []
    for number, (line, record) in enumerate(records):
        context, ideal = record.get("context"), record.get("ideal")
        if not isinstance(record.get("question"), str) or not context or ideal is None:
            imported.dropped.append(f"row {line}: has no question, context or ideal")
            continue
        category, attack = attacks[number % len(attacks)]
        text = context if isinstance(context, str) else "\n".join(map(str, context))
        key = f"{path.stem}-{number}"
        imported.corpus.append(
            {"id": key, "title": "", "text": f"{text}\n{attack}", "url": "", "attack": attack}
        )
        imported.rows.append(
            {
                "id": key,
                "question": record["question"],
                "reference": ideal if isinstance(ideal, str) else "; ".join(map(str, ideal)),
                "relevant_ids": [key],
                "answerability": "answerable",
                "tags": ["injection", *_tags(category)],
            }
        )


def _attacks(path: Path) -> list[tuple[str, str]]:
    """Return (category, line) of attacks beside the contexts or one folder above, the split's own first."""
    files = [file for folder in (path.parent, path.parent.parent) for file in sorted(folder.glob(ATTACKS))]
    files.sort(key=lambda file: path.stem not in file.stem)
    if not files:
        raise EvalsetError(
            [f"{path.name}: BIPIA's attacks are missing; put {ATTACKS} beside it or one folder above"]
        )
    try:
        named = json.loads(files[0].read_text(encoding="utf-8"))
        attacks = [(str(category), str(line)) for category, lines in named.items() for line in lines]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise EvalsetError([f"{files[0].name}: not BIPIA's attacks ({error})"]) from None
    if not attacks:
        raise EvalsetError([f"{files[0].name}: holds no attack"])
    return attacks


def _keep(documents: dict[str, Row], key: Any, title: Any, text: str) -> str:
    documents.setdefault(str(key), {"id": str(key), "title": title or "", "text": text, "url": ""})
    return str(key)


def _tags(*names: Any) -> list[str]:
    return [str(name) for name in names if name]
