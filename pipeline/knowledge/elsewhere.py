"""Where machines keep tables together, how they are reached, and what they say when they are not.

A bucket of an object store, `s3://bucket/prefix`, or LanceDB's own service, `db://database`, which
compacts and indexes tables, and deletes their old versions, by itself and when it likes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from traces.postgres.lease import Leases

SERVICE = "db://"
SERVICE_KEY = "LANCEDB_API_KEY"
REGION = "us-east-1"  # of the service, where LANCEDB_REGION names none
_PATIENCE = {
    "client_max_retries": "3",
    "client_retry_timeout": "10",
    "connect_timeout": "5s",
    "timeout": "30s",
}
_SERVICE_PATIENCE: dict[str, Any] = {
    "retry_config": {
        "retries": 3,
        "connect_retries": 2,
        "read_retries": 0,
    },  # a silent one is not asked again
    "timeout_config": {"timeout": 30, "connect_timeout": 5},
}
_BUCKET = "look at knowledge.place, AWS_ENDPOINT and the AWS_ variables of the credentials"
_DATABASE = f"look at knowledge.place, {SERVICE_KEY}, LANCEDB_REGION and LANCEDB_HOST_OVERRIDE"
_LATER = "run the same command again in a while"
_TROUBLE = (  # (whose it is, what the error's text holds, what that means, what to do)
    ("bucket", r"NoSuchBucket|404 Not Found|\bstatus: 404\b", "has no such bucket", _BUCKET),
    ("bucket", r"403 Forbidden|401 Unauthorized|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch"
     r"|\bstatus: 40[13]\b",
     "refuses the credentials", _BUCKET),
    ("bucket", r"\b503 Service|\b429 Too|SlowDown|[cC]ode:? \W?(?:503|429)\b"
     r"|\bstatus: (?:429|50\d)\b", "is overloaded", _LATER),
    ("bucket", r"", "cannot be reached", _BUCKET),
    ("service", r"^40[13]\b", "refuses the key", _DATABASE),
    ("service", r"^(?:429|50[0-9])\b", "is overloaded", _LATER),
    ("service", r"", "cannot be reached", _DATABASE),
)  # fmt: skip
_NAMES = {"bucket": "object store", "service": "LanceDB service"}


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An address that machines share, and who may write there."""

    address: str
    leases: Leases


@dataclass(frozen=True, slots=True)
class Options:
    """What LanceDB's `connect` is told beside the address, by its own names."""

    storage_options: dict[str, str] | None = None
    api_key: str | None = None
    region: str = REGION
    host_override: str | None = None
    client_config: dict[str, Any] | None = None


def tends_itself(address: str | None) -> bool:
    """Say whether tables there are compacted and cleaned by who keeps them, and by nobody else."""
    return address is not None and address.startswith(SERVICE)


def options(address: str) -> Options:
    """Return what LanceDB is told to connect with; the key of its service comes from the environment."""
    if not tends_itself(address):
        return Options(storage_options=_PATIENCE)
    return Options(
        api_key=os.environ.get(SERVICE_KEY),
        region=os.environ.get("LANCEDB_REGION") or REGION,
        host_override=os.environ.get("LANCEDB_HOST_OVERRIDE") or None,
        client_config=_SERVICE_PATIENCE,
    )


def trouble(error: Exception) -> tuple[str, str] | None:
    """Return which store refused, and why with what to do; None for other errors."""
    text = str(error)
    if re.match(r"Http error|Hit retry limit", text):
        kind = "service"
        text = f"{getattr(error, 'status_code', None)} {text}"  # of the answer before the client gave up
    elif re.search(r'store: "S3"|object_store|aws', text):
        kind = "bucket"
    else:
        return None
    why, remedy = next(rest for of, pattern, *rest in _TROUBLE if of == kind and re.search(pattern, text))
    return _NAMES[kind], f"{why}; {remedy}"
