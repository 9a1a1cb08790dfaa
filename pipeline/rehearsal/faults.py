"""The ways a model server breaks, one function each; the server runs them by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from pipeline.rehearsal.call import WORDS, Call

Fault = Callable[[Call], Awaitable[None]]
FAULTS: dict[str, Fault] = {}


def fault(run: Fault) -> Fault:
    FAULTS[run.__name__.rstrip("_")] = run  # type: ignore[attr-defined]  # every fault is a function
    return run


@fault
async def ok(call: Call) -> None:
    """Answer well; options: words (how many), rate (words per second), first (seconds before)."""
    words = (WORDS * 1000)[: int(call.number("words", len(WORDS)))]
    await asyncio.sleep(call.number("first", 0))
    if not call.request.body.get("stream"):
        return await call.whole(200, call.dialect.whole("".join(words)))
    rate = call.number("rate", 0)
    await call.head()
    await call.write(call.dialect.opening())
    if rate:
        for word in words:
            await call.write(call.dialect.text(word))
            await asyncio.sleep(1 / rate)
    else:
        size = int(call.number("batch", 1))
        for start in range(0, len(words), size):
            await call.write(b"".join(call.dialect.text(word) for word in words[start : start + size]))
    return await call.finish(output=len(words))


@fault
async def status(call: Call) -> None:
    """Answer with a status; options: code, html, retry_after, key (echo it back)."""
    code = int(call.number("code", 500))
    headers = {"retry_after": call.options["retry_after"]} if "retry_after" in call.options else {}
    if "html" in call.options:
        return await call.whole(code, b"<html><h1>Bad Gateway</h1></html>", "text/html", **headers)
    message = f"Incorrect key provided: {call.request.headers.get('authorization')}" if code == 401 else "no"
    return await call.error(code, call.dialect.kinds.get(code, "api_error"), message, **headers)


@fault
async def quota(call: Call) -> None:
    await call.error(429, "insufficient_quota", "You exceeded your current quota", "insufficient_quota")


@fault
async def overloaded(call: Call) -> None:
    await call.error(529, "overloaded_error", "Overloaded")


@fault
async def overflow(call: Call) -> None:
    await call.whole(400, call.dialect.overflow())


@fault
async def overflow_llamacpp(call: Call) -> None:
    body = {"code": 400, "message": "the request exceeds the available context size, try increasing it"}
    body |= {"type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 4096}
    await call.whole(400, json.dumps({"error": body}).encode())


@fault
async def content_filter_400(call: Call) -> None:
    await call.error(400, "invalid_request_error", "filtered by policy", "content_filter")


@fault
async def login_page(call: Call) -> None:
    await call.whole(200, b"<html><form>Sign in</form></html>", "text/html")


@fault
async def login_page_as_stream(call: Call) -> None:
    await call.whole(200, b"<html>\n<form>Sign in</form>\n</html>", "text/event-stream")


@fault
async def json_error_200(call: Call) -> None:
    await call.whole(200, call.dialect.error_body("overloaded_error", "Overloaded"))


@fault
async def redirect(call: Call) -> None:
    await call.whole(302, b"", "text/html", location="http://127.0.0.1:9/elsewhere")


@fault
async def error_first(call: Call) -> None:
    await call.begin()
    await call.write(call.dialect.error_event("overloaded_error", "Overloaded"))
    await call.end()


@fault
async def error_middle(call: Call) -> None:
    await call.begin(WORDS[:3])
    await call.write(call.dialect.error_event("overloaded_error", "Overloaded"))
    await call.end()


@fault
async def error_with_text(call: Call) -> None:
    """Words and the error in one packet."""
    await call.begin()
    words = b"".join(call.dialect.text(word) for word in WORDS[:3])
    await call.write(words + call.dialect.error_event("overloaded_error", "Overloaded"))
    await call.end()


@fault
async def reset(call: Call) -> None:
    """Close before any response."""
    call.abort()


@fault
async def garbage(call: Call) -> None:
    await call.write(b"SSH-2.0-OpenSSH_9.9\r\n")


@fault
async def cut_first(call: Call) -> None:
    await call.begin()
    call.abort()


@fault
async def cut_middle(call: Call) -> None:
    await call.begin(WORDS[:3])
    await asyncio.sleep(0.02)
    call.abort()


@fault
async def end_first(call: Call) -> None:
    """A clean end without any word or finish reason: both SDKs take it for an answer."""
    await call.begin()
    await call.end()


@fault
async def end_middle(call: Call) -> None:
    await call.begin(WORDS[:3])
    await call.end()


@fault
async def end_inside_event(call: Call) -> None:
    await call.begin(WORDS[:3])
    await call.write(call.dialect.text("never")[:-20])
    await call.end()


@fault
async def nothing(call: Call) -> None:
    await call.whole(200, b"", "text/event-stream")


@fault
async def hang(call: Call) -> None:
    """No response at all."""
    await asyncio.sleep(call.number("seconds", 60))


@fault
async def hang_after_head(call: Call) -> None:
    await call.begin()
    await asyncio.sleep(call.number("seconds", 60))


@fault
async def only_pings(call: Call) -> None:
    await call.begin()
    for _ in range(int(call.number("seconds", 60) / 0.05)):
        await call.write(call.dialect.ping())
        await asyncio.sleep(0.05)


@fault
async def stall(call: Call) -> None:
    """Some words, then silence."""
    await call.begin(WORDS[:3])
    await asyncio.sleep(call.number("seconds", 60))


@fault
async def drip(call: Call) -> None:
    """Word by word, each late but within the gap."""
    await call.begin()
    for word in WORDS * 100:
        await call.write(call.dialect.text(word))
        await asyncio.sleep(call.number("gap", 0.2))


@fault
async def malformed(call: Call) -> None:
    await call.begin(WORDS[:3])
    await call.write(b'data: {"broken": \n\n')
    await call.finish()


@fault
async def wrong_shape(call: Call) -> None:
    await call.begin()
    await call.write(call.dialect.wrong_shape())
    await call.finish()


@fault
async def odd_but_fine(call: Call) -> None:
    """Comments, unknown events and fields, CRLF, and no empty line at the end: all must be taken."""
    await call.head()
    events = (
        call.dialect.opening() + b': keep-alive\n\nevent: news\nid: 7\nretry: 10\ndata: {"type":"news"}\n\n'
    )
    events += b"".join(call.dialect.text(word) for word in WORDS) + call.dialect.closing("stop")
    await call.write(b"\xef\xbb\xbf" + events.replace(b"\n", b"\r\n").rstrip())
    await call.end()


@fault
async def bytewise(call: Call) -> None:
    """Every byte in a packet of its own, with characters of two to four bytes among them."""
    await call.head()
    await call.write(call.dialect.opening())
    for byte in call.dialect.text("Grüße, 東京\u2028🙂\x85 ok") + call.dialect.closing("stop"):
        await call.write(bytes([byte]))
        await asyncio.sleep(0)
    await call.end()


@fault
async def half_characters(call: Call) -> None:
    """A surrogate pair escaped over two events, as some servers send emoji."""
    await call.begin()
    for half in ("\\ud83d", "\\ude42"):
        await call.write(call.dialect.text("HALF").replace(b"HALF", half.encode()))
    await call.finish()


@fault
async def no_done(call: Call) -> None:
    """A finish reason but not the protocol's last word."""
    await call.begin(WORDS)
    await call.write(call.dialect.closing("stop", last=False))
    await call.end()


