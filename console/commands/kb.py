"""`answerdeck kb …`: how the knowledge bases stand, versions back, documents out and back."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer

from console.commands.screen import emit, table, wrong
from pipeline.build import knowledge, retriever
from pipeline.context.ranks import search_test
from pipeline.deeds import note
from pipeline.errors import KnowledgeError
from pipeline.knowledge.embedding import Embedder
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.running import running_jobs
from pipeline.settings import load_settings

Named = Annotated[str | None, typer.Argument(metavar="[KB]", help="Knowledge base.", show_default=False)]
Name = Annotated[str | None, typer.Option("--kb", help="Knowledge base; default from the configuration.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def knowledge_bases(vectors: Embedder | None = None) -> tuple[Knowledge, str]:
    """Return the knowledge bases and the name of the one that answers."""
    settings = load_settings()
    return knowledge(settings, vectors), settings.kb


def chosen(argument: str | None, option: str | None, default: str) -> str:
    """Return the name given either way; both, or an empty one, is wrong use."""
    if argument and option and argument != option:
        raise wrong(f"two knowledge bases are named, {argument!r} and {option!r}; name one")
    for name in (argument, option):
        if name is not None and not name.strip():
            raise wrong("the name of the knowledge base is empty; leave --kb out for the default")
    return argument or option or default


def there(knowledge: Knowledge, kb: str) -> str:
    """Return the name when there is such a knowledge base, else end with exit code 2."""
    try:
        exists = knowledge.exists(kb)
    except KnowledgeError as error:
        raise wrong(str(error)) from None
    if not exists:
        raise wrong(f"there is no knowledge base {kb!r}; make one with: answerdeck ingest PATH --kb {kb}")
    return kb


def list_kbs(json: Json = False) -> None:
    """List the knowledge bases."""
    knowledge, default = knowledge_bases()

    async def statuses() -> list[Any]:
        return [await knowledge.status(name) for name in await knowledge.names()]

    rows = [asdict(status) for status in asyncio.run(statuses())]
    if json:
        emit(rows)
    elif not rows:
        print("There is no knowledge base yet. Add documents: answerdeck ingest PATH")
    else:
        table(list(rows[0]), (list(row.values()) for row in rows), title=f"answering: {default}")


def status(name: Named = None, kb: Name = None, json: Json = False) -> None:
    """Show a knowledge base: version, size, embedder, index, lag."""
    knowledge, default = knowledge_bases()
    standing = asdict(asyncio.run(knowledge.status(there(knowledge, chosen(name, kb, default)))))
    if json:
        emit(standing)
    else:
        table(("what", "value"), standing.items())


def history(name: Named = None, kb: Name = None, json: Json = False) -> None:
    """List the versions one can go back to."""
    knowledge, default = knowledge_bases()
    chosen_kb = there(knowledge, chosen(name, kb, default))
    rows = [asdict(release) for release in asyncio.run(knowledge.history(chosen_kb))]
    if json:
        emit(rows)
    elif rows:
        table(list(rows[0]), (list(row.values()) for row in rows))
    else:
        print("No version has been released yet.")


def diff(
    before: Annotated[str, typer.Argument(help="A version from `kb history`.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    kb: Name = None,
    json: Json = False,
) -> None:
    """Show which documents came, went and changed between two versions."""
    knowledge, default = knowledge_bases()
    change = asyncio.run(knowledge.difference(there(knowledge, chosen(None, kb, default)), before, after))
    if json:
        emit(asdict(change))
        return
    for sign, names in (("+", change.added), ("-", change.removed), ("~", change.changed)):
        for document in names:
            print(f"{sign} {document}")
    print(f"{change.same} documents are the same.")


def rollback(
    version: Annotated[str, typer.Argument(help="A version from `kb history`.")], kb: Name = None
) -> None:
    """Go back to an earlier version; the running chat follows with its next turn."""
    knowledge, default = knowledge_bases()
    chosen_kb = there(knowledge, chosen(None, kb, default))
    now = asyncio.run(knowledge.rollback(chosen_kb, version))
    note(load_settings(), f"knowledge base {chosen_kb}: back to {version}")
    print(f"{chosen_kb} answers from version {now}.")


def remove(
    name: Named = None,
    kb: Name = None,
    document: Annotated[list[str] | None, typer.Option(help="Remove only this document; repeatable.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete documents, or a knowledge base with all its versions."""
    knowledge, default = knowledge_bases()
    if name is None and kb is None and not document:
        raise wrong("say which knowledge base to delete: answerdeck kb remove NAME")
    chosen_kb = there(knowledge, chosen(name, kb, default))
    if document:
        before = asyncio.run(knowledge.forget(chosen_kb, document))
        note(load_settings(), f"knowledge base {chosen_kb}: {len(document)} documents removed")
        print(f"{len(document)} removed. Undo: answerdeck kb restore {before} --kb {chosen_kb} …")
        return
    if not yes:
        typer.confirm(f"Delete {chosen_kb!r} with all its versions? This cannot be undone", abort=True)
    asyncio.run(knowledge.remove(chosen_kb))
    note(load_settings(), f"knowledge base {chosen_kb}: deleted with all its versions")
    print(f"{chosen_kb} is deleted.")


def restore(
    version: Annotated[str, typer.Argument(help="A version that holds the documents.")],
    documents: Annotated[list[str], typer.Argument(help="The documents' ids.")],
    kb: Name = None,
) -> None:
    """Take removed documents back, as an earlier version holds them."""
    knowledge, default = knowledge_bases()
    chosen_kb = there(knowledge, chosen(None, kb, default))
    now = asyncio.run(knowledge.restore(chosen_kb, documents, version))
    note(load_settings(), f"knowledge base {chosen_kb}: {len(documents)} documents taken back")
    print(f"{chosen_kb} answers from version {now}.")


def jobs(
    job: Annotated[str | None, typer.Argument(help="Show the files of this job.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """List the ingestions, running and ended, or what came of one job's files."""
    knowledge, _ = knowledge_bases()
    rows = [
        asdict(job_row)
        for job_row in (running_jobs(knowledge).of(job) if job else running_jobs(knowledge).list())
    ]
    if json:
        emit(rows)
    elif rows:
        table(list(rows[0]), (list(row.values()) for row in rows))
    elif job:
        raise wrong(f"there is no job {job!r} with files; list them with: answerdeck kb jobs")
    else:
        print("Nothing was ingested yet.")


def search(
    question: Annotated[str, typer.Argument(help="A question, as users ask it.")],
    kb: Name = None,
    json: Json = False,
) -> None:
    """Show what a question finds, with its ranks in full text, by vector, fused and reranked."""
    settings = load_settings()
    knowledge, default = knowledge_bases()
    chosen_kb = there(knowledge, chosen(None, kb, default))
    rows = asyncio.run(search_test(retriever(settings, knowledge), question, chosen_kb))
    if json:
        emit([asdict(row) for row in rows])
        return
    heads = ("rank", "document", "text", "vector", "fused", "passage")
    lines = [
        (row.rank, row.document_id, _place(row.text_rank, row.text_score),
         _place(row.vector_rank, row.vector_score), _place(row.fused_rank, row.fused_score), row.text[:80])
        for row in rows
    ]  # fmt: skip
    table(heads, lines)


def _place(rank: int | None, score: float | None) -> str | None:
    return None if rank is None or score is None else f"{rank} ({score:.2f})"
