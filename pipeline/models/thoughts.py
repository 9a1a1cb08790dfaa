"""Parts a model's thoughts from its answer, piece by piece: tags as local models write them."""

from __future__ import annotations

import re

NAMES = "think|thinking|thought|thoughts|reason|reasoning|reflection|scratchpad|inner_monologue|analysis"
LONGEST_TAG = 60  # characters; a longer start of one is text
_CHANNEL = r"<\|channel\|>\s*{}\s*<\|message\|>"  # as open models with channels write when nobody parts them
_MARKS = re.compile(
    rf"(?P<open><(?:\w+:)?(?:{NAMES})\s*>|\[THINK\]|◁think▷|<\|(?:begin_of_thought|START_THINKING)\|>"
    rf"|{_CHANNEL.format('(?:analysis|commentary)')})"
    rf"|(?P<close></(?:\w+:)?(?:{NAMES})\s*>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|END_THINKING)\|>"
    rf"|{_CHANNEL.format('final')})"
    r"|(?P<wrap></?(?:final_)?answer\s*>)"
    r"|(?P<turn><\|(?:start|end|return)\|>(?:assistant)?)"
    r"|(?P<ticks>`+)|(?P<line>\n)",
    re.IGNORECASE,
)
_BEGUN = re.compile(
    r"(?:<\|(?:channel|start|end|return)\|>[a-z\s]{0,20}(?:<[|a-z]*)?|[<\[◁][/|]?[a-z_:|]*\s*|`+)$",
    re.IGNORECASE,
)
FENCE = 3  # backticks; fewer end with their line


class Thoughts:
    """Takes an answer in pieces of any cut and gives back what is meant for the reader.

    A tag between backticks is text. With `held`, nothing is given before a closing tag or the end: for
    models whose chat template has opened the tag already, so that the answer starts inside it.
    """

    def __init__(self, *, held: bool = False) -> None:
        self.unopened = False  # a closing tag came without an opening one
        self._held = held
        self._inside = False
        self._ticks = 0  # backticks that opened the code we are in
        self._rest = ""
        self._shown: list[str] = []  # not given yet
        self._thoughts: list[str] = []
        self.characters = 0  # of thoughts

    @property
    def thought(self) -> str:
        """What was thought so far."""
        return "".join(self._thoughts).strip()

    def think(self, text: str) -> None:
        """Take what the server itself has parted from the answer."""
        self._thoughts.append(text)
        self.characters += len(text)

    def take(self, piece: str) -> str:
        """Return the text that can be shown now."""
        text = self._rest + piece
        begun = _BEGUN.search(text)
        end = begun.start() if begun and len(begun.group()) <= LONGEST_TAG else len(text)
        self._rest = text[end:]
        self._part(text[:end])
        return "" if self._held else self._given()

    def end(self) -> str:
        """Return what is left to show at the end of the answer; an unclosed thought stays one."""
        self._part(self._rest)
        self._rest = ""
        return self._given()

    def _given(self) -> str:
        given, self._shown = "".join(self._shown), []
        return given

    def _part(self, text: str) -> None:
        """Part a text that cuts no mark in two."""
        at = 0
        for mark in _MARKS.finditer(text):
            self._put(text[at : mark.start()])
            at = mark.end()
            self._follow(mark)
        self._put(text[at:])

    def _put(self, text: str) -> None:
        if self._inside:
            self.think(text)
        else:
            self._shown.append(text)

    def _follow(self, mark: re.Match[str]) -> None:
        """Go in or out of thoughts or code; a mark that does neither is text."""
        kind = mark.lastgroup
        if self._inside:
            self._inside = kind != "close"
            if self._inside:
                self._put(mark.group())
        elif self._ticks or kind in ("ticks", "line"):
            self._code(mark)
            self._put(mark.group())
        elif kind == "open":
            self._inside, self._held = True, False
        elif kind == "wrap" and not self.characters:
            self._put(mark.group())
        elif kind == "close":
            self._closed()

    def _closed(self) -> None:
        """Take what was held for a thought, since its end has come."""
        self.unopened = True
        if self._held:
            self.think("".join(self._shown))
            self._shown, self._held = [], False

    def _code(self, mark: re.Match[str]) -> None:
        """Follow whether the text is between backticks."""
        count = len(mark.group())
        if mark.lastgroup == "line":
            self._ticks = self._ticks if self._ticks >= FENCE else 0
        elif mark.lastgroup == "ticks" and self._ticks in (0, count):
            self._ticks = 0 if self._ticks else count


def shown(text: str) -> str:
    """Return a whole text without the thoughts in it."""
    thoughts = Thoughts(held=True)
    return thoughts.take(text) + thoughts.end()
