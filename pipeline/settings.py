"""The one Settings: environment over `.env` over `config.toml`, checked whole at start."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from pipeline import gated, redis_server
from pipeline.auth import Keys
from pipeline.errors import ConfigurationError
from traces import engines
from traces.alerts.quiet import Quiet
from traces.engine import EMBEDDED

DEFAULTS = Path(__file__).parent / "config.toml"
PREFIX = "ANSWERDECK_"
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Dollars = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=1, le=65535)]
Policy = Literal["block", "flag", "off"]
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")
ELSEWHERE = ("ANSWERDECK_TARGET_KEY",)  # variables of commands, which are no keys of the configuration
SECRET = ("auth.", "ledger", "sessions")  # keys whose values are never repeated
PROVIDERS = ("openai", "anthropic", "local")
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


class Retrieval(Section):
    candidates: int = Field(ge=1, le=50)
    passages: int = Field(ge=1, le=20)
    whole_tokens: int = Field(25_000, ge=0, le=1_000_000)
    text_weight: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
    floor: Share
    reranker: str = "embedded"
    reranker_url: str | None = None
    reranker_seconds: Seconds = 0.8

    @field_validator("reranker")
    @classmethod
    def _reranks(cls, value: str) -> str:
        provider, _, model = value.partition(":")
        if value != "embedded" and not (provider in RERANKERS and model):
            raise ValueError(
                f"{value!r} is unknown; use embedded, cohere:<model>, jina:<model>, voyage:<model>,"
                " local:<model> or tei:<model>"
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


class Guardrails(Section):
    injection: Policy
    harm: Policy
    scope: Policy
    planted: Literal["hold", "mark", "off"]
    ungrounded: Literal["mark", "retract", "off"]
    pii: Literal["mask", "flag", "off"]
    links: Literal["keep", "strip"]


class Auth(Section):
    keys: SecretStr = SecretStr("")

    @field_validator("keys")
    @classmethod
    def _readable(cls, value: SecretStr) -> SecretStr:
        Keys(value.get_secret_value())
        return value


class Traces(Section):
    durability: Literal["background", "fsync"]
    payload_days: int = Field(ge=1)


class Gate(Section):
    evalsets: list[str] = Field(min_length=1)
    slower: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
    dearer: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
    loss: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.1
    blind: Literal["refuse", "note"] = "refuse"
    after_deployment: bool


class Evals(Section):
    judge_floor: Share


class Settings(BaseSettings):
    """Everything that can be set; other code receives values, not this object."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_file=".env", extra="forbid", frozen=True
    )

    data_dir: Path = Path(".data")
    ledger: SecretStr = SecretStr(EMBEDDED)
    sessions: SecretStr = SecretStr(EMBEDDED)
    kb: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    embedder: str
    server: Server
    models: Models
    prompts: Prompts
    knowledge: KnowledgeBases
    retrieval: Retrieval
    cache: Cache = Cache()
    memory: Memory
    limits: Limits
    budgets: Budgets = Budgets()
    alerts: Alerts = Alerts()
    guardrails: Guardrails
    auth: Auth = Auth()
    traces: Traces
    gate: Gate
    evals: Evals

    @field_validator("ledger")
    @classmethod
    def _ledger(cls, value: SecretStr) -> SecretStr:
        if (problem := engines.wrong(value.get_secret_value())) is not None:
            raise ValueError(problem)
        return value

    @field_validator("sessions")
    @classmethod
    def _sessions(cls, value: SecretStr) -> SecretStr:
        if (problem := redis_server.wrong(value.get_secret_value())) is not None:
            raise ValueError(problem)
        return value

    @field_validator("embedder")
    @classmethod
    def _embedder(cls, value: str) -> str:
        if value != "minilm" and value.partition(":")[0] not in ("openai", "local"):
            raise ValueError(f"{value!r} is unknown; use minilm, openai:<model> or local:<model>")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, DEFAULTS)
        said = (init_settings, env_settings, dotenv_settings)
        folder = next((data_dir for source in said if (data_dir := source().get("data_dir"))), Path(".data"))
        chosen = gated.read(Path(folder))
        kept: dict[str, Any] = {"gate": {"evalsets": chosen}} if chosen else {}
        return *said, InitSettingsSource(settings_cls, kept), toml


def check_model(name: str) -> str:
    """Return the model's name, or raise ValueError saying which names exist."""
    provider, _, model = name.partition(":")
    if name == "extractive" or (provider in PROVIDERS and model):
        return name
    raise ValueError(
        f"{name!r} is unknown; use extractive, openai:<model>, anthropic:<model> or local:<model>"
    )


def load(**overrides: Any) -> Settings:
    """Read and check the configuration; raises ConfigurationError with every problem found."""
    problems = _unknown_variables()
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        problems += [_sentence(detail) for detail in error.errors()]
        raise ConfigurationError(problems) from None
    except SettingsError as error:
        raise ConfigurationError([*problems, _unreadable(error)]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError([*problems, f"cannot read {DEFAULTS.name} or .env: {error}"]) from None
    problems += _missing_keys(settings)
    if problems:
        raise ConfigurationError(problems)
    return settings


def _unreadable(error: SettingsError) -> str:
    """Say which variable is no JSON; its value may be a key, so it is not repeated."""
    text = getattr(error.__cause__, "doc", None)
    names = sorted(name for name, value in os.environ.items() if name.startswith(PREFIX) and value == text)
    where = ", ".join(names) or f"{str(error).partition(' from source')[0]} in .env"
    return f"""{where}: lists and tables are written as JSON, such as '["a", "b"]'"""


def _missing_keys(settings: Settings) -> list[str]:
    """Name the secrets that the chosen models need and the environment lacks."""
    models = settings.models
    routes = (models.routes.cheap, models.routes.strong)
    wanted = [name or "" for name in (models.primary, models.fallback, *routes, settings.embedder)]
    wanted.append(settings.retrieval.reranker)
    problems: list[str] = []
    secrets = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
    secrets |= {name: key for name, key in RERANKERS.items() if key}
    for provider, variable in secrets.items():
        if any(name.startswith(f"{provider}:") for name in wanted):
            value = os.environ.get(variable, "")
            if not value:
                problems.append(f"{variable}: not set, and {provider} is in use; export {variable}=...")
            elif value != value.strip() or "\n" in value:
                problems.append(f"{variable}: has spaces or a line break around it; export it again without")
    return list(dict.fromkeys(problems))


def _unknown_variables() -> list[str]:
    """Name ANSWERDECK_ variables whose first part means nothing; pydantic finds wrong nested ones itself."""
    known = _keys(Settings, "")
    problems: list[str] = []
    for variable in sorted(os.environ.keys() - set(ELSEWHERE)):
        key = variable.removeprefix(PREFIX).lower().replace("__", ".")
        if variable.startswith(PREFIX) and key.partition(".")[0] not in known:
            problems.append(f"{variable}: unknown key{_suggest(key, known)}")
    return problems


def _keys(model: type[BaseModel], prefix: str) -> set[str]:
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys.add(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= _keys(field.annotation, f"{prefix}{name}.")
    return keys


def _suggest(key: str, known: set[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if not close:
        return f"; the keys are in {DEFAULTS.name}"
    return f"; did you mean {PREFIX}{close[0].upper().replace('.', '__')} ({close[0]})?"


def _sentence(detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key{_suggest(key, _keys(Settings, ''))}"
    message = detail["msg"].removeprefix("Value error, ")
    if key.startswith(SECRET):
        return f"{key}: {message}"  # the value may be a secret, so it is not repeated
    return f"{key}: {message} (got {detail['input']!r})"
