"""Checks an answer sentence by sentence while it streams, and marks or leaves out what no passage says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pipeline.guardrails.lines import Numbered
from pipeline.guardrails.support import SentenceCheck, check, checks
from pipeline.text.sentences import sentences

Policy = Literal["mark", "retract", "off"]
MARK = " *(not in the sources)*"
UNCITED = 0.35  # share of its words that all passages have, below which an uncited sentence is unsupported
_LEADING = re.compile(r"\[\d{1,3}\](?: ?\[\d{1,3}\])*(?=\s|$)")
_MAYBE = re.compile(r"(?:\[\d{1,3}\] ?)*(?:\[\d{0,3}\]?)?")  # may still become a citation of what is before
_ABSTENTION = re.compile(
    r"^\W*(?:(?:i(?:'m| am) )?sorry,? (?:but )?)?(?:i (?:could|can|did|do)(?: ?not|n[’']t) (?:find|know|have)"
    r"|(?:this|that|the answer) is not in the (?:documents|passages|sources)"
    r"|the (?:documents|passages|sources) (?:do|does)(?: not|n[’']t))",
    re.IGNORECASE,
)


class Marking:
    """One answer on its way out, after the outbound guard.

    With "mark" words pass at once and a mark follows a sentence no passage supports; with "retract"
    a sentence waits until it is checked, and goes when it is unsupported. What a model guesses after it
    said that the documents do not have it waits, and stays only where it is cited and supported.
    """

    def __init__(self, policy: Policy, passages: Sequence[Numbered]) -> None:
        self.removed: list[SentenceCheck] = []
        self.checked: dict[str, SentenceCheck] = {}  # by the text of the sentence
        self._policy = policy
        self._passages = passages
        self._tail = ""  # from the beginning of the first sentence that is not settled
        self._sent = 0  # characters of the tail that are out
        self._fenced = False
        self._first = True
        self._guessing = False  # it said that the documents do not have it

    def feed(self, text: str) -> str:
        """Take a piece and return what may be shown now."""
        if self._policy == "off":
            return text
        self._tail += text
        return "".join(self._settle(end=False))

    def finish(self) -> str:
        """Return the rest that may be shown."""
        return "".join(self._settle(end=True)) if self._policy != "off" else ""

    def _settle(self, *, end: bool) -> Iterator[str]:
        """Yield what is decided: each sentence that is over, then the beginning of the next."""
        spans = _joined(self._tail)
        over = spans if end else spans[:-1]
        if over and not end and _MAYBE.fullmatch(self._tail[slice(*spans[-1])]):
            over = over[:-1]
        for start, stop in over:
            yield self._sentence(self._tail[start:stop], start, stop)
        if end:
            yield "" if self._policy == "retract" or self._guessing else self._tail[self._sent :]
            self._tail, self._sent = "", 0
            return
        if over:
            cut = over[-1][1]
            self._tail, self._sent = self._tail[cut:], max(self._sent - cut, 0)
            spans = _joined(self._tail)
        if self._policy == "mark" and not self._guessing:
            yield self._begun(spans[-1][0] if spans else len(self._tail))

    def _sentence(self, text: str, start: int, stop: int) -> str:
        """Return what is still to be shown of a sentence that is over."""
        sent, self._sent = self._sent, stop
        fenced = self._fenced or "```" in text
        self._fenced ^= text.count("```") % 2 == 1
        verdict = None if fenced else self.checked.setdefault(text, check(text, self._passages))
        first, self._first = self._first, False
        guess = self._guessing
        if first and _ABSTENTION.match(text) and not (verdict and verdict.numbers):
            self._guessing = True
        wrong = verdict is not None and unsupported(verdict)
        if guess:
            wrong = verdict is None or verdict.support not in ("supported", "partly")
        gap = self._tail[min(sent, start) : start]
        if wrong and (guess or self._policy == "retract"):
            if verdict is not None:
                self.removed.append(verdict)
            return ""
        rest = gap + text if sent <= start else text[sent - start :]
        return rest + (MARK if wrong else "")

    def _begun(self, begins: int) -> str:
        """Return what may be shown of the sentence that is not over: all but a citation at its start."""
        start = self._tail[begins:]
        whole = start.rstrip()
        if not whole or whole[0] == "[" or whole[-1] in ".!?…。！？])\"'”’":
            return ""  # white space and citations after it belong to the sentence, a mark may follow
        out, self._sent = self._tail[self._sent : begins + len(whole)], max(self._sent, begins + len(whole))
        return out


def unsupported(verdict: SentenceCheck) -> bool:
    """Say whether the passages do not say what a sentence states."""
    if verdict.support == "uncited":
        return verdict.score is not None and verdict.score < UNCITED
    return verdict.support == "unsupported"


def plain(answer: str) -> str:
    """Return an answer without our marks."""
    return answer.replace(MARK, "")


def answer_checks(
    answer: str, passages: Sequence[Numbered], checks_before: Mapping[str, SentenceCheck] | None = None
) -> tuple[dict[str, Any], ...]:
    """Return what the passages say to each sentence of an answer, as callers and traces see it.

    `known` are sentences that were checked on their way out.
    """
    return tuple(
        {
            "text": verdict.text,
            "support": verdict.support,
            "strength": None if verdict.score is None else round(verdict.score, 3),
            "citations": list(verdict.numbers),
            "evidence": verdict.evidence
            and {"n": verdict.evidence.n, "start": verdict.evidence.start, "end": verdict.evidence.end},
            "reasons": list(verdict.reasons),
        }
        for verdict in checks(plain(answer), passages, checks_before)
    )


def _joined(text: str) -> list[tuple[int, int]]:
    """Return the sentences; citations that follow a full stop belong to the sentence before them."""
    spans: list[tuple[int, int]] = []
    for start, end in sentences(text):
        lead = _LEADING.match(text, start, end) if spans and "\n" not in text[spans[-1][1] : start] else None
        if lead is not None:
            spans[-1] = (spans[-1][0], lead.end())
            start += len(lead[0])
            start += len(text[start:end]) - len(text[start:end].lstrip())
        if start < end:
            spans.append((start, end))
    return spans
