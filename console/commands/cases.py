"""`answerdeck eval import, add, remove, synthesise`: where the team's own cases come from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands.consent import Yes, agree
from console.commands.evals import Json
from console.commands.opened import drained
from console.commands.screen import emit, failed, wrong
from evalsets.cases import cases, from_turn, imports, synthetic, team
from evalsets.cases.evalset import EvalsetError
from evalsets.cases.imported import Imported
from evalsets.cases.row import row_of
from evalsets.cases.synthetic import Made
from pipeline import build, providers
from pipeline.configuration.sections import check_model
from pipeline.models.model import Tokens, disconnect
from pipeline.settings import Settings, load_settings
from traces.queries import listing
from traces.queries.turns import trace

Name = Annotated[str | None, typer.Option("--name", help="Name of the evalset; the file's by default.")]
Set = Annotated[str, typer.Option("--set", help="The team's evalset; begun when there is none.")]
Replace = Annotated[bool, typer.Option("--replace", help="Take over an evalset of this name.")]
Texts = list[str] | None


def bring_in(
    file: Annotated[Path, typer.Argument(help="A file, or a BEIR folder.", exists=True)],
    format: Annotated[
        str | None, typer.Option(help="csv, ragas, xstest, mtrag …; recognised by default.")
    ] = None,
    name: Name = None,
    mapped: Annotated[
        str | None, typer.Option("--map", help="Columns, e.g. question=Frage,reference=Antwort.")
    ] = None,
    replace: Replace = False,
    add: Annotated[bool, typer.Option("--add", help="Add to the evalset of this name.")] = False,
    json: Json = False,
) -> None:
    """Make an evalset of another tool's file, and say what of it could not be mapped."""
    if format is not None and format not in imports.FORMATS:
        raise wrong(f"--format {format!r} is unknown; it can be {', '.join(imports.FORMATS)}")
    if add and replace:
        raise wrong("--add or --replace, not both")
    name = name or file.resolve().stem
    if name in team.names() and not (add or replace):
        raise wrong(f"there is an evalset {name!r} already: --add to it, --replace it, or another --name")
    try:
        imported = imports.read(file, format, imports.pairs(mapped))  # type: ignore[arg-type] # checked above
        path = _added(name, imported) if add else _saved(name, imported, file, replace=replace)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    if json:
        emit({"evalset": name, "path": str(path), **imported.to_dict()})
    else:
        _tell(name, imported, path, add=add)


def _saved(name: str, imported: Imported, file: Path, *, replace: bool) -> Path:
    head = {"title": name, "owner": "", "source": f"imported from {file.name} ({imported.format})"}
    return team.save(name, imported.rows, head, corpus=imported.corpus, replace=replace)


def _added(name: str, imported: Imported) -> Path:
    """Add what was read to an evalset, and note what it asks already."""
    added, left = team.extend(name, imported.rows, corpus=imported.corpus)
    imported.rows = [dict(row) for row in added]
    imported.dropped += left
    return team.own_folder() / f"{name}.jsonl"


def add_case(
    turn_id: Annotated[str, typer.Argument(help="A turn id, or its beginning or end.")],
    to: Set,
    relevant: Annotated[Texts, typer.Option(help="A relevant document; may be repeated.")] = None,
    reference: Annotated[str | None, typer.Option(help="What should have been answered.")] = None,
    must_contain: Annotated[Texts, typer.Option(help="A text the answer must hold; repeatable.")] = None,
    answerability: Annotated[str | None, typer.Option(help="answerable, unanswerable, off_topic …")] = None,
    guard: Annotated[bool, typer.Option("--guard", help="Tag it: every later release must pass it.")] = False,
    json: Json = False,
) -> None:
    """Make a case of a turn; what is not given is taken from its answer."""
    row, retrieved = _drafted(turn_id)
    given = {"relevant_ids": relevant, "reference": reference, "must_contain": must_contain}
    row |= {key: value for key, value in {**given, "answerability": answerability}.items() if value}
    if guard:
        row["tags"] = [*row.get("tags", []), team.GUARD]
    try:
        case = team.add(to, row)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    strangers = [key for key in relevant or () if key not in retrieved]
    if json:
        emit({"evalset": to, "case": row_of(case), "not_retrieved": strangers})
        return
    print(f"{to}: added case {case.case_id}, {case.question[:80]!r}")
    if strangers:
        print(f"  not among what the turn found: {', '.join(strangers)}")
    print(f"  take it out again: answerdeck eval remove {case.case_id} --set {to}")


