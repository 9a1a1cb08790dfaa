"""No planted secret reaches the journal; ordinary text passes untouched and fast."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import make_passage, make_score, make_trace
from traces.journal import Journal, encode
from traces.records import Case, Run, RunSettings, Span
from traces.redact import REDACTED, redact, suspect, suspect_text

BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"] * 3)
SECRETS = {  # each text, and the part of it that must be gone
    "openai": ("key sk-abcdefghijklmnopqrstuvwx end", "sk-abcdefghijklmnopqrstuvwx"),
    "openai project": ("sk-proj-Ab12_cd34-Ef56gh78Ij90Kl", "Ab12_cd34"),
    "anthropic": ("use sk-ant-api03-AbCd1234_efgh-5678IJKL please", "sk-ant-api03-AbCd1234"),
    "after a colon": ("OPENAI:sk-abcdefghijklmnop1234", "abcdefghijklmnop1234"),
    "stripe": ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39HqLyjWDarjtT1zdp7dc"),
    "aws id": ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "aws id in text": ("the id is AKIAIOSFODNN7EXAMPLE.", "IOSFODNN7"),
    "aws secret": ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
    "github": ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "16C7e42F292c"),
    "github fine": ("github_pat_11ABCDEFG0abcdefghijklmnop_qrstuv", "11ABCDEFG0"),
    "gitlab": ("glpat-abcdefghij1234567890", "abcdefghij1234567890"),
    "slack": ("xoxb-123456789012-abcdefghijkl", "123456789012"),
    "google": ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "SyA1234567890"),
    "hugging face": ("hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "abcdefghijklmnop"),
    "bearer": ("Authorization: Bearer abc123def456ghi789", "abc123def456ghi789"),
    "bearer alone": ("sent Bearer eW91IGZvdW5kIG1l0123 over", "eW91IGZvdW5kIG1l0123"),
    "basic": ("Authorization: Basic dXNlcjpwYXNzd29yZDE=", "dXNlcjpwYXNzd29yZDE"),
    "jwt": (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "eyJzdWIiOiIxMjM0In0",
    ),
    "private key": (
        f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----",
        "MIIEvQIBADAN",
    ),
    "openssh key": (
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{BODY}\n-----END OPENSSH PRIVATE KEY-----",
        "MIIEvQIBADAN",
    ),
    "cut key": (f"-----BEGIN PRIVATE KEY-----\n{BODY}", "MIIEvQIBADAN"),
    "key on one line": (
        f"-----BEGIN PRIVATE KEY-----\\n{BODY[:64]}\\n-----END PRIVATE KEY-----",
        "MIIEvQIBADAN",
    ),
    "password=": ("password=hunter2", "hunter2"),
    "Password =": ("Password = hunter2", "hunter2"),
    "PASSWORD:": ("DB_PASSWORD: s3cr3t!", "s3cr3t!"),
    "passwd=": ("--passwd=abcdefg", "abcdefg"),
    "pwd in odbc": ("Server=db;Uid=me;Pwd=topsecret;", "topsecret"),
    "password in json": ('{"user": "me", "password": "correct horse"}', "correct horse"),
    "password in escaped json": ('{\\"password\\": \\"correcthorse\\"}', "correcthorse"),
    "password in python": ("connect(password='correct horse')", "correct horse"),
    "password in yaml": ("password: Tr0ub4dor", "Tr0ub4dor"),
    "secret": ("client_secret=abcdef123456", "abcdef123456"),
    "api key": ("api_key=abcdef", "abcdef"),
    "api-key header": ("X-Api-Key: 12345abcdef", "12345abcdef"),
    "apikey in url": ("https://x.example/v1?apikey=zzz999yyy&x=1", "zzz999yyy"),
    "token in url": ("https://x.example/cb?access_token=ya29.abcdef", "ya29.abcdef"),
    "env": ("export OPENAI_API_KEY=plainvalue", "plainvalue"),
    "postgres": ("postgresql://app:s3cr3t@db.internal:5432/app", "s3cr3t"),
    "redis": ("redis://:p4ssw0rd@cache:6379/0", "p4ssw0rd"),
    "mongodb": ("mongodb+srv://app:hunter2@cluster0.example.net", "hunter2"),
    "http login": ("https://user:pass1234@example.com/path", "pass1234"),
    "azure": (
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ==",
        "Eby8vdM02xNOcqF",
    ),
}
HARMLESS = [
    "Open Settings and click Passwords: you can change yours there.",
    "Password: enter the password of the other user.",
    "The disk-management-application-for-gnome is a task-oriented program.",
    "See https://example.com:8080/@ada/page?x=1#token and mail ada@example.com",
    "Key: press Super. Keys = shortcuts.",
    "max_tokens: 1024, input_tokens=100",
    "-----\ntable\n-----\nBEGIN PRIVATE KEY is how such a file starts",
    "The bearer of this ticket; Basic authentication; Bearer authentication internationalization",
    "answer@v1 2026-11-23T05:00:00+00:00 01999f0a-3c1e-7abc-9def-0123456789ab",
    "eyJ is how a token begins. AKIA too. sk-learn is a library; risk-free.",
]


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_taken_out_of_a_text(kind: str):
    text, secret = SECRETS[kind]
    assert secret not in redact(text)
    assert REDACTED in redact(text)
    assert suspect_text(text), "the cheap look missed it"


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_in_the_middle_of_much_text(kind: str):
    text, secret = SECRETS[kind]
    prose = "Open Settings - and: choose = something @ home. B K z I J _ \n" * 60
    assert suspect_text(f"{prose} {text} {prose}")
    assert secret not in redact(f"{prose} {text} {prose}")


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_is_left_alone(text: str):
    assert redact(text) == text
    assert not suspect_text(text)


def test_no_planted_secret_reaches_the_journal(tmp_path: Path):
    journal = Journal(tmp_path)
    now = datetime.now(UTC)
    for text, _ in SECRETS.values():
        trace = make_trace(question=text, answer=text, standalone=text, error_class=text)
        key = trace.turn.turn_id
        journal.write(
            replace(
                trace,
                payload=replace(trace.payload, prompt=f"SYSTEM\n{text}\nEND", raw_response=text),
                passages=(make_passage(key, text=text, title=text, url=text),),
                spans=(Span(key, 0, None, text, "turn", 0.0, 0.0, {"header": text, "list": [{"x": text}]}),),
                scores=(make_score(key, reason=text),),
            )
        )
        journal.write(make_score("t", reason=text, tags=text))
        journal.write(
            Run(
                "r",
                "demo",
                "f",
                text,
                "failed",
                now,
                error=text,
                settings=RunSettings(title=text, retrieval={"url": text}),
            )
        )
        journal.write(Case("r", "c", text, history=[{"role": "user", "text": text}], must_contain=[text]))
    journal.close()
    (path,) = tmp_path.glob("*.jsonl")
    written = path.read_text()
    assert [kind for kind, (_, secret) in SECRETS.items() if secret in written] == []


def test_values_under_a_secrets_name_go_whatever_they_look_like():
    trace = make_trace()
    attributes = {"api_key": "plain", "db.password": "simple", "input_tokens": 3, "note": "kept"}
    span = Span(trace.turn.turn_id, 0, None, "turn", "turn", 0.0, 0.0, attributes)
    line = encode(replace(trace, spans=(span,))).decode()
    assert "plain" not in line
    assert "simple" not in line
    assert '"input_tokens":3,"note":"kept"' in line


def test_the_place_of_a_secret_is_still_told():
    assert redact("postgresql://app:s3cr3t@db/app") == "postgresql://app:[redacted]@db/app"
    assert redact('{"password": "a b", "x": 1}') == '{"password": "[redacted]", "x": 1}'
    assert redact("Authorization: Bearer abc123def456ghi789") == "Authorization: Bearer [redacted]"


@given(st.text(max_size=300))
def test_redacting_twice_changes_nothing_more(text: str):
    once = redact(text)
    assert redact(once) == once


@given(st.text(max_size=200), st.sampled_from(sorted(SECRETS)), st.text(max_size=200))
def test_what_redact_would_change_is_suspected(before: str, kind: str, after: str):
    text = f"{before}\n{SECRETS[kind][0]}\n{after}"
    assert suspect_text(text)


NASTY = [
    "eyJ",
    "eyJa.",
    "sk-",
    "a://",
    "a:@",
    "password=",
    "password: ",
    "-----BEGIN PRIVATE KEY-----",
    "Bearer ",
]
NASTY += ["@", "=", ":", '":"', "token ", "-", "api_key\\", "x" * 50 + "://", "Bearer x", "\\n", " \n"]


@pytest.mark.parametrize("piece", NASTY)
def test_no_text_makes_redaction_slow(piece: str):
    def spent(characters: int) -> float:
        text = (piece * (characters // len(piece) + 1))[:characters]
        began = time.process_time()
        suspect_text(text)
        redact(text)
        return time.process_time() - began

    spent(1000)
    assert spent(20_000) < 1.0


def test_every_free_text_of_a_trace_is_looked_at():
    secret = "sk-abcdefghijklmnopqrstuvwx"
    clean = make_trace()
    (passage,) = clean.passages
    assert not suspect(clean)
    for column in ("text", "title", "url", "chunk_id", "document_id"):
        assert suspect(replace(clean, passages=(replace(passage, **{column: secret}),))), column
    repeated = replace(clean.payload, prompt=f"SYSTEM\n{secret}")
    assert suspect(replace(clean, payload=repeated, passages=(replace(passage, text=secret),)))
