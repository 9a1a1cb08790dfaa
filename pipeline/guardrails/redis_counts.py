"""The one place that imports redis: what the last minute used, counted by all machines together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.guardrails.counts import MINUTE, CountsError, Limits
from traces.engine import EMBEDDED

if TYPE_CHECKING:
    import redis

WAIT_SECONDS = 0.25  # for an answer: a turn is held up that long, once a rest
REST_SECONDS = 2.0  # after a failure nobody asks again for so long
SCHEMES = ("redis", "rediss", "unix")
_PREFIX = "answerdeck:"

# Drops what is older than a minute, then counts the turn if it fits; returns the seconds to wait.
# KEYS: turns by their time, tokens by turn, whose turn it is. ARGV: turn, who, requests, tokens, held, minute
_TAKE = """
local clock = redis.call('TIME')
local now, minute = clock[1] + clock[2] / 1000000, tonumber(ARGV[6])
local requests, most, held = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - minute)
for _, turn in ipairs(old) do
  redis.call('ZREM', KEYS[1], turn)
  redis.call('HDEL', KEYS[2], turn)
end
local wait, count = 0, redis.call('ZCARD', KEYS[1])
if requests >= 0 and count >= requests then
  local place = count - requests
  wait = redis.call('ZRANGE', KEYS[1], place, place, 'WITHSCORES')[2] + minute - now
end
if most >= 0 then
  local used, wanted = 0, math.min(held, most)
  for _, tokens in ipairs(redis.call('HVALS', KEYS[2])) do used = used + tokens end
  if used + wanted > most then
    local rows = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
    for at = 1, #rows, 2 do
      used = used - (redis.call('HGET', KEYS[2], rows[at]) or 0)
      if used + wanted <= most then
        wait = math.max(wait, rows[at + 1] + minute - now)
        break
      end
    end
  end
end
if wait <= 0 then
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], held)
  redis.call('SET', KEYS[3], ARGV[2], 'EX', math.ceil(minute))
  redis.call('EXPIRE', KEYS[1], math.ceil(minute) + 1)
  redis.call('EXPIRE', KEYS[2], math.ceil(minute) + 1)
end
return tostring(wait)
"""
# KEYS: tokens by turn. ARGV: turn, tokens; a turn that is no longer counted stays out.
_SETTLE = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
"""


class RedisCounts:
    """Counts in Redis or what speaks its protocol, each step one script that nothing comes between.

    Times are the server's, so that machines need not agree on the time; `now` is not used. Everything it
    keeps is gone after a minute, or when the turn's time is over. Raises CountsError.
    """

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        import redis

        self.name = shown(address)
        self._clock = clock
        self._rests_until = 0.0
        self._failure = ""
        self._failures: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._server: redis.Redis = redis.Redis.from_url(
            address,
            socket_timeout=WAIT_SECONDS,
            socket_connect_timeout=WAIT_SECONDS,
            decode_responses=True,
            retry=None,
        )

    def take(self, who: str, turn_id: str, limits: Limits, tokens: float, now: float) -> float:
        keys = (f"used:{who}", f"tokens:{who}", f"turn:{turn_id}")
        unlimited = -1
        requests = unlimited if limits.requests is None else limits.requests
        most = unlimited if limits.tokens is None else limits.tokens
        return float(self._run(_TAKE, keys, (turn_id, who, requests, most, tokens, MINUTE)))

    def settle(self, turn_id: str, tokens: float) -> None:
        who = self._ask(lambda server: server.get(f"{_PREFIX}turn:{turn_id}"))
        if who is not None:
            self._run(_SETTLE, (f"tokens:{who}",), (turn_id, tokens))

    def claim(self, who: str, client_turn_id: str, until: float, now: float) -> bool:
        name, milliseconds = _running(who, client_turn_id), max(int((until - now) * 1000), 1)
        return bool(self._ask(lambda server: server.set(name, "1", nx=True, px=milliseconds)))

    def release(self, who: str, client_turn_id: str) -> None:
        self._ask(lambda server: server.delete(_running(who, client_turn_id)))

    def check(self) -> None:
        """Say whether the server answers; raises CountsError in one line when it does not."""
        self._ask(lambda server: server.ping())

    def close(self) -> None:
        self._server.close()

    def _run(self, script: str, keys: Sequence[str], values: Sequence[Any]) -> Any:
        named = [f"{_PREFIX}{key}" for key in keys]
        return self._ask(lambda server: server.eval(script, len(named), *named, *values))

    def _ask(self, question: Callable[[redis.Redis], Any]) -> Any:
        """Ask once; after a failure nobody is kept waiting for a while."""
        if self._clock() < self._rests_until:
            raise CountsError(self._failure)
        try:
            return question(self._server)
        except self._failures as error:
            line = (str(error).splitlines() or [type(error).__name__])[0][:200]
            self._failure = f"{self.name} cannot be used: {line}"
            self._rests_until = self._clock() + REST_SECONDS
            raise CountsError(self._failure) from error


def wrong(address: str) -> str | None:
    """Say what is wrong with an address, without repeating it (it may hold a password); None when fine."""
    if address == EMBEDDED:
        return None
    try:
        parts = urlsplit(address)
        fits = parts.scheme in SCHEMES and bool(parts.hostname or parts.path) and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits:
        return 'no such place; use "embedded" or redis://host:port'
    if find_spec("redis") is None:
        return 'Redis needs its client: pip install "answerdeck[redis]"'
    return None


def shown(address: str) -> str:
    """Return an address without what may be secret."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _running(who: str, client_turn_id: str) -> str:
    return f"{_PREFIX}running:{len(who)}:{who}:{client_turn_id}"
