"""`answerdeck doctor`: looks at a set-up and says what is wrong and what to do."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

import typer

from console.binding import exposed
from console.commands.screen import emit, table
from pipeline import build, providers
from pipeline.databases import redis_server
from pipeline.errors import AnswerdeckError, ConfigurationError, KnowledgeError
from pipeline.knowledge.cross_encoder import CrossEncoder
from pipeline.knowledge.index import Knowledge
from pipeline.settings import Settings, load_settings
from pipeline.troubles import ledger_trouble, sessions_trouble
from traces.engine import EMBEDDED
from traces.errors import TracesError
from traces.queries.costs import AverageTurn, per_turn
from traces.queries.window import Window


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """One thing looked at. `ok` None means: works without it."""

    what: str
    ok: bool | None
    detail: str


def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check configuration, data folder, knowledge base, models and traces."""
    findings = list(_findings(load_settings()))
    if json:
        emit([{"what": f.what, "ok": f.ok, "found": f.detail} for f in findings])
    else:
        marks = {True: "ok", False: "WRONG", None: "note"}
        table(("", "what", "found"), ((marks[f.ok], f.what, f.detail) for f in findings))
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(1)


def _findings(settings: Settings) -> Iterator[DoctorCheck]:
    problems = [*_problems(settings), *exposed(settings, settings.server.host)]
    yield from (DoctorCheck("configuration", False, problem) for problem in problems)
    if any(problem.startswith("data_dir:") for problem in problems):
        return  # nothing else can be looked at
    if not problems:
        yield DoctorCheck("configuration", True, "every key is known and valid")
    yield from _data(settings)
    yield from asyncio.run(_knowledge(settings))
    yield from _models(settings)
    yield from _limits(settings)
    yield from _prices(settings)
    yield from _traces(settings)
    yield from _sessions(settings)
    for name, port in (("chat", settings.server.port), ("console", settings.server.console_port)):
        running = _listens("127.0.0.1", port)
        yield DoctorCheck(f"{name} port {port}", None if running else True, "in use" if running else "free")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    yield DoctorCheck("PDF reports", True if browser else None, browser or "no Chromium; other formats work")


def _problems(settings: Settings) -> list[str]:
    """Return what would keep the chat from starting."""
    try:
        build.check(settings)
    except ConfigurationError as error:
        return error.problems
    return []


def _data(settings: Settings) -> Iterator[DoctorCheck]:
    folder = settings.data_dir.absolute()
    usage = shutil.disk_usage(folder if folder.exists() else folder.parent)
    free = usage.free / 1e9
    yield DoctorCheck("data folder", free > 1, f"{folder} ({free:.0f} GB free)")


async def _knowledge(settings: Settings) -> list[DoctorCheck]:
    chosen = providers.embedder(settings)
    findings: list[DoctorCheck] = []
    try:
        vector = await chosen.embed_query("Does the embedder work?")
        findings.append(DoctorCheck("embedder", True, f"{chosen.fingerprint}, {len(vector)} dimensions"))
    except AnswerdeckError as error:
        findings.append(DoctorCheck("embedder", False, str(error)))
    try:
        findings += await _base(settings, build.knowledge(settings, chosen))
    except KnowledgeError as error:  # whoever keeps the documents refuses, and all else is still to be said
        findings.append(DoctorCheck(f"knowledge base {settings.kb}", False, str(error)))
    return findings


async def _base(settings: Settings, knowledge: Knowledge) -> list[DoctorCheck]:
    findings: list[DoctorCheck] = []
    status = await knowledge.status(settings.kb)
    if status.version is not None:
        try:
            await knowledge.open(settings.kb)
        except KnowledgeError as error:
            status = replace(status, problem=str(error))
    about = f"{status.documents} documents, {status.chunks} chunks, version {status.version}"
    if status.problem is not None and settings.kb in await knowledge.names():
        findings.append(DoctorCheck(f"knowledge base {settings.kb}", False, status.problem))
    elif not knowledge.exists(settings.kb) and settings.kb != build.SAMPLE_KB:
        hint = f"there is none of this name; make it with: answerdeck ingest PATH --kb {settings.kb}"
        findings.append(DoctorCheck(f"knowledge base {settings.kb}", False, hint))
    elif status.documents == 0:
        hint = "empty; `answerdeck up` loads the sample, `answerdeck ingest PATH` yours"
        findings.append(DoctorCheck(f"knowledge base {settings.kb}", None, hint))
    else:
        findings.append(DoctorCheck(f"knowledge base {settings.kb}", True, about))
        voice = status.sparse or ""
        findings.append(DoctorCheck("learned-sparse voice", voice.startswith("heard") or None, voice))
    return findings


