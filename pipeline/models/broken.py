"""What becomes of an answer whose stream broke off: what was said stays, another call goes on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from pipeline.errors import ErrorClass, ModelError
from pipeline.events import Message
from pipeline.models.model import Broken, Prompt, Stop, Tokens
from pipeline.text.sentences import sentences

GO_ON = (
    "Your answer broke off here. Begin its last sentence again and go on from there to the end."
    " Repeat nothing that stands before that sentence, and say nothing about the break."
)
_END = re.compile(r".*[.!?…。！？][\"'”’»)\]*_`]*(?: ?\[\d{1,3}\])*\s*", re.DOTALL)


@dataclass(slots=True)
class SoFar:
    """What was said to a prompt before its stream broke off, and how it would end there."""

    first: Prompt
    text: str = ""
    cut: Stop | None = None  # the end of the answer, if nobody goes on
    breaks: int = 0
    _pieces: list[str] = field(default_factory=list)

    @property
    def prompt(self) -> Prompt:
        """The prompt as it was, or with what was said so far and the request to go on."""
        if not self.text:
            return self.first
        more = (Message("assistant", self.text), Message("user", GO_ON))
        return replace(self.first, messages=(*self.first.messages, *more))

    def mark(self, *, resort: bool = False) -> list[Broken]:
        """Return what stands between what was said and what goes on: [] before anything broke off."""
        if self.cut is None or self.cut.cut is None:
            return []
        return [Broken(self.cut.cut, finished=finished(self.text), resort=resort)]

    def hear(self, text: str) -> list[Broken]:
        """Take a piece of what is said; return the mark that stands before it."""
        marks = [] if self._pieces else self.mark()
        self._pieces.append(text)
        return marks

    def broke(self, error_class: ErrorClass, tokens: Tokens, model: str) -> None:
        """The stream broke after something was said."""
        self.text, self._pieces = self.text + "".join(self._pieces), []
        self.cut = Stop("cut", tokens, model, cut=error_class)
        self.breaks += 1

    def resorts(self, error: ModelError | None) -> bool:
        """Say whether the last resort is to complete it: a half sentence, and not for want of time."""
        late = error is not None and error.error_class in ("deadline", "cancelled")
        return not finished(self.text) and not late


def finished(text: str) -> bool:
    """Say whether a text ends with a whole sentence; citations after it belong to it."""
    return _END.fullmatch(text) is not None


def whole(text: str) -> str:
    """Return a text without the sentence that it breaks off in; "" when there is no other."""
    if finished(text):
        return text
    spans = sentences(text)
    ends = [end for _, end in spans[:-1]]
    return text[: ends[-1]] if ends else ""
