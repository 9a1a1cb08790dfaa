"""The ledger as a command reads it: of all workspaces, or of the one that is named or configured."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Annotated

import typer

from pipeline import build, shelving
from pipeline.auth import DEFAULT
from pipeline.settings import Settings, load_settings
from traces.ledger import Ledger

Workspace = Annotated[str | None, typer.Option(help="Of this workspace alone; of all without it.")]


def reading(
    workspace: str | None, *, exporting: bool = False, patience: float = 0.0
) -> AbstractContextManager[Ledger]:
    """Open the ledger of a workspace, else of the configured one; raises ConfigurationError.

    Waits for as many seconds of `patience` while another process holds the store.
    """
    settings = load_settings(**({} if workspace is None else {"workspace": workspace}))
    shelving.check(settings)
    store = build.store(settings)
    store.patience = patience
    return store.read(exporting=exporting, workspace=workspace or configured(settings))


def configured(settings: Settings) -> str | None:
    """Return the workspace that the configuration names; None for all of them."""
    return None if settings.workspace == DEFAULT else settings.workspace