def _models(settings: Settings) -> Iterator[DoctorCheck]:
    models = settings.models
    if models.cross_encoder:
        trouble = CrossEncoder().trouble
        about = "read: question and text together" if trouble is None else f"not read: {trouble}"
        yield DoctorCheck("cross-encoder of the embedded model", trouble is None or None, about)
    urls = {
        "openai": models.openai.base_url or "https://api.openai.com",
        "anthropic": models.anthropic.base_url or "https://api.anthropic.com",
        "local": models.local.base_url or "",
    }
    for name in _used(settings):
        url = urlsplit(urls[name.partition(":")[0]])
        port = url.port or (443 if url.scheme == "https" else 80)
        reached = _listens(url.hostname or "", port)
        where = f"{url.hostname}:{port}"
        yield DoctorCheck(
            f"model {name}", reached, f"{where} answers" if reached else f"{where} is not reachable"
        )
    if models.primary == "extractive":
        yield DoctorCheck("model extractive", True, "built in, needs nothing")


def _limits(settings: Settings) -> Iterator[DoctorCheck]:
    """Say whether the expected peak fits what the providers allow."""
    used = dict.fromkeys(name.partition(":")[0] for name in _used(settings))
    endpoints = {name: getattr(settings.models, name) for name in used}
    limited = {
        name: item for name, item in endpoints.items() if item.requests_per_minute or item.tokens_per_minute
    }
    if not limited:
        return
    turns = settings.limits.expected_turns_per_minute
    if turns is None:
        yield DoctorCheck(
            "provider limits", None, "set limits.expected_turns_per_minute to see whether they fit"
        )
        return
    calls, tokens, source = _per_turn(settings)
    for name, endpoint in limited.items():
        needs = (
            ("requests", turns * calls, endpoint.requests_per_minute),
            ("tokens", turns * tokens, endpoint.tokens_per_minute),
        )
        for what, need, limit in needs:
            if limit is not None:
                about = f"{turns} turns a minute need {need:,.0f} of {limit:,} ({source})"
                yield DoctorCheck(f"{name} {what} a minute", need <= limit, about)


def _per_turn(settings: Settings) -> tuple[float, float, str]:
    """Return calls and tokens of a turn, and where the numbers come from."""
    now = datetime.now(UTC)
    try:
        with build.store(settings).read() as ledger:
            seen = per_turn(ledger, Window(now - timedelta(days=30), now))
    except (TracesError, OSError):
        seen = AverageTurn(0, None, None)
    if seen.turns >= 30 and seen.calls and seen.tokens:
        return seen.calls, seen.tokens, f"as the last {seen.turns:,} turns"
    most = settings.memory.context_tokens + settings.models.max_output_tokens
    return 1.0, float(most), "the largest turn there may be, for want of traffic"


def _prices(settings: Settings) -> Iterator[DoctorCheck]:
    """Say which models a budget cannot count."""
    budgets = settings.budgets
    if budgets.user_day_usd is None and budgets.day_usd is None and budgets.month_usd is None:
        return
    prices = build.prices(settings)
    for name in _used(settings):
        if prices.rates(name) is None:
            what = "its turns count in no budget" if budgets.unpriced == "allow" else "it is never asked"
            yield DoctorCheck(f"price of {name}", False, f'unknown: {what}; set models.prices."{name}"')


def _used(settings: Settings) -> list[str]:
    models = settings.models
    names = (models.primary, models.fallback, models.routes.cheap, models.routes.strong)
    return list(dict.fromkeys(name for name in names if name and name != "extractive"))


def _traces(settings: Settings) -> Iterator[DoctorCheck]:
    if settings.ledger.get_secret_value() != EMBEDDED:
        trouble = ledger_trouble(settings)
        yield DoctorCheck("ledger", trouble is None, trouble or build.store(settings).engine.name)
    health = build.store(settings).health()
    trouble = health.trouble or ", ".join(health.quarantined)
    if health.quarantined and health.trouble is None:
        trouble = f"damaged files were put aside and rebuilt: {trouble}"
    drainer = f"drained by process {health.drainer}" if health.drainer else "nobody drains now; `up` does"
    works = True if health.drainer else None
    yield DoctorCheck("traces", False if health.trouble else works, trouble or drainer)


def _sessions(settings: Settings) -> Iterator[DoctorCheck]:
    address = settings.sessions.get_secret_value()
    if address != EMBEDDED:
        trouble = sessions_trouble(settings)
        yield DoctorCheck("sessions", trouble is None, trouble or redis_server.shown(address))


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False
