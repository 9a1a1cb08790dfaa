"""Chooses the evalsets that a prompt must pass before it is promoted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evalsets.cases.cases import load_evalset
from pipeline import settings
from pipeline.configuration import gated
from pipeline.deeds import note
from pipeline.errors import AnswerdeckError
from pipeline.settings import Settings


class NotChosen(AnswerdeckError):
    """The environment or .env names the gate's evalsets, and it goes before a choice."""


def choose(present: Settings, evalsets: Sequence[str]) -> list[str]:
    """Let these evalsets (names or files) decide from now on; none: those of the configuration.

    Returns those in force. Raises EvalsetError for one that cannot be read, and NotChosen.
    """
    names = [str(Path(name).resolve()) if Path(name).is_file() else name for name in dict.fromkeys(evalsets)]
    for name in names:
        load_evalset(name)
    folder = present.own.path
    before = gated.read(folder)
    gated.write(folder, names)
    now = settings.load_settings(data_dir=present.data_dir, workspace=present.workspace).gate.evalsets
    if names and now != names:
        gated.write(folder, before)
        raise NotChosen(
            f"ANSWERDECK_GATE__EVALSETS in the environment or .env says {', '.join(now)}; unset it first"
        )
    if now != present.gate.evalsets:
        note(present, f"gate: {', '.join(present.gate.evalsets)} → {', '.join(now)}")
    return now
