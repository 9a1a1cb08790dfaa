"""`eval run --target` and `--template` from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.terminal import Terminal, terminal
from tests.evalsets.test_target import Bot, said

__all__ = ["terminal"]
KEY = "ANSWERDECK_TARGET_KEY"


@pytest.fixture
def bot() -> Iterator[Bot]:
    bot = Bot()
    yield bot
    bot.close()


@pytest.fixture
def evalset(tmp_path: Path) -> str:
    path = tmp_path / "tiny.jsonl"
    cases = [{"id": n, "question": f"What is {n}?", "must_contain": ["panel"]} for n in "ab"]
    path.write_text("\n".join(map(json.dumps, cases)))
    return str(path)


def test_a_target_goes_through_an_evalset(terminal: Terminal, evalset: str, bot: Bot) -> None:
    bot.reply = lambda n, asked: said("Open the panel.")
    to = ("--target", bot.url, "--target-model", "m")
    report = json.loads(terminal.works("eval", "run", evalset, *to, "--json", env={KEY: "hush-hush"}))
    assert report["variant"].endswith("/m") and report["failed"] == 0
    assert report["metrics"]["must_contain"]["mean"] == 1.0
    assert any("not applicable to this target" in warning for warning in report["warnings"])
    assert bot.headers[0]["authorization"] == "Bearer hush-hush"
    assert "not known" in terminal.works("eval", "run", evalset, *to, "--estimate")
    (row,) = json.loads(terminal.works("eval", "run", evalset, *to, "--estimate", "--json"))["estimates"]
    assert (row["calls"], row["usd"], len(bot.asked)) == (2, None, 2)
    written = Path(evalset).parent / "report.json"
    terminal.works("eval", "report", report["run_id"], "--format", "json", "--out", str(written))
    code, _, error = terminal("eval", "reproduce", str(written), "--rerun", "--evalset", evalset)
    assert code == 2 and "another chatbot" in error


def test_a_target_that_fails_ends_the_command(terminal: Terminal, evalset: str, bot: Bot) -> None:
    bot.reply = lambda n, asked: (500, {}, {})
    code, _, error = terminal("eval", "run", evalset, "--target", bot.url)
    assert code == 1 and "2 of 2 cases" in error and "provider_5xx" in error


def test_a_template_says_how_it_is_asked(terminal: Terminal, evalset: str, bot: Bot, tmp_path: Path) -> None:
    bot.reply = lambda n, asked: (200, {}, {"text": "The panel."})
    path = tmp_path / "bot.toml"
    path.write_text(f'url = "{bot.url}/x"\n[headers]\nX-Key = "{{{{key}}}}"\n'
                    '[body]\nq = "{{question}}"\n[reply]\nanswer = "text"\nrefuses = ["no"]\n')  # fmt: skip
    how = ("eval", "run", evalset, "--template", str(path))
    assert "export ANSWERDECK_TARGET_KEY" in terminal(*how)[2]
    assert "must_contain" in terminal.works(*how, env={KEY: "k"})
    assert bot.headers[0]["x-key"] == "k" and bot.paths[0] == "/x"
    assert "go together" in terminal(*how, "--target-model", "m", env={KEY: "k"})[2]
    code, _, error = terminal(*how, env={KEY: "k\n"})
    assert code == 2 and "line break" in error


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--target-model", "m"), "needs --target"),
        (("--target", "http://127.0.0.1:1", "--model", "extractive"), "leave out --model"),
        (("--target", "http://127.0.0.1:1", "--budget", "1"), "leave out --budget"),
        (("--target", "nowhere"), "whole address"),
        (("--template", "nowhere.toml"), "cannot be read"),
        (("--target", "http://192.0.2.1/v1"), "add --yes"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_asked(
    terminal: Terminal, evalset: str, options: tuple[str, ...], problem: str
) -> None:
    code, _, error = terminal("eval", "run", evalset, *options)
    assert code == 2 and problem in error
