"""Splits a server-sent event stream into events, whatever the network made of it."""

from __future__ import annotations

from typing import NamedTuple

LONGEST_LINE = 4_000_000  # bytes


class Event(NamedTuple):
    """One event: its name ("message" when the server gave none) and its data."""

    name: str
    data: bytes


class TooLong(ValueError):
    """A line grew past LONGEST_LINE without an end."""


class Splitter:
    """Feed it bytes as they come. Works on bytes: a character may be split over two reads, and
    text line splitting would break JSON at U+2028 or U+0085."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # pieces of a line that has not ended
        self._waiting = 0
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[Event]:
        """Return the events that these bytes complete."""
        self._rest.append(received)
        self._waiting += len(received)
        if b"\n" not in received and b"\r" not in received:
            if self._waiting > LONGEST_LINE:
                raise TooLong(f"a line of the stream is longer than {LONGEST_LINE} bytes")
            return []
        text, events = b"".join(self._rest), list[Event]()
        if b"\r" not in text and not self._data and not self._name:
            text = self._blocks(text, events)
        lines = text.splitlines(keepends=True)
        ended = not lines or lines[-1].endswith(b"\n")
        last = b"" if ended else lines.pop()  # a final "\r" may be half of "\r\n"
        self._rest, self._waiting = [last], len(last)
        for line in lines:
            self._line(line.rstrip(b"\r\n"), events)
        return events

    def finish(self) -> list[Event]:
        """Return the event that was complete but for its empty line, if any."""
        return self.feed(b"\n\n")

    def _blocks(self, text: bytes, events: list[Event]) -> bytes:
        """Take the whole events of a text, mostly one line of data each; return what is left."""
        whole, ended, rest = text.rpartition(b"\n\n")
        for block in whole.split(b"\n\n") if ended else ():
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(Event("message", block[6:]))
                continue
            for line in (*block.split(b"\n"), b""):
                self._line(line, events)
        return rest

    def _line(self, line: bytes, events: list[Event]) -> None:
        if not line:
            if self._data:
                events.append(Event(self._name or "message", b"\n".join(self._data)))
            self._name, self._data = "", []
            return
        field, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("ascii", "replace")
