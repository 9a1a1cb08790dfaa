"""The process that reads one file, run by its module's name: an order in, its end out."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from dataclasses import asdict

from pipeline.errors import AnswerdeckError
from pipeline.own_documents.intake import Brought, ReadingOrder, bring
from pipeline.own_documents.private import private
from pipeline.settings import load_settings

log = logging.getLogger(__name__)
NICE = 10  # answers go first


def main() -> None:
    """Read one order, carry it out and print what became of it."""
    os.nice(NICE)
    order = ReadingOrder(**json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        result = asyncio.run(bring(order, private(load_settings())))
    except (AnswerdeckError, OSError) as error:
        log.error("a file could not be brought in: %s", error)
        result = Brought(reason="failed")
    print(json.dumps(asdict(result)), flush=True)
    os._exit(0)  # the thread that waits for the server would keep the process


def _leave_with_parent() -> None:
    sys.stdin.buffer.read()  # ends when the server is gone
    os._exit(1)


if __name__ == "__main__":
    main()
