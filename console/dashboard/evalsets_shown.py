"""What the Evals page knows and does of evalsets: all of them, one with its cases, imports and changes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

from console import format
from console.dashboard import data, disk, installed, visitor
from evalsets.cases import team
from evalsets.cases.cases import Listed, list_sets, load_evalset
from evalsets.cases.evalset import Evalset, EvalsetError
from evalsets.cases.imported import Format, Imported
from evalsets.cases.look import FilePreview, look
from evalsets.cases.row import row_of
from evalsets.cases.undo import UndoStep, step
from evalsets.release import gated
from pipeline.deeds import note
from pipeline.desk import desk
from pipeline.errors import AnswerdeckError

Taken = Literal["new", "add", "replace"]  # what becomes of a set that has the name
STEP = "evalset_step"  # the newest change of this person, to be taken back


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file that a person dropped on the page."""

    name: str
    content: bytes


def listed() -> list[Listed]:
    """Return the evalsets with name, title, cases, whether shipped, and what is wrong with each."""
    return list_sets()


def read(name: str) -> Evalset | None:
    """Return an evalset; None when there is none of this name. A broken one is a Problem."""
    if name not in {row.name for row in list_sets()}:
        return None
    try:
        return load_evalset(name)
    except EvalsetError as error:
        raise data.Problem(f"The evalset cannot be used: {error}", "Correct its file.") from None


@st.cache_data(max_entries=20, show_spinner="Reading the file …")
def understood(dropped: Dropped, format: Format | None, mapped: Mapping[str, str] | None) -> FilePreview:
    """Return what a dropped file would become, its columns mapped as given or by their names."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(dropped.name).name
        path.write_bytes(dropped.content)
        return look(path, format, mapped)


def own() -> list[str]:
    """Return the names of the team's own evalsets."""
    return team.names()


def bring_in(name: str, preview: FilePreview, source: str, taken: Taken = "new") -> str | None:
    """Save what was understood as an evalset, in the place of or added to one; return why not, or None."""
    assert preview.imported is not None
    head = {"title": name, "owner": "", "source": f"imported from {source} ({preview.format})"}
    imported = preview.imported
    if taken == "add":
        return _add(name, imported)
    replace = taken == "replace"
    return change(
        name, f"{format.many(len(imported.rows), 'case')} imported",
        lambda: team.save(name, imported.rows, head, corpus=imported.corpus, replace=replace),
    )  # fmt: skip


def _add(name: str, imported: Imported) -> str | None:
    """Add cases to an evalset, and say how many it asked already; return why that failed, or None."""
    added: list[str] = []

    def work() -> None:
        new, left = team.extend(name, imported.rows, corpus=imported.corpus)
        added.append(f"{format.many(len(new), 'case')} added, {len(left)} there already")

    problem = change(name, "", work)
    newest_step = newest()
    if problem is None and newest_step is not None:
        newest_step.what = added[0]
    return problem


def copy(source: Evalset, name: str) -> str | None:
    """Make a set of the team's own of a shipped one; return why that failed, or None."""
    head = {
        key: getattr(source, key) for key in ("title", "owner", "source", "licence") if getattr(source, key)
    }
    head |= {"corpus": "sample"} if source.sample else {"kb": source.kb} if source.kb else {}
    rows = [row_of(case) for case in source.cases]
    return change(name, f"copied from {source.name}", lambda: team.save(name, rows, head))


def change(name: str, what: str, work: Callable[[], object]) -> str | None:
    """Change an evalset such that it can be taken back; return why that failed, or None."""
    try:
        with step(name, what) as undoing:
            work()
    except (EvalsetError, OSError) as error:
        return disk.why(error)
    st.session_state[STEP] = undoing
    refresh()
    return None


def decide(names: list[str]) -> str | None:
    """Let these evalsets decide about promotions from now on; return why not, or None."""
    visitor.need("approver", "choose what decides about promotions")
    try:
        with desk(data.settings()).together():
            gated.choose(data.settings(), names)
    except (AnswerdeckError, OSError) as error:
        return disk.why(error)
    installed.settings.clear()
    return None


def newest() -> UndoStep | None:
    """Return the newest change of this person that can be taken back."""
    return st.session_state.get(STEP)


def undo() -> str | None:
    """Take the newest change back; return why that failed, or None."""
    undoing: UndoStep | None = st.session_state.pop(STEP, None)
    try:
        if undoing is not None:
            undoing.undo()
            note(data.settings(), f"evalset {undoing.name}: {undoing.what} taken back")
    except (EvalsetError, OSError) as error:
        return disk.why(error)
    refresh()
    return None


def refresh() -> None:
    """Forget what pages read of evalsets before."""
    data.evalsets.clear()
    data.unreadable.clear()
