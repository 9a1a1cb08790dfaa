"""The judge's process: RAGAS's scores, every failure by its name, nothing opened, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from evalsets.judges.process import JudgeError, Worker
from evalsets.judges.task import JudgeJob, JudgeTask
from tests.judge_stub import JudgeStub

ROOT = Path(__file__).parents[2]
SAMPLE = {
    "user_input": "How do I add a printer?",
    "response": "Open the panel.",
    "reference": "Open it.",
    "retrieved_contexts": ["Open the panel and press the key."],
}


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeStub]:
    with JudgeStub() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("ANSWERDECK_MODELS__OPENAI__BASE_URL", server.openai_url)
        yield server


def process(code: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=90, check=True
    )
    return json.loads(done.stdout)


def test_scores_and_prompts_are_those_of_ragas() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.evalsets.plain_ragas"],
        cwd=ROOT, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for name, one in found["metrics"].items():
        assert one["same_prompts"], name
        assert [ours for ours, _, _ in one["values"]] == [theirs for _, theirs, _ in one["values"]], name
    assert len({ours for ours, _, _ in found["metrics"]["context_precision"]["values"]}) > 1
    assert found["loaded"] == []  # neither diskcache nor anything multi-modal
    assert "verdicts positive" in found["metrics"]["faithfulness"]["values"][0][2]


def test_ragas_stays_out_of_every_other_process() -> None:
    names = process(
        "import json, sys, pkgutil, importlib, console.cli\n"
        "import pipeline.build, pipeline.turn, pipeline.http.api\n"
        "import console.commands as c, evalsets as e\n"
        "for p in (c, e):\n"
        "    for m in pkgutil.iter_modules(p.__path__):\n"
        "        if m.name != 'ragas_metrics': importlib.import_module(f'{p.__name__}.{m.name}')\n"
        "print(json.dumps([n for n in sys.modules if n.split('.')[0] in "
        "('ragas', 'langchain_core', 'instructor', 'diskcache')]))"
    )
    assert names == []


async def test_each_failure_is_told_and_nothing_is_opened(stub: JudgeStub, tmp_path: Path) -> None:
    canary, hits = tmp_path / "canary.txt", []
    canary.write_text("CANARY-7781")

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hits.append(1)
        writer.close()

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/cat.png"
    hostile = {**SAMPLE, "retrieved_contexts": [url, str(canary), f"file://{canary}", f"![x]({url})"]}
    words = ("broken", "truncated", "refusal", "stall", "wrong_shape")
    stub.fault_for = lambda prompt: next((word for word in words if f"<{word}>" in prompt), None)
    tasks = [JudgeTask(0, "faithfulness", SAMPLE)]
    tasks += [
        JudgeTask(i, "faithfulness", {**SAMPLE, "response": f"<{word}>"}) for i, word in enumerate(words, 1)
    ]
    tasks += [
        JudgeTask(10 + i, name, hostile)
        for i, name in enumerate(("faithfulness", "context_precision", "context_recall", "noise_sensitivity"))
    ]
    job = JudgeJob("openai:gpt-6-luna", seconds=2.0, cache=str(tmp_path / "cache"))
    async with Worker(job, tmp_path) as worker:
        pid = worker.pid
        opinions = {opinion.place: opinion async for opinion in worker.opinions(tasks)}
    listener.close()
    await listener.wait_closed()
    assert len(opinions) == len(tasks)
    assert opinions[0].value == 1.0
    assert (opinions[0].bill.usd or 0) > 0
    assert [str(opinions[i].reason).partition(":")[0] for i in range(1, 6)] == [
        "protocol", "truncated", "refused", "deadline", "protocol"
    ]  # fmt: skip
    assert all(opinions[i].failed for i in range(1, 6))
    assert all(opinions[i].value is not None for i in range(10, 14))
    assert hits == []
    assert not any("CANARY-7781" in prompt for prompt in stub.prompts)
    assert worker.scorer.startswith("ragas-0.4.3/openai:gpt-6-luna@")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.slow
async def test_a_process_that_dies_is_an_error_and_not_a_hang(stub: JudgeStub, tmp_path: Path) -> None:
    stub.seconds = 5.0
    tasks = [JudgeTask(0, "faithfulness", SAMPLE)]
    async with Worker(JudgeJob("openai:gpt-6-luna"), tmp_path) as worker:
        asyncio.get_running_loop().call_later(0.3, os.kill, worker.pid, signal.SIGKILL)
        with pytest.raises(JudgeError, match="ended early"):
            async for _ in worker.opinions(tasks):
                pass


@pytest.mark.slow
def test_it_ends_with_its_parent(stub: JudgeStub, tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "evalsets.judges.ragas_worker"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert worker.stdin is not None
    assert worker.stdout is not None
    stub.seconds = 20.0
    worker.stdin.write(json.dumps({"judge": "openai:gpt-6-luna"}).encode() + b"\n")
    worker.stdin.write(json.dumps({"id": 0, "metric": "faithfulness", "sample": SAMPLE}).encode() + b"\n")
    worker.stdin.write(b'{"end": true}\n')
    worker.stdin.flush()
    assert b"ready" in worker.stdout.readline()
    worker.stdin.close()
    with suppress(BrokenPipeError):
        assert worker.wait(10) is not None
    worker.stdout.close()
