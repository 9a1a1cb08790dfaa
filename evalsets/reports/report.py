"""Writes a report as HTML, PDF, Markdown, CSV, JSON or JUnit; every one opens offline."""

from __future__ import annotations

import csv as csv_format
import io
import json as json_format
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from evalsets.metrics.table import find_metric, is_judged
from evalsets.reports.content import CaseScore, DifferenceRow, Report, RunReport
from evalsets.reports.junit import junit
from pipeline.errors import AnswerdeckError

TEMPLATES = Path(__file__).parent / "templates"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PDF_SECONDS = 120
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class ReportError(AnswerdeckError):
    """A report cannot be written in the format asked for."""


def write(report: Report, format: str, out: Path) -> None:
    """Write the report to `out`; raises ReportError for an unknown format or a PDF without a browser."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if format == "pdf":
        pdf(report, out)
    elif format in TEXTS:
        out.write_text(TEXTS[format](report), encoding="utf-8", newline="")
    else:
        raise ReportError(f"no format {format!r}; there are {', '.join(FORMATS)}")


def html(report: Report) -> str:
    """Return one HTML file that needs nothing else: style and charts are inside, all text is escaped."""
    return _rendered(f"{report.kind}.html", report, escape=True)


def markdown(report: Report) -> str:
    """Return the report as Markdown for a pull request."""
    return _rendered(f"{report.kind}.md", report, escape=False)


def json(report: Report) -> str:
    """Return everything the report knows, each case included."""
    return json_format.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv(report: Report) -> str:
    """Return a line a case of a run, or a line a metric of a comparison.

    A text that a spreadsheet would take for a formula gets a leading apostrophe. An empty cell is
    a metric that does not apply; "failed" one that could not be scored. What a judge scored has its
    reason in a column of its own.
    """
    out = io.StringIO()
    lines = csv_format.writer(out, lineterminator="\r\n")
    if isinstance(report, RunReport):
        names = [row.name for row in report.metrics]
        about = ["case_id", "question", "reference", "answerability", "outcome", "answer", "turn_id"]
        judged = [name for name in names if is_judged(name)]
        lines.writerow([*about, *names, *(f"{name} reason" for name in judged)])
        for case in report.cases:
            values = [_value(case.scores.get(name)) for name in names]
            reasons = [inert(case.scores[name].reason if name in case.scores else None) for name in judged]
            lines.writerow([*(inert(getattr(case, key)) for key in about), *values, *reasons])
    else:
        keys = [field.name for field in fields(DifferenceRow) if field.name not in ("wins", "losses")]
        named = {f"mean_{side}": f"mean of {name}" for side, name in asdict(report.names).items()}
        lines.writerow([*(named.get(key, key) for key in keys), "wins", "losses"])
        for row in report.differences:
            counts = [len(row.wins), len(row.losses)]
            lines.writerow([*(inert(getattr(row, key)) for key in keys), *counts])
    return out.getvalue()


def printer() -> str | None:
    """Return the Chromium that prints PDFs, or None when none is installed."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def pdf(report: Report, out: Path) -> None:
    """Print the HTML to PDF with the Chromium that is installed; raises ReportError without one."""
    browser = printer()
    if browser is None:
        raise ReportError("a PDF needs Chromium, and none is installed; take html, or install chromium")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(html(report), encoding="utf-8")
        command = [
            browser,
            "--headless",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            f"--user-data-dir={folder}/profile",
            "--no-pdf-header-footer",
            f"--print-to-pdf={out.absolute()}",
            page.as_uri(),
        ]
        if os.geteuid() == 0:  # Chromium has no sandbox for root
            command.insert(1, "--no-sandbox")
        try:
            done = subprocess.run(command, capture_output=True, timeout=PDF_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise ReportError(f"{browser} did not print within {PDF_SECONDS} s; take html instead") from None
    if done.returncode != 0 or not out.is_file():
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ReportError(f"{browser} could not print the PDF: {' '.join(last)}")


TEXTS: dict[str, Callable[[Report], str]] = {
    "html": html,
    "md": markdown,
    "json": json,
    "csv": csv,
    "junit": junit,
}
FORMATS = (*TEXTS, "pdf")


def _rendered(template: str, report: Report, *, escape: bool) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    room = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room.filters["cell"] = _cell
    room.filters["p"] = lambda p: "< 0.001" if p < 0.001 else f"{p:.3f}"
    room.globals["write"] = lambda name, value, signed=False: find_metric(name).write(value, signed=signed)
    return room.get_template(template).render(report=report)


def _cell(text: object) -> str:
    """Return a text as one cell of a Markdown table, nothing in it taken for markup."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(str("—" if text is None else text).split()))


def _value(score: CaseScore | None) -> Any:
    if score is None:
        return ""
    return "failed" if score.failed else score.value


def inert(value: Any) -> Any:
    """Return a value that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value
