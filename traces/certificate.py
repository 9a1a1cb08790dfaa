"""The erasure certificate: what was erased where, the questions that prove it, and what had to stay."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from traces.errors import TracesError
from traces.places import DataSubject, Place

VERSION = 1


class CertificateError(TracesError):
    """A certificate cannot be read, or was altered."""


@dataclass(frozen=True, slots=True)
class CertificateLine:
    """What became of one place."""

    place: str
    erased: int
    proof: str
    left: list[str]
    trouble: str | None = None  # why it could not be erased or looked at


@dataclass(frozen=True, slots=True)
class Certificate:
    """What an erasure did. `digest` covers everything else."""

    user_id: str
    erased_at: str
    lines: list[CertificateLine]
    kept: dict[str, str]  # what stays, and why
    turn_ids: list[str]
    case_ids: list[str]
    version: int = VERSION
    digest: str = field(default="")

    @property
    def complete(self) -> bool:
        """Whether nothing is left anywhere that could be looked at, and all could."""
        return not any(line.left or line.trouble for line in self.lines)

    @property
    def person(self) -> DataSubject:
        return DataSubject(
            self.user_id, frozenset(self.turn_ids), frozenset(self.case_ids), erased_at=self.erased_at
        )


def erase(person: DataSubject, places: Sequence[Place], remains: Mapping[str, str]) -> Certificate:
    """Erase a person from all places and say what became of each; one that fails stops no other."""
    erased = [_tried(place, person) for place in places]
    lines = [
        CertificateLine(place.name, count, place.proof, left, trouble or late)
        for place, (count, trouble) in zip(places, erased, strict=True)
        for left, late in [_looked(place, person)]
    ]
    turns, cases = sorted(person.turn_ids), sorted(person.case_ids)
    when = person.erased_at or datetime.now(UTC).isoformat(timespec="seconds")
    certificate = Certificate(person.user_id, when, lines, dict(remains), turns, cases)
    return Certificate(**{**_columns(certificate), "lines": lines, "digest": _digest(certificate)})


def verify(certificate: Certificate, places: Sequence[Place]) -> list[CertificateLine]:
    """Ask every place again; raises CertificateError when the certificate was altered."""
    if certificate.digest != _digest(certificate):
        raise CertificateError("the certificate was altered: its digest does not fit what it says")
    lines: list[CertificateLine] = []
    for place in places:
        left, trouble = _looked(place, certificate.person)
        lines.append(CertificateLine(place.name, 0, place.proof, left, trouble))
    return lines


def save(certificate: Certificate, folder: Path) -> tuple[Path, Path]:
    """Write the certificate as JSON and as a page; return both paths."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = "".join(letter for letter in certificate.erased_at if letter.isdigit())[:14]
    stem = f"erasure-{stamp}-{certificate.digest[:8]}"
    text, page = folder / f"{stem}.json", folder / f"{stem}.html"
    text.write_text(json.dumps(_columns(certificate), indent=2, ensure_ascii=False), "utf-8")
    page.write_text(html(certificate), "utf-8")
    return text, page


def load(path: Path) -> Certificate:
    """Read a certificate; raises CertificateError."""
    try:
        row = json.loads(path.read_text("utf-8"))
        return Certificate(**row | {"lines": [CertificateLine(**line) for line in row["lines"]]})
    except FileNotFoundError:
        raise CertificateError(f"there is no file {path}; `traces erase` says where it wrote one") from None
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise CertificateError(f"{path} is no erasure certificate ({error}); give the .json file") from None


def html(certificate: Certificate) -> str:
    """Return the certificate as a page that prints on paper."""
    rows = "".join(
        f"<tr><td>{escape(line.place)}</td><td>{line.erased:,}</td>"
        f"<td>{escape('; '.join([*line.left, *([line.trouble] if line.trouble else [])]) or 'nothing')}</td>"
        f"<td><code>{escape(line.proof)}</code></td></tr>"
        for line in certificate.lines
    )
    remains = "".join(
        f"<li><b>{escape(what)}</b>: {escape(why)}</li>" for what, why in certificate.kept.items()
    )
    verdict = "Nothing is left." if certificate.complete else "Not complete: see what is left below."
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Erasure certificate</title>'
        "<style>body{font:15px system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "td,th{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8884}"
        "code{font-size:12px;word-break:break-word}</style>"
        f"<h1>Erasure certificate</h1><p><b>{verdict}</b></p>"
        f"<p>Person {escape(certificate.user_id)}, erased at {escape(certificate.erased_at)}: "
        f"{len(certificate.turn_ids):,} turns, evals and replays of them included.</p>"
        "<table><tr><th>Place</th><th>Erased</th><th>Left</th><th>Asked to prove it</th></tr>"
        f"{rows}</table><h2>Kept, and why</h2><ul>{remains}</ul>"
        f"<p>Digest (SHA-256 of the JSON without it): <code>{certificate.digest}</code></p>"
        f"<p>Check again with: <code>answerdeck traces erase --verify FILE.json</code></p></html>"
    )


def _tried(place: Place, person: DataSubject) -> tuple[int, str | None]:
    try:
        return place.erase(person), None
    except Exception as error:  # the named boundary: one place that fails must not keep the others' words
        return 0, f"could not be erased: {error or type(error).__name__}"


def _looked(place: Place, person: DataSubject) -> tuple[list[str], str | None]:
    try:
        return place.left(person), None
    except Exception as error:  # the same boundary, when its word is looked into
        return [], f"could not be looked at: {error or type(error).__name__}"


def _columns(certificate: Certificate) -> dict[str, Any]:
    return asdict(certificate)


def _digest(certificate: Certificate) -> str:
    columns = {key: value for key, value in _columns(certificate).items() if key != "digest"}
    return hashlib.sha256(json.dumps(columns, sort_keys=True).encode()).hexdigest()
