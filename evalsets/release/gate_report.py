"""Writes the gate's verdict for a pull request (Markdown) and for a build server (JUnit)."""

from __future__ import annotations

from xml.etree import ElementTree

from evalsets.metrics.table import find_metric
from evalsets.release.verdict import Check, Verdict
from evalsets.reports.junit import xml_text

MARKS = {"passed": "✅", "failed": "❌", "noted": "⚠️"}


def markdown(verdict: Verdict) -> str:
    """Return a summary: the outcome, the reasons, a row a check."""
    word = "passed" if verdict.passed else "not passed"
    run, baseline = verdict.candidate, verdict.baseline
    lines = [
        f"## Gate {word}: {_cell(run.variant)} on {_cell(verdict.evalset)}",
        "",
        f"Candidate `{run.run_id}` against baseline `{baseline.run_id}`"
        f" ({_cell(baseline.variant)}). {_cell(verdict.sentence)}",
        "",
        *(f"- {_cell(reason)}" for reason in verdict.reasons),
        *([""] if verdict.reasons else []),
        "| | check | baseline | candidate | 95 % interval of the difference | what it says |",
        "|---|---|---:|---:|---|---|",
        *map(_row, verdict.checks),
    ]
    return "\n".join(lines) + "\n"


def junit(verdict: Verdict) -> str:
    """Return JUnit XML: a test a check, failed where the gate says no."""
    name = xml_text(f"gate {verdict.evalset}")
    failures = str(len(verdict.reasons))
    suite = ElementTree.Element(
        "testsuite", name=name, tests=str(len(verdict.checks)), failures=failures, errors="0"
    )
    for check in verdict.checks:
        test = ElementTree.SubElement(suite, "testcase", classname=name, name=xml_text(check.name))
        if check.state == "failed":
            failure = ElementTree.SubElement(test, "failure", message=xml_text(check.text))
            failure.text = xml_text("\n".join(check.cases))
        else:
            ElementTree.SubElement(test, "system-out").text = xml_text(check.text)
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _row(check: Check) -> str:
    about = find_metric(check.name)
    interval = "—"
    if check.ci_low is not None:
        interval = f"{about.write(check.ci_low, signed=True)} to {about.write(check.ci_high, signed=True)}"
    values = f"{about.write(check.baseline)} | {about.write(check.candidate)} | {interval}"
    return f"| {MARKS[check.state]} | {_cell(check.name)} | {values} | {_cell(check.text)} |"


def _cell(text: str) -> str:
    """Return a text that stays in its cell and is no markup."""
    for sign in "\\|`*_[]<>":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
