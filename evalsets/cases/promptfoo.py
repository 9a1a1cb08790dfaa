"""Maps the tests of a promptfoo configuration, or of its results export, to cases."""

from __future__ import annotations

import re
from typing import Any

from evalsets.cases import heads
from evalsets.cases.imported import ASKS, Imported, Row

KEYS = frozenset({"tests", "testCases", "results", "providers"})  # by which a document is known
CONTAINS = ("contains", "icontains")
CONTAINS_ALL = ("contains-all", "icontains-all")
_ASSERTION = re.compile(r"([a-z]+(?:-[a-z]+)*)(?:\([^)]*\))?:(.*)", re.DOTALL)
REFERENCE = ("equals", "similar", "factuality", "context-recall", "rouge-n", "bleu")


def read(whole: Any, imported: Imported) -> None:
    """Add the cases of a configuration {tests} or of an export {results: {results}} to `found`."""
    tests = _tests(whole)
    if isinstance(tests, str):
        imported.dropped.append(f"tests are in another file, {tests!r}; import that file")
        return
    shared = whole.get("defaultTest") if isinstance(whole, dict) else None
    shared = shared if isinstance(shared, dict) else {}
    for key in ("prompts", "providers", "scenarios", "nunjucksFilters"):
        if isinstance(whole, dict) and whole.get(key):
            imported.lose(key, "prompts and models are variants here, not part of an evalset")
    seen: set[str] = set()
    for number, test in enumerate(tests, 1):
        if not isinstance(test, dict):
            imported.dropped.append(f"test {number}: {str(test)[:60]!r} is in another file; import that file")
            continue
        row = _case(
            {**shared, **test, "vars": {**_object(shared, "vars"), **_object(test, "vars")}}, imported
        )
        if row is None:
            names = ", ".join(_object(test, "vars")) or "none"
            imported.dropped.append(f"test {number}: no variable holds a question (it has {names})")
        elif (key := repr(row)) not in seen:  # an export repeats a test for each provider and prompt
            seen.add(key)
            imported.rows.append(row)


def _tests(whole: Any) -> list[Any] | str:
    if isinstance(whole, list):
        return whole
    if not isinstance(whole, dict):
        return []
    results = whole.get("results")
    if isinstance(results, dict):
        results = results.get("results")
    if isinstance(results, list):
        return [row.get("testCase") or row for row in results if isinstance(row, dict)]
    tests = whole.get("tests") or whole.get("testCases") or []
    return tests if isinstance(tests, list | str) else []


def _case(test: Row, imported: Imported) -> Row | None:
    given = _object(test, "vars")
    name = next((key for key in ASKS if isinstance(given.get(key), str)), None)
    texts = [key for key, value in given.items() if isinstance(value, str)]
    name = name or (texts[0] if len(texts) == 1 else heads.guess(texts).get("question"))
    if name is None:
        return None
    row: Row = {"question": given[name].strip()}
    for key in given.keys() - {name}:
        if heads.fold(key) in heads.NAMES["reference"] and isinstance(given[key], str):
            row["reference"] = given[key]
        else:
            imported.lose(f"vars.{key}", "a case has one question and no other variables")
    for check in test.get("assert") or []:
        if isinstance(check, dict):
            _assertion(check, row, imported)
    tags = _object(test, "metadata").get("tags")
    if isinstance(tags, list):
        row["tags"] = [str(tag) for tag in tags]
    for key in ("options", "provider", "threshold", "assertScoringFunction"):
        if test.get(key):
            imported.lose(key, "thresholds and options belong to the evalset's .toml or to a run")
    return row


def _assertion(check: Row, row: Row, imported: Imported) -> None:
    kind, value = str(check.get("type")), check.get("value")
    if kind in ("contains", "contains-all"):
        imported.lose(
            f"assert {kind}", "became must_contain, which does not tell capitals from small letters"
        )
    if kind in CONTAINS and isinstance(value, str):
        row.setdefault("must_contain", []).append(value)
    elif kind in CONTAINS_ALL and isinstance(value, list):
        row.setdefault("must_contain", []).extend(str(part) for part in value)
    elif kind in REFERENCE and isinstance(value, str):
        if row.setdefault("reference", value) != value:
            imported.lose(f"assert {kind}", "a case has one reference; the first was taken")
    elif kind in ("is-refusal", "not-is-refusal"):
        row["must_refuse"] = kind == "is-refusal"
    elif kind in ("latency", "cost", "perplexity"):
        imported.lose(f"assert {kind}", "measured in every run; a limit belongs to the evalset's .toml")
    else:
        imported.lose(f"assert {kind}", "no field of a case says this")


def expected(row: Row) -> Row:
    """Return a row of a promptfoo table with what its `__expected` columns say as fields of a case."""
    columns = [key for key in row if key.startswith("__expected")]
    flat = {key: value for key, value in row.items() if key not in columns}
    for key in columns:
        text = str(row[key] or "").strip()
        assertion = _ASSERTION.fullmatch(text)
        kind, value = (assertion[1], assertion[2].strip()) if assertion else ("equals", text)
        if kind in CONTAINS:
            flat.setdefault("must_contain", []).append(value)
        elif kind in CONTAINS_ALL:
            flat.setdefault("must_contain", []).extend(part.strip() for part in value.split(","))
        elif kind in REFERENCE and value:
            flat.setdefault("reference", value)
        elif text:
            flat[key] = text
    return flat


def _object(row: Row, key: str) -> Row:
    value = row.get(key)
    return value if isinstance(value, dict) else {}
