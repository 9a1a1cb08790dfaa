"""`answerdeck ingest` and `kb …`: documents in, versions back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.knowledge.index import Knowledge

kb_app = typer.Typer(no_args_is_help=True, help="Look after the knowledge bases.")
Name = Annotated[str | None, typer.Option("--kb", help="Knowledge base; default from the configuration.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    app.command()(ingest)
    app.add_typer(kb_app, name="kb")


def _knowledge() -> tuple[Knowledge, str]:
    from pipeline.build import embedder
    from pipeline.knowledge.index import Knowledge
    from pipeline.settings import load

    settings = load()
    return Knowledge(settings.data_dir / "knowledge", embedder(settings)), settings.kb
