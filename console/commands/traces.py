"""`answerdeck traces …`: look at the ledger, export it, keep it in bounds; `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from traces.store import Store

traces_app = typer.Typer(no_args_is_help=True, help="Look at the recorded turns and keep them in bounds.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    app.add_typer(traces_app, name="traces")


def _store() -> Store:
    from traces.store import Store

    from pipeline.settings import load

    return Store(load().data_dir)
