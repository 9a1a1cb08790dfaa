"""Where embedded answers lose the sentence that answers: `python -m evalsets.sentence_losses SET [STAGE]`.

A sentence answers when it has the words of the expected answer (`answering.py`). Prints how many cases were
lost at each stage and how often such a sentence is the likeliest of those read, or among the first three;
with a stage, its cases too. Figures: the README of `pipeline`.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Protocol

from evalsets.answering import answering
from evalsets.cases.cases import load_evalset
from evalsets.cases.corpora import prepare
from evalsets.cases.evalset import Evalset, messages
from evalsets.evidence_sets import lines
from evalsets.retrieval_table import unrecorded
from pipeline import build
from pipeline.citations import MARKER
from pipeline.context.condenser import needs_history, rewrite
from pipeline.context.retrieval import Retriever
from pipeline.extractive import evidence
from pipeline.extractive.extractive import Extractive
from pipeline.extractive.reading import Reading
from pipeline.extractive.rows import statements
from pipeline.extractive.wording import flat
from pipeline.knowledge.chunking import chunk
from pipeline.knowledge.documents import Document
from pipeline.knowledge.found import Retrieved
from pipeline.knowledge.ingest import sample
from pipeline.models.model import Prompt, Stop, Text
from pipeline.settings import load_settings
from pipeline.text.sentences import tokens
from traces.records import Case

Stage = Literal["page", "chunk", "silent", "elsewhere", "beside", "quoted"]
WHAT: dict[Stage, str] = {
    "page": "no page that answers is read",
    "chunk": "such a page is read, but not the passage that says it",
    "silent": "it is read, and nothing is answered",
    "elsewhere": "other pages are quoted alone",
    "beside": "the page is quoted, but other sentences of it",
    "quoted": "the sentence is quoted",
}
HEAD = f"| set (cases) | {' | '.join(WHAT)} | first | of three | sentences |\n|{'---|' * (len(WHAT) + 4)}"


class Retrieving(Protocol):
    """What searches the documents of an evalset."""

    async def retrieve(self, question: str) -> Retrieved: ...


@dataclass(frozen=True, slots=True)
class SentenceLoss:
    """A case, the stage where the sentence that answers was lost, and its place among those read."""

    case: Case
    stage: Stage
    place: int | None  # 1 is the likeliest
    quoted: int  # sentences in the answer
    answer: str


async def losses(
    cases: Sequence[Case], sources: Mapping[str, Sequence[str]], searching: Retrieving
) -> list[SentenceLoss]:
    """Return a loss for each answerable case of which a sentence of its pages says the expected answer.

    `sources` has the sentences of each document.
    """
    table: list[SentenceLoss] = []
    for case in cases:
        texts = [text for page in case.relevant_ids or () for text in sources.get(page, ())]
        right = {_bare(texts[n]) for n in answering(case.question, case.reference or "", texts)}
        if right:
            earlier = messages(case.history or ())
            leans = needs_history(case.question, earlier)
            question = rewrite(case.question, earlier) if leans else case.question
            table.append(await _loss(case, question, right, await searching.retrieve(question)))
    return table


async def _loss(case: Case, question: str, right: set[str], retrieved: Retrieved) -> SentenceLoss:
    page = evidence.Page(question, retrieved)
    reading = evidence.read(question, retrieved)
    documents = [candidate.passage.document_id for candidate in reading.passages]
    mine = {number for number, document in enumerate(documents) if document in (case.relevant_ids or ())}
    read = zip(page.owner, page.position, page.texts, strict=True)
    answers = {(owner, position) for owner, position, text in read if owner in mine and _bare(text) in right}
    answer = await _answer(Prompt("", (), question, retrieved))
    quoted = _quoted(reading, answer)
    return SentenceLoss(
        case, _stage(mine, answers, quoted, answer), _place(reading, answers), len(quoted), answer
    )


def _stage(mine: set[int], answers: set[tuple[int, int]], quoted: set[tuple[int, int]], answer: str) -> Stage:
    """Return the first stage at which the sentence was lost."""
    if not answers:
        return "chunk" if mine else "page"
    if not answer:
        return "silent"
    if quoted & answers:
        return "quoted"
    return "beside" if any(owner in mine for owner, _ in quoted) else "elsewhere"


def _place(reading: Reading, answers: set[tuple[int, int]]) -> int | None:
    prose = [sentence for sentence in reading.sentences if not sentence.text.startswith("#")]
    ranked = sorted(prose, key=lambda sentence: -sentence.probability)
    places = [n for n, s in enumerate(ranked, 1) if (s.passage, s.position) in answers]
    return min(places, default=None)


def _quoted(reading: Reading, answer: str) -> set[tuple[int, int]]:
    """Return which of the sentences read stand in an answer, by passage and position."""
    whole = f" {_bare(answer)} "
    return {
        (sentence.passage, sentence.position)
        for sentence in reading.sentences
        if not sentence.text.startswith("#") and len(words := _bare(flat(sentence.text))) > 1
        if f" {words} " in whole
    }


def _bare(text: str) -> str:
    """Return the words of a text alone, without citations."""
    return " ".join(tokens(MARKER.sub(" ", text)))


async def _answer(prompt: Prompt) -> str:
    """Return what the embedded model answers, nothing when it abstains."""
    pieces: list[str] = []
    async for event in Extractive().stream(prompt, 60.0):
        if isinstance(event, Text):
            pieces.append(event.text)
        elif isinstance(event, Stop) and event.abstained:
            return ""
    return "".join(pieces)


def summary(name: str, table: Sequence[SentenceLoss]) -> str:
    """Return the line of a set: cases by stage, how often the place is 1 and up to 3, sentences quoted."""
    counts = Counter(loss.stage for loss in table)
    first, three = (sum(loss.place is not None and loss.place <= n for loss in table) for n in (1, 3))
    size = max(len(table), 1)
    spoken = [loss.quoted for loss in table if loss.answer]
    cells = [f"{name} ({len(table)})", *(str(counts[stage]) for stage in WHAT)]
    cells += [f"{first / size:.2f}", f"{three / size:.2f}", f"{sum(spoken) / max(len(spoken), 1):.1f}"]
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True, slots=True)
class Searching:
    """Searches a knowledge base as a turn does, and records nothing."""

    retriever: Retriever
    kb: str

    async def retrieve(self, question: str) -> Retrieved:
        return await self.retriever.retrieve(question, self.kb, unrecorded(question))


def sentences_of(documents: Sequence[Document]) -> dict[str, list[str]]:
    """Return the sentences of each document, cut as a turn reads them."""
    return {
        document.document_id: [
            text for part in chunk(document) for text, _, _ in statements(part.text, part.spans)
        ]
        for document in documents
    }


def _documents(evalset: Evalset) -> list[Document]:
    if evalset.corpus is None:
        return sample()
    return [Document(row["id"], row["title"], row["text"], "") for row in lines(evalset.corpus)]


@asynccontextmanager
async def searched(evalset: Evalset) -> AsyncGenerator[Searching]:
    """Yield what searches an evalset's documents, or the handbook, in a data folder of its own."""
    with TemporaryDirectory() as folder:
        settings = load_settings(data_dir=Path(folder))
        bases = build.knowledge(settings)
        kb = await prepare(evalset, bases)
        yield Searching(build.retriever(settings, bases), kb or build.SAMPLE_KB)


async def main(name: str, stage: str | None = None) -> None:
    """Print the line of a set over its documents or the handbook, and the cases of a stage."""
    evalset = load_evalset(name)
    async with searched(evalset) as searching:
        table = await losses(evalset.cases, sentences_of(_documents(evalset)), searching)
    print(HEAD, summary(name, table), sep="\n")
    for loss in table:
        if loss.stage == stage:
            print(f"\n{loss.case.case_id} {loss.case.question}\n  expected: {loss.case.reference}")
            print(f"  place {loss.place}: {loss.answer or 'nothing'}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
