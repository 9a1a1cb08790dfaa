"""`answerdeck ask`: one turn in the terminal."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from console.commands.kb import chosen, knowledge_bases, there
from console.commands.screen import emit, failed, wrong
from pipeline.build import build, prepare
from pipeline.configuration.sections import check_model
from pipeline.events import Answer, Delta, Failed, Question, Retract
from pipeline.http.sending import exported
from pipeline.prompts.library import PromptError
from pipeline.settings import load_settings


def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    user: Annotated[str, typer.Option(help="Who asks.")] = "local",
    conversation: Annotated[str | None, typer.Option(help="Continue this conversation.")] = None,
    kb: Annotated[str | None, typer.Option(help="Ask this knowledge base.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Prompt version, e.g. answer@v2.")] = None,
    model: Annotated[str | None, typer.Option(help="Model, e.g. openai:gpt-6-luna.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the turn as JSON.")] = False,
) -> None:
    """Ask one question and print the streamed answer with its sources."""
    if not question.strip():
        raise wrong("the question is empty")
    try:
        check_model(model or "extractive")
    except ValueError as error:
        raise wrong(str(error)) from None
    if kb is not None:
        there(knowledge_bases()[0], chosen(kb, None, kb))
    prompts = {"answer": prompt} if prompt else {}
    request = Question(question, user, "cli", conversation, kb=kb, prompts=prompts, model=model)
    try:
        end = asyncio.run(_turn(request, quiet=json))
    except PromptError as error:
        raise wrong(str(error)) from None
    if isinstance(end, Failed):
        raise failed(end.message)
    if json:
        emit(end.to_dict())
    else:
        _show(end)
    if end.outcome == "failed":
        raise typer.Exit(1)


async def _turn(question: Question, *, quiet: bool) -> Answer | Failed:
    """Run one turn, printing it as it streams unless `quiet`."""
    settings = load_settings(**({"models": {"primary": question.model}} if question.model else {}))
    pipeline = build(settings)
    try:
        for name, label in question.prompts.items():
            pipeline.prompts.get_of(name, label)
        await prepare(pipeline)
        last: Answer | Failed | None = None
        with exported(pipeline, settings):
            async for event in pipeline.answer(question):
                if isinstance(event, Delta) and not quiet:
                    print(event.text, end="", flush=True)
                elif isinstance(event, Retract) and not quiet:
                    print(f"\n{event.text}", end="")
                elif isinstance(event, Answer | Failed):
                    last = event
        assert last is not None
        return last
    finally:
        await pipeline.close()


def _show(end: Answer) -> None:
    print()
    if end.notice:
        print(f"\n{end.notice}", file=sys.stderr)
    for citation in end.citations:
        print(f"  [{citation.n}] {citation.title}  {citation.url}")
    print(f"\n{end.outcome} · {end.seconds or 0:.2f} s · turn {end.turn_id}", file=sys.stderr)
