import os
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError
from pipeline.settings import load_settings

BROKEN = [
    ("ANSWERDECK_MODELS__PRIMERY", "x", "did you mean ANSWERDECK_MODELS__PRIMARY"),
    ("ANSWERDECK_MODLES__PRIMARY", "x", "did you mean ANSWERDECK_MODELS__PRIMARY"),
    ("ANSWERDECK_EMBEDER", "minilm", "did you mean ANSWERDECK_EMBEDDER"),
    ("ANSWERDECK_MODELS__PRIMARY", "gpt-6-luna", "models.primary: 'gpt-6-luna' is unknown"),
    ("ANSWERDECK_MODELS__PRIMARY", "openai:", "models.primary: 'openai:' is unknown"),
    ("ANSWERDECK_MODELS__PRIMARY", "", "models.primary: '' is unknown"),
    ("ANSWERDECK_MODELS__FALLBACK", "extractive", "fallback is the same model as primary"),
    ("ANSWERDECK_MODELS__OPENAI__BASE_URL", "ftp://x", "models.openai.base_url"),
    ("ANSWERDECK_EMBEDDER", "bert", "embedder: 'bert' is unknown"),
    ("ANSWERDECK_SERVER__PORT", "0", "server.port"),
    ("ANSWERDECK_SERVER__PORT", "70000", "server.port"),
    ("ANSWERDECK_SERVER__PORT", "web", "server.port"),
    ("ANSWERDECK_RETRIEVAL__PASSAGES", "0", "retrieval.passages"),
    ("ANSWERDECK_RETRIEVAL__PASSAGES", "2.5", "retrieval.passages"),
    ("ANSWERDECK_RETRIEVAL__TEXT_WEIGHT", "nan", "retrieval.text_weight"),
    ("ANSWERDECK_RETRIEVAL__TEXT_WEIGHT", "-1", "retrieval.text_weight"),
    ("ANSWERDECK_RETRIEVAL__FLOOR", "1.5", "retrieval.floor"),
    ("ANSWERDECK_RETRIEVAL__SPARSE", "on", "retrieval.sparse"),
    ("ANSWERDECK_LIMITS__TURN_SECONDS", "0", "limits.turn_seconds"),
    ("ANSWERDECK_LIMITS__TURN_SECONDS", "inf", "limits.turn_seconds"),
    ("ANSWERDECK_LIMITS__REQUESTS_PER_MINUTE", "-5", "limits.requests_per_minute"),
    ("ANSWERDECK_GUARDRAILS__INJECTION", "maybe", "guardrails.injection"),
    ("ANSWERDECK_TRACES__DURABILITY", "none", "traces.durability"),
    ("ANSWERDECK_TRACES__MASK", "all", "traces.mask"),
    ("ANSWERDECK_TRACES__TURN_DAYS", "7", "traces.turn_days: must not be under traces.payload_days (30)"),
    ("ANSWERDECK_KB", "../other", "kb"),
    ("ANSWERDECK_PROMPTS__ANSWER", "answer-v1", "prompts.answer"),
]


@pytest.mark.parametrize(("variable", "value", "message"), BROKEN)
def test_a_broken_value_names_its_key(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert any(message in problem for problem in error.value.problems), error.value.problems
    assert len(error.value.problems) == 1


def test_all_problems_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_SERVER__PORT", "0")
    monkeypatch.setenv("ANSWERDECK_COLOUR", "red")
    monkeypatch.setenv("ANSWERDECK_MODELS__PRIMARY", "openai:gpt-6-luna")
    with pytest.raises(ConfigurationError) as error:
        load_settings()
    assert len(error.value.problems) == 2
    monkeypatch.delenv("ANSWERDECK_COLOUR")
    monkeypatch.delenv("ANSWERDECK_SERVER__PORT")
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY: not set"):
        load_settings()


@pytest.mark.parametrize("key", ["", " sk-x", "sk-x\n"])
def test_a_key_that_cannot_work_is_found_at_start_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("ANSWERDECK_MODELS__FALLBACK", "anthropic:claude-haiku-5-5")
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY") as error:
        load_settings()
    assert "sk-x" not in str(error.value)


def test_environment_goes_before_dotenv_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("ANSWERDECK_KB=from_env_file\nANSWERDECK_RETRIEVAL__PASSAGES=3\n")
    assert load_settings().kb == "from_env_file"
    monkeypatch.setenv("ANSWERDECK_KB", "from_environment")
    settings = load_settings()
    assert (settings.kb, settings.retrieval.passages) == ("from_environment", 3)
    assert settings.retrieval.candidates == 20
    assert load_settings(kb="from_caller").kb == "from_caller"


def test_an_unknown_key_in_dotenv_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("ANSWERDECK_RETRIEVAL__PASAGES=3\n")
    with pytest.raises(ConfigurationError, match="did you mean ANSWERDECK_RETRIEVAL__PASSAGES"):
        load_settings()
    assert "ANSWERDECK_RETRIEVAL__PASAGES" not in os.environ


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ANSWERDECK_SESSIONS", "redis://127.0.0.1:6379", "unset ANSWERDECK_SESSIONS for one"),
        ("ANSWERDECK_KNOWLEDGE__PLACE", "s3://bucket/x", "together with knowledge.place"),
    ],
)
def test_own_documents_are_refused_where_several_machines_serve(
    variable: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_CHAT__UPLOADS", "private")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=says):
        load_settings()
