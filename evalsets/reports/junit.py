"""Writes a report as JUnit XML: a test a case with what was expected and answered, a test a metric."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from evalsets.metrics.table import find_metric
from evalsets.reports.content import CaseRow, ComparedCase, DifferenceRow, MetricRow, Report, RunReport

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Test = tuple[str, str, bool]  # its name, what it says, whether it failed


def junit(report: Report) -> str:
    """Return the XML; a case of a comparison fails when it newly fails on the candidate."""
    if isinstance(report, RunReport):
        suites = {"cases": [*map(_case, report.cases)], "metrics": [*map(_metric, report.metrics)]}
    else:
        suites = {"cases": [*map(_moved, report.cases)], "metrics": [*map(_difference, report.differences)]}
    title = xml_text(report.title)
    root = ElementTree.Element("testsuites", name=title)
    for name, tests in suites.items():
        _suite(root, f"{title}.{name}", tests)
    every = [test for tests in suites.values() for test in tests]
    root.attrib.update(tests=str(len(every)), failures=str(sum(test[2] for test in every)), errors="0")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def xml_text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def _suite(root: ElementTree.Element, name: str, tests: Sequence[Test]) -> None:
    failures = str(sum(failed for _, _, failed in tests))
    suite = ElementTree.SubElement(
        root, "testsuite", name=name, tests=str(len(tests)), failures=failures, errors="0"
    )
    for title, text, failed in tests:
        test = ElementTree.SubElement(suite, "testcase", classname=name, name=xml_text(title))
        if failed:
            failure = ElementTree.SubElement(test, "failure", message=xml_text(text.splitlines()[0]))
            failure.text = xml_text(text)
        else:
            ElementTree.SubElement(test, "system-out").text = xml_text(text)


def _case(row: CaseRow) -> Test:
    text = [", ".join(f"{title} failed" for title in row.failing) or "passed", f"question: {row.question}"]
    text += [f"expected: {row.reference or _expected(row)}", f"actual: {row.answer or 'no answer'}"]
    return row.case_id, "\n".join(text), bool(row.failing)


def _expected(row: CaseRow) -> str:
    pages = row.relevant_ids
    return f"an answer from {', '.join(pages)}" if pages else row.answerability or "not given"


def _moved(row: ComparedCase) -> Test:
    new = [title for title in row.failing_b if title not in row.failing_a]
    text = [", ".join(f"{title} newly failed" for title in new) or "no new failure"]
    text += [f"question: {row.question}", f"expected: {row.reference or 'not given'}"]
    text += [f"before: {row.answer_a or 'no answer'}", f"actual: {row.answer_b or 'no answer'}"]
    return row.case_id, "\n".join(text), bool(new)


def _metric(row: MetricRow) -> Test:
    write = find_metric(row.name).write
    text = f"{write(row.mean)} ({write(row.ci_low)} to {write(row.ci_high)}), n {row.n}, failed {row.failed}"
    if row.threshold is not None:
        text += f", threshold {write(row.threshold)}"
    return row.name, text, row.passed is False


def _difference(row: DifferenceRow) -> Test:
    return row.metric, row.sentence, row.verdict == "worse"
