"""The bench: what its figures say, what it compares, and one short run of each part."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from console.bench import console, scale, trace, traffic, turns
from console.bench.client import Batch
from console.bench.corpus import KB, corpus, questions, save
from console.bench.engines import Sessions
from console.bench.figures import COLUMNS, Figure, Goal, missed, quantile, row
from console.bench.replicas import Crowd, Host
from console.cli import app
from pipeline.context.retrieval import Retriever
from pipeline.knowledge.embedding import MiniLM
from pipeline.knowledge.index import Knowledge
from traces.journal import Journal, encode
from traces.recorder import Recorder
from traces.store import Store

BARE = [Batch([0.010, 0.012, 0.030], [0.05, 0.05, 0.07], cpu=0.12, wall=0.2)] * 3
OURS = [
    Batch([0.010, 0.010, 0.010], [0.02, 0.02, 0.02], cpu=0.06, wall=0.1),
    Batch([0.024, 0.024, 0.024], [0.02, 0.02, 0.02], cpu=0.09, wall=0.1),
    Batch([0.012, 0.012, 0.012], [0.02, 0.02, 0.02], cpu=0.03, wall=0.1),
]


def figures(users: int) -> dict[str, Figure]:
    return {figure.what.partition(",")[0]: figure for figure in turns.compare(users, OURS, BARE)}


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    figure = Figure("turn", "x", "ms", (10.0, 40.0, 9.0), (20.0, 10.0, 10.0), Goal(0.6, "ratio"))
    assert figure.ratio == pytest.approx(0.9)  # not 10 / 10
    assert figure.met is False
    assert figure.reference == 10.0


def test_goals_bind_values_or_ratios_from_above_or_below() -> None:
    assert Figure("a", "b", "s", (1.0, 3.0), goal=Goal(2, "value")).met is True
    assert Figure("a", "b", "", (20.0,), goal=Goal(30, "value", "least")).met is False
    assert Figure("a", "b", "", (20.0,)).met is None
    assert Figure("a", "b", "", (20.0,), goal=Goal(0.6, "ratio")).met is None  # nothing to compare with
    figure = Figure("a", "b", "ms", (5.0,), (10.0,), Goal(0.4, "ratio"))
    assert missed([figure]) == [figure]


def test_turns_are_compared_in_ms_and_by_the_process_that_made_them() -> None:
    one, many = figures(1), figures(16)
    assert one["CPU per turn"].values == pytest.approx((20.0, 30.0, 10.0))
    assert one["CPU per turn"].references == pytest.approx((40.0, 40.0, 40.0))
    assert one["CPU per turn"].ratio == pytest.approx(0.5)
    assert one["first token p50"].median == pytest.approx(12.0)
    assert one["first token p50"].ratio == pytest.approx(1.0)
    assert one["first token p50"].met is True
    assert many["first token p50"].met is None
    assert many["turns per second"].values == pytest.approx((30.0, 30.0, 30.0))
    assert many["turns per second"].met is True
    assert one["last token p50"].n == many["last token p50"].n == 9


def test_a_row_has_every_column_and_says_missed() -> None:
    cells = row(Figure("turn", "CPU", "ms", (10.0, 12.0, 11.0), (10.0, 10.0, 10.0), Goal(0.6, "ratio"), 30))
    assert len(cells) == len(COLUMNS)
    assert cells == ("turn", "CPU", "11 ms", "10.5 … 11.5", "30", "10", "1.10×", "≤ 0.6×", "MISSED")


def test_quantiles_lie_between_neighbours() -> None:
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert quantile([7.0], 0.95) == 7.0


def test_the_corpus_is_always_the_same_and_its_passages_differ() -> None:
    made, again = corpus(MiniLM(), 800), corpus(MiniLM(), 800)
    assert len(made.chunks) >= 800
    assert [one.chunk_id for one in made.chunks] == [one.chunk_id for one in again.chunks]
    assert len({one.embedded[0] for one in made.chunks}) == len(made.chunks)
    for key, vectors in made.vectors.items():
        assert np.array_equal(vectors.vector, again.vectors[key].vector)
        assert np.linalg.norm(vectors.vector) == pytest.approx(1.0, abs=1e-5)


def test_questions_never_repeat() -> None:
    asked = list(islice(questions(), 3000))
    assert len(set(asked)) == 3000


async def test_ours_and_the_peer_search_the_same_passages(tmp_path: Path) -> None:
    embedder, peer = MiniLM(), tmp_path / "corpus.npz"
    made = corpus(embedder, 700)
    await save(made, tmp_path / "data", peer, embedder)
    knowledge = Knowledge(tmp_path / "data" / "knowledge", embedder)
    shelf = await knowledge.open(KB)
    with np.load(peer) as file:
        assert shelf.chunks == len(file["texts"]) == len(file["vectors"])
    question = next(questions()).partition(" (ticket")[0]  # the number finds pages of numbers, too
    recorder = Recorder(trace.example().turn, Journal(tmp_path / "journal"))
    found = (await Retriever(knowledge).retrieve(question, KB, recorder)).candidates
    titles = {candidate.passage.title.partition(" (edition")[0] for candidate in found[:5]}
    assert titles & {"The first start", "Install Answerdeck", "answerdeck up"}


def test_the_example_trace_has_the_usual_size() -> None:
    assert 8_000 < len(encode(trace.example())) < 20_000


def test_trace_bench_measures_writes_and_a_second_process(tmp_path: Path) -> None:
    writing, seen = trace.measure(tmp_path, quick=True, progress=lambda _: None)
    assert writing.unit == "µs CPU"
    assert writing.median > 0
    assert len(seen.values) == 2


def test_an_unknown_name_is_wrong_use() -> None:
    result = CliRunner().invoke(app, ["bench", "--only", "nothing"])
    assert result.exit_code == 2


def test_json_names_the_machine_and_exits_1_when_a_goal_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Figure("trace", "write one turn", "µs CPU", (90.0,), (), Goal(50, "value"))
    monkeypatch.setattr("console.bench.run.run", lambda names, quick: [late])
    result = CliRunner().invoke(app, ["bench", "--json", "--only", "trace"])
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert "cores" in report["machine"]
    assert report["figures"][0]["met"] is False
    assert report["figures"][0]["goal"] == "≤ 50"


async def test_a_crowd_asks_again_elsewhere_under_the_same_id() -> None:
    hosts = [Host(Path(name), {}) for name in "ab"]
    asked: list[tuple[int | None, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        asked.append((request.url.port, body["client_turn_id"]))
        match len(asked):
            case 1:
                raise httpx.ConnectError("nobody is there")
            case 2:
                return httpx.Response(503, headers={"Retry-After": "1"})
            case 3:
                return httpx.Response(200, text='event: delta\ndata: {"text": "Turn"}\n\n')
            case 4:
                return httpx.Response(500)
            case 5:
                return httpx.Response(200, text='data: {"turn_id": "t1", "outcome": "answered"}\n\n')
            case 6:
                return httpx.Response(200, text='event: error\ndata: {"code": "x", "turn_id": "t2"}\n\n')
            case _:
                return httpx.Response(429, headers={"Retry-After": "30"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        crowd = Crowd([host.address for host in hosts], client, pause_seconds=0.0)
        assert await crowd.ask("ada", "How?") == "answered"
        assert await crowd.ask("ada", "Why?") == "failed"
        assert await crowd.ask("ada", "And then?") == "429"
    first = {turn for _, turn in asked[:5]}
    assert len(first) == 1 and asked[5][1] not in first
    assert [port for port, _ in asked[:4]] == [hosts[0].port, hosts[1].port] * 2
    assert crowd.seen.ended == {"t1": "answered", "t2": "failed"} and first < crowd.seen.over
    assert (crowd.seen.wrong, crowd.seen.failed, crowd.seen.unanswered) == (1, 1, 0)
    assert crowd.seen.replies == {
        "no connection": 1,
        "come back (503)": 1,
        "cut short": 1,
        "500": 1,
        "200": 1,
        "error: x": 1,
        "429": 1,
    }


def test_what_redis_adds_is_measured_beside_the_files_of_one_machine(
    tmp_path: Path, shared_sessions: Sessions
) -> None:
    (figure,) = scale.sharing(tmp_path, shared_sessions, turns=20)
    assert (figure.unit, figure.n) == ("ms", 20)
    assert figure.median != 0


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_while_each_engine_is_killed(tmp_path: Path) -> None:
    figures = {figure.what: figure for figure in scale.measure(tmp_path, quick=True, progress=lambda _: None)}
    exact = [figure for figure in figures.values() if figure.goal == scale.NONE]
    assert len(exact) == 11
    assert not missed(exact)
    assert figures["turns whose end a user received"].median > 100


def test_every_page_reads_a_made_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "QUICK", (600,))
    monkeypatch.setattr(console, "TIMES", 1)
    monkeypatch.setattr(traffic, "DAYS", 6)  # each is a piece of work by itself
    figures = console.measure(tmp_path, quick=True, progress=lambda _: None)
    assert {figure.unit for figure in figures} == {"ms", "ms CPU", "turns/s"} and len(figures) >= 50
    with Store(tmp_path / "foreign").read() as ledger:
        assert ledger.rows("select count(*) as n from turns where door = 'otlp'") == [{"n": 120}]
    assert all(figure.goal is not None and figure.values[0] > 0 for figure in figures)
