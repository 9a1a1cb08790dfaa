"""Every command, given names that do not exist or files that cannot be used, ends with one clear sentence."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.terminal import Terminal, terminal
from tests.console.test_lazy import COMMANDS

__all__ = ["terminal"]


# What each command is given. {here} is an empty folder; no run, turn, knowledge base or file exists.
WRONG: dict[tuple[str, ...], list[str]] = {
    ("up",): ["--port", "{port}"],
    ("serve",): ["--port", "{port}", "--no-chat"],
    ("console",): ["--port", "{port}"],
    ("mcp",): ["--http", "--port", "{port}"],
    ("ask",): ["What?", "--kb", "nope"],
    ("ingest",): ["{here}/nope"],
    ("replay",): ["--turn", "nope"],
    ("doctor",): ["nope"],
    ("bench",): ["--only", "nope"],
    ("drill",): ["--out", "{here}/report.nope"],
    ("kb", "list"): ["nope"],
    ("kb", "status"): ["nope"],
    ("kb", "history"): ["nope"],
    ("kb", "diff"): ["v1", "v2", "--kb", "nope"],
    ("kb", "rollback"): ["v1", "--kb", "nope"],
    ("kb", "remove"): ["nope", "--yes"],
    ("kb", "restore"): ["v1", "a.md", "--kb", "nope"],
    ("kb", "jobs"): ["nope"],
    ("kb", "search"): ["What?", "--kb", "nope"],
    ("prompts", "list"): ["nope"],
    ("prompts", "show"): ["nope"],
    ("prompts", "diff"): ["answer@v1", "nope"],
    ("prompts", "new"): ["nope"],
    ("prompts", "check"): ["nope@v1"],
    ("prompts", "promote"): ["nope@v1", "--yes"],
    ("prompts", "rollback"): ["nope"],
    ("prompts", "canary"): ["nope@v1", "--share", "5"],
    ("prompts", "history"): ["nope"],
    ("eval", "list"): ["nope"],
    ("eval", "compare"): ["a", "b"],
    ("eval", "report"): ["nope", "--format", "html", "--out", "{here}/x.html"],
    ("eval", "import"): ["{here}/nope.csv"],
    ("eval", "add"): ["nope", "--set", "mine"],
    ("eval", "remove"): ["nope", "--set", "mine"],
    ("eval", "cases"): ["nope"],
    ("eval", "edit"): ["nope", "1", "--set", "reference=x"],
    ("eval", "export"): ["nope", "--out", "{here}/x.csv"],
    ("eval", "delete"): ["nope", "--yes"],
    ("eval", "synthesise"): ["--kb", "nope"],
    ("eval", "run"): ["nope"],
    ("eval", "gate"): ["--baseline", "nope"],
    ("eval", "gate-set"): ["nope"],
    ("eval", "changed"): ["nope"],
    ("eval", "score"): ["nope", "--judge", "local:judge"],
    ("eval", "calibrate"): ["groundedness", "nope"],
    ("eval", "reproduce"): ["{here}/nope.json"],
    ("eval", "bisect"): ["recall@5", "--good", "nope", "--bad", "nope"],
    ("eval", "routing"): ["nope"],
    ("traces", "show"): ["nope"],
    ("traces", "tail"): ["nope"],
    ("traces", "search"): ["x", "-n", "nope"],
    ("traces", "drain"): ["nope"],
    ("traces", "export"): ["--out", "{here}/x.jsonl", "--since", "nope"],
    ("traces", "prune"): ["--days", "nope"],
    ("traces", "erase"): ["--verify", "{here}/nope.json"],
    ("deploy", "compose"): ["--out", "{here}", "nope"],
    ("deploy", "kubernetes"): ["--out", "{here}", "nope"],
    ("deploy", "systemd"): ["--out", "{here}", "nope"],
    ("costs", "show"): ["--days", "nope"],
    ("costs", "forecast"): ["--model", "nope"],
    ("costs", "capacity"): ["--per-turn", "nope=1"],
    ("alerts", "check"): ["nope"],
    ("alerts", "test"): ["nope"],
    ("alerts", "history"): ["-n", "nope"],
    ("alerts", "mute"): ["nope"],
    ("alerts", "reset"): ["nope"],
    ("alerts", "rules"): ["nope"],
    ("traces", "rebuild"): ["nope"],
    ("traces", "move"): ["nope"],
    ("users", "add"): ["<nope>"],
    ("users", "list"): ["nope"],
    ("users", "move"): ["nope"],
    ("users", "disable"): ["nope"],
    ("users", "reset"): ["nope"],
    ("keys", "new"): ["<nope>"],
    ("keys", "list"): ["nope"],
    ("keys", "revoke"): ["nope"],
    ("workspaces", "list"): ["nope"],
    ("workspaces", "add"): ["nope!"],
    ("workspaces", "remove"): ["nope"],
    ("workspaces", "give"): ["nope", "docs"],
}
FAILS = {  # a thing of the product that is not there is a failure; a name given wrongly is wrong use
    ("replay",),
    ("traces", "show"),
    ("traces", "erase"),
}


@pytest.fixture
def port() -> Iterator[int]:
    """A port that somebody else holds."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


