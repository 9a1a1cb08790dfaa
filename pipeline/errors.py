"""What a caller of the pipeline may catch, and the closed set of error classes."""

from __future__ import annotations

from typing import Literal

ErrorClass = Literal[
    "timeout_connect",
    "timeout_first_token",
    "timeout_gap",
    "deadline",
    "rate_limited",
    "overloaded",
    "provider_5xx",
    "auth",
    "bad_request",
    "context_overflow",
    "protocol",
    "cut",
    "empty",
    "truncated",
    "refused",
    "connect",
    "dns",
    "tls",
    "breaker_open",
    "embed_failed",
    "embed_invalid",
    "store_missing",
    "store_damaged",
    "store_refused",
    "config",
    "guard_in",
    "guard_out",
    "shed",
    "budget",
    "cancelled",
    "internal",
]


class AnswerdeckError(Exception):
    """Base of every error we raise on purpose."""


class ConfigurationError(AnswerdeckError):
    """The configuration cannot be used; `problems` holds one sentence each, naming the key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class KnowledgeError(AnswerdeckError):
    """The knowledge base cannot be read or written; `error_class` says how."""

    def __init__(self, message: str, error_class: ErrorClass = "store_damaged") -> None:
        super().__init__(message)
        self.error_class: ErrorClass = error_class


class ConversationsError(AnswerdeckError):
    """The remembered conversations cannot be read or written now."""


class ModelError(AnswerdeckError):
    """A model call failed. `retry_after` is in seconds when the provider named one.

    `request_id` is the provider's name for the call. The message holds no key and no prompt.
    """

    def __init__(
        self,
        error_class: ErrorClass,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.error_class: ErrorClass = error_class
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id


class SessionsError(AnswerdeckError):
    """What all machines keep together cannot be reached now."""


class Refused(AnswerdeckError):
    """The request is not accepted: `code` for machines, the message for people; `param` is the field."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 422,
        retry_after: float | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.param = param
        self.retry_after = retry_after
