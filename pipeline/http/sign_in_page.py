"""The sign-in page, the same before the chat and before the console."""

from __future__ import annotations

import html

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in · Answerdeck</title>
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
<main><h1>Answerdeck</h1>{provider}<form method="post"><label for="name">Name</label>
<input id="name" name="name" autocomplete="username" autofocus maxlength="64" aria-describedby="hint">
<label for="secret">Password or key</label>
<input id="secret" name="secret" type="password" autocomplete="current-password" required maxlength="1024">
<p class="hint" id="hint">With a key, leave the name empty.</p>
<button>Sign in</button></form><p role="alert">{message}</p></main></html>"""


def page(message: str = "", provider: str = "") -> str:
    """Return the page with what went wrong; `provider` is the address of a sign-in elsewhere."""
    link = f'<a class="button" href="{html.escape(provider)}">Sign in with your organisation</a>'
    return _PAGE.format(message=html.escape(message), provider=link if provider else "")
