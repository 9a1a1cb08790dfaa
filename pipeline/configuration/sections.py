"""The sections of the configuration: what each key may be, and what goes with what."""

from __future__ import annotations

import re
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from pipeline.auth import Keys, Role
from traces.alerts.quiet import Quiet
from traces.engine import EMBEDDED

Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Dollars = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=1, le=65535)]
Policy = Literal["block", "flag", "off"]
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")
_DATABASE = re.compile(r"db://[A-Za-z0-9][A-Za-z0-9_-]{0,62}")  # of LanceDB's own service
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?")
PROVIDERS = ("openai", "anthropic", "local")
OWN_RERANKERS = ("embedded", "cross_encoder")
RERANKERS = {  # with the variable that holds the key, when they want one
    "cohere": "COHERE_API_KEY",
    "jina": "JINA_API_KEY",
    "voyage": "VOYAGE_API_KEY",
    "local": None,
    "tei": None,
}


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    host: str
    port: Port
    console_port: Port
    workers: int = Field(ge=1, le=64)
    origins: list[str] = []
    prefix: str = ""
    console_prefix: str = ""
    console_hosts: list[str] = []
    trusted_proxies: list[str] = ["127.0.0.1", "::1"]

    @field_validator("prefix", "console_prefix")
    @classmethod
    def _path(cls, value: str) -> str:
        if value and not _PREFIX.fullmatch(value):
            raise ValueError(f"{value!r} is no path; write /help, without a slash at the end")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for name in value:
            try:
                ip_network(name, strict=False)
            except ValueError:
                raise ValueError(f"{name!r} is no address or network; write 10.0.0.7 or 10.0.0.0/8") from None
        return value

    @field_validator("origins")
    @classmethod
    def _sites(cls, value: list[str]) -> list[str]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin; write https://www.example.com, without a path")
        return value


class Endpoint(Section):
    base_url: str | None = None
    requests_per_minute: int | None = Field(None, ge=1)  # what the provider allows
    tokens_per_minute: int | None = Field(None, ge=1)
    context_window: int | None = Field(None, ge=1_000)  # tokens its models read, where not published

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} is not an http(s) address")
        return value


class ModelRates(Section):
    """What a model costs, in US dollars per million tokens."""

    input_per_million: Dollars
    output_per_million: Dollars
    cache_read_per_million: Dollars | None = None
    cache_write_per_million: Dollars | None = None


class Routes(Section):
    on: bool = False
    cheap: str | None = None
    strong: str | None = None
    escalate_below: Share = 0.5

    @field_validator("cheap", "strong")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return None if value is None else check_model(value)

    @model_validator(mode="after")
    def _both(self) -> Routes:
        if self.on and (self.cheap is None or self.strong is None):
            raise ValueError("routes are on, so name both cheap and strong")
        return self


class Models(Section):
    primary: str
    fallback: str | None = None
    cross_encoder: bool = True
    max_output_tokens: int = Field(ge=16, le=128_000)
    connect_seconds: Seconds
    first_token_seconds: Seconds
    gap_seconds: Seconds
    slow_seconds: Seconds = 8.0
    openai: Endpoint
    anthropic: Endpoint
    local: Endpoint
    prices: dict[str, ModelRates] = {}
    routes: Routes = Routes()

    @field_validator("primary", "fallback")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return None if value is None else check_model(value)

    @field_validator("prices")
    @classmethod
    def _priced(cls, value: dict[str, ModelRates]) -> dict[str, ModelRates]:
        for name in value:
            check_model(name)
        return value

    @model_validator(mode="after")
    def _differ(self) -> Models:
        if self.fallback == self.primary:
            raise ValueError("fallback is the same model as primary; remove it or name another")
        return self


class Prompts(Section):
    folder: Path | None = None
    answer: str = Field(pattern=r"^[a-z_]+@v\d+$")
    condense: str = Field(pattern=r"^[a-z_]+@v\d+$")


class KnowledgeBases(Section):
    releases: int = Field(ge=1, le=1_000)
    place: str = EMBEDDED

    @field_validator("place")
    @classmethod
    def _place(cls, value: str) -> str:
        if value != EMBEDDED and not _BUCKET.fullmatch(value) and not _DATABASE.fullmatch(value):
            raise ValueError('no such place; use "embedded", s3://bucket/prefix or db://database')
        return value.rstrip("/")


class Retrieval(Section):
    candidates: int = Field(ge=1, le=50)
    passages: int = Field(ge=1, le=20)
    whole_tokens: int = Field(25_000, ge=0, le=1_000_000)
    text_weight: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
    sparse: Literal["auto", "off"] = "auto"
    floor: Share
    reranker: str = "embedded"
    reranker_url: str | None = None
    reranker_seconds: Seconds = 0.8

    @field_validator("reranker")
    @classmethod
    def _reranks(cls, value: str) -> str:
        provider, _, model = value.partition(":")
        if value not in OWN_RERANKERS and not (provider in RERANKERS and model):
            raise ValueError(
                f"{value!r} is unknown; use embedded, cross_encoder, cohere:<model>, jina:<model>,"
                " voyage:<model>, local:<model> or tei:<model>"
            )
        return value

    @model_validator(mode="after")
    def _addressed(self) -> Retrieval:
        if self.reranker.partition(":")[0] in ("local", "tei") and self.reranker_url is None:
            raise ValueError(f"{self.reranker!r} has no address of its own; set retrieval.reranker_url")
        if self.reranker_url is not None and not self.reranker_url.startswith(("http://", "https://")):
            raise ValueError(f"reranker_url: {self.reranker_url!r} is not an http(s) address")
        return self


