"""Erases a person from every place there is: each room names its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import evalsets.places
import pipeline.places
import traces.places
from evalsets.places import Cases
from pipeline import desk
from pipeline.configuration.data_folder import DataFolder
from pipeline.errors import AnswerdeckError
from pipeline.knowledge.elsewhere import tends_itself
from pipeline.prompts.force import Force
from pipeline.settings import load_settings
from traces import certificate
from traces.certificate import Certificate, CertificateLine
from traces.places import DataSubject, Place
from traces.store import Store

KEPT = {
    "sums of spending": "what everybody spent on a day, without names, so that budgets stay true",
    "runs": "which evalset ran when and with what result; they hold no words",
    "counts": "totals of metrics and hourly sums name nobody",
    "this certificate": "the name of the person and the ids of the erased turns, so that it can be checked",
}
TENDED = {
    "the team's documents at LanceDB's service": "they are not the person's; earlier versions are deleted by"
    " the service itself, which cannot be proved from here"
}


def places(store: Store) -> list[Place]:
    """Return every place that may hold a person's words; the look at all files comes last."""
    *own, every_file = traces.places.places(store)
    return [
        *evalsets.places.places(store.data_dir),
        *pipeline.places.places(store.data_dir, store.ledger, load_settings().sessions.get_secret_value()),
        *own,
        every_file,
    ]


def erase(store: Store, user_id: str) -> Certificate:
    """Erase a person and return the certificate, which says what could not be reached."""
    with desk.of(store.data_dir, store.ledger).together():
        person = trail(store, user_id)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return certificate.erase(replace(person, erased_at=now), places(store), _kept(store, user_id))


def trail(store: Store, user_id: str) -> DataSubject:
    """Return what is the person's, cases that no run asked yet included."""
    person = traces.places.trail(store, user_id)
    sets = (Cases(own.evalsets) for _, own in DataFolder(store.data_dir).everywhere())
    more = {case for cases in sets for case in cases.ids(person)}
    return traces.places.trail(store, user_id, more) if more - person.case_ids else person


def verify(store: Store, file: Path) -> list[CertificateLine]:
    """Ask every place again whether anything of a certificate's person is left."""
    return certificate.verify(certificate.load(file), places(store))


def _kept(store: Store, user_id: str) -> dict[str, str]:
    own = sum(_entries(folder.audit, user_id) for _, folder in DataFolder(store.data_dir).everywhere())
    audit = {f"{own} entries of the audit log": "who released which prompt; a chain that breaks when altered"}
    tended = tends_itself(load_settings().knowledge.place)
    return KEPT | (audit if own else {}) | (TENDED if tended else {})


def _entries(log: Path, user_id: str) -> int:
    """Count a person's entries of an audit log; none of one that was altered."""
    try:
        return sum(change.actor == user_id for change in Force(log, {}).changes())
    except AnswerdeckError:
        return 0
