"""The one Settings: environment over `.env` over `config.toml`, checked whole at start."""

from __future__ import annotations

import difflib
import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from pipeline.auth import DEFAULT, is_workspace, workspace_named
from pipeline.configuration import gated
from pipeline.configuration.chat_section import Chat
from pipeline.configuration.data_folder import DataFolder
from pipeline.configuration.sections import (
    RERANKERS,
    Alerts,
    Auth,
    Budgets,
    Cache,
    Evals,
    Gate,
    Guardrails,
    KnowledgeBases,
    Limits,
    Memory,
    Models,
    Prompts,
    Retrieval,
    Server,
    Telemetry,
    Traces,
)
from pipeline.databases import redis_server
from pipeline.errors import ConfigurationError
from traces import engines
from traces.engine import EMBEDDED

DEFAULTS = Path(__file__).parent / "config.toml"
PREFIX = "ANSWERDECK_"
ELSEWHERE = ("ANSWERDECK_TARGET_KEY",)  # variables of commands, which are no keys of the configuration
SECRET = (
    "auth.",
    "guardrails.moderator.key",
    "chat.contact_webhook",
    "ledger",
    "sessions",
)  # keys whose values are never repeated


class Settings(BaseSettings):
    """Everything that can be set; other code receives values, not this object."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_file=".env", extra="forbid", frozen=True
    )

    data_dir: Path = Path(".data")
    ledger: SecretStr = SecretStr(EMBEDDED)
    sessions: SecretStr = SecretStr(EMBEDDED)
    kb: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    workspace: str = DEFAULT
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
    telemetry: Telemetry = Telemetry()
    guardrails: Guardrails
    chat: Chat = Chat()
    auth: Auth = Auth()
    traces: Traces
    gate: Gate
    evals: Evals

    @property
    def own(self) -> DataFolder:
        """Where the prompts, evalsets and choices of the workspace lie."""
        return DataFolder(self.data_dir).within(self.workspace)

    @field_validator("workspace")
    @classmethod
    def _workspace(cls, value: str) -> str:
        return workspace_named(value)

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

    @model_validator(mode="after")
    def _kept_here(self) -> Settings:
        if self.chat.uploads != "off" and self.knowledge.place != EMBEDDED:
            raise ValueError(
                "chat.uploads: people's own documents lie in the data folder of one machine; they cannot be"
                " switched on together with knowledge.place, which machines share"
            )
        if self.chat.uploads != "off" and self.sessions.get_secret_value() != EMBEDDED:
            raise ValueError(
                "chat.uploads: people's own documents lie in the data folder of one machine, and sessions is"
                " for several; set ANSWERDECK_CHAT__UPLOADS=off, or unset ANSWERDECK_SESSIONS for one"
            )
        return self

    @model_validator(mode="after")
    def _leased(self) -> Settings:
        if self.knowledge.place != EMBEDDED and self.ledger.get_secret_value() == EMBEDDED:
            raise ValueError(
                "knowledge.place: documents that machines share need ANSWERDECK_LEDGER=postgresql://…, whose"
                " database keeps two machines from writing at once"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        values = [source() for source in (init_settings, env_settings, dotenv_settings)]  # each is read once
        given = {key: value for part in reversed(values) for key, value in part.items()}
        folder = DataFolder(Path(given.get("data_dir") or ".data"))
        whose = given.get("workspace") or DEFAULT
        chosen = gated.read(folder.within(whose).path) if is_workspace(whose) else []
        gate: dict[str, Any] = {"gate": {"evalsets": chosen}} if chosen else {}
        return tuple(InitSettingsSource(settings_cls, part) for part in (*values, gate, _defaults(DEFAULTS)))


@cache
def _defaults(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def load_settings(**overrides: Any) -> Settings:
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
    """Name the secrets that the chosen models and places need and the environment lacks."""
    models = settings.models
    routes = (models.routes.cheap, models.routes.strong)
    names = [name or "" for name in (models.primary, models.fallback, *routes, settings.embedder)]
    names.append(settings.retrieval.reranker)
    problems: list[str] = []
    secrets = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
    secrets |= {name: key for name, key in RERANKERS.items() if key}
    names.append(settings.knowledge.place)
    secrets |= {"db": "LANCEDB_API_KEY"}  # of db://database
    for provider, variable in secrets.items():
        if any(name.startswith(f"{provider}:") for name in names):
            value = os.environ.get(variable, "")
            if not value:
                problems.append(f"{variable}: not set, and {provider} is in use; export {variable}=...")
            elif value != value.strip() or "\n" in value:
                problems.append(f"{variable}: has spaces or a line break around it; export it again without")
    return list(dict.fromkeys(problems))


def _unknown_variables() -> list[str]:
    """Name ANSWERDECK_ variables whose first part means nothing; pydantic finds wrong nested ones itself."""
    keys = _keys(Settings, "")
    problems: list[str] = []
    for variable in sorted(os.environ.keys() - set(ELSEWHERE)):
        key = variable.removeprefix(PREFIX).lower().replace("__", ".")
        if variable.startswith(PREFIX) and key.partition(".")[0] not in keys:
            problems.append(f"{variable}: unknown key{_suggest(key, keys)}")
    return problems


def _keys(model: type[BaseModel], prefix: str) -> set[str]:
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys.add(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= _keys(field.annotation, f"{prefix}{name}.")
    return keys


def _suggest(key: str, keys: set[str]) -> str:
    close = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
    if not close:
        return f"; the keys are in {DEFAULTS.name}"
    return f"; did you mean {PREFIX}{close[0].upper().replace('.', '__')} ({close[0]})?"


def _sentence(detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key{_suggest(key, _keys(Settings, ''))}"
    message = detail["msg"].removeprefix("Value error, ")
    if not key:
        return message  # of several keys: what was given is the whole configuration, secrets included
    if key.startswith(SECRET):
        return f"{key}: {message}"  # the value may be a secret, so it is not repeated
    return f"{key}: {message} (got {detail['input']!r})"
