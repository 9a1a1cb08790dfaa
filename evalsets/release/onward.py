"""How a version gets on that nothing holds back but too few cases."""

from __future__ import annotations

from collections.abc import Sequence

from evalsets.release.verdict import Evidence


def short(proofs: Sequence[Evidence]) -> list[Evidence]:
    """Return the evalsets that only lack cases; none when something else holds the version back."""
    held = [proof for proof in proofs if proof.reasons]
    return held if all(proof.more for proof in held) else []


def way(label: str, proofs: Sequence[Evidence], *, add: str, override: str, policy: str) -> str | None:
    """Say in one sentence what can be done where only cases lack; None where more than that is wrong.

    `add`, `override` and `policy` say how, where the person stands: a button or a command.
    """
    few = short(proofs)
    if not few:
        return None
    lack = " and ".join(f"{proof.cases} cases of {proof.evalset}" for proof in few)
    more = " and ".join(f"{proof.more} more to {proof.evalset}" for proof in few)
    return (
        f"Nothing speaks against {label} but that {lack} are too few to tell: add {more} ({add}),"
        f" promote it on your own word ({override}), or let small sets pass from now on ({policy})."
    )
