"""The breakers of this process by name, and calls to a dependency under one; changes are kept on disk."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import orjson

from pipeline.breaker import Breaker, BreakerReport, Policy, Transition
from pipeline.errors import AnswerdeckError

log = logging.getLogger(__name__)
T = TypeVar("T")
LOG_BYTES = 1_000_000  # then the log starts anew; one older file is kept


class Breakers:
    """Makes breakers on first use and notes the changes of all, gateway's included, as JSON lines.

    The console is another process: it reads the log, and asks the API for the present state.
    """

    def __init__(
        self,
        log_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        policy: Policy | None = None,  # holds for every breaker, whatever its own: for rehearsals
    ) -> None:
        self.by_name: dict[str, Breaker] = {}
        self._log_file = log_file
        self._clock = clock
        self._policy = policy

    def get(self, name: str, policy: Policy | None = None) -> Breaker:
        """Return the breaker of a dependency."""
        if name not in self.by_name:
            self.by_name[name] = Breaker(name, self._policy or policy, clock=self._clock, on_change=self.note)
        return self.by_name[name]

    def note(self, change: Transition) -> None:
        """Keep a change; a log that cannot be written is only logged: nothing may stop a turn."""
        level = logging.INFO if change.new == "closed" else logging.WARNING
        log.log(level, "breaker %s: %s to %s, %s", change.name, change.old, change.new, change.reason)
        if self._log_file is None:
            return
        line = orjson.dumps({**asdict(change), "pid": os.getpid()}) + b"\n"
        try:
            if self._log_file.exists() and self._log_file.stat().st_size > LOG_BYTES:
                self._log_file.replace(self._log_file.with_suffix(".old.jsonl"))
            with self._log_file.open("ab", buffering=0) as file:
                file.write(line)
        except OSError as error:
            log.error("the change of breaker %s could not be kept: %s", change.name, error)


def changes(log_file: Path, limit: int = 200) -> list[Transition]:
    """Return the newest changes kept, newest first."""
    try:
        lines = log_file.read_bytes().splitlines()[-limit:]
    except FileNotFoundError:
        return []
    listed: list[Transition] = []
    for line in reversed(lines):
        try:
            fields = orjson.loads(line)
            at = datetime.fromisoformat(fields["at"])
            listed.append(Transition(fields["name"], at, fields["old"], fields["new"], fields["reason"]))
        except (ValueError, KeyError, TypeError):
            continue  # its writer was killed in the middle of the line
    return listed


def reports(*groups: Mapping[str, Breaker]) -> list[BreakerReport]:
    """Return the state of all breakers, for `/readyz`, `/metrics` and the console."""
    return [breaker.report() for group in groups for breaker in group.values()]


class Guarded:
    """Calls one dependency within `seconds` and under its breaker; what fails raises `error`.

    `neutral` tells the errors that say nothing about the dependency's health.
    """

    def __init__(
        self,
        breaker: Breaker,
        seconds: float,
        error: Callable[[str], AnswerdeckError],
        neutral: Callable[[AnswerdeckError], bool] = lambda _: False,
    ) -> None:
        self.breaker = breaker
        self._seconds = seconds
        self._error = error
        self._neutral = neutral

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await the work."""
        name = self.breaker.name
        permit = self.breaker.admit()
        if permit is None:
            raise self._error(f"{name}: resting after failures")
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                result = await work()
            permit.started(time.monotonic() - began)
            return result
        except AnswerdeckError as error:
            if not self._neutral(error):
                permit.failed(type(error).__name__)
            raise
        except TimeoutError:
            permit.failed("timeout")
            raise self._error(f"{name}: no answer in {self._seconds:g} s") from None
        except Exception as error:  # a dependency's own fault must not break the turn
            log.exception("%s failed", name)
            permit.failed(type(error).__name__)
            raise self._error(f"{name}: {type(error).__name__}") from error
        finally:
            permit.left()
