"""`answerdeck bench`: measures our speed goals beside the bare OpenAI SDK, on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from console.bench.figures import COLUMNS, missed, row
from console.bench.run import about, run
from console.commands.screen import emit, table, wrong

NAMES = ("turn", "extractive", "trace", "start", "resilience")
APART = ("scale", "console")  # run when named: they take minutes, the first needs packages of the tests


def bench(
    quick: Annotated[bool, typer.Option(help="Fewer rounds, about a minute.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(NAMES + APART)}; repeatable.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure our speed goals beside the bare OpenAI SDK; exit 1 when one is missed."""
    unknown = [name for name in only or () if name not in NAMES + APART]
    if unknown:
        raise wrong(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(NAMES + APART)}")
    figures = run([name for name in NAMES + APART if name in (only or NAMES)], quick=quick)
    if json:
        emit({"machine": about(), "figures": [figure.to_dict() for figure in figures]})
    else:
        table(COLUMNS, map(row, figures), title=about())
    if missed(figures):
        raise typer.Exit(1)
