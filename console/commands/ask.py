"""`answerdeck ask`: one turn in the terminal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(ask)


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
    import asyncio

    from console.commands.screen import emit, failed, wrong
    from pipeline.build import build, prepare
    from pipeline.events import Answer, Delta, Failed, Question, Retract
    from pipeline.prompts.library import PromptError
    from pipeline.settings import check_model, load

    if not question.strip():
        raise wrong("the question is empty")
    if model is not None:
        try:
            check_model(model)
        except ValueError as error:
            raise wrong(str(error)) from None

    async def turn() -> Answer | Failed:
        settings = load(**({"models": {"primary": model}} if model else {}))
        pipeline = build(settings)
        try:
            if prompt is not None:
                pipeline.prompts.get(prompt)
            await prepare(pipeline)
            asked = Question(question, user, "cli", conversation, kb=kb, prompt=prompt, model=model)
            last: Answer | Failed | None = None
            async for event in pipeline.answer(asked):
                if isinstance(event, Delta) and not json:
                    print(event.text, end="", flush=True)
                elif isinstance(event, Retract) and not json:
                    print(f"\n{event.text}", end="")
                elif isinstance(event, Answer | Failed):
                    last = event
            assert last is not None
            return last
        finally:
            await pipeline.close()

    try:
        end = asyncio.run(turn())
    except PromptError as error:
        raise wrong(str(error)) from None
    if isinstance(end, Failed):
        raise failed(end.message)
    if json:
        emit(end.to_dict())
        return
    print()
    if end.notice:
        print(f"\n{end.notice}", file=sys.stderr)
    for citation in end.citations:
        print(f"  [{citation.n}] {citation.title}  {citation.url}")
    print(f"\n{end.outcome} · {end.seconds or 0:.2f} s · turn {end.turn_id}", file=sys.stderr)
    if end.outcome == "failed":
        raise typer.Exit(1)
