"""`answerdeck eval cases, edit, export, delete`: the team's own evalsets, looked at and kept in order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands.evals import Json
from console.commands.screen import emit, table, wrong
from evalsets.cases import imports, team
from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import EvalsetError
from evalsets.cases.row import row_of

Name = Annotated[str, typer.Argument(help="An evalset.")]
CaseId = Annotated[str, typer.Argument(help="A case of it.")]


def list_cases(name: Name, json: Json = False) -> None:
    """List the cases of an evalset with what is expected."""
    try:
        evalset = load_evalset(name)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    if json:
        emit({"evalset": evalset.name, "cases": [row_of(case) for case in evalset.cases]})
        return
    rows = (
        (case.case_id, case.question, case.reference, ", ".join(case.tags or ())) for case in evalset.cases
    )
    table(("case", "question", "expected answer", "tags"), rows, evalset.title or evalset.name)
    for warning in evalset.warnings:
        print(f"note: {warning}")


def edit_case(
    name: Name,
    case_id: CaseId,
    change: Annotated[
        list[str], typer.Option("--set", help="FIELD=VALUE, lists separated by ';'; an empty value clears.")
    ],
) -> None:
    """Change fields of a case: --set reference="Open Settings." --set tags=a;b."""
    changes: dict[str, Any] = {}
    for pair in change:
        field, equals, text = pair.partition("=")
        if not equals:
            raise wrong(f"--set {pair!r} is no FIELD=VALUE")
        changes[field.strip()] = imports.value(field.strip(), text.strip()) if text.strip() else None
    try:
        case = team.change(name, case_id, changes)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    print(f"{name}: case {case.case_id} is changed")


def export_set(
    name: Name,
    out: Annotated[Path, typer.Option(help="A .csv or .jsonl file.")],
    replace: Annotated[bool, typer.Option("--replace", help="Write over a file that is there.")] = False,
) -> None:
    """Write an evalset to a file that `eval import` reads again."""
    if out.suffix not in (".csv", ".jsonl"):
        raise wrong(f"--out {out.name!r} must end with .csv or .jsonl")
    if out.exists() and not replace:
        raise wrong(f"{out} is there already; choose another name or give --replace")
    try:
        text = team.exported(load_evalset(name), out.suffix)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    out.write_text(text, encoding="utf-8", newline="")
    print(out)


def delete_set(
    name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
) -> None:
    """Delete one of the team's evalsets; its runs stay, and it can be put back."""
    if not yes:
        typer.confirm(f"Delete the evalset {name}?", abort=True)
    try:
        backup = team.delete(name)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    print(f"{name} is deleted; put it back: answerdeck eval import {backup} --name {name}")
