"""Who may use a route: one dependency, declared on each route with the role it needs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from pipeline.auth import Person, Role
from pipeline.errors import Refused
from pipeline.http.middleware import PERSON

_WHO = {
    "viewer": "viewers and operators",
    "editor": "operators",
    "approver": "approvers",
    "admin": "admins",
}


def authorize(role: Role, deed: str = "do this", *, whole: bool = False) -> Any:
    """Return the dependency of a route for a role and those above it; it gives who asks.

    Raises Refused (403) for others; `deed` says in its sentence what they may not do. Who has no
    role at all gets no further than the border. What is of the `whole` installation does not exist (404)
    for people of a workspace of their own.
    """

    async def check(request: Request) -> Person:
        person: Person = request.scope[PERSON]
        if whole and not person.keeps("user"):
            raise Refused("not_found", "There is nothing here.", status=404)
        if not person.may(role):
            raise Refused("forbidden", f"Only {_WHO[role]} may {deed}.", status=403)
        return person

    return Depends(check)


User = Annotated[Person, authorize("user")]  # anybody with a key
