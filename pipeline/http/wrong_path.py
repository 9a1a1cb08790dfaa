"""What to say to a client that asked at an address close to one of ours."""

from __future__ import annotations

import re

_OPENAI = re.compile(r"/(?:chat/completions|completions|embeddings|responses|models(?:/[^/]+)?)$")
_DOUBLED = re.compile(r"/{2,}")
_SERVED = re.compile(r"/v1/(?:chat/completions|models(?:/[^/]+)?)$")


def astray(path: str) -> bool:
    """Tell whether this is an address of the OpenAI protocol, but not where it is served."""
    return _OPENAI.search(_DOUBLED.sub("/", path)) is not None and not _SERVED.match(path)


def sentence(path: str) -> str:
    """Return the sentence of a 404, with a hint where a client's base URL seems to be wrong."""
    single = _DOUBLED.sub("/", path)
    ours = _OPENAI.search(single)
    if ours is None:
        return "There is nothing here."
    right = f"/v1{ours[0]}"
    if not _SERVED.match(right):
        return "There is nothing here: of the OpenAI protocol /v1/chat/completions and /v1/models are served."
    return f"There is nothing here: ask at {right}, the base URL of an OpenAI client ends in /v1."
