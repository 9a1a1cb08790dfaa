"""What the last minute used, counted by all machines together in Redis."""

from __future__ import annotations

from pipeline.databases.redis_server import RedisServer
from pipeline.guardrails.counts import MINUTE, RequestLimits

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
# KEYS: whose turn it is. ARGV: turn, tokens, how keys of tokens begin; what is no longer counted stays out.
_SETTLE = """
local who = redis.call('GET', KEYS[1])
local key = who and ARGV[3] .. who
if key and redis.call('HEXISTS', key, ARGV[1]) == 1 then redis.call('HSET', key, ARGV[1], ARGV[2]) end
"""
# KEYS: turns by when they are over at the latest. ARGV: turn, most at once, milliseconds it may take
_ENTER = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[3])))
return 1
"""
# KEYS: the same, then the client's turn that is over, if it has a name. ARGV: turn
_LEAVE = """
redis.call('ZREM', KEYS[1], ARGV[1])
if KEYS[2] then redis.call('DEL', KEYS[2]) end
"""


class RedisCounts:
    """Counts in Redis or what speaks its protocol, each step one script that nothing comes between.

    Times are the server's, so that machines need not agree on the time; `now` is not used. Everything it
    keeps is gone after a minute, or when the turn's time is over. Raises SessionsError.
    """

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def take(self, who: str, turn_id: str, limits: RequestLimits, tokens: float, now: float) -> float:
        keys = (f"used:{who}", f"tokens:{who}", f"turn:{turn_id}")
        unlimited = -1
        requests = unlimited if limits.requests is None else limits.requests
        most = unlimited if limits.tokens is None else limits.tokens
        return float(self._server.run(_TAKE, keys, (turn_id, who, requests, most, tokens, MINUTE)))

    def settle(self, turn_id: str, tokens: float) -> None:
        self._server.run(_SETTLE, (f"turn:{turn_id}",), (turn_id, tokens, self._server.key("tokens:")))

    def claim(self, who: str, client_turn_id: str, until: float, now: float) -> bool:
        name = self._server.key(_running(who, client_turn_id))
        milliseconds = max(int((until - now) * 1000), 1)
        return bool(self._server.ask(lambda server: server.set(name, "1", nx=True, px=milliseconds)))

    def release(self, who: str, client_turn_id: str) -> None:
        name = self._server.key(_running(who, client_turn_id))
        self._server.ask(lambda server: server.delete(name))

    def enter(self, who: str, turn_id: str, most: int, until: float, now: float) -> bool:
        milliseconds = max(int((until - now) * 1000), 1)
        return bool(self._server.run(_ENTER, (f"places:{who}",), (turn_id, most, milliseconds)))

    def leave(self, who: str, turn_id: str, client_turn_id: str | None = None) -> None:
        running = () if client_turn_id is None else (_running(who, client_turn_id),)
        self._server.run(_LEAVE, (f"places:{who}", *running), (turn_id,))

    def close(self) -> None:
        self._server.close()


def _running(who: str, client_turn_id: str) -> str:
    return f"running:{len(who)}:{who}:{client_turn_id}"
