"""All that is compared of a run: from the ledger, or from the JSON report of a run of another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from evalsets.metrics.columns import Column, columns
from pipeline.errors import AnswerdeckError
from traces.queries import runs
from traces.queries.runs import RunCase
from traces.queries.window import Rows
from traces.records import Run, RunSettings

SAME = ("question", "history", "reference", "relevant_ids", "answerability", "must_refuse", "must_contain")
FORM = 1  # of the record in a report; another one is not read
_PARTS = ("values", "failed", "skipped")


class NotAReport(AnswerdeckError):
    """A file is not the JSON report of a run or of a comparison."""


@dataclass(frozen=True, slots=True)
class Record:
    """A run with its cases and scores; `file` is the report it was read from."""

    run: Run
    cases: Mapping[str, str]  # case -> fingerprint of what was asked and expected
    columns: Mapping[str, Column]
    judges: Mapping[str, str]  # metric -> the judge that scored it
    file: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON that `read` reads."""
        return {
            "form": FORM,
            "run": {
                key: value.isoformat() if isinstance(value, datetime) else value
                for key, value in self.run.to_dict().items()
            },
            "cases": dict(self.cases),
            "columns": {
                name: {part: getattr(column, part) for part in _PARTS}
                for name, column in self.columns.items()
            },
            "judges": dict(self.judges),
        }


def of(ledger: Rows, run_id: str) -> Record:
    """Return the record of a run (an id, its beginning, or "latest"); raises UnknownRun."""
    run = runs.run(ledger, run_id)
    scores = runs.scores_of(ledger, run.run_id)
    cases = {case.case_id: _fingerprint(case) for case in runs.cases_of(ledger, run.run_id)}
    judges = {score.name: score.scorer for score in scores if score.scorer and runs.JUDGE in score.scorer}
    return Record(run, cases, columns(scores), judges)


def read(path: Path) -> Record:
    """Return the run of a report that `eval report RUN --format json` wrote; raises NotAReport."""
    report = load(path)
    if report["kind"] != "run":
        raise NotAReport(f"{path} is the report of a comparison; a baseline is the report of one run")
    record = report.get("record")
    if not isinstance(record, dict) or record.get("form") != FORM:
        raise NotAReport(
            f"{path} was written by another version and does not hold its run; write it anew:"
            f" answerdeck eval report {report['run'].get('run_id', 'RUN')} --format json"
        )
    try:
        table = {name: _column(parts) for name, parts in record["columns"].items()}
        return Record(_run(record["run"]), dict(record["cases"]), table, dict(record["judges"]), path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotAReport(f"{path} was changed after it was written: {error!r}") from None


def load(path: Path) -> dict[str, Any]:
    """Return a report that `eval report --format json` wrote; raises NotAReport."""
    try:
        report = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise NotAReport(f"there is no file {path}; `eval report RUN --format json` writes one") from None
    except OSError as error:
        raise NotAReport(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise NotAReport(f"{path} cannot be read as JSON: {error}") from None
    kind = report.get("kind") if isinstance(report, dict) else None
    parts = {"run": ("run", "metrics", "versions"), "comparison": ("a", "b", "differences", "versions")}
    if kind not in parts or not all(key in report for key in parts[kind]):
        raise NotAReport(
            f"{path} is no report of a run or comparison; `eval report RUN --format json` is one"
        )
    return report


def _column(stored: Mapping[str, Any]) -> Column:
    values = {key: float(value) for key, value in stored["values"].items()}
    return Column(values, dict(stored["failed"]), dict(stored["skipped"]))


def _run(stored: Mapping[str, Any]) -> Run:
    names = {field.name for field in fields(Run)}
    values = {key: value for key, value in stored.items() if key in names}
    for key in ("started_at", "finished_at"):
        values[key] = datetime.fromisoformat(values[key]) if values.get(key) else None
    return Run(**{**values, "settings": RunSettings.read(stored.get("settings"))})


def _fingerprint(case: RunCase) -> str:
    columns = asdict(case)
    text = json.dumps([columns[key] for key in SAME], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
