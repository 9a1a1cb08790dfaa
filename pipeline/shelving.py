"""Opens what tells whose everything is, and the prompts of each workspace, as the settings say."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from pipeline.access.accounts import ACCOUNTS, AccessError, Accounts
from pipeline.access.workspaces import Workspaces
from pipeline.auth import DEFAULT
from pipeline.configuration.data_folder import DataFolder
from pipeline.databases.mirror import Mirror
from pipeline.errors import ConfigurationError
from pipeline.prompts.force import Force
from pipeline.prompts.library import SHIPPED, Library
from pipeline.prompts.shelves import PromptShelf
from pipeline.settings import Settings
from traces.engine import EMBEDDED
from traces.errors import Unknown
from traces.postgres.files import SharedFiles
from traces.postgres.tables import SharedTables

WORKSPACE_PROMPTS = ("*/audit.jsonl", "*/prompts/*/v*.md", "*/prompts/released.toml")


def library(settings: Settings, copies: Mirror | None = None, workspace: str | None = None) -> Library:
    """Return the prompts of a workspace, that of the settings by default; of all machines with the ledger.

    Another workspace than `default` has the shipped or configured ones and its own, of nobody else any.
    """
    if workspace is None:
        check(settings)
    copies, whose = copies or mirror(settings), workspace or settings.workspace
    folder, configured = DataFolder(settings.data_dir), settings.prompts.folder
    if whose == DEFAULT:
        own, below = _prompts(settings), SHIPPED if configured is None else None
    else:
        own, below = folder.within(whose).prompts, configured or SHIPPED
    exclusive = nullcontext if copies is None else copies.exclusive
    return Library(own, exclusive, below=below, beside=lambda: [of.prompts for _, of in folder.everywhere()])


def force(settings: Settings, copies: Mirror | None = None, workspace: str | None = None) -> Force:
    """Return which prompt versions are in force in a workspace, and the log of how they came to be."""
    copies, whose = copies or mirror(settings), workspace or settings.workspace
    path = DataFolder(settings.data_dir).within(whose).audit
    return Force(path, defaults(settings), nullcontext if copies is None else copies.exclusive)


def shelf(settings: Settings, copies: Mirror | None, workspace: str) -> PromptShelf:
    """Return the prompts of a workspace."""
    return PromptShelf(library(settings, copies, workspace), force(settings, copies, workspace))


def mirror(settings: Settings) -> Mirror | None:
    """Return the copies here of what machines with one ledger share, up to date; None for one machine."""
    ledger, folder = settings.ledger.get_secret_value(), _prompts(settings)
    if ledger == EMBEDDED:
        return None
    shared = {
        "data": (settings.data_dir, (DataFolder(settings.data_dir).audit.name,)),
        "prompts": (folder, ("*/v*.md", "released.toml")),
        "workspaces": (DataFolder(settings.data_dir).workspaces, WORKSPACE_PROMPTS),
    }
    copies = Mirror(SharedFiles(ledger, tuple(shared)), shared, DataFolder(settings.data_dir).mirror)
    copies.pull()
    return copies


def _prompts(settings: Settings) -> Path:
    """Return the folder in which new versions of prompts are kept."""
    return settings.prompts.folder or DataFolder(settings.data_dir).prompts


def defaults(settings: Settings) -> dict[str, str]:
    """Return the prompt versions that are in force before anything was promoted."""
    return {"answer": settings.prompts.answer, "condense": settings.prompts.condense}


def accounts(settings: Settings) -> Accounts:
    """Return what tells who may come in and what belongs to whom: of this machine, or of all of them."""
    ledger = settings.ledger.get_secret_value()
    if ledger != EMBEDDED:
        return Accounts(SharedTables(ledger, ACCOUNTS, named=True))
    return Accounts(DataFolder(settings.data_dir).people)


def workspaces(settings: Settings) -> Workspaces:
    """Return whose the knowledge bases are; of machines that share a ledger each keeps a copy."""
    folder, shared = DataFolder(settings.data_dir), settings.ledger.get_secret_value() != EMBEDDED
    return Workspaces(accounts(settings), folder, copy=folder.owners if shared else None)


def check(settings: Settings) -> None:
    """Raise ConfigurationError when the workspace of the settings is none."""
    if settings.workspace == DEFAULT:
        return
    owners = workspaces(settings)
    try:
        owners.check(settings.workspace)
    except (AccessError, Unknown) as error:
        raise ConfigurationError([f"workspace: {error}"]) from None
    finally:
        owners.close()
