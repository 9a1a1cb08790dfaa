"""Reads risky files in a process of its own (`python -m pipeline.knowledge.reading.child`), in JSON."""

from __future__ import annotations

import json
import logging
import os
import resource
import selectors
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.knowledge.documents import Document, Skipped
from pipeline.knowledge.reading.files import Found, inside
from pipeline.knowledge.reading.kinds import Unreadable

SECONDS = 60.0  # for one file
END_SECONDS = 2.0  # to end by itself when it is no longer needed
MEMORY_BYTES = 2_000_000_000
FILES = 500  # read by one process, so that what a library leaks stays small
_ENDED = "it ended the process that read it; too large or damaged"


class ReaderProcess:
    """A child process that reads one file after the other; started anew when a file hangs or ends it."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._files = 0

    def read(self, path: Path, name: str, kind: str) -> list[Found]:
        """Return what the file holds; raises Unreadable when it takes too long or ends the process."""
        if self._files >= FILES:
            self.close()
        process = self._started()
        self._files += 1
        request = json.dumps([os.fsencode(path.absolute()).decode("latin-1"), name, kind])
        try:
            assert process.stdin is not None
            process.stdin.write(request.encode("ascii") + b"\n")
            process.stdin.flush()
            line = self._line(process)
        except (BrokenPipeError, EOFError):
            self.close()
            raise Unreadable(_ENDED) from None
        except TimeoutError:
            self.close()
            raise Unreadable(f"took more than {self._seconds:.0f} seconds to read") from None
        return [Document(**load) if "document_id" in load else Skipped(**load) for load in json.loads(line)]

    def close(self) -> None:
        """End the process."""
        process, self._process, self._files = self._process, None, 0
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            command = [sys.executable, "-m", "pipeline.knowledge.reading.child"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
            )
        return self._process

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        deadline = time.monotonic() + self._seconds
        pieces: list[bytes] = []
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not pieces or not pieces[-1].endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise TimeoutError
                piece = os.read(process.stdout.fileno(), 1 << 20)
                if not piece:
                    raise EOFError
                pieces.append(piece)
        return b"".join(pieces)


def _answer(line: bytes) -> list[dict[str, Any]]:
    path, name, kind = json.loads(line)
    file = Path(os.fsdecode(path.encode("latin-1")))
    try:
        return [asdict(candidate) for candidate in inside(file, name, kind)]
    except (MemoryError, RecursionError):
        return [{"name": name, "reason": "too large or too deeply nested to read"}]
    except Exception as error:  # the boundary of the process: a parser's fault costs one file
        logging.getLogger(__name__).warning("%s: %s", name, type(error).__name__)
        return [{"name": name, "reason": "cannot be read, its reader failed on it"}]


def _serve() -> None:
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    output = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not reach the answers
    with os.fdopen(output, "wb") as answers:
        for line in sys.stdin.buffer:
            most = int(time.process_time() + 2 * SECONDS)  # also when nobody is left to wait for it
            resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
            answers.write(json.dumps(_answer(line)).encode("ascii") + b"\n")
            answers.flush()


if __name__ == "__main__":
    _serve()
