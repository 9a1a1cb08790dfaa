"""What Prometheus reads: the dashboard and rules name what exists, labels are bounded, workers add up."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.http.metrics import MOST_VALUES, Metrics
from pipeline.models.scripted import Scripted
from tests.factories import make_trace
from tests.pipeline.turns import ask, make_pipeline
from traces.records import Span

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "console" / "deploy"
NAME = re.compile(r"answerdeck_[a-z_]+")


def expressions() -> list[str]:
    board = json.loads((DEPLOY / "grafana.json").read_text())
    rules = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text())
    shown = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return shown + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


async def test_every_metric_of_dashboard_and_rules_exists_and_none_is_forgotten() -> None:
    pipeline = await make_pipeline(Scripted("Close it. [1]"))
    metrics = Metrics(pipeline)
    pipeline.observers.append(metrics.observe)
    await ask(pipeline, "What happens when I close the lid?")
    text = metrics.text().decode()
    await pipeline.close()
    exposed = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    known = exposed | {f"{name}_{end}" for name in exposed for end in ("bucket", "count", "sum")}
    used = {name for one in expressions() for name in NAME.findall(one)}
    assert used - known == set()
    families = {name.removesuffix("_total") for name in exposed if not name.endswith("_created")}
    shown = {re.sub(r"_(total|bucket)$", "", name) for name in used}
    assert families - shown == set()
    assert 'answerdeck_stage_seconds_count{stage="retrieve"} 1.0' in text
    assert 'answerdeck_searches_total{hit="yes"} 1.0' in text


async def test_labels_of_dashboard_and_rules_are_those_of_their_metrics() -> None:
    pipeline = await make_pipeline(Scripted("Close it. [1]"))
    metrics = Metrics(pipeline)
    metrics.observe(make_trace(outcome="failed", error_class="timeout", hit=True, refusal="limit:x"))
    metrics.observe(make_trace(outcome="refused", refusal="injection:x"))
    await pipeline.close()
    labels: dict[str, set[str]] = {"answerdeck_cache_lookups_total": {"cache", "hit"}}
    for name, inside in re.findall(r"^(answerdeck_\w+)\{(.*)\} ", metrics.text().decode(), re.MULTILINE):
        labels.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
    labels["answerdeck_budget_used_ratio"] = {"period"}
    for text in expressions():
        names = set(NAME.findall(text))
        named = set(re.findall(r'(\w+)=~?"', text))
        named |= {word.strip() for group in re.findall(r"by \(([^)]*)\)", text) for word in group.split(",")}
        assert named <= set().union(*(labels.get(name, set()) for name in names)), text
        assert all(
            name.endswith(("_total", "_bucket")) for name in re.findall(r"(?:rate|increase)\((\w+)", text)
        )


async def test_labels_are_bounded() -> None:
    pipeline = await make_pipeline()
    metrics = Metrics(pipeline)
    for number in range(200):
        one = make_trace(outcome="refused", refusal=f"rule{number}:x", error_class="guard_in")
        span = Span(one.turn.turn_id, 1, 0, f"step {number}", "retrieval", 0.0, 0.1, {})
        usages = tuple(replace(usage, model=f"openai:m{number}") for usage in one.usages)
        metrics.observe(replace(one, spans=(span,), usages=usages))
    text = metrics.text().decode()
    await pipeline.close()
    for label in ("rule", "model"):
        assert len(set(re.findall(rf'{label}="([^"]*)"', text))) == MOST_VALUES + 1
    assert set(re.findall(r'stage="([^"]*)"', text)) == {"other"}


@pytest.mark.timeout(300)
def test_the_figures_of_two_workers_add_up_and_never_fall(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "console.cli",
        "serve",
        "--no-chat",
        "--workers",
        "2",
        "--port",
        str(port),
    ]
    env = {**os.environ, "ANSWERDECK_DATA_DIR": str(tmp_path / "data")}
    process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                if json.loads(fetch(f"{address}/readyz"))["ready"]:
                    break
            except OSError:
                time.sleep(0.2)
        body = json.dumps({"question": "How do I print?"}).encode()
        for number in range(1, 9):
            fetch(f"{address}/api/chat", body)
            counts = [turns(fetch(f"{address}/metrics").decode()) for _ in range(4)]
            assert counts == [number] * 4
        assert not list((tmp_path / "data").glob("metrics-*/x"))
        assert len(list((tmp_path / "data").glob("metrics-*"))) == 1
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    assert list((tmp_path / "data").glob("metrics-*")) == []


def fetch(url: str, body: bytes | None = None) -> Any:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=120) as reply:
        return reply.read()


def turns(text: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith("answerdeck_turns_total")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
