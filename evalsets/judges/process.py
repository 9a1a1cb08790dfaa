"""Runs the judge's process and reads its scores; nothing of RAGAS enters this process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evalsets.judges.task import JudgeJob, JudgeTask, Opinion
from pipeline.configuration.data_folder import DataFolder
from pipeline.configuration.sections import PROVIDERS, check_model
from pipeline.errors import AnswerdeckError, ConfigurationError
from pipeline.settings import Settings

START_SECONDS = 120.0  # importing RAGAS takes ten
LONGEST_LINE = 1 << 24
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
_PASSED = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR",
           "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
           "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")  # fmt: skip


class JudgeError(AnswerdeckError):
    """The judge's process cannot start or ended early."""


def job(judge: str, settings: Settings, *, budget_usd: float | None = None, cache: bool = True) -> JudgeJob:
    """Return the job for a judge; raises ConfigurationError when it cannot be asked."""
    try:
        check_model(judge)
    except ValueError as error:
        raise ConfigurationError([f"judge: {error}"]) from None
    provider = judge.partition(":")[0]
    if provider not in PROVIDERS:
        raise ConfigurationError([f"judge: {judge!r} cannot judge; use openai:, anthropic: or local: models"])
    if provider in KEYS and not os.environ.get(KEYS[provider]):
        raise ConfigurationError([f"{KEYS[provider]}: not set, and the judge {judge} needs it"])
    endpoint = getattr(settings.models, provider)
    folder = DataFolder(settings.data_dir.absolute()).judge_cache
    return JudgeJob(
        judge,
        address=endpoint.base_url or "",
        budget_usd=budget_usd,
        cache=str(folder) if cache else None,
        calls=4 if provider == "local" else 48,
        seconds=300.0 if provider == "local" else 60.0,
    )


class Worker:
    """The judge's process, from start to stop. Use as `async with Worker(job, settings) as worker`."""

    def __init__(self, job: JudgeJob, data_dir: Path) -> None:
        self._job = job
        self._data_dir = data_dir
        self._process: asyncio.subprocess.Process | None = None
        self.scorer = ""

    async def __aenter__(self) -> Worker:
        try:
            await self._start()
        except BaseException:  # the process is ended, the error passed on
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    async def opinions(self, tasks: Iterable[JudgeTask]) -> AsyncGenerator[Opinion]:
        """Yield the judge's opinion on each task, as they come; the worker serves once."""
        feeding = asyncio.create_task(self._feed(tasks))
        try:
            while not (line := await self._line()).get("done"):
                yield Opinion.read(line)
        finally:
            feeding.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await feeding

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "evalsets.judges.ragas_worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LONGEST_LINE,
            env=self._environment(), cwd=str(Path(__file__).parents[2]),
        )  # fmt: skip
        await self._write(asdict(self._job))
        try:
            async with asyncio.timeout(START_SECONDS):
                ready = await self._line()
        except TimeoutError:
            raise JudgeError(f"the judge's process did not start in {START_SECONDS:g} s") from None
        self.scorer = f"ragas-{ready['ragas']}/{self._job.judge}@{ready['judge']}"

    def _environment(self) -> dict[str, str]:
        """Return what the judge's process may know: our settings and its own provider's key."""
        provider = self._job.judge.partition(":")[0]
        names = (*_PASSED, KEYS.get(provider, ""), "OPENAI_API_KEY", "ANTHROPIC_API_KEY")
        variables = {name: value for name, value in os.environ.items() if name in names}
        variables |= {name: value for name, value in os.environ.items() if name.startswith("ANSWERDECK_")}
        home = DataFolder(self._data_dir.absolute()).judge_cache
        home.mkdir(parents=True, exist_ok=True)
        return variables | {
            "ANSWERDECK_DATA_DIR": str(self._data_dir.absolute()),
            "RAGAS_DO_NOT_TRACK": "true",
            "XDG_DATA_HOME": str(home),  # RAGAS writes an id there even when it does not track
            "PYTHONUNBUFFERED": "1",
        }

    async def _feed(self, tasks: Iterable[JudgeTask]) -> None:
        for task in tasks:
            await self._write(task.to_dict())
        await self._write({"end": True})

    async def _write(self, value: Mapping[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value).encode() + b"\n")
        with suppress(ConnectionError):  # the next read says why
            await self._process.stdin.drain()

    async def _line(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            code = await self._process.wait()
            raise JudgeError(f"the judge's process ended early (exit code {code})")
        message = json.loads(line)
        if "error" in message:
            raise JudgeError(f"{message['error']}; install it with: pip install 'answerdeck[evals]'")
        return message

    async def _stop(self) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
