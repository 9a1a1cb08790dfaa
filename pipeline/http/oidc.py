"""The one place that imports joserfc: people whom an OpenID Connect provider signs in."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2 as httpx

from pipeline import notices
from pipeline.access.people import Pending
from pipeline.auth import DEFAULT, ROLES, Person, Role, named
from pipeline.errors import AnswerdeckError

ALGORITHMS = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "ES256",
    "ES384",
    "EdDSA",
]  # never "none", never a shared secret
CALL_SECONDS = 5.0
LONGEST = 1_000_000  # bytes of a provider's answer
LEEWAY_SECONDS = 60  # between its clock and ours
KNOWN_SECONDS = 3600.0  # that its addresses and keys are remembered
ODD, AWAY, ENDED = notices.ELSEWHERE_ODD, notices.ELSEWHERE_AWAY, notices.ELSEWHERE_ENDED
NOWHERE, FOREIGN = notices.NO_WORKSPACE, notices.NO_ROLE


class OidcError(AnswerdeckError):
    """A sign-in at the provider failed: what its user reads, and why, for the audit log."""

    def __init__(self, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are to the provider, and what its claims mean here."""

    issuer: str
    client_id: str
    client_secret: str
    scopes: str = "openid profile email"
    name_claim: str = "email"
    role_claim: str = "roles"
    roles: Mapping[str, Role] | None = None  # the provider's word: ours
    default_role: Role | None = None  # of people whom no word gives a role
    workspace_claim: str | None = None  # None: all belong to `default`


class Provider:
    """Speaks the code flow with PKCE to one provider; raises OidcError."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._learnt: tuple[float, dict[str, Any], dict[str, Any]] | None = None
        self._lock = asyncio.Lock()

    async def begin(self, back: str) -> tuple[str, Pending]:
        """Return where to send the browser, and what its return must match; `back` is our address."""
        about, _ = await self._about()
        pending = Pending(*(secrets.token_urlsafe(32) for _ in range(3)))
        challenge = urlsafe_b64encode(hashlib.sha256(pending.verifier.encode()).digest()).rstrip(b"=")
        query = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": back,
            "scope": self._client.scopes,
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        address = about["authorization_endpoint"]
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}", pending

    async def finish(self, code: str, pending: Pending, back: str) -> Person:
        """Return whom the provider signed in, with the role its claims give."""
        about, keys = await self._about()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "client_id": self._client.client_id,
            "code_verifier": pending.verifier,
        }
        if self._client.client_secret:
            form["client_secret"] = self._client.client_secret
        answer = await self._call("POST", about["token_endpoint"], data=form)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise OidcError(ODD, "the provider's answer holds no id_token")
        try:
            claims = self._claims(token, keys, pending)
        except KeyMissing:  # it may have new ones
            _, keys = await self._about(anew=True)
            try:
                claims = self._claims(token, keys, pending)
            except KeyMissing:
                raise OidcError(ODD, "the id_token is signed by a key the provider does not have") from None
        return self._person(claims)

    def _claims(self, token: str, keys: dict[str, Any], pending: Pending) -> dict[str, Any]:
        """Return the claims of a token, once signature, issuer, audience, times and nonce are right."""
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError, JoseError
        from joserfc.jwk import KeySet

        rules = jwt.JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._client.issuer},
            aud={"essential": True, "value": self._client.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": pending.nonce},
        )
        try:
            own: Any = keys  # the JSON of a key set
            claims = dict(jwt.decode(token, KeySet.import_key_set(own), algorithms=ALGORITHMS).claims)
            rules.validate(claims)
        except InvalidKeyIdError:
            raise KeyMissing from None
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise OidcError(
                ODD, f"the id_token is wrong: {type(error).__name__}: {str(error)[:120]}"
            ) from None
        audience, party = claims["aud"], claims.get("azp")
        if isinstance(audience, list) and len(audience) > 1 and party != self._client.client_id:
            raise OidcError(ODD, "the id_token was made for another application")
        return claims

    def _person(self, claims: Mapping[str, Any]) -> Person:
        name = claims.get(self._client.name_claim)
        if self._client.name_claim == "email" and claims.get("email_verified") is False:
            raise OidcError(ODD, "the e-mail address is not verified")
        try:
            name = named(name if isinstance(name, str) else "")
        except ValueError:
            raise OidcError(ODD, f"the claim {self._client.name_claim!r} holds no name for here") from None
        if name == "local" or name.startswith("guest-"):
            raise OidcError(ODD, f"the claim {self._client.name_claim!r} holds a name that is taken here")
        role = self._role(claims)
        if role is None:
            raise OidcError(FOREIGN, f"no role for {name}")
        return Person(name, role, self._workspace(claims))

    def _workspace(self, claims: Mapping[str, Any]) -> str:
        """Return the one workspace that the claim names; whether it is there is looked at later."""
        claim = self._client.workspace_claim
        if claim is None:
            return DEFAULT
        words = [word for word in _words(claims, claim) if isinstance(word, str)]
        if len(words) != 1:
            raise OidcError(NOWHERE, f"the claim {claim!r} names {len(words)} workspaces, one is needed")
        return words[0]

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        """Return the highest role that the claim gives."""
        words = _words(claims, self._client.role_claim)
        given = [(self._client.roles or {}).get(word) for word in words if isinstance(word, str)]
        ranks = [ROLES.index(role) for role in given if role is not None]
        return ROLES[max(ranks)] if ranks else self._client.default_role

    async def _about(self, *, anew: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the provider says of itself, and its keys."""
        async with self._lock:
            now = self._clock()
            if self._learnt is not None and not anew and now - self._learnt[0] < KNOWN_SECONDS:
                return self._learnt[1], self._learnt[2]
            place = f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration"
            about = await self._call("GET", place)
            if about.get("issuer") != self._client.issuer:
                raise OidcError(ODD, f"the provider calls itself {str(about.get('issuer'))[:100]!r}")
            for key in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not private(about.get(key)):
                    raise OidcError(ODD, f"the provider's {key} is no https address")
            keys = await self._call("GET", about["jwks_uri"])
            self._learnt = (now, about, keys)
            return about, keys

    async def _call(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=CALL_SECONDS, follow_redirects=False) as http:
                response = await http.request(method, address, headers={"accept": "application/json"}, **more)
        except httpx.HTTPError as error:
            raise OidcError(AWAY, f"{urlsplit(address).hostname}: {type(error).__name__}") from None
        try:
            value = response.json() if len(response.content) <= LONGEST else None
        except ValueError:
            value = None
        if response.status_code >= 500 or (response.status_code < 400 and not isinstance(value, dict)):
            raise OidcError(AWAY, f"{urlsplit(address).path} answered {response.status_code} with no JSON")
        if response.status_code >= 300 or not isinstance(value, dict):
            code = value.get("error") if isinstance(value, dict) else None
            raise OidcError(ODD, f"{urlsplit(address).path} answered {response.status_code} {str(code)[:60]}")
        return value


def _words(claims: Mapping[str, Any], claim: str) -> list[Any]:
    """Return the values of a claim, whose name may lead into nested ones by dots."""
    value: Any = claims
    for step in claim.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value if isinstance(value, list) else [value]


class KeyMissing(Exception):
    """The token was signed by a key that the provider did not have when it was last asked."""


def private(address: Any) -> bool:
    """Tell whether nobody on the way can read what is sent there: https, or this machine."""
    if not isinstance(address, str):
        return False
    parts = urlsplit(address)
    here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and here))
