"""The resilience report of a drill, as Markdown or one HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from pipeline.rehearsal.scenes import SceneResult
from pipeline.rehearsal.sweep import Result

COLUMNS = ("scene", "turns", "outcomes", "p50 s", "most s", "calls", "recorded", "breakers", "")
_STYLE = (
    "body{font:15px/1.5 system-ui;max-width:72rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse;width:100%;font-size:13px}td,th{text-align:left;padding:.35rem .6rem;"
    "border-bottom:1px solid #8884;vertical-align:top}"
)
Table = tuple[str, Sequence[str], list[Sequence[str]]]


def page(suffix: str, played: Sequence[SceneResult], results: Sequence[Result]) -> str:
    """Return the report; `suffix` is .md or .html."""
    tables = [scenes(played), *([kinds(results), failures(results)] if results else [])]
    broken = sum(bool(result.broken) for result in results)
    problems = sum(len(scene.problems) for scene in played)
    swept = f" {len(results)} pairs of call and fault, {broken} broke an invariant." if results else ""
    lead = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {len(played)} failures rehearsed on this machine,"
        f" {problems} problems.{swept} Every turn was asked in a shadow conversation."
    )
    return _html(lead, tables) if suffix == ".html" else _markdown(lead, tables)


def scenes(played: Sequence[SceneResult]) -> Table:
    return "Rehearsed failures", COLUMNS, [row(scene) for scene in played]


def kinds(results: Sequence[Result]) -> Table:
    """Count the sweep's pairs by the call that failed."""
    pairs = Counter(result.pair.point.name for result in results)
    slowest: dict[str, float] = {}
    for result in results:
        name = result.pair.point.name
        slowest[name] = max(slowest.get(name, 0.0), result.seconds)
    rows: list[Sequence[str]] = [
        (name, str(count), f"{slowest[name]:.2f}") for name, count in pairs.most_common()
    ]
    return "Fault sweep, by the call that failed", ("call", "faults", "slowest turn, s"), rows


def failures(results: Sequence[Result]) -> Table:
    """List what the user met, and every pair that broke an invariant."""
    outcomes = Counter(result.outcome for result in results)
    rows: list[Sequence[str]] = [(outcome, str(count), "") for outcome, count in outcomes.most_common()]
    rows += [("broken", str(result.pair), "; ".join(result.broken)) for result in results if result.broken]
    return "Fault sweep, by outcome", ("outcome", "turns", "invariants broken"), rows


def _markdown(lead: str, tables: Iterable[Table]) -> str:
    parts = ["# Resilience report", "", lead, ""]
    for title, columns, rows in tables:
        parts += [f"## {title}", "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
        parts += ["| " + " | ".join(cell.replace("|", "\\|") for cell in item) + " |" for item in rows]
        parts.append("")
    return "\n".join(parts)


def _html(lead: str, tables: Iterable[Table]) -> str:
    body = f"<h1>Resilience report</h1><p>{escape(lead)}</p>"
    for title, columns, rows in tables:
        head = "".join(f"<th>{escape(column)}</th>" for column in columns)
        lines = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in item) + "</tr>" for item in rows
        )
        body += f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{lines}</table>"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Resilience report</title>'
        f"<style>{_STYLE}</style>{body}</html>"
    )


def row(scene: SceneResult) -> tuple[str, ...]:
    """Return a scene as a row of the table."""
    data = scene.to_dict()
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in scene.outcomes.items())
    return (
        scene.name,
        str(scene.turns),
        outcomes,
        f"{data['seconds_p50']:.3f}",
        f"{data['seconds_most']:.2f}",
        str(scene.calls),
        f"{scene.recorded}/{scene.turns}",
        transitions(scene),
        "ok" if not scene.problems else "; ".join(scene.problems),
    )


def transitions(scene: SceneResult) -> str:
    """Return the breakers' changes, each with the seconds since the first."""
    if not scene.changes:
        return "none"
    first = scene.changes[0].at
    steps = [
        f"{change.name} {change.new} +{(change.at - first).total_seconds():.1f} s" for change in scene.changes
    ]
    return ", ".join(steps[:6]) + (" …" if len(steps) > 6 else "")
