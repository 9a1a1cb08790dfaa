"""What people see in the terminal: errors on one screen, tables, JSON."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any

import typer

from pipeline.errors import AnswerdeckError, ConfigurationError, KnowledgeError
from traces.errors import TracesError, Unknown

log = logging.getLogger(__name__)


def guarded(run: Callable[[], Any]) -> None:
    """Run a command; exit 2 on wrong use or configuration, 1 on a failure, each with one clear screen.

    Logs are silent unless LOG_LEVEL is set: what a person must know a command says itself. SIGTERM ends
    a command as Ctrl-C does; one started by a shell in the background would not hear the latter.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "CRITICAL").upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        run()
    except ConfigurationError as error:
        print("The configuration cannot be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  - {problem}", file=sys.stderr)
        print("Nothing was started. The keys and their defaults: pipeline/config.toml", file=sys.stderr)
        sys.exit(2)
    except (AnswerdeckError, TracesError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2 if _misnamed(error) else 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        print(f"Error: {_place(error)}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:  # the boundary of a command: nobody sees a traceback
        log.exception("a command ended unexpectedly")
        problem = f"{type(error).__name__}: {error}"
        print(f"Error: this is a fault of Answerdeck ({problem}).", file=sys.stderr)
        print("The same command with LOG_LEVEL=ERROR shows where; please report it.", file=sys.stderr)
        sys.exit(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does at that moment, which asyncio changes."""
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(signal.SIGINT, frame)


def _misnamed(error: Exception) -> bool:
    """Say whether the command was given what is not there, rather than that it failed."""
    named = isinstance(error, KnowledgeError) and error.error_class in ("config", "store_missing")
    return named or isinstance(error, Unknown)


def logs() -> None:
    """Show warnings from here on, in a command that runs until it is stopped."""
    logging.getLogger().setLevel(os.environ.get("LOG_LEVEL", "WARNING").upper())


def _place(error: OSError) -> str:
    if error.filename is None:
        return f"{error.strerror or error}"
    return f"cannot use {str(error.filename)!r} ({error.strerror}); is it there, and may you write to it?"


def wrong(message: str) -> typer.Exit:
    """Print what is wrong with the call; raise the result (exit code 2)."""
    print(f"Error: {message}", file=sys.stderr)
    return typer.Exit(2)


def failed(message: str) -> typer.Exit:
    """Print what failed; raise the result (exit code 1)."""
    print(f"Error: {message}", file=sys.stderr)
    return typer.Exit(1)


def emit(value: Any) -> None:
    """Print a value as JSON for machines."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Print a table for people; None is shown as a dash."""
    from rich.console import Console  # `--help` of every command shows faster without
    from rich.table import Table
    from rich.text import Text

    view = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        view.add_column(column, overflow="fold")
    for row in rows:
        view.add_row(*(Text("—" if cell is None else str(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 200).print(view)
