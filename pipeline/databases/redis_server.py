"""The one place that imports redis: a server that all machines ask, and that may be gone."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.errors import SessionsError
from traces.engine import EMBEDDED

if TYPE_CHECKING:
    import redis

WAIT_SECONDS = 0.25  # for an answer: a turn is held up that long, once a rest
REST_SECONDS = 2.0  # after a failure nobody asks again for so long
SCHEMES = ("redis", "rediss", "unix")
KEEPS = "noeviction"
LOOK_SECONDS = 60.0  # between two looks at whether the server keeps what it is told
_PREFIX = "answerdeck:"
_REFUSED = "refuses the name or the password: put them into the address, redis://name:password@host"
_REPLICA = "is a read-only replica: give the address of the primary"
_PROBE = "redis.call('SET', KEYS[1], '1') return redis.call('DEL', KEYS[1])"


class Rest:
    """Until when nobody asks a server that failed, and why; those who share one wait for it once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._failure = ""

    def check(self) -> None:
        """Raise the last failure while it is young."""
        if self._clock() < self._until:
            raise SessionsError(self._failure)

    def begin(self, failure: str) -> None:
        self._failure, self._until = failure, self._clock() + REST_SECONDS


@cache  # there are a handful of scripts
def _sha1(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


@cache  # of the process: its connections to one server meet the same failures
def rest(address: str) -> Rest:
    """Return the rest that this process's connections to a server share."""
    return Rest()


class RedisServer:
    """Redis or what speaks its protocol; a script is run with nothing between. Raises SessionsError.

    With `exact` it is not used while it throws keys away: limits would go with them, and nobody would know.
    """

    def __init__(
        self,
        address: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        texts: bool = True,
        space: str = "",
        rests: Rest | None = None,
        exact: bool = False,
    ) -> None:
        import redis
        from redis.exceptions import NoScriptError

        self.name = shown(address)
        self._clock = clock
        self._rest = rests or Rest(clock)
        self._exact = exact
        self._unfit: str | None = None
        self._looks_at = float("-inf")
        self._denial = redis.ResponseError
        self._meanings = ((redis.AuthenticationError, _REFUSED), (redis.ReadOnlyError, _REPLICA))
        self._lacking = NoScriptError
        self._prefix = f"{_PREFIX}{space}"  # apart from what others keep there
        self._failures: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._client: redis.Redis = redis.Redis.from_url(
            address,
            socket_timeout=WAIT_SECONDS,
            socket_connect_timeout=WAIT_SECONDS,
            decode_responses=texts,  # else bytes
            retry=None,
        )

    def key(self, name: str) -> str:
        """Return a key's name on the server."""
        return f"{self._prefix}{name}"

    def run(self, script: str, keys: Sequence[str], values: Sequence[Any]) -> Any:
        """Run a script over keys, named as `key` takes them."""
        names = [self.key(key) for key in keys]
        return self.ask(lambda client: self._evaluate(client, script, len(names), *names, *values))

    def _evaluate(self, client: redis.Redis, script: str, *arguments: Any) -> Any:
        """Name a script by its hash, which costs less; a server that lacks it, being new, gets it whole."""
        try:
            return client.evalsha(_sha1(script), *arguments)
        except self._lacking:
            return client.eval(script, *arguments)

    def ask(self, question: Callable[[redis.Redis], Any]) -> Any:
        """Ask once; after a failure nobody is kept waiting for a while."""
        self._rest.check()
        try:
            if self._exact:
                self._look()
            return question(self._client)
        except self._failures as error:
            failure = f"{self.name} {self._reason(error)}"
            self._rest.begin(failure)
            raise SessionsError(failure) from error

    def _reason(self, error: Exception) -> str:
        """Say what a failure means to who configures the server; its own words where these are plain."""
        for kind, meaning in self._meanings:
            if isinstance(error, kind):
                return meaning
        return f"cannot be used: {(str(error).splitlines() or [type(error).__name__])[0][:200]}"

    def check(self) -> None:
        """Say whether the server keeps what it is told; raises SessionsError in one line when it does not."""
        self.run(_PROBE, ("probe",), ())
        self._looks_at = float("-inf")
        self.ask(lambda _: self._look())

    def _look(self) -> None:
        """Look now and then at what the server does when it is full; raises SessionsError."""
        if self._clock() >= self._looks_at:
            self._unfit = self._thrown_away()
            self._looks_at = self._clock() + (LOOK_SECONDS if self._unfit is None else REST_SECONDS)
        if self._unfit is not None:
            raise SessionsError(self._unfit)

    def _thrown_away(self) -> str | None:
        """Say that keys are thrown away; None when they are kept, or when that may not be asked."""
        try:
            memory: Any = self._client.info("memory")
        except self._denial:
            return None
        policy = memory.get("maxmemory_policy", KEEPS)
        if not memory.get("maxmemory") or policy == KEEPS:
            return None
        return (
            f"{self.name} throws keys away when it is full (maxmemory-policy {policy}), and limits with"
            f" them: set maxmemory-policy {KEEPS}"
        )

    def close(self) -> None:
        self._client.close()


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
