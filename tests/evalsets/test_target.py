"""Another chatbot goes through an evalset like ours: same metrics, and nothing invented about it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evalsets.metrics.columns import columns
from evalsets.reports import compare
from evalsets.reports.plain import of_run
from evalsets.runs import target as targets
from evalsets.runs import template
from evalsets.runs.asker import Variant
from evalsets.runs.outcome import Outcome
from evalsets.runs.reply import read
from evalsets.runs.runner import run
from evalsets.runs.target import Target
from evalsets.runs.template import Template
from pipeline.errors import ConfigurationError, ModelError
from tests.evalsets.fakes import Stage, make_set
from traces.queries import runs

KEY = "hush-hush-1234"
Replies = Callable[[int, dict[str, Any]], tuple[int, dict[str, str], Any]]


class Bot:
    """A chatbot on loopback; `reply` gets the number of the request and its JSON."""

    def __init__(self) -> None:
        self.reply: Replies = lambda n, asked: said("Open the panel and press the key.")
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        bot, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers.get("content-length") or 0))
                with lock:
                    bot.asked.append(json.loads(data) if data else {})
                    bot.headers.append({name.lower(): value for name, value in self.headers.items()})
                    bot.paths.append(self.path)
                    status, headers, body = bot.reply(len(bot.asked), bot.asked[-1])
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def bot() -> Iterator[Bot]:
    bot = Bot()
    yield bot
    bot.close()


def said(text: Any, **more: Any) -> tuple[int, dict[str, str], Any]:
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    return 200, {}, {"choices": [{"message": {"content": text, **more}}], "usage": usage}


def own(url: str, **values: Any) -> Template:
    """A template of the bot's own form."""
    reply = {"answer": "answer", "passages": "sources", **values.pop("reply", {})}
    return Template.model_validate({"url": url, "body": {"q": "{{question}}"}, "reply": reply, **values})


async def asked(stage: Stage, form: Template, *, count: int = 4, **how: Any) -> Outcome:
    target = Target(form, stage.journal, stage.store, model=how.pop("model", None), key=how.pop("key", None))
    try:
        return await run(make_set(count, **how), Variant(model=target.name), target)
    finally:
        await target.close()


def scores(stage: Stage, report: Outcome) -> dict[str, Any]:
    stage.store.drain()
    with stage.store.read() as ledger:
        return columns(runs.scores_of(ledger, report.run_id))


def mean(column: Any) -> float:
    assert column.values and not column.failed
    return sum(column.values.values()) / len(column.values)


