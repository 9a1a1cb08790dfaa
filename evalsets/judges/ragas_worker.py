"""The only process that imports RAGAS: samples come in as JSON lines, scores go out as JSON lines.

Started by `evalsets.judges.process`, ended by it or by the end of its input. First line in: the job
{judge, concurrency, calls, seconds, budget_usd, cache, address}; then {id, metric, sample} each, and
{"end": true}. Out: {ready, ragas, scorer}, then {id, metric, value, reason, failed, ...} each, then
{done}. An input that closes before that means that nobody reads on: the process ends at once.

RAGAS's telemetry is off, its disk cache (pickle) and its multi-modal metrics (CVE-2026-6587) cannot be
imported here.
"""

from __future__ import annotations

import asyncio
import importlib.abc
import importlib.machinery
import json
import os
import sys
import types
from collections.abc import Sequence
from typing import Any

from evalsets.judges.task import JudgeJob

os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # read once by RAGAS, exactly this word

FORBIDDEN = ("multi_modal", "diskcache")


class _Inert(types.ModuleType):
    """Stands for a module that must not run; whatever is taken from it does nothing and cannot be built."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": _refuse, "__module__": self.__name__})


def _refuse(self: object, *_: object, **__: object) -> None:
    raise RuntimeError(f"{type(self).__name__} is not available here")


class _Blocker(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives inert modules for what must not be imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if any(word in fullname.rpartition(".")[2] for word in FORBIDDEN):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Inert(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return None


def forbid() -> None:
    """Keep what is forbidden out of this process from now on."""
    sys.meta_path.insert(0, _Blocker())


def main() -> None:
    """Serve one job."""
    forbid()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what libraries print must not look like a score
    job = JudgeJob(**json.loads(sys.stdin.buffer.readline()))
    try:
        from evalsets.judges.ragas_metrics import serve

        asyncio.run(serve(job, sys.stdin.buffer, out))
        out.flush()
        os._exit(0)  # a thread still waits for the input's end
    except ImportError as error:
        out.write(json.dumps({"error": f"RAGAS cannot be imported: {error}"}) + "\n")
    except BrokenPipeError:
        os._exit(1)


if __name__ == "__main__":
    main()
