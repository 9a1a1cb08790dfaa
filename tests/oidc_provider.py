"""An OpenID Connect provider on loopback: code flow with PKCE, and the lies it is told to tell."""

from __future__ import annotations

import hashlib
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "answerdeck", "the-clients-secret"


def new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@dataclass
class OidcProvider:
    """Signs everybody in at once as the person of `claims`; `lies` replace claims, `status` ends a call."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    lies: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)  # replaces parts of the discovery
    denies: str | None = None  # the error it sends people back with
    status: int = 200  # of its token endpoint
    published: RSAKey = field(default_factory=lambda: new_key("k1"))
    signing: RSAKey | None = None  # another key than the one it publishes
    secret: str = SECRET
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> Starlette:
        """Return it as an application."""
        routes = [
            Route("/.well-known/openid-configuration", self._about),
            Route("/keys", self._keys),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
        ]
        return Starlette(routes=routes)

    async def _about(self, _: Request) -> Response:
        places = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        about = {key: f"{self.issuer}{path}" for key, path in places.items()}
        return JSONResponse({"issuer": self.issuer, **about, **self.about})

    async def _keys(self, _: Request) -> Response:
        return JSONResponse(KeySet([self.published]).as_dict(private=False))

    async def _authorize(self, request: Request) -> Response:
        query = dict(request.query_params)
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT)
        back = f"{query['redirect_uri']}?state={query['state']}"
        if self.denies is not None:
            return RedirectResponse(f"{back}&error={self.denies}", 302)
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return RedirectResponse(f"{back}&code={code}", 302)

    async def _token(self, request: Request) -> Response:
        form = {key: str(value) for key, value in (await request.form()).items()}
        query = self.codes.pop(form["code"], None)
        challenge = urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        right = (
            query is not None
            and query["code_challenge"] == challenge.decode()
            and query["redirect_uri"] == form["redirect_uri"]
            and form["client_secret"] == self.secret
        )
        if self.status != 200 or not right or query is None:
            status = self.status if self.status != 200 else 400
            return JSONResponse({"error": "invalid_grant"}, status)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 300}
        claims |= {"nonce": query["nonce"], **self.claims, **self.lies}
        key = self.signing or self.published
        header = {"alg": "RS256", "kid": key.as_dict()["kid"]}
        return JSONResponse({"id_token": jwt.encode(header, claims, key), "token_type": "Bearer"})
