"""The command line, as a user runs it: its output, its exit code; a process of its own where that matters."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.collector import collector
from tests.console.terminal import Terminal, terminal

__all__ = ["terminal"]

CHUNKS = "Bounce keys skip a key that is pressed again too soon. Open Settings to turn on bounce keys."


@pytest.fixture
def answerdeck(tmp_path: Path) -> Any:
    """Run a command as a process, on the data folder of `terminal`; `env` adds variables."""

    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "console.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=100,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "ANSWERDECK_DATA_DIR": str(tmp_path / "data"), **env},
        )

    return run


def test_help_names_every_command_of_the_contract(answerdeck: Any) -> None:
    shown = answerdeck("--help").stdout
    for command in ("up", "serve", "console", "ask", "ingest", "kb", "prompts", "eval", "traces", "doctor"):
        assert f" {command} " in shown


def test_help_stays_light() -> None:
    heavy = (
        "pandas, lancedb, gradio, anthropic, openai, duckdb, ragas, streamlit, pyarrow, onnxruntime, fastapi"
    )
    code = f"""
import sys, console.cli
loaded = [name for name in {heavy.split(", ")!r} if name in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_ask_ingest_and_look_at_the_trace(terminal: Terminal, answerdeck: Any, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "keys.md").write_text(f"# Bounce keys\n\n{CHUNKS}\n")
    (folder / "empty.txt").write_text("")
    env = {"ANSWERDECK_KB": "mine"}
    ingested = json.loads(terminal.works("ingest", str(folder), "--kb", "mine", "--json"))
    assert (ingested["added"], len(ingested["skipped"])) == (1, 1)
    with collector() as (address, bodies, arrived):
        env["ANSWERDECK_TELEMETRY__ENDPOINT"] = address
        asked = answerdeck("ask", "What do bounce keys ignore?", "--json", **env)
        assert asked.returncode == 0, asked.stderr
        assert arrived.wait(5) and len(bodies) == 1
    answer = json.loads(asked.stdout)
    keys = {"turn_id", "conversation_id", "outcome", "answer", "citations", "passages", "usage", "cost_usd"}
    assert keys | {"first_token_seconds", "seconds"} <= answer.keys()
    assert answer["outcome"] == "answered"
    assert "again too soon" in answer["answer"]
    shown = json.loads(terminal.works("traces", "show", answer["turn_id"], "--json"))
    assert shown["turn"]["door"] == "cli"
    assert shown["payload"]["prompt"]


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (("ask", "hi"), {"ANSWERDECK_MODELS__PRIMERY": "x"}, "did you mean ANSWERDECK_MODELS__PRIMARY"),
        (("up",), {"ANSWERDECK_PROMPTS__ANSWER": "answer@v99"}, "there is no prompt 'answer@v99'"),
        (("ask", "hi"), {"ANSWERDECK_DATA_DIR": "/proc/nowhere"}, "data_dir: cannot write"),
        (("ask", " "), {}, "the question is empty"),
        (("ask", "hi", "--model", "gpt"), {}, "use extractive, openai:<model>"),
        (("ask", "hi", "--prompt", "answer@v99"), {}, "known: answer@v1"),
        (("ingest", "/no/such/folder"), {}, "there is no /no/such/folder"),
        (("eval", "run", "nothing"), {}, "no evalset 'nothing'"),
        (("serve", "--host", "0.0.0.0"), {}, "no login is configured"),
        (("serve", "--workers", "2"), {}, "--no-chat"),
        (("prompts", "show", "answer"), {}, "known: answer@v1"),
    ],
)
def test_wrong_use_exits_2_with_one_clear_screen(
    terminal: Terminal, arguments: tuple[str, ...], env: dict[str, str], words: str
) -> None:
    code, out, error = terminal(*arguments, env=env)
    assert code == 2, out + error
    assert words in " ".join(error.split())
    assert "Traceback" not in error


def test_wrong_use_ends_the_process_the_same(answerdeck: Any) -> None:
    done = answerdeck("ask", "hi", ANSWERDECK_MODELS__PRIMERY="x")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "did you mean ANSWERDECK_MODELS__PRIMARY" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_an_unknown_turn_exits_1(terminal: Terminal) -> None:
    code, _, error = terminal("traces", "show", "nope")
    assert code == 1
    assert "there is no turn" in error


@pytest.mark.parametrize("arguments", [("compare", "nosuch", "other"), ("report", "nosuch")])
def test_an_unknown_run_is_one_sentence(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    code, _, error = terminal("eval", *arguments)
    assert code == 2
    assert "no run 'nosuch'" in error
    assert "Traceback" not in error


def test_the_cases_of_a_set_by_command(terminal: Terminal, tmp_path: Path) -> None:
    table = tmp_path / "pm.csv"
    table.write_text("Question,Expected answer\nHow do I print?,Open the panel.\n")
    assert "reference = 'Expected answer'" in terminal.works("eval", "import", str(table))
    (case,) = json.loads(terminal.works("eval", "cases", "pm", "--json"))["cases"]
    terminal.works("eval", "edit", "pm", case["id"], "--set", "reference=Press P.")
    terminal.works("eval", "export", "pm", "--out", str(tmp_path / "out.csv"))
    assert "Press P." in (tmp_path / "out.csv").read_text()
    assert "pm" in terminal.works("eval", "delete", "pm", "--yes")
    code, _, error = terminal("eval", "cases", "pm")
    assert code == 2 and "Traceback" not in error


def test_doctor_says_what_is_wrong(terminal: Terminal) -> None:
    env = {
        "ANSWERDECK_MODELS__PRIMARY": "local:m",
        "ANSWERDECK_MODELS__LOCAL__BASE_URL": "http://127.0.0.1:9/v1",
    }
    code, out, _ = terminal("doctor", "--json", env=env)
    findings = {one["what"]: one for one in json.loads(out)}
    assert code == 1
    assert findings["model local:m"]["ok"] is False
    assert findings["embedder"]["ok"] is True
    assert findings["knowledge base default"]["ok"] is None
