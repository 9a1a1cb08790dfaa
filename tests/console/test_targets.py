"""`eval run --target` and `--template` from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.dashboard import jobs
from evalsets.runs import template
from pipeline.errors import ConfigurationError
from tests.console.console_server import page
from tests.console.terminal import Terminal, terminal
from tests.evalsets.test_target import Bot, said

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest
    from streamlit.testing.v1.element_tree import Button

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
    judge = ("--judge", "local:nobody-knows", "--estimate")
    assert "judged by local:nobody-knows" in terminal.works("eval", "run", evalset, *to, *judge)
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


def test_the_form_asks_another_chatbot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    started: list[jobs.Wanted] = []
    monkeypatch.setattr(jobs, "start", lambda folder, wanted: started.append(wanted) or job(wanted))
    app = page("evals", asked="Another chatbot", asked_by="Own JSON")
    assert not app.exception and start(app).disabled  # no address yet
    app.text_input(key="target").set_value("http://127.0.0.1:9/ask").run()
    area = {one.label: one for one in app.text_area}
    area["JSON that is sent"].set_value('{"q": "{{question}}"').run()
    assert "is no JSON" in app.error[0].value and start(app).disabled
    area["JSON that is sent"].set_value('{"q": "always the same"}').run()
    assert "nothing would be asked" in app.error[0].value
    area["JSON that is sent"].set_value('{"q": "{{question}}"}').run()
    area["Headers, a JSON object"].set_value('["x"]').run()
    assert "object of texts" in app.error[0].value
    area["Headers, a JSON object"].set_value('{"X-Key": "{{key}}"}').run()
    texts = {one.label: one for one in app.text_input}
    texts["Answer at"].set_value("data.text").run()
    texts["Passages at"].set_value("data.sources").run()
    assert not app.error
    start(app).click().run()
    (wanted,) = started
    assert wanted.template is not None and wanted.arguments()[2:] == ["--template", str(wanted.template)]
    form = template.read(wanted.template)
    assert (form.reply.answer, form.reply.passages, form.host) == ("data.text", "data.sources", "127.0.0.1:9")


def test_the_form_names_a_server_of_openais_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    started: list[jobs.Wanted] = []
    monkeypatch.setattr(jobs, "start", lambda folder, wanted: started.append(wanted) or job(wanted))
    app = page("evals", asked="Another chatbot", target="nowhere")
    assert "whole address" in app.error[0].value
    app.text_input(key="target").set_value("http://127.0.0.1:9/v1").run()
    next(one for one in app.text_input if one.label == "Model to name").set_value("m").run()
    start(app).click().run()
    assert started[0].arguments()[2:] == ["--target", "http://127.0.0.1:9/v1", "--target-model", "m"]
    assert "9/v1" in started[0].title and started[0].variants == 1


def start(app: AppTest) -> Button:
    return next(one for one in app.button if one.label == "Start run")


def job(wanted: jobs.Wanted) -> jobs.Job:
    return jobs.Job("r", 1, None, "2026-01-01T00:00:00+00:00", wanted.title)


@pytest.mark.parametrize(
    ("text", "why"), [("{", "is no JSON"), ("[]", "an object with a url"), ("{}", "url")]
)
def test_a_template_may_be_json(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "bot.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=why):
        template.read(path)
