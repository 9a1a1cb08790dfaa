"""`answerdeck workspaces`: whose the knowledge bases are. A change holds within a second."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from typing import Annotated

import typer

from console.commands.access import access
from console.commands.evals import Json
from console.commands.screen import emit, table, wrong
from pipeline.errors import KnowledgeError
from pipeline.knowledge.tables import checked

Name = Annotated[str, typer.Argument(help="The workspace: small letters, digits and '-'.")]
Base = Annotated[str, typer.Argument(help="A knowledge base, one that is yet to be made too.")]


def list_workspaces(json: Json = False) -> None:
    """List the workspaces with their people and knowledge bases."""
    with access() as people:
        rows = people.workspaces.list()
    if json:
        emit({"workspaces": [asdict(row) for row in rows]})
        return
    heads = ("name", "users", "keys", "knowledge bases")
    table(heads, ((r.name, r.users, r.keys, _bases(r.name, r.bases)) for r in rows), "workspaces")


def add_workspace(name: Name) -> None:
    """Make a workspace: people see its documents and their own conversations in it, nothing else."""
    with access() as people:
        people.workspaces.add(name, getpass.getuser())
    print(f"workspace {name} is there; give it documents: answerdeck workspaces give {name} KB")


def remove_workspace(name: Name) -> None:
    """Remove a workspace that nobody and no knowledge base belongs to."""
    with access() as people:
        people.workspaces.remove(name, getpass.getuser())
    print(f"workspace {name} is gone")


def give(name: Name, kb: Base) -> None:
    """Let a knowledge base belong to a workspace, and to no other; before its first ingestion best."""
    try:
        checked(kb)
    except KnowledgeError as error:
        raise wrong(str(error)) from None
    with access() as people:
        people.workspaces.give(name, kb, getpass.getuser())
    print(f"knowledge base {kb} belongs to workspace {name}")


def _bases(name: str, bases: tuple[str, ...]) -> str:
    return ", ".join(bases) or ("those of no other" if name == "default" else "none")