class Cache(Section):
    passages: bool = True
    answers: bool = False
    share: Literal["user", "workspace"] = "workspace"
    checked: Share = 0.05


class Memory(Section):
    turns: int = Field(ge=0, le=100)
    tokens: int = Field(ge=0, le=200_000)
    context_tokens: int = Field(ge=500, le=1_000_000)


class Limits(Section):
    question_characters: int = Field(ge=1, le=100_000)
    body_bytes: int = Field(ge=1_000, le=50_000_000)
    requests_per_minute: int = Field(ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    user_turns: int = Field(ge=1)
    running_turns: int = Field(ge=1, le=10_000)
    queued_turns: int = Field(ge=0, le=100_000)
    queue_seconds: Seconds
    expected_turns_per_minute: int | None = Field(None, ge=1)
    turn_seconds: Seconds
    stop_seconds: Seconds


class Budgets(Section):
    user_day_usd: Dollars | None = None
    day_usd: Dollars | None = None
    month_usd: Dollars | None = None
    eval_day_usd: Dollars | None = None
    unpriced: Literal["allow", "refuse"] = "allow"


class Telemetry(Section):
    endpoint: str | None = Field(default=None, pattern="^https?://")
    texts: bool = False
    headers: dict[str, SecretStr] = {}


class Alerts(Section):
    webhooks: list[str] = []
    targets: list[
        SecretStr
    ] = []  # addresses of Slack, Teams, e-mail, PagerDuty and others; they hold secrets
    turn_seconds: Seconds = 10.0
    first_token_seconds: Seconds = 3.0
    conversation_usd: Dollars | None = None
    quiet_hours: str | None = None
    console_url: str | None = None

    @field_validator("webhooks")
    @classmethod
    def _http(cls, value: list[str]) -> list[str]:
        if not all(url.startswith(("http://", "https://")) for url in value):
            raise ValueError("every webhook must be an http(s) address")
        return value

    @field_validator("quiet_hours")
    @classmethod
    def _hours(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                Quiet.parse(value)
            except (ValueError, LookupError) as error:
                raise ValueError(f"write it like '22:00-07:00 Europe/Berlin' ({error})") from None
        return value


class Moderation(Section):
    """A moderator elsewhere that is asked about questions in the grey zone."""

    protocol: Literal["off", "openai", "llama-guard"] = "off"
    base_url: str = "https://api.openai.com/v1"
    model: str = "omni-moderation-latest"
    key: SecretStr = SecretStr("")
    seconds: Seconds = 1.5
    categories: dict[str, Policy] = {}
    failing: dict[Literal["harm", "injection", "distress"], Literal["open", "closed"]] = {}

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} is not an http(s) address")
        return value


class Guardrails(Section):
    injection: Policy
    harm: Policy
    scope: Policy
    planted: Literal["hold", "mark", "off"]
    ungrounded: Literal["mark", "retract", "off"]
    pii: Literal["mask", "flag", "off"]
    links: Literal["keep", "strip"]
    regions: tuple[str, ...] = ("US",)
    moderator: Moderation = Moderation()


class Oidc(Section):
    """An OpenID Connect provider at which people sign in."""

    issuer: str | None = None
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    scopes: str = "openid profile email"
    name_claim: str = "email"
    role_claim: str = "roles"
    roles: dict[str, Role] = {}
    default_role: Role | None = None
    workspace_claim: str | None = None

    @model_validator(mode="after")
    def _usable(self) -> Oidc:
        if self.issuer is None:
            return self
        if not re.match(r"https://|http://(localhost|127\.0\.0\.1|\[::1\])(:|/|$)", self.issuer):
            raise ValueError("issuer must be an https address")
        if not self.client_id:
            raise ValueError("client_id is missing: the name under which the provider knows this chat")
        if not self.roles and self.default_role is None:
            raise ValueError('nobody would get in: set roles (\'{"staff": "user"}\') or default_role')
        if find_spec("joserfc") is None:
            raise ValueError('a provider needs a library: pip install "answerdeck[oidc]"')
        return self


class Auth(Section):
    keys: SecretStr = SecretStr("")
    oidc: Oidc = Oidc()

    @field_validator("keys")
    @classmethod
    def _readable(cls, value: SecretStr) -> SecretStr:
        Keys(value.get_secret_value())
        return value


class Traces(Section):
    durability: Literal["background", "fsync"]
    mask: Literal["off", "pii"]
    payload_days: int = Field(ge=1)
    turn_days: int | None = Field(None, ge=1)

    @field_validator("turn_days")
    @classmethod
    def _payloads_first(cls, value: int | None, info: ValidationInfo) -> int | None:
        least = info.data.get("payload_days", 1)
        if value is not None and value < least:
            raise ValueError(f"must not be under traces.payload_days ({least}): texts go first")
        return value


class Gate(Section):
    evalsets: list[str] = Field(min_length=1)
    slower: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
    dearer: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
    loss: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.1
    blind: Literal["refuse", "note"] = "refuse"
    after_deployment: bool


class Evals(Section):
    judge_floor: Share


def check_model(name: str) -> str:
    """Return the model's name, or raise ValueError saying which names exist."""
    provider, _, model = name.partition(":")
    if name == "extractive" or (provider in PROVIDERS and model):
        return name
    raise ValueError(
        f"{name!r} is unknown; use extractive, openai:<model>, anthropic:<model> or local:<model>"
    )
