"""Watches a canary on live traffic and takes it back when it is worse beyond chance."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from statistics import NormalDist

from pipeline.errors import AnswerdeckError
from pipeline.prompts.force import Canary, Change, Force
from pipeline.prompts.library import Library
from pipeline.prompts.shelves import PromptShelf
from traces.errors import TracesError
from traces.queries import versions
from traces.queries.versions import Live
from traces.queries.window import Rows

log = logging.getLogger(__name__)
LEAST = 30  # turns of each side before anything is concluded
ALPHA = 0.001  # small, for it is looked at again every minute
EVERY_SECONDS = 60.0
_normal = NormalDist()


def begin_canary(prompts: Library, force: Force, label: str, share: float, *, actor: str) -> Change:
    """Answer a share (0..1) of the conversations with a version, beside the one in force."""
    version = prompts.get(label)
    before = force.label(version.name)
    return force.change(
        label, version.fingerprint, action="canary", actor=actor, share=share, expected=before
    )


def end_canary(
    prompts: Library, force: Force, name: str, *, actor: str, reason: str | None = None
) -> Change | None:
    """Take the canary of a prompt back; None when there is none."""
    if force.standing(name).canary is None:
        return None
    label = force.label(name)
    fingerprint = prompts.get(label).fingerprint
    return force.change(label, fingerprint, action="return", actor=actor, reason=reason, expected=label)


def watch(
    prompts: Library, force: Force, ledger: Rows, now: datetime, workspace: str | None = None
) -> list[Change]:
    """Take back every canary that did worse than the version in force since it began.

    With a workspace on the turns of its people alone.
    """
    returned: list[Change] = []
    for name in force.names:
        canary = force.standing(name).canary
        if canary is None:
            continue
        rows = {row.prompt: row for row in versions.live(ledger, name, _since(canary), now, workspace)}
        reasons = list(worse(rows.get(canary.label), rows.get(force.label(name))))
        if reasons:
            change = end_canary(prompts, force, name, actor="canary watch", reason="; ".join(reasons))
            returned += [change] if change else []
    return returned


def worse(canary: Live | None, other: Live | None) -> Iterator[str]:
    """Say on what the canary is worse beyond chance: errors, groundedness, thumbs."""
    if canary is None or other is None:
        return
    for what, a, n, b, m in (
        ("errors", canary.errors, canary.turns, other.errors, other.turns),
        ("thumbs down", canary.down, canary.rated, other.down, other.rated),
    ):
        if min(n, m) >= LEAST and a / n > b / m and _shares(a, n, b, m) < ALPHA:
            yield f"{what} {a / n:.1%} of {n} against {b / m:.1%} of {m}"
    n, m = canary.grounded_n, other.grounded_n
    if min(n, m) >= LEAST:
        a, b = canary.grounded_mean or 0.0, other.grounded_mean or 0.0
        spread = math.sqrt((canary.grounded_sd or 0) ** 2 / n + (other.grounded_sd or 0) ** 2 / m)
        if a < b and spread > 0 and 2 * _normal.cdf((a - b) / spread) < ALPHA:
            yield f"groundedness {a:.3f} of {n} against {b:.3f} of {m}"


def watch_forever(
    shelves: Callable[[], Sequence[tuple[str, PromptShelf]]],
    read: Callable[[], AbstractContextManager[Rows]],
    stop: threading.Event,
    every_seconds: float = EVERY_SECONDS,
) -> None:
    """Look at the canaries of all workspaces every minute until told to stop.

    What cannot be read is tried again.
    """
    while not stop.wait(every_seconds):
        present = shelves()
        for whose, shelf in present:
            _watch(shelf, whose if len(present) > 1 else None, read)


def _watch(shelf: PromptShelf, whose: str | None, read: Callable[[], AbstractContextManager[Rows]]) -> None:
    if all(shelf.force.standing(name).canary is None for name in shelf.force.names):
        return
    try:
        with read() as ledger:
            for change in watch(shelf.library, shelf.force, ledger, datetime.now(UTC), whose):
                log.warning("the canary of %s was taken back: %s", change.prompt, change.reason)
    except (AnswerdeckError, TracesError, OSError) as error:
        log.warning("the canaries could not be watched: %s", error)


def _since(canary: Canary) -> datetime:
    return datetime.fromisoformat(canary.at)


def _shares(a: int, n: int, b: int, m: int) -> float:
    """Return the two-sided p-value that two shares are equal (pooled z)."""
    share = (a + b) / (n + m)
    spread = math.sqrt(share * (1 - share) * (1 / n + 1 / m))
    return 1.0 if spread == 0 else 2 * _normal.cdf(-abs(a / n - b / m) / spread)
