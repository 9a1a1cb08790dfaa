"""`answerdeck prompts …`: versioned prompts, listed, compared and begun."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from console.commands.screen import emit, table, wrong
from pipeline import shelving
from pipeline.deeds import note
from pipeline.prompts.library import Library, PromptError, PromptVersion
from pipeline.settings import load_settings

Label = Annotated[str, typer.Argument(help="A prompt version, e.g. answer@v1.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_prompts(json: Json = False) -> None:
    """List every version, its fingerprint and state."""
    settings = load_settings()
    library, force = shelving.library(settings), shelving.force(settings)
    released = library.released()
    states = {label: state for name in force.names for label, state in force.standing(name).states().items()}
    rows = [
        {
            "prompt": version.label,
            "fingerprint": version.fingerprint,
            "state": states.get(version.label) or ("released" if version.label in released else "candidate"),
            "released": version.label in released,
            "purpose": version.purpose,
        }
        for version in library.versions()
    ]
    if json:
        emit(rows)
        return
    columns = ("prompt", "fingerprint", "state", "released", "purpose")
    table(columns, ([("yes" if row[c] is True else row[c] or None) for c in columns] for row in rows))


def show(label: Label, json: Json = False) -> None:
    """Print one version."""
    version = _get(label)
    if json:
        emit({"prompt": version.label, "fingerprint": version.fingerprint, "text": version.text})
    else:
        print(version.text, end="")


def diff(a: Label, b: Label) -> None:
    """Show what changed from A to B."""
    first, second = _get(a), _get(b)
    lines = difflib.unified_diff(
        first.text.splitlines(), second.text.splitlines(), first.label, second.label, lineterm=""
    )
    print("\n".join(lines) or f"{first.label} and {second.label} are the same.")


def new(
    name: Annotated[str, typer.Argument(help="The prompt, e.g. answer.")],
    source: Annotated[str | None, typer.Option("--from", help="Copy this version.")] = None,
) -> None:
    """Begin the next version as a copy of one that exists."""
    library = _library()
    versions = [version for version in library.versions() if version.name == name]
    if not versions:
        names = ", ".join(sorted({version.name for version in library.versions()}))
        raise wrong(f"there is no prompt {name!r}; known: {names}")
    path = library.new(name, _get(source) if source else versions[-1])
    label, settings = f"{name}@{path.stem}", load_settings()
    note(settings, f"prompt {label} begun")
    against, evalset = shelving.force(settings).label(name), settings.gate.evalsets[0]
    print(f"Edit {path}, then try it: answerdeck ask --prompt {label} '…'")
    if name == "answer":
        print(f"Hold it against {against}: answerdeck eval run {evalset} --prompt {against} --prompt {label}")


def _get(label: str) -> PromptVersion:
    try:
        return _library().get(label)
    except PromptError as error:
        raise wrong(str(error)) from None


def _library() -> Library:
    return shelving.library(load_settings())