def holds(folder: Path, text: str) -> bool:
    return any(text.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_it_is_asked_as_openai_is_and_what_it_hides_is_not_applicable(tmp_path: Path, bot: Bot) -> None:
    stage = Stage(tmp_path)
    bot.reply = lambda n, asked: said(
        "I don't know." if "much" in asked["messages"][-1]["content"] else f"Press it, {KEY}."
    )
    report = await asked(
        stage, template.openai(f"{bot.url}/v1/", model="m", key=True), model="m", key=KEY, count=4
    )
    assert report.variant == f"target:{bot.url.removeprefix('http://')}/m"
    assert (report.state, report.failed, report.cost_usd) == ("finished", 0, None)
    assert bot.paths[0] == "/v1/chat/completions"
    assert bot.headers[0]["authorization"] == f"Bearer {KEY}"
    assert bot.asked[0]["model"] == "m" and not bot.asked[0]["stream"]
    known = scores(stage, report)
    assert mean(known["abstention_correct"]) == mean(known["completed"]) == 1.0
    for name in (
        "recall@5",
        "hit@5",
        "groundedness",
        "citation_precision",
        "cost_usd",
        "first_token_seconds",
    ):
        column = known.get(name)
        assert column is None or not (column.values or column.failed), name
    assert not holds(tmp_path, KEY)


async def test_a_run_of_ours_is_compared_with_it_and_times_decide_nothing(tmp_path: Path, bot: Bot) -> None:
    stage = Stage(tmp_path)
    bot.reply = lambda n, asked: said("I don't know.")
    theirs = await asked(stage, template.openai(bot.url, model=None, key=False), count=12)
    ours = await run(make_set(12), Variant(), stage.pipeline)
    stage.store.drain()
    with stage.store.read() as ledger:
        comparison = compare.compare_runs(ledger, theirs.run_id, ours.run_id)
    about = {row.metric: row for row in comparison.differences}
    assert about["abstention_correct"].verdict == "better"
    assert about["seconds"].verdict == "none" and "side by side" in about["seconds"].sentence
    assert "recall@5" not in about or not about["recall@5"].n
    assert comparison.a.prompt is None
    told = of_run(replace(comparison.a, failed=1), []).next
    assert "same --target" in told[0]
    assert Variant.read(comparison.a.variant) == Variant(model=comparison.a.model)


async def test_passages_that_it_shows_are_scored(tmp_path: Path, bot: Bot) -> None:
    stage = Stage(tmp_path)

    def reply(n: int, asked: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        word = asked["q"].split()[-1].rstrip("?")
        row = {"doc": f"doc-c{word}", "text": "Open the panel and press the key.", "title": "Panel"}
        return 200, {}, {"answer": "Open the panel and press the key. [1]", "sources": [row]}

    bot.reply = reply
    known = scores(stage, await asked(stage, own(bot.url, reply={"id": "doc"})))
    assert mean(known["recall@5"]) == mean(known["hit@1"]) == 1.0
    assert mean(known["citation_precision"]) == mean(known["citation_recall"]) == 1.0
    assert mean(known["groundedness"]) == 1.0
    bot.reply = lambda n, asked: (200, {}, {"answer": "Open it.", "sources": []})
    assert mean(scores(stage, await asked(stage, own(bot.url)))["recall@5"]) == 0.0
    bot.reply = lambda n, asked: (200, {}, {"answer": "Open it."})
    lost = scores(stage, await asked(stage, own(bot.url)))
    assert not lost["recall@5"].values and "no list at 'sources'" in next(
        iter(lost["recall@5"].failed.values())
    )
    assert mean(lost["completed"]) == 1.0


async def test_a_rate_limit_is_waited_for_within_bounds(
    tmp_path: Path, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, form = Stage(tmp_path), template.openai(bot.url, model=None, key=False)
    bot.reply = lambda n, asked: (429, {"Retry-After": "0.05"}, {}) if n == 1 else said("Press it.")
    report = await asked(stage, form, count=2)
    assert (report.failed, len(bot.asked)) == (0, 3)
    bot.reply = lambda n, asked: (429, {"Retry-After": "3600"}, {})
    report = await asked(stage, form, count=2)
    assert (
        report.failed == 2 and "rate_limited" in (report.lost or "") and "status 429" in (report.lost or "")
    )
    bot.asked.clear()
    bot.reply = lambda n, asked: (429, {"Retry-After": "0.01"}, {})
    report = await asked(stage, form, count=1)
    assert report.failed == 1 and len(bot.asked) == targets.TRIES


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ((500, {}, {"error": {"message": "oops"}}), "provider_5xx"),
        ((401, {}, {"error": {"message": f"bad key {KEY}"}}), "auth"),
        ((302, {"Location": "http://127.0.0.1:9/"}, {}), "protocol"),
        ((200, {}, b"<html>"), "no JSON"),
        ((200, {}, {"other": 1}), "no text at 'choices.0.message.content'"),
        ((200, {}, {"choices": [{"message": {"content": " "}}]}), "empty"),
        ((200, {}, b'"' + b"x" * 5_000_100 + b'"'), "larger than"),
    ],
)
async def test_what_goes_wrong_is_named_and_counted(
    tmp_path: Path, bot: Bot, reply: tuple[int, dict[str, str], Any], word: str
) -> None:
    bot.reply = lambda n, asked: reply
    stage = Stage(tmp_path)
    report = await asked(stage, template.openai(bot.url, model=None, key=True), count=1, key=KEY)
    assert report.failed == 1 and word in (report.lost or "") and KEY not in (report.lost or "")
    known = scores(stage, report)
    assert known["seconds"].failed and known["completed"].values
    assert not known.keys() & {"recall@5", "groundedness", "cost_usd", "first_token_seconds"}


async def test_silence_and_nobody_there_are_failures_of_their_own(tmp_path: Path, bot: Bot) -> None:
    release = threading.Event()
    bot.reply = lambda n, asked: (release.wait(60), said("late"))[1]
    late = await asked(Stage(tmp_path / "a"), own(bot.url, seconds=0.1), count=1)
    release.set()
    assert "deadline" in (late.lost or "") and "within 0.1 s" in (late.lost or "")
    gone = await asked(Stage(tmp_path / "b"), own("http://127.0.0.1:1/"), count=1)
    assert gone.failed == 1 and "connect" in (gone.lost or "")
    assert gone.cost_usd is None and late.cost_usd is None  # unknown is not free


async def test_a_target_cannot_search_alone(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    target = Target(own("http://127.0.0.1:1/"), stage.journal, stage.store, model=None, key=None)
    with pytest.raises(ModelError, match="search"):
        await target.retrieve(None)  # type: ignore[arg-type] # it is not looked at


def test_words_tell_abstentions_and_refusals() -> None:
    form = own("http://x/", reply={"passages": None, "abstains": ["ask staff"], "refuses": ["must not"]})
    for text, outcome in (
        ("Press it.", "answered"),
        ("Sorry, but I don't have enough information about it.", "no_context"),
        ("Please ask staff.", "no_context"),
        ("I must not say.", "refused"),
    ):
        assert read({"answer": text}, form, "t").outcome == outcome
    silent = {"answer": None, "choices": [{"message": {"refusal": "No."}, "finish_reason": "stop"}]}
    reply = read(silent, form, "t")
    assert (reply.outcome, reply.answer, reply.stop) == ("refused", "No.", "stop")
    assert read({"answer": "a\ud800b"}, form, "t").answer == "a?b"


def test_passages_may_be_texts_or_ids_alone() -> None:
    texts = read({"answer": "x", "sources": ["One."]}, own("http://x/"), "t")
    assert texts.passages[0].text == "One." and texts.seen.search and not texts.seen.texts
    ids = read({"answer": "x", "sources": ["d1", 2]}, own("http://x/", reply={"id": "."}), "t")
    assert [row.document_id for row in ids.passages] == ["d1", "2"]
    assert ids.seen.texts and not ids.seen.search


def test_a_template_fills_its_places(tmp_path: Path) -> None:
    path = tmp_path / "bot.toml"
    path.write_text(
        'url = "http://h/ask?q={{question}}"\n[headers]\nAuthorization = "Bearer {{key}}"\n'
        '[body]\nall = ["{{messages}}", 3]\nearlier = "So far: {{history}}"\n'
    )
    history = [{"role": "user", "content": "Hi"}]
    values = {"question": "a&b ü", "history": history, "messages": history, "model": "", "key": KEY}
    request = template.read(path).request(values)
    assert request["url"] == "http://h/ask?q=a%26b%20%C3%BC"
    assert request["headers"] == {"Authorization": f"Bearer {KEY}"}
    assert request["json"] == {"all": [history, 3], "earlier": "So far: user: Hi"}
    assert template.read(path, "http://other/{{question}}").host == "other"
    assert template.uses(template.read(path), "key") and not template.uses(template.read(path), "model")
    path.write_text('url = "http://h/{{question}}"\nmethod = "GET"\n')
    assert "json" not in template.read(path).request(values)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("url = ", "is no TOML"),
        ("method = 'POST'", "url: Field required"),
        ("url = 'http://h/'\n[body]\nq = '{{question}}'\n[reply]\nanwser = 'x'", "reply.anwser"),
        ("url = 'http://h/'", "nothing would be asked"),
        ("url = 'ftp://h/{{question}}'", "whole address"),
        ("url = 'http://[/{{question}}'", "whole address"),
        ("url = 'http://me:pw@h/{{question}}'", "holds a secret"),
        ("url = 'http://h/{{question}}{{user}}'", "{{user}} is unknown"),
        ("url = 'http://h/{{question}}'\n[headers]\nAuthorization = 'Bearer abc123def456'", "holds a secret"),
        ("url = 'http://h/{{question}}'\n[headers]\nCookie = 'a=b'", "holds a secret"),
    ],
)
def test_a_template_that_cannot_be_used_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "bot.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as wrong:
        template.read(path)
    assert problem in str(wrong.value) and "bot.toml" in str(wrong.value)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        template.read(tmp_path / "missing.toml")
