"""What a caller of the traces room may catch."""

from __future__ import annotations


class TracesError(Exception):
    """Base of every error of this room; the message is for operators, never for users."""


class Unknown(TracesError, LookupError):
    """What somebody named is not there; the message says what there is, or how to make it."""


class JournalError(TracesError):
    """A record could not be written to the journal (disk full, folder not writable)."""


class Refused(TracesError):
    """A question was not asked or not finished; the message says why, for the person who wrote it."""


class StoreError(TracesError):
    """The trace store cannot be used now; the journal keeps what it lacks."""


class StoreBusy(StoreError):
    """Another process holds the store; try again shortly."""


class StoreDamaged(StoreError):
    """The store's file is damaged; the drainer puts it aside and rebuilds it from the journal."""


class StoreVersion(StoreError):
    """The store's schema is not the one this program knows."""
