"""MiniLM gives sound vectors off the event loop; remote embedders are not trusted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from pipeline.knowledge.embedding import EmbedError, MiniLM, checked
from pipeline.knowledge.remote import RemoteEmbedder
from pipeline.models.pace import Pace
from pipeline.text.sentences import sentences

Script = Callable[[dict[str, Any]], tuple[int, Any]]


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


async def test_near_texts_are_near(minilm: MiniLM) -> None:
    query = await minilm.embed_query("How do I charge my battery?")
    near, far = await minilm.embed_passages(
        ["Plug in the power cable to charge the battery.", "Write an e-mail to your mother."], [(), ()]
    )
    assert query.shape == (384,) and query.dtype == np.float32
    assert float(np.linalg.norm(query)) == pytest.approx(1.0, abs=1e-5)
    assert query @ near.vector > 0.6 > 0.2 > query @ far.vector
    assert near.sentences is None


async def test_a_repeated_query_costs_no_second_pass(minilm: MiniLM) -> None:
    first = await minilm.embed_query("the same question")
    assert await minilm.embed_query("the same question") is first


async def test_order_survives_sorting_by_length(minilm: MiniLM) -> None:
    texts = [
        "short",
        "a much longer text about keyboards and mice " * 5,
        "middle sized text here",
        "tiny",
        "x",
    ]
    batched = await minilm.embed_passages(texts, [()] * len(texts))
    for text, vectors in zip(texts, batched, strict=True):
        alone = (await minilm.embed_passages([text], [()]))[0].vector
        assert float(alone @ vectors.vector) > 0.98  # int8 activations vary a little with the batch


async def test_sentences_beyond_the_window_have_vectors_of_their_own(minilm: MiniLM) -> None:
    text = "The battery is charged by a cable. " * 60 + "Elephants live in Africa."
    spans = sentences(text)
    [made] = await minilm.embed_passages([text], [spans])
    assert made.sentences is not None and made.sentences.shape == (61, 384)
    query = await minilm.embed_query("Where do elephants live?")
    assert int(np.argmax(made.sentences @ query)) == 60
    assert np.allclose(np.linalg.norm(made.sentences, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("text", ["", "   ", "\ud800", "\x00", "🙂" * 3000, "word " * 100_000])
async def test_odd_queries_are_embedded_all_the_same(minilm: MiniLM, text: str) -> None:
    assert np.isfinite(await minilm.embed_query(text)).all()


@pytest.mark.parametrize("bad", [[1.0, 2.0], [np.nan] * 3, [np.inf, 0, 0], [0.0] * 3])
def test_unusable_vectors_are_refused(bad: list[float]) -> None:
    with pytest.raises(EmbedError) as caught:
        checked(np.array(bad), 3)
    assert caught.value.error_class == "embed_invalid"


@pytest.fixture
def server() -> Iterator[tuple[str, list[Script], list[dict[str, Any]]]]:
    """A loopback server that answers each request by the next script; the last one stays."""
    scripts: list[Script] = []
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            requests.append(body | {"key": self.headers["authorization"], "path": self.path})
            status, answer = (scripts.pop(0) if len(scripts) > 1 else scripts[0])(body)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None: ...

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}/v1", scripts, requests
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def vectors(body: dict[str, Any], dimensions: int = 4) -> list[dict[str, Any]]:
    return [
        {"index": index, "embedding": [float(len(text)), 1.0, float(index), 1.0][:dimensions]}
        for index, text in enumerate(body["input"])
    ]


def good(body: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"data": vectors(body)}


def shuffled(body: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"data": vectors(body)[::-1]}


async def test_remote_vectors_are_put_in_the_order_of_the_texts(server: Any) -> None:
    url, scripts, requests = server
    scripts[:] = [shuffled]
    embedder = RemoteEmbedder("small", base_url=url + "/", api_key="k")
    made = await embedder.embed_passages(["a", "bbbb"], [(), ()])
    assert made[1].vector[0] > made[0].vector[0] and made[0].sentences is None
    assert (requests[0]["key"], requests[0]["path"], requests[0]["model"]) == (
        "Bearer k",
        "/v1/embeddings",
        "small",
    )
    assert embedder.fingerprint != RemoteEmbedder("large", base_url=url).fingerprint


@pytest.mark.parametrize(
    ("script", "error_class"),
    [
        (lambda body: (200, {"data": vectors(body)[:1]}), "embed_invalid"),
        (lambda body: (200, {"data": [row | {"index": 0} for row in vectors(body)]}), "embed_invalid"),
        (
            lambda body: (200, {"data": [row | {"embedding": [0.0] * 4} for row in vectors(body)]}),
            "embed_invalid",
        ),
        (
            lambda body: (
                200,
                b'{"data": [{"index": 0, "embedding": [NaN]}, {"index": 1, "embedding": [1]}]}',
            ),
            "embed_invalid",
        ),
        (
            lambda body: (200, {"data": [row | {"embedding": ["x"]} for row in vectors(body)]}),
            "embed_invalid",
        ),
        (lambda body: (200, b"<html>login</html>"), "embed_invalid"),
        (lambda body: (401, {"error": {"message": "bad key sk-123"}}), "embed_failed"),
        (lambda body: (500, b"oops"), "embed_failed"),
    ],
)
async def test_wrong_answers_are_refused(server: Any, script: Script, error_class: str) -> None:
    url, scripts, _ = server
    scripts[:] = [script]
    embedder = RemoteEmbedder("small", base_url=url, sleep=lambda seconds: None)
    with pytest.raises(EmbedError) as caught:
        await embedder.embed_passages(["a", "b"], [(), ()])
    assert caught.value.error_class == error_class
    assert "sk-123" not in str(caught.value)


async def test_a_model_that_changes_its_dimension_is_refused(server: Any) -> None:
    url, scripts, _ = server
    scripts[:] = [good, lambda body: (200, {"data": vectors(body, 3)})]
    embedder = RemoteEmbedder("small", base_url=url)
    await embedder.embed_query("a")
    with pytest.raises(EmbedError, match="3 numbers, not 4"):
        await embedder.embed_query("b")


async def test_a_dead_model_is_noticed(server: Any) -> None:
    url, scripts, _ = server
    scripts[:] = [lambda body: (200, {"data": [row | {"embedding": [1, 2]} for row in vectors(body)]})]
    with pytest.raises(EmbedError, match="same vector"):
        await RemoteEmbedder("small", base_url=url).embed_passages(list("abcd"), [()] * 4)


async def test_a_busy_server_is_asked_again_for_passages_but_not_for_a_query(server: Any) -> None:
    url, scripts, requests = server
    waits: list[float] = []
    scripts[:] = [lambda body: (429, {}), lambda body: (503, {}), good]
    embedder = RemoteEmbedder("small", base_url=url, sleep=waits.append)
    assert len(await embedder.embed_passages(["a"], [()])) == 1
    assert waits == [0.5, 1.0]
    scripts[:] = [lambda body: (503, {})]
    requests.clear()
    with pytest.raises(EmbedError):
        await embedder.embed_query("q")
    assert len(requests) == 1


async def test_passages_keep_to_what_the_provider_allows_a_minute(server: Any) -> None:
    url, scripts, requests = server
    scripts[:] = [good] * 9
    now, waits = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    pace = Pace(60, 4_800, lambda: now[0])  # 1 request and 80 tokens a second, six seconds at once
    embedder = RemoteEmbedder("small", base_url=url, sleep=sleep, pace=pace)
    texts = [f"{number:0>18}" for number in range(64 * 4)]  # 320 tokens a request
    assert len(await embedder.embed_passages(texts, [()] * len(texts))) == len(texts)
    assert len(requests) == 4
    assert waits == pytest.approx([2.0, 4.0, 4.0]), "480 tokens are there, then 80 come a second"
    assert await embedder.embed_query("a question waits for nobody") is not None


async def test_nobody_listening_is_an_embed_error() -> None:
    embedder = RemoteEmbedder("small", base_url="http://127.0.0.1:9/v1", sleep=lambda seconds: None)
    with pytest.raises(EmbedError, match="cannot be reached"):
        await embedder.embed_query("a")
