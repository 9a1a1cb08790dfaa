"""Consent before money is spent: one rule for every command that asks a paid model."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from console.commands.screen import wrong

CHEAP_USD = 0.01  # below this a person at a terminal is not asked
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before money is spent.")]


def agree(expected: str, usd: float | None, *, yes: bool) -> None:
    """Say what is about to be spent, and go on only with consent; `usd` None is an unknown price.

    Nothing to spend needs none, and `--yes` gives it. A person at a terminal is asked from a cent on.
    Without a terminal nobody can be asked: the command ends with exit code 2 and says what to add.
    """
    print(expected, file=sys.stderr)
    if yes or usd == 0:
        return
    reach(yes=yes)
    if usd is None or usd >= CHEAP_USD:
        typer.confirm("Go on?", abort=True, err=True)


def reach(*, yes: bool) -> None:
    """End the command when nobody could be asked for the consent it will need."""
    if not yes and not sys.stdin.isatty():
        raise wrong("this spends money and there is no terminal to ask at; add --yes to agree to it")
