"""The option --on: who does the work of a command elsewhere."""

from __future__ import annotations

from contextlib import ExitStack, closing

from console.commands.screen import wrong
from pipeline.providers import workers
from pipeline.workers import Workers, WorkersError


def crew(on: str | None, stack: ExitStack) -> Workers | None:
    """Return who works at a place until the stack ends; None without one. Ends the command when it cannot."""
    if on is None:
        return None
    try:
        return stack.enter_context(closing(workers(on)))
    except WorkersError as error:
        raise wrong(f"--on: {error}") from None