def test_the_table_walks_every_command() -> None:
    assert set(WRONG) == set(COMMANDS)


@pytest.mark.parametrize("path", WRONG, ids=" ".join)
def test_what_is_not_there_is_named_in_one_sentence(
    path: tuple[str, ...], terminal: Terminal, port: int, tmp_path: Path
) -> None:
    arguments = [text.format(here=tmp_path, port=port) for text in WRONG[path]]
    code, out, error = terminal(*path, *arguments)
    assert code == (1 if path in FAILS else 2), out + error
    assert "Traceback" not in out + error and "fault of Answerdeck" not in error
    option = next((text for text in arguments if text in ("-n", "--days")), None)  # no number: Typer names it
    named = option or (str(port) if "{port}" in WRONG[path] else "a" if path[-1] == "compare" else "nope")
    assert named in re.sub(r"[\s│]", "", error)


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (("eval", "report", "nope", "--format", "zzz"), {}, "'zzz'"),
        (("ask", "x", "--prompt", "condense@v1"), {}, "no version of the prompt 'answer'"),
        (("eval", "run", "demo", "--prompt", "condense@v1"), {}, "no version of the prompt 'answer'"),
        (("eval", "score", "latest", "--judge", "nope"), {}, "judge: 'nope' is unknown"),
        (("eval", "score", "latest", "--judge", "extractive"), {}, "'extractive' cannot judge"),
        (
            ("eval", "score", "latest", "--judge", "openai:x"),
            {"OPENAI_API_KEY": ""},
            "OPENAI_API_KEY: not set",
        ),
        (("eval", "score", "latest", "--judge", "local:x", "--metrics", "zzz"), {}, "unknown metric 'zzz'"),
        (("eval", "run", "demo", "--only", "zzz"), {}, "--only 'zzz' is unknown"),
        (("eval", "run", "demo", "--on", "zzz"), {}, "--on: 'zzz' is no place to work at"),
        (
            ("eval", "run", "demo", "--on", "ray", "--retrieval", "configured", "--retrieval", "floor=0"),
            {},
            "one retrieval setting, not 2 (configured, floor=0); leave --on out",
        ),
        (("eval", "run", "demo", "--retrieval", "reranker=zzz"), {}, "retrieval.reranker: 'zzz' is unknown"),
        (("ingest", ".", "--on", "processes:0"), {}, "--on: 'processes:0' is no place to work at"),
        (("eval", "run", "demo", "--queries", "zzz"), {}, "--queries 'zzz' is unknown"),
        (("eval", "run", "demo", "--model", "zzz"), {}, "'zzz' is unknown"),
        (("eval", "run", "demo", "--run", "r", "--model", "local:a", "--model", "local:b"), {}, "one run"),
        (("eval", "calibrate", "faithfulness", "handbook"), {}, "needs --judge"),
        (("eval", "calibrate", "evidence", "handbook"), {}, "scores something else"),
        (("eval", "calibrate", "rubric_tone", "handbook", "--judge", "local:x"), {}, "name it: --set NAME"),
        (
            ("eval", "calibrate", "rubric_tone", "handbook", "--judge", "local:x", "--set", "demo"),
            {},
            "unknown metric 'rubric_tone'",
        ),
        (
            ("eval", "run", "demo", "--judge", "local:x", "--metrics", "rubric"),
            {},
            "has no rubric; write [rubric]",
        ),
        (("eval", "gate", "--baseline", "nope.json"), {}, "no file nope.json"),
        (("eval", "gate", "--baseline", "reports/nope"), {}, "no file reports/nope"),
        (("replay", "--prompt", "condense@v1"), {}, "no version of the prompt 'answer'"),
        (("ask", "x"), {"ANSWERDECK_PROMPTS__ANSWER": "condense@v1"}, "prompts.answer: 'condense@v1'"),
        (("costs", "forecast", "--assume", "turns=x"), {}, "turns='x' is no number"),
        (("doctor",), {"ANSWERDECK_ALERTS__WEBHOOKS": "notaurl"}, "ANSWERDECK_ALERTS__WEBHOOKS: lists"),
        (("doctor",), {"ANSWERDECK_GATE__EVALSETS": "nope"}, "ANSWERDECK_GATE__EVALSETS: lists"),
        (("costs", "show"), {"ANSWERDECK_DATA_DIR": "/proc/nowhere"}, "/proc/nowhere"),
        (("kb", "list"), {"ANSWERDECK_DATA_DIR": "/proc/nowhere"}, "/proc/nowhere"),
        (("alerts", "check"), {"ANSWERDECK_DATA_DIR": "/proc/nowhere"}, "/proc/nowhere"),
        (("traces", "export", "--out", "/proc/nowhere/x.jsonl"), {}, "/proc/nowhere"),
    ],
)
def test_wrong_values_end_with_2(
    arguments: tuple[str, ...], env: dict[str, str], words: str, terminal: Terminal
) -> None:
    code, out, error = terminal(*arguments, env=env)
    assert code == 2, out + error
    assert words in " ".join(error.split())
    assert "Traceback" not in out + error


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ANSWERDECK_PROMPTS__ANSWER", "answer@v9", "there is no prompt 'answer@v9'"),
        ("ANSWERDECK_PROMPTS__FOLDER", "/nope", "there is no prompt"),
        ("ANSWERDECK_SERVER__HOST", "0.0.0.0", "no login is configured"),
        ("ANSWERDECK_KB", "nope", "answerdeck ingest PATH --kb nope"),
        ("ANSWERDECK_DATA_DIR", "/proc/nowhere", "data_dir: cannot write"),
    ],
)
def test_doctor_gives_no_all_clear_to_what_would_not_start(
    variable: str, value: str, words: str, terminal: Terminal
) -> None:
    code, out, _ = terminal("doctor", "--json", env={variable: value})
    assert code == 1
    assert words in out and "damaged" not in out


def test_an_answer_comes_without_log_lines(terminal: Terminal) -> None:
    code, _, error = terminal("ask", "What is a turn?")
    assert code == 0
    assert "WARNING" not in error and "ERROR" not in error


def test_a_fault_of_ours_is_said_calmly(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.commands.costs.load_settings", lambda: 1 / 0)
    code, _, error = terminal("costs", "show")
    assert code == 1
    assert "a fault of Answerdeck (ZeroDivisionError: division by zero)" in error
    assert "LOG_LEVEL=ERROR" in error and "Traceback" not in error
