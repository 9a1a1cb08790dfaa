"""The transport to model servers: connections kept and dropped, bodies whole or refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from pipeline.models.wire import Wire


@asynccontextmanager
async def serving(*replies: bytes, close: bool = False) -> AsyncIterator[tuple[str, list[int]]]:
    """Give each request the next reply; yields the address and the ports that asked."""
    waiting, peers = list(replies), []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while waiting:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            peers.append(writer.get_extra_info("peername")[1])
            writer.write(waiting.pop(0))
            await writer.drain()
            if close:
                break
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", peers
    finally:
        server.close()


def client(kept: int = 10) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=Wire(2.0, kept))


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
SIZED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 5\r\n\r\nabcde"


async def test_a_connection_is_used_again() -> None:
    async with serving(CHUNKED, SIZED) as (url, peers), client() as http:
        first, second = await http.get(url), await http.get(url)
    assert (first.status_code, first.text) == (200, "abcde")
    assert (second.status_code, second.text) == (201, "abcde")
    assert len(set(peers)) == 1


async def test_nothing_is_kept_when_told_so() -> None:
    async with serving(CHUNKED, CHUNKED) as (url, peers), client(kept=0) as http:
        await http.get(url)
        await http.get(url)
    assert len(set(peers)) == 2


async def test_a_server_that_hung_up_meanwhile_is_called_anew() -> None:
    async with serving(CHUNKED, CHUNKED, close=True) as (url, peers), client() as http:
        await http.get(url)
        await asyncio.sleep(0.05)
        assert (await http.get(url)).text == "abcde"
    assert len(set(peers)) == 2


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    reply = b"HTTP/1.1 200 OK\r\n\r\nall of it"
    async with serving(reply, close=True) as (url, _), client() as http:
        assert (await http.get(url)).text == "all of it"


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", httpx2.RemoteProtocolError),
        (b"", httpx2.RemoteProtocolError),
        (b"SSH-2.0-OpenSSH_9.9\r\n", httpx2.DecodingError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 80_000, httpx2.RemoteProtocolError),
    ],
)
async def test_half_a_reply_is_never_taken_for_a_whole_one(reply: bytes, error: type[Exception]) -> None:
    async with serving(reply, close=True) as (url, _), client() as http:
        with pytest.raises(error):
            await http.get(url)


async def test_nobody_there_is_a_connect_error() -> None:
    async with client() as http:
        with pytest.raises(httpx2.ConnectError):
            await http.get("http://127.0.0.1:9/")


async def test_a_line_break_in_a_header_is_not_sent() -> None:
    async with serving(CHUNKED) as (url, peers), client() as http:
        with pytest.raises((httpx2.LocalProtocolError, ValueError)):
            await http.get(url, headers={"Authorization": "Bearer a\r\nX-Other: b"})
    assert peers == []
