"""The command line, as a user runs it: a process, its output, its exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHUNKS = "Bounce keys skip a key that is pressed again too soon. Open Settings to turn on bounce keys."


@pytest.fixture
def answerdeck(tmp_path: Path) -> Any:
    """Run a command in its own data folder; `env` adds variables."""

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


def test_ask_ingest_and_look_at_the_trace(answerdeck: Any, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "keys.md").write_text(f"# Bounce keys\n\n{CHUNKS}\n")
    (folder / "empty.txt").write_text("")
    env = {"ANSWERDECK_KB": "mine"}
    ingested = json.loads(answerdeck("ingest", str(folder), "--kb", "mine", "--json").stdout)
    assert (ingested["added"], len(ingested["skipped"])) == (1, 1)
    asked = answerdeck("ask", "What do bounce keys ignore?", "--json", **env)
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    keys = {"turn_id", "conversation_id", "outcome", "answer", "citations", "passages", "usage", "cost_usd"}
    assert keys | {"first_token_seconds", "seconds"} <= answer.keys()
    assert answer["outcome"] == "answered"
    assert "again too soon" in answer["answer"]
    shown = json.loads(answerdeck("traces", "show", answer["turn_id"], "--json").stdout)
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
    answerdeck: Any, arguments: tuple[str, ...], env: dict[str, str], words: str
) -> None:
    done = answerdeck(*arguments, **env)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_an_unknown_turn_exits_1(answerdeck: Any) -> None:
    done = answerdeck("traces", "show", "nope")
    assert done.returncode == 1
    assert "there is no turn" in done.stderr


@pytest.mark.parametrize("arguments", [("compare", "nosuch", "other"), ("report", "nosuch")])
def test_an_unknown_run_is_one_sentence(answerdeck: Any, arguments: tuple[str, ...]) -> None:
    done = answerdeck("eval", *arguments)
    assert done.returncode == 2
    assert "no run 'nosuch'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_cases_of_a_set_by_command(answerdeck: Any, tmp_path: Path) -> None:
    table = tmp_path / "pm.csv"
    table.write_text("Question,Expected answer\nHow do I print?,Open the panel.\n")
    assert "reference = 'Expected answer'" in answerdeck("eval", "import", str(table)).stdout
    (case,) = json.loads(answerdeck("eval", "cases", "pm", "--json").stdout)["cases"]
    assert answerdeck("eval", "edit", "pm", case["id"], "--set", "reference=Press P.").returncode == 0
    assert answerdeck("eval", "export", "pm", "--out", str(tmp_path / "out.csv")).returncode == 0
    assert "Press P." in (tmp_path / "out.csv").read_text()
    assert "pm" in answerdeck("eval", "delete", "pm", "--yes").stdout
    gone = answerdeck("eval", "cases", "pm")
    assert gone.returncode == 2 and "Traceback" not in gone.stderr


def test_doctor_says_what_is_wrong(answerdeck: Any) -> None:
    env = {
        "ANSWERDECK_MODELS__PRIMARY": "local:m",
        "ANSWERDECK_MODELS__LOCAL__BASE_URL": "http://127.0.0.1:9/v1",
    }
    done = answerdeck("doctor", "--json", **env)
    findings = {one["what"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["model local:m"]["ok"] is False
    assert findings["embedder"]["ok"] is True
    assert findings["knowledge base default"]["ok"] is None