@fault
async def never_closed(call: Call) -> None:
    """The last word, and then the connection stays open."""
    await call.begin(WORDS)
    await call.write(call.dialect.closing("stop"))
    await asyncio.sleep(call.number("seconds", 60))


@fault
async def long_line(call: Call) -> None:
    await call.begin()
    await call.write(call.dialect.text("x" * int(call.number("size", 1_000_000))))
    await call.finish()


@fault
async def endless_line(call: Call) -> None:
    await call.begin()
    while True:
        await call.write(b"x" * 65536)


@fault
async def endless(call: Call) -> None:
    await call.begin()
    while True:
        await call.write(call.dialect.text("word " * 50))


@fault
async def empty(call: Call) -> None:
    await call.begin()
    await call.finish(output=0)


@fault
async def blank(call: Call) -> None:
    await call.begin([" ", "\n", "\t"])
    await call.finish()


@fault
async def only_thinking(call: Call) -> None:
    await call.begin()
    await call.write(call.dialect.thinking("hm"))
    await call.finish()


@fault
async def tool_call(call: Call) -> None:
    await call.begin()
    await call.write(call.dialect.tool_call())
    await call.finish("tool")


@fault
async def refusal(call: Call) -> None:
    await call.begin()
    await call.write(call.dialect.refusal())
    await call.finish("refusal")


@fault
async def length(call: Call) -> None:
    await call.begin(WORDS)
    await call.finish("length")


@fault
async def usage(call: Call) -> None:
    """Absurd counts; options: input, output, cached (JSON values), missing."""
    await call.begin(WORDS)
    counts = {name: json.loads(value) for name, value in call.options.items() if name != "missing"}
    await call.finish(missing="missing" in call.options, **counts)


@fault
async def say(call: Call) -> None:
    """Answer a whole completion with a text; option: text."""
    await call.whole(200, call.dialect.whole(call.options.get("text", "")))


@fault
async def moderation(call: Call) -> None:
    """Answer a moderation; option: flagged, the categories with commas between."""
    flagged = [name for name in call.options.get("flagged", "").split(",") if name]
    categories = dict.fromkeys(("violence", "self-harm/intent", "sexual"), False) | dict.fromkeys(
        flagged, True
    )
    body = {"results": [{"flagged": bool(flagged), "categories": categories}]}
    await call.whole(200, json.dumps(body).encode())


@fault
async def vectors(call: Call) -> None:
    """Embeddings that cannot be used; option: wrong (nan, huge, zero, short, none, doubled, text)."""
    wrong = call.options.get("wrong", "nan")
    good = json.loads(call.dialect.whole(""))
    rows = good["data"]
    for row in rows:
        numbers = row["embedding"]
        changed: dict[str, Any] = {
            "nan": [float("nan")] * len(numbers),
            "huge": [1e308] * len(numbers),
            "zero": [0.0] * len(numbers),
            "short": numbers[: len(numbers) // 2],
            "text": "AAAA",
        }
        row["embedding"] = changed.get(wrong, numbers)
    if wrong == "none":
        rows.clear()
    elif wrong == "doubled":
        rows += [dict(row) for row in rows]
    await call.whole(200, json.dumps(good).encode())
