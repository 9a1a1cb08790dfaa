"""Sign-in at a real provider on loopback, for chat and console; every lie is refused calmly."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from console.dashboard.door import Door
from pipeline import build
from pipeline.access.people import People
from pipeline.errors import ConfigurationError
from pipeline.http import oidc
from pipeline.http.api import create_app
from pipeline.http.provided import provider_sign_in
from pipeline.settings import Settings, load_settings
from tests.oidc_provider import CLIENT, SECRET, OidcProvider, new_key
from tests.pipeline.served import served
from tests.pipeline.turns import make_pipeline

ADA = {"email": "ada@example.org", "email_verified": True, "realm": {"groups": ["staff", "desk"]}}
KEYS = (new_key("k1"), new_key("k2"))  # making one takes a while


def configured(issuer: str, **more: Any) -> Settings:
    values = {
        "issuer": issuer,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "role_claim": "realm.groups",
        "roles": {"desk": "viewer", "staff": "user", "heads": "admin"},
    }
    return load_settings(auth={"oidc": {**values, **more}})


class Visit:
    """A browser before the chat or the console, with the provider and the audit log behind it."""

    def __init__(self, http: httpx.AsyncClient, provider: OidcProvider, people: People) -> None:
        self.http, self.provider, self.people = http, provider, people

    async def sign_in(self) -> httpx.Response:
        """Go to the provider and back, as a browser does."""
        sent = await self.http.get("/login/provider")
        if sent.status_code != 303:
            return sent
        back = await self.http.get(sent.headers["location"])
        return await self.http.get(back.headers["location"])

    def line(self) -> str:
        return next(event.detail or "" for event in self.people.events() if "refused" in event.event)


@asynccontextmanager
async def door(kind: str = "chat", prefix: str = "", **more: Any) -> AsyncIterator[Visit]:
    provider = OidcProvider(claims=dict(ADA), published=KEYS[0])
    async with served(provider.app()) as issuer:
        provider.issuer = issuer
        settings = configured(issuer, **more)
        people = build.people(settings)
        if kind == "chat":
            app: Any = create_app(await make_pipeline(documents=()), settings, people=people)
        else:
            inside = Starlette(routes=[Route("/", lambda _: PlainTextResponse("inside"))])
            app = Door(inside, people=people, elsewhere=provider_sign_in(settings, people))
        async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=20) as http:
            yield Visit(http, provider, people)
        people.close()


async def test_a_person_comes_in_with_the_highest_role_of_the_claims() -> None:
    async with door() as chat:
        shown = await chat.http.get("/login")
        arrived = await chat.sign_in()
        metrics = await chat.http.get("/metrics")  # for viewers
        turns = await chat.http.get("/api/turns/x")  # for editors
        await chat.http.post("/logout")
        out = await chat.http.get("/metrics")
        events = [(event.event, event.name) for event in chat.people.events()]
    assert 'href="/login/provider"' in shown.text
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/")
    assert (metrics.status_code, turns.status_code, out.status_code) == (200, 403, 401)
    assert events[-1] == ("signed in", "ada@example.org")


async def test_the_console_lets_in_by_the_same_provider() -> None:
    async with door("console") as console:
        before = await console.http.get("/")
        arrived = await console.sign_in()
        inside = await console.http.get("/")
    assert before.status_code == 401
    assert (arrived.status_code, inside.text) == (303, "inside")


async def test_a_claim_names_the_workspace_and_who_has_none_is_refused() -> None:
    async with door(workspace_claim="realm.tenant") as chat:
        for tenant in (None, "nowhere", ["desk", "sales"]):
            chat.provider.claims = {**ADA, "realm": {"groups": ["staff"], "tenant": tenant}}
            refused = await chat.sign_in()
            assert (refused.status_code, oidc.NOWHERE in refused.text) == (401, True), tenant
        chat.people.workspaces.add("sales", "test")
        chat.provider.claims = {**ADA, "realm": {"groups": ["heads"], "tenant": "sales"}}
        assert (await chat.sign_in()).status_code == 303
        assert (await chat.http.get("/api/conversations")).status_code == 200
        assert (await chat.http.get("/metrics")).status_code == 404  # of the whole installation


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://evil.example"}, "InvalidClaimError"),
    "another audience": ({"aud": "somebody-else"}, "InvalidClaimError"),
    "made for two": ({"aud": [CLIENT, "other"], "azp": "other"}, "another application"),
    "expired": ({"exp": 1_700_000_000}, "ExpiredTokenError"),
    "from the future": ({"iat": 4_000_000_000}, "issued in the future"),
    "another nonce": ({"nonce": "replayed"}, "InvalidClaimError"),
    "no name": ({"email": None}, "no name"),
    "a list as name": ({"email": ["ada", "bob"]}, "no name"),
    "a name of ours": ({"email": "local"}, "taken"),
    "a guest's name": ({"email": "guest-0123456789ab"}, "taken"),
    "markup as name": ({"email": "<script>"}, "no name"),
    "not verified": ({"email_verified": False}, "not verified"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_provider_that_lies_is_refused_calmly(lie: str) -> None:
    lies, reason = LIES[lie]
    async with door() as chat:
        chat.provider.lies = lies
        refused = await chat.sign_in()
        inside = await chat.http.get("/metrics")
        line = chat.line()
    assert (refused.status_code, inside.status_code) == (401, 401)
    assert oidc.ODD.replace("'", "&#x27;") in refused.text
    assert reason in line
    assert "Error" not in refused.text


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("foreign key", "BadSignatureError"),
        ("unknown key", "a key the provider does not have"),
        ("no signature", "UnsupportedAlgorithmError"),
    ],
)
async def test_a_token_that_the_provider_did_not_sign_is_refused(
    kind: str, reason: str, monkeypatch: Any
) -> None:
    async with door() as chat:
        if kind == "no signature":
            from joserfc import jwt

            def unsigned(header: dict[str, Any], claims: dict[str, Any], _: Any) -> str:
                parts = (json.dumps(part).encode() for part in (header | {"alg": "none"}, claims))
                return ".".join([*(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])

            monkeypatch.setattr(jwt, "encode", unsigned)  # all it claims is right
        else:
            key = KEYS[1].as_dict(private=True) | {"kid": "k1" if kind == "foreign key" else "k2"}
            chat.provider.signing = RSAKey.import_key(key)
        refused, line = await chat.sign_in(), chat.line()
        rotated = chat.provider
        if kind == "unknown key":  # and with its new key published it works at once
            rotated.published, rotated.signing = KEYS[1], None
            assert (await chat.sign_in()).status_code == 303
    assert refused.status_code == 401
    assert reason in line


async def test_roles_come_from_claims_alone() -> None:
    async with door() as chat:
        chat.provider.claims["realm"] = {"groups": ["strangers", 7]}
        refused = await chat.sign_in()
        chat.provider.claims["realm"] = "admin"
        assert (await chat.sign_in()).status_code == 401
    assert "have no role here yet" in refused.text
    async with door(default_role="user") as chat:
        chat.provider.claims["realm"] = {}
        assert (await chat.sign_in()).status_code == 303
        assert (await chat.http.get("/metrics")).status_code == 403


async def test_a_way_back_counts_once_in_the_browser_that_went() -> None:
    async with door() as chat:
        sent = await chat.http.get("/login/provider")
        back = (await chat.http.get(sent.headers["location"])).headers["location"]
        async with httpx.AsyncClient(base_url=chat.http.base_url) as stranger:
            forged = await stranger.get(back)
        first, second = await chat.http.get(back), await chat.http.get(back)
        line = chat.line()
    assert (forged.status_code, first.status_code, second.status_code) == (401, 303, 401)
    assert "has ended" in forged.text
    assert "state" in line


async def test_a_provider_that_is_away_denies_or_revoked_us() -> None:
    async with door() as chat:
        chat.provider.denies = "access_denied"
        denied = await chat.sign_in()
        chat.provider.denies, chat.provider.secret = None, "changed"
        revoked = await chat.sign_in()
        assert "invalid_grant" in chat.line()
        chat.provider.status = 503
        away = await chat.sign_in()
    assert [answer.status_code for answer in (denied, revoked, away)] == [401, 401, 401]
    assert "cannot be reached" in away.text
    async with door() as chat:
        chat.provider.about = {"issuer": "https://evil.example"}
        other = await chat.sign_in()
        chat.provider.about = {"token_endpoint": "http://evil.example/token"}
        plain = await chat.sign_in()
        assert "no https address" in chat.line()
    assert (other.status_code, plain.status_code) == (401, 401)


async def test_nobody_becomes_a_local_user_by_name() -> None:
    async with door() as chat:
        chat.people.new_key("ada@example.org", "admin", "boss")
        refused = await chat.sign_in()
    assert refused.status_code == 401
    assert "belongs to somebody else" in refused.text


def test_without_the_provider_its_sessions_are_over(tmp_path: Path) -> None:
    from pipeline.auth import Keys, Person

    with_it = People(tmp_path / "p.sqlite", Keys(""), provider=True)
    token = with_it.welcome(Person("ada", "admin"), "127.0.0.1")
    assert with_it.session(token) == Person("ada", "admin")
    with_it.close()
    without = People(tmp_path / "p.sqlite", Keys(""))
    assert without.session(token) is None
    without.close()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"issuer": "http://login.example"}, "https"),
        ({"issuer": "https://login.example", "client_id": ""}, "client_id is missing"),
        ({"issuer": "https://login.example", "roles": {}}, "nobody would get in"),
        ({"issuer": "https://login.example", "roles": {"x": "king"}}, "auth.oidc.roles"),
        ({"issuer": "https://login.example", "secret": "x"}, "auth.oidc.secret"),
    ],
)
def test_a_wrong_table_is_named_without_its_secret(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        configured(**values)
    assert sentence in str(wrong.value)
    assert SECRET not in str(wrong.value)
