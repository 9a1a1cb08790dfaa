"""Progress bars on the error stream, so that what a command prints can be piped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

NOTE = 30  # characters shown beside a bar


class Advance(Protocol):
    """Moves one bar: so many done, of so many, with a word on how it goes."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None: ...


Step = Callable[[str], Advance]


@contextmanager
def bars(quiet: bool) -> Iterator[Step]:
    """Show bars while the block runs; calling what it gives begins one under a title."""
    view = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    beside = TextColumn("{task.fields[note]}")
    with Progress(*view, beside, console=Console(stderr=True), disable=quiet) as progress:

        def step(title: str) -> Advance:
            task = progress.add_task(title, total=None, note="")

            def advance(done: int, total: int, note: str = "", /) -> None:
                progress.update(task, completed=done, total=total, note=note[:NOTE])

            return advance

        yield step


def once_needed(step: Step, title: str) -> Advance:
    """Return a bar that shows only when there is something to do."""
    begun: list[Advance] = []

    def advance(done: int, total: int, note: str = "", /) -> None:
        if not begun:
            begun.append(step(title))
        begun[0](done, total, note)

    return advance


def counting(advance: Advance) -> Callable[[int, int, int], None]:
    """Return the progress of a run, with its failures beside the bar."""

    def progress(done: int, total: int, failures: int) -> None:
        advance(done, total, f"{failures} failed" if failures else "")

    return progress
