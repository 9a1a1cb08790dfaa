"""The command line: `answerdeck …`; each command's work is imported only when it runs."""

from __future__ import annotations

import typer

from console.commands import (
    alerts,
    ask,
    bench,
    cases,
    costs,
    doctor,
    drill,
    eval_run,
    evals,
    gate,
    ingest,
    judges,
    kb,
    lookback,
    manage,
    promotion,
    prompts,
    replay,
    routing,
    serve,
    traces,
)

app = typer.Typer(
    name="answerdeck",
    help="A chatbot over your own documents, and the console that shows whether it is any good.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
serve.register(app)
ask.register(app)
ingest.register(app)
kb.register(app)
prompts.register(app)
promotion.register(app)
replay.register(app)
evals.register(app)
eval_run.register(app)
cases.register(app)
manage.register(app)
gate.register(app)
judges.register(app)
lookback.register(app)
routing.register(app)
traces.register(app)
costs.register(app)
alerts.register(app)
doctor.register(app)
bench.register(app)
drill.register(app)


def main() -> None:
    """Run the command line; problems we know end in one clear screen, not a traceback."""
    from console.commands.screen import guarded

    guarded(app)


if __name__ == "__main__":
    main()
