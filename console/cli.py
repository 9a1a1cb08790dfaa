"""The command line: `answerdeck …`. The tables below are all of it; a command is imported when it runs."""

from __future__ import annotations

import os

import typer

from console.commands.lazy import Command, Group, LazyGroup
from console.commands.screen import guarded

KB = Group(
    "Look after the knowledge bases.",
    {
        "list": Command("kb:list_kbs", "List the knowledge bases."),
        "status": Command("kb:status", "Show a knowledge base: version, size, embedder, index, lag."),
        "history": Command("kb:history", "List the versions one can go back to."),
        "diff": Command("kb:diff", "Show which documents came, went and changed between two versions."),
        "rollback": Command(
            "kb:rollback", "Go back to an earlier version; the running chat follows with its next turn."
        ),
        "remove": Command("kb:remove", "Delete documents, or a knowledge base with all its versions."),
        "restore": Command("kb:restore", "Take removed documents back, as an earlier version holds them."),
        "jobs": Command(
            "kb:jobs", "List the ingestions, running and ended, or what came of one job's files."
        ),
        "search": Command(
            "kb:search",
            "Show what a question finds, with its ranks in full text, by vector, fused and reranked.",
        ),
    },
)
PROMPTS = Group(
    "Look after the versioned prompts.",
    {
        "list": Command("prompts:list_prompts", "List every version, its fingerprint and state."),
        "show": Command("prompts:show", "Print one version."),
        "diff": Command("prompts:diff", "Show what changed from A to B."),
        "new": Command("prompts:new", "Begin the next version as a copy of one that exists."),
        "check": Command(
            "promotion:check", "Say whether a version may be promoted: exit 1 with the reasons when not."
        ),
        "promote": Command(
            "promotion:promote",
            "Put a version in force once its evalsets passed on exactly what would answer.",
        ),
        "rollback": Command("promotion:rollback", "Go back to the version that was in force before."),
        "canary": Command(
            "promotion:canary",
            "Answer a share of the conversations with a version; it is taken back when it does worse.",
        ),
        "history": Command(
            "promotion:history", "List every promotion, override, canary and rollback, oldest first."
        ),
    },
)
EVAL = Group(
    "Measure answers and retrieval, honestly.",
    {
        "list": Command("evals:list_evals", "List the shipped evalsets and the latest runs."),
        "compare": Command("evals:compare", "Compare run B with baseline A, paired by case."),
        "report": Command("evals:report", "Write the report of a run, or of its comparison with a baseline."),
        "import": Command(
            "cases:bring_in",
            "Make an evalset of another tool's file, and say what of it could not be mapped.",
        ),
        "add": Command(
            "cases:add_case", "Make a case of a turn; what is not given is taken from its answer."
        ),
        "remove": Command("cases:remove_case", "Take a case out of one of the team's evalsets."),
        "cases": Command("manage:list_cases", "List the cases of an evalset with what is expected."),
        "edit": Command(
            "manage:edit_case", 'Change fields of a case: --set reference="Open Settings." --set tags=a;b.'
        ),
        "export": Command("manage:export_set", "Write an evalset to a file that `eval import` reads again."),
        "delete": Command(
            "manage:delete_set",
            "Delete one of the team's evalsets; its runs stay, and it can be put back.",
        ),
        "synthesise": Command(
            "cases:synthesise", "Make questions of documents: a first evalset, always marked as synthetic."
        ),
        "run": Command(
            "eval_run:run_evalset",
            "Run an evalset through the pipeline; each case is a turn, each metric a score.",
        ),
        "gate": Command(
            "gate:gate", "Exit 0 when the candidate may replace the baseline, 1 with the reasons when not."
        ),
        "gate-set": Command(
            "gate:choose",
            "Say which evalsets a prompt must pass before it is promoted; without names, show them.",
        ),
        "changed": Command(
            "gate:changed",
            "Run the gate's evalsets again where prompt, model, index, guardrails or code changed since.",
        ),
        "score": Command(
            "judges:score_run",
            "Add a judge's scores to a finished run; what it has scored already is not asked again.",
        ),
        "calibrate": Command(
            "judges:calibrate",
            "Hold a scorer against people's labels: its agreement with them, with an interval.",
        ),
        "reproduce": Command(
            "lookback:reproduce",
            "Derive the table of a report once more: exit 1 and what differs when it is not the same.",
        ),
        "bisect": Command(
            "lookback:bisect",
            "Name the change behind a drop: prompt, model and retrieval settings are tried one at a time.",
        ),
        "routing": Command(
            "routing:routing", "Measure the misroute rate of the complexity classifier; calls no model."
        ),
    },
)
TRACES = Group(
    "Look at the recorded turns and keep them in bounds.",
    {
        "show": Command("traces:show", "Show all that was recorded of a turn, or where it lost a passage."),
        "tail": Command("traces:tail", "List the latest turns."),
        "search": Command("traces:search", "Find turns by their question or answer."),
        "drain": Command("traces:drain", "Move the journal into the store now; `up` does this by itself."),
        "rebuild": Command(
            "traces:rebuild", "Make the sums of hours, days and conversations anew out of the recorded turns."
        ),
        "export": Command("ledger:export", "Write the recorded turns to files."),
        "prune": Command(
            "ledger:prune",
            "Forget older prompts, raw responses and passage texts; whole turns where a time is set.",
        ),
        "move": Command(
            "moving:move",
            "Carry the ledger to another engine, proved by counts and sums; nothing moves unless all agree.",
        ),
        "erase": Command(
            "ledger:erase",
            "Erase everything of one user and write a certificate; exit 1 when something is left, named.",
        ),
    },
)
USERS = Group(
    "Who may sign in with a name and a password.",
    {
        "add": Command(
            "access:add_user", "Add a user with a password that you type, pipe in, or are shown once."
        ),
        "list": Command("access:list_users", "List the users with their roles."),
        "move": Command(
            "access:move_user",
            "Put a user into another workspace; the user's conversations stay in the old one.",
        ),
        "disable": Command("access:disable_user", "Let a user in no more and end the user's sessions."),
        "reset": Command(
            "access:reset_user", "Set a new password, let the user in again and end the sessions of before."
        ),
    },
)
KEYS = Group(
    "API keys: made, listed and revoked without a restart.",
    {
        "new": Command("access:new_key", "Make an API key; it is shown this once."),
        "list": Command("access:list_keys", "List the API keys made here, without the keys."),
        "revoke": Command("access:revoke_key", "Let a key in no more, nor the sessions begun with it."),
    },
)
WORKSPACES = Group(
    "Who sees which documents, when not everybody may see all.",
    {
        "list": Command(
            "workspaces:list_workspaces", "List the workspaces with their people and knowledge bases."
        ),
        "add": Command(
            "workspaces:add_workspace",
            "Make a workspace: people see its documents and their own conversations in it, nothing else.",
        ),
        "remove": Command(
            "workspaces:remove_workspace", "Remove a workspace that nobody and no knowledge base belongs to."
        ),
        "give": Command(
            "workspaces:give",
            "Let a knowledge base belong to a workspace, and to no other; before its first ingestion best.",
        ),
    },
)
COSTS = Group(
    "What was spent, and what it will cost.",
    {
        "show": Command(
            "costs:show", "Show spending by model, budgets, cost per conversation and per resolved answer."
        ),
        "forecast": Command(
            "costs:forecast", "Forecast a month's cost from real traffic, with its interval."
        ),
        "capacity": Command(
            "capacity:capacity",
            "Play the busy hour of millions of conversations a month, and name what gives way first.",
        ),
    },
)
ALERTS = Group(
    "What is wrong now, and who is told.",
    {
        "check": Command(
            "alerts:check",
            "Judge all rules now; exit 1 when any fires. `up` does it every minute, or cron with --post.",
        ),
        "test": Command("alerts:send_test", "Send a test message to everybody who is told."),
        "history": Command(
            "alerts:history", "Show what fired, what ended, and who muted or changed what, the newest first."
        ),
        "mute": Command(
            "alerts:mute", "Tell nobody of a rule for some hours; what still fires after them is told then."
        ),
        "reset": Command(
            "alerts:reset", "Take what happens now for usual from now on: the alert ends without being over."
        ),
        "rules": Command(
            "alerts:rules",
            "Show, make or change rules; every change is kept with who, when and why.",
        ),
    },
)
DEPLOY = Group(
    "Write the files that run an installation elsewhere.",
    {
        "compose": Command(
            "deploy:compose",
            "Write what runs the chat, PostgreSQL, Valkey, a bucket and nginx in containers on one machine.",
        ),
        "kubernetes": Command(
            "deploy:kubernetes",
            "Write a Containerfile and manifests for replicas that share engines; secrets by reference.",
        ),
        "systemd": Command(
            "deploy:systemd",
            "Write a hardened unit for a checkout in /opt/answerdeck, its environment, and nginx's part.",
        ),
    },
)
ROOT = {
    "up": Command("serve:up", "Start chat, API, console and drainer under one supervisor; Ctrl-C stops all."),
    "serve": Command("serve:serve", "Start the chat page and the HTTP API alone."),
    "console": Command("serve:console", "Start the console alone."),
    "mcp": Command("mcp:mcp", "Let programs that speak MCP ask and search the documents; stdio by default."),
    "ask": Command("ask:ask", "Ask one question and print the streamed answer with its sources."),
    "ingest": Command(
        "ingest:ingest",
        "Add documents to a knowledge base; unchanged ones are skipped, an interrupted run goes on.",
    ),
    "replay": Command(
        "replay:replay", "Ask real turns again under a candidate; nothing of it counts as production."
    ),
    "doctor": Command(
        "doctor:doctor", "Check configuration, data folder, knowledge base, models and traces."
    ),
    "bench": Command(
        "bench:bench", "Measure our speed goals beside the bare OpenAI SDK; exit 1 when one is missed."
    ),
    "drill": Command(
        "drill:drill",
        "Rehearse failures in a shadow conversation, a minute or two; exit 1 when something does not hold.",
    ),
    "kb": KB,
    "prompts": PROMPTS,
    "eval": EVAL,
    "traces": TRACES,
    "costs": COSTS,
    "alerts": ALERTS,
    "deploy": DEPLOY,
    "users": USERS,
    "keys": KEYS,
    "workspaces": WORKSPACES,
}


class Root(LazyGroup):
    """Every command by its name."""

    table = ROOT


app = typer.Typer(
    name="answerdeck",
    cls=Root,
    help="A chatbot over your own documents, and the console that shows whether it is any good.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def answerdeck() -> None:
    """A chatbot over your own documents, and the console that shows whether it is any good."""


def main() -> None:
    """Run the command line; problems we know end in one clear screen, not a traceback."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: its threads spin beside others at work
    guarded(app)


if __name__ == "__main__":
    main()
