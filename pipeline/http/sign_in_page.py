"""The sign-in page, the same before the chat and before the console."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace

from starlette.requests import Request

from pipeline import notices
from pipeline.text.languages import accepted

_PAGE = """<!doctype html><html lang="{tongue}"><meta charset="utf-8"><title>{sign_in} · {name}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root{{color-scheme:light dark}}
body{{font:16px system-ui,sans-serif;max-width:22rem;margin:14vh auto;padding:0 1rem}}
h1{{font-size:1.5rem}}label{{display:block;margin:.8rem 0 0}}
input,button,.button{{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;margin:.3rem 0;
border:1px solid #7c879b;border-radius:8px}}
button,.button{{background:#4f46e5;border-color:#4f46e5;color:#fff;margin-top:1rem;cursor:pointer;
display:block;text-align:center;text-decoration:none}}
[role=alert]{{color:#b91c1c}}@media (prefers-color-scheme:dark){{[role=alert]{{color:#fca5a5}}}}
.hint{{opacity:.75;font-size:.875rem}}</style>
<main><h1>{name}</h1>{provider}<form method="post"><label for="name">{label}</label>
<input id="name" name="name" autocomplete="username" autofocus maxlength="64" aria-describedby="hint">
<label for="secret">{secret}</label>
<input id="secret" name="secret" type="password" autocomplete="current-password" required maxlength="1024">
<p class="hint" id="hint">{key}</p>
<button>{sign_in}</button></form><p role="alert">{message}</p></main></html>"""


@dataclass(frozen=True, slots=True)
class SignInPage:
    """The page as it is looked at: the product's name, the reader's language, the way to a provider."""

    name: str = "Answerdeck"
    provider: str = ""  # the address of a sign-in elsewhere
    tongue: str = "en"

    def of(self, request: Request, provider: str = "") -> SignInPage:
        """Return the page for who makes a request."""
        tongue = accepted(request.headers.get("accept-language", "")) or "en"
        return replace(self, provider=provider, tongue=tongue)

    def drawn(self, message: str = "") -> str:
        """Return it as HTML, with what went wrong."""
        elsewhere = self._say(notices.SIGN_IN_ELSEWHERE)
        link = f'<a class="button" href="{html.escape(self.provider)}">{elsewhere}</a>'
        return _PAGE.format(
            message=self._say(message),
            provider=link if self.provider else "",
            tongue=self.tongue,
            name=html.escape(self.name),
            sign_in=self._say(notices.SIGN_IN),
            label=self._say(notices.SIGN_IN_NAME),
            secret=self._say(notices.SIGN_IN_SECRET),
            key=self._say(notices.SIGN_IN_KEY),
        )

    def _say(self, text: str) -> str:
        return html.escape(notices.spoken(text, self.tongue))
