"""`answerdeck drill`: rehearses failures against a shadow conversation, on this machine only."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands.drill_report import COLUMNS, page, row
from console.commands.screen import emit, table, wrong
from pipeline.rehearsal import scenes
from pipeline.rehearsal.scenes import SceneResult
from pipeline.rehearsal.sweep import Result, sweep_all


def drill(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write a resilience report, .md or .html.")] = None,
    sweep: Annotated[bool, typer.Option(help="Also fail every call of a turn in every way.")] = True,
) -> None:
    """Rehearse failures in a shadow conversation, a minute or two; exit 1 when something does not hold."""
    if out is not None and out.suffix not in (".md", ".html"):
        raise wrong(f"{out.name!r} must end in .md or .html")
    logging.disable(logging.CRITICAL)  # failures are what is rehearsed here

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    played = asyncio.run(scenes.rehearse(progress))
    results = asyncio.run(sweep_all(progress)) if sweep else []
    broken = [result for result in results if result.broken]
    problems = [problem for scene in played for problem in scene.problems]
    if json:
        emit(outcome(played, results))
    else:
        table(COLUMNS, map(row, played), title="Rehearsed failures")
        if results:
            print(f"\nFault sweep: {len(results)} pairs of call and fault, {len(broken)} broke an invariant.")
        for result in broken:
            print(f"  {result.pair}: {'; '.join(result.broken)}")
    if out is not None:
        out.write_text(page(out.suffix, played, results), "utf-8")
        progress(f"wrote {out}")
    if broken or problems:
        raise typer.Exit(1)


def outcome(played: list[SceneResult], results: list[Result]) -> dict[str, Any]:
    """Return what happened, for machines."""
    broken = [result for result in results if result.broken]
    return {
        "scenes": [scene.to_dict() for scene in played],
        "sweep": {
            "pairs": len(results),
            "broken": [{"pair": str(result.pair), "invariants": result.broken} for result in broken],
        },
        "holds": not any(scene.problems for scene in played) and not broken,
    }