def remove_case(case_id: Annotated[str, typer.Argument(help="The case.")], to: Set) -> None:
    """Take a case out of one of the team's evalsets."""
    try:
        gone = team.remove(to, case_id)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    if not gone:
        raise wrong(f"{to}: no case {case_id!r}")
    print(f"{to}: case {case_id} is out")


def synthesise(
    kb: Annotated[str, typer.Option("--kb", help="The knowledge base the questions are about.")],
    count: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
    model: Annotated[str | None, typer.Option(help="Let this model write them; else rules do.")] = None,
    name: Name = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
    replace: Replace = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Make questions of documents: a first evalset, always marked as synthetic."""
    name = name or f"{kb}_synthetic"
    questions, cost = asyncio.run(_synthesised(kb, count, model, seed, yes=yes))
    if not questions.rows:
        raise failed(
            "no question could be made" + "".join(f"\n  {reason}" for reason in questions.dropped[:5])
        )
    by = model or "rules over titles, headings and definitions"
    head = {
        "title": f"Synthetic questions about {kb}",
        "owner": "",
        "source": f"synthetic: written by {by}, seed {seed}; not by people",
        "notice": "A smoke test, not a benchmark: each question was made from the document it is judged by.",
        "kb": kb,
    }
    try:
        path = team.save(name, questions.rows, head, replace=replace)
    except EvalsetError as error:
        raise wrong(str(error)) from None
    if json:
        emit(
            {"evalset": name, "path": str(path), "cases": len(questions.rows), "dropped": questions.dropped}
            | cost
        )
        return
    print(f"{name}: {len(questions.rows)} synthetic cases, {path}")
    for note in questions.dropped:
        print(f"  dropped {note}")
    print(f"Run it: answerdeck eval run {name}")


def _drafted(turn_id: str) -> tuple[dict[str, Any], set[str]]:
    """Return the case a turn suggests, and the documents it retrieved."""
    with drained() as ledger:
        named = [turn_id] if trace(ledger, turn_id) else listing.named(ledger, turn_id)
        if len(named) != 1:
            raise wrong(
                f"{len(named) or 'no'} turns have the id {turn_id!r}; `answerdeck traces search` finds one"
            )
        turn = trace(ledger, named[0])
        assert turn is not None
        row = from_turn.draft(turn, from_turn.earlier(ledger, turn))
    return row, {passage.document_id for passage in turn.passages}


async def _synthesised(
    kb: str, count: int, model: str | None, seed: int, *, yes: bool
) -> tuple[Made, dict[str, Any]]:
    try:
        check_model(model or "extractive")
    except ValueError as error:
        raise wrong(str(error)) from None
    settings = load_settings()
    pipeline = build.build(settings)
    try:
        chunks = await synthetic.passages(pipeline.knowledge, kb)
        if model is None:
            return synthetic.by_rules(chunks, count, seed), {"cost_usd": 0.0}
        _agree(settings, model, min(count, len(chunks)), yes=yes)
        writer = providers.model(model, settings)
        try:
            questions = await synthetic.by_model(chunks, count, writer, seed)
        finally:
            await disconnect(writer)
        cost = build.prices(settings).cost(model, Tokens(questions.input_tokens, questions.output_tokens))
        return questions, {"cost_usd": cost.usd}
    finally:
        await pipeline.close()


def _agree(settings: Settings, model: str, questions: int, *, yes: bool) -> None:
    """Ask for consent to what writing the questions takes: a passage in and a question out of each."""
    tokens = Tokens(questions * synthetic.PROMPT_TOKENS, questions * synthetic.REPLY_TOKENS)
    usd = build.prices(settings).cost(model, tokens).usd
    price = "at an unknown price" if usd is None else f"at most about ${usd:.2f}"
    agree(f"{model} will be asked for up to {questions} questions, {price}", usd, yes=yes)


def _tell(name: str, imported: Imported, path: Path, *, add: bool) -> None:
    number = len(imported.rows)
    print(f"{name}: {number} {'cases added' if add else 'cases'} from {imported.format}, {path}")
    if imported.mapping:
        answers = sum("reference" in row for row in imported.rows)
        print("Understood: " + ", ".join(f"{field} = {head!r}" for field, head in imported.mapping.items()))
        print(f"  {answers} of {number} cases have an expected answer")
    if imported.unmapped:
        print("Not mapped:")
        for lost in imported.unmapped:
            print(f"  {lost.field} ({lost.rows} rows): {lost.why}")
    if imported.dropped:
        print(f"Left out, {len(imported.dropped)}:")
        for note in imported.dropped:
            print(f"  {note}")
    if add:
        print(f"{name} has {len(cases.load_evalset(name).cases)} cases now")
    print(f"Run it: answerdeck eval run {name}")
    print(f"Let it decide promotions: answerdeck eval gate-set {name}")
