"""What answers now, as fingerprints; and whether a run was made with exactly that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalsets.cases.evalset import Evalset
from traces.queries import runs
from traces.queries.window import Rows
from traces.records import MADE_WITH, Part, Run

if TYPE_CHECKING:
    from pipeline.turn import Pipeline

SEARCH = ("kb", "index_version", "code_version")  # the parts that shape retrieval alone


@dataclass(frozen=True, slots=True)
class Facts:
    """All that shapes an answer. A run speaks for it only when it was made with exactly this."""

    prompt: str
    prompt_fingerprint: str
    model: str
    kb: str
    index_version: str | None
    guardrails: str
    code_version: str
    condense_prompt: str  # "condense@v1"
    condense_fingerprint: str
    retrieval: Mapping[str, Any] | None = None  # its settings; kept in the settings of a run too
    contents: str | None = None  # fingerprint of the documents; kept in the settings of a run too

    @property
    def condense(self) -> str:
        """The condense prompt as the settings of a run keep it: "condense@v1 959ce9fa"."""
        return f"{self.condense_prompt} {self.condense_fingerprint}"

    def differs(self, run: Run) -> list[str]:
        """Say in what a run was made with something else; nothing when it speaks for these facts."""
        differences: list[str] = []
        for part in MADE_WITH:
            was, now = getattr(run, part.key), getattr(self, part.key)
            if (run.only != "retrieval" or part.key in SEARCH) and (was is None or was != now):
                differences.append(f"{part.name} {was or 'unknown'} in the run, {now or 'missing'} now")
        condense = run.settings.condense
        if condense is not None and condense != self.condense:
            differences.append(f"{condense} in the run, {self.condense} now")
        return differences + self._searched_otherwise(run.settings.retrieval)

    def _searched_otherwise(self, retrieval: Mapping[str, Any] | None) -> list[str]:
        if retrieval is None or self.retrieval is None:
            return []
        return [
            f"retrieval.{key} {retrieval.get(key)} in the run, {value} now"
            for key, value in self.retrieval.items()
            if retrieval.get(key) != value
        ]


async def read(pipeline: Pipeline, kb: str | None, *, model: str | None = None, **prompts: str) -> Facts:
    """Return the facts of a pipeline that would use these prompt versions; those in force by default.

    Raises PromptError when there is no such version, or its file changed after its release.
    """
    kb = kb or pipeline.rules.kb
    labels = {name: prompts.get(name) or pipeline.force.label(name) for name in pipeline.force.names}
    answer, condense = (pipeline.prompts.get(labels[name]) for name in ("answer", "condense"))
    status = await pipeline.knowledge.status(kb)
    return Facts(
        prompt=answer.label,
        prompt_fingerprint=answer.fingerprint,
        model=model or pipeline.rules.model,
        kb=kb,
        index_version=status.version,
        guardrails=pipeline.rules.guardrails,
        code_version=pipeline.rules.code_version,
        condense_prompt=condense.label,
        condense_fingerprint=condense.fingerprint,
        retrieval=pipeline.rules.retrieval,
        contents=status.contents,
    )


def find(ledger: Rows, evalset: Evalset, facts: Facts, *, condense: bool = False) -> Run | None:
    """Return the newest finished run of the whole evalset that speaks for the facts, if there is one.

    With `condense`, only runs that say which condense prompt they used count.
    """
    return next(_speaking(ledger, evalset, facts, condense), None)


def together(
    ledger: Rows, evalset: Evalset, facts: Sequence[Facts], *, condense: bool = False
) -> list[Run | None]:
    """Return for each of the facts the run that speaks for it: the newest that were made side by side.

    Where none were, the newest of each.
    """
    speaking = [list(_speaking(ledger, evalset, now, condense)) for now in facts]
    sessions = [{run.settings.session: run for run in reversed(group)} for group in speaking]
    for run in speaking[0]:
        session = run.settings.session
        if session is not None and all(session in group for group in sessions):
            return [group[session] for group in sessions]
    return [group[0] if group else None for group in speaking]


def _speaking(ledger: Rows, evalset: Evalset, facts: Facts, condense: bool) -> Iterator[Run]:
    for run in runs.runs(ledger, evalset=evalset.name, limit=1000):
        whole = run.cases == len(evalset.cases) and run.evalset_fingerprint == evalset.fingerprint
        says = not condense or run.settings.condense is not None
        real = run.state == "finished" and run.only is None and not trial(run)
        if real and whole and says and not facts.differs(run):
            yield run


def trial(run: Run) -> bool:
    """Say whether a run was made to try a change, in a bisection: it speaks for nothing that is in force."""
    return bool(run.settings.trial)


def mixed(ledger: Rows, run: Run) -> list[str]:
    """Say what changed while a run went on: its turns must all be made with the same."""
    turns = runs.turns_of(ledger, run.run_id)
    changes: list[str] = []
    for part in (MADE_WITH[1], *MADE_WITH[4:], Part("embedder", "embedder", "Embedder")):
        values = {value for turn in turns if (value := getattr(turn, part.key)) is not None}
        if len(values) > 1:
            changes.append(f"the {part.name} changed during the run: {', '.join(sorted(map(str, values)))}")
    return changes
