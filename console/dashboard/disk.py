"""What a disk that takes nothing more means for whoever pressed a button."""

from __future__ import annotations

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)
SENTENCE = "the disk is full: free some space, then try again"


def full(error: BaseException | None) -> bool:
    """Say whether an error, or what it came from, is a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__
    return False


def why(error: Exception) -> str:
    """Return an error as a person reads it."""
    return SENTENCE if full(error) else str(error)
