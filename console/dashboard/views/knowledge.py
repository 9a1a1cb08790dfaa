"""Knowledge: documents in and out, how each ingestion goes, versions, and what a question finds."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape

import streamlit as st

from console import format
from console.dashboard import bases, boundary, clock, data, downloads, jobs, markup, notices, palette
from console.dashboard.bases import KnowledgeBase
from console.dashboard.views import knowledge_checks
from pipeline.knowledge.identity import Stored
from pipeline.knowledge.ingestions import Ingestion
from pipeline.knowledge.standing import Release

WATCH_SECONDS = 1.0
SECTIONS = ("Documents", "Ingestions", "Versions", "Search test", "Suspicious", "Settings")
STATES = {
    "running": palette.MODELS[0],
    "done": palette.GOOD,
    "failed": palette.BAD,
    "interrupted": palette.OUTCOMES["cut"],
    "stored": palette.GOOD,
    "unchanged": palette.NEUTRAL,
    "waiting": palette.NEUTRAL,
    "skipped": palette.BAD,
}
FILE_MEGABYTES = 200
MOST_FILES = 200
PAGE = 25


def page() -> None:
    """Draw the knowledge base the address names: its facts, what runs now, and the chosen section."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Knowledge", anchor=False)
        kb = ""
        with notices.problems():
            kb = _choice()
            _drop(kb)
    if not kb:
        return
    with notices.problems():
        _undo(kb)
        base = bases.read(kb)
        _facts(base)
        if _busy(kb):
            st.fragment(boundary.guarded(_watch, "knowledge"), run_every=WATCH_SECONDS)(kb)
        section = st.segmented_control(
            "Section",
            SECTIONS,
            default=SECTIONS[0],
            required=True,
            key="show",
            bind="query-params",
            label_visibility="collapsed",
        )
        if base.status.version is None and section not in ("Ingestions", "Settings"):
            _empty(kb)
            return
        DRAW[section or SECTIONS[0]](base)


def _choice() -> str:
    """Draw the choice of knowledge base; a new name makes a new one with the first file."""
    kbs = bases.names()
    answering = bases.answering()
    names = kbs if answering in kbs else [answering, *kbs]
    query = st.query_params.get("kb", "")
    if query and query not in names:
        names = [*names, query]
    kb = st.selectbox(
        "Knowledge base",
        names,
        index=names.index(query) if query else 0,
        format_func=lambda name: f"{name} (answers)" if name == answering else name,
        accept_new_options=True,
        label_visibility="collapsed",
        width=230,
    )
    kb = (kb or answering).strip()
    st.query_params["kb"] = kb
    return kb


def _drop(kb: str) -> None:
    with st.popover("Add documents", icon=":material/upload_file:", type="primary"):
        number = st.session_state.setdefault("drops", 0)
        dropped = st.file_uploader(
            f"Files for {kb}",
            type=bases.KINDS,
            accept_multiple_files=True,
            key=f"drop-{number}",
            max_upload_size=FILE_MEGABYTES,
            help="A file of the same name replaces the one dropped before.",
        )
        if st.button("Ingest", type="primary", disabled=not dropped, icon=":material/play_arrow:"):
            bases.ingest(kb, bases.keep(data.settings().data_dir, kb, dropped))
            st.session_state["drops"] = number + 1
            st.rerun()


def _empty(kb: str) -> None:
    notices.note(
        f"Nothing is in {kb} yet",
        "Drop files with “Add documents” above, or run <code>answerdeck ingest FOLDER --kb "
        f"{escape(kb)}</code>; a first version answers as soon as it is stored.",
        key="no-documents",
    )


def _facts(base: KnowledgeBase) -> None:
    status = base.status
    lag = f"{status.pending:,} waiting" if status.pending else "none"
    if status.lag_seconds:
        lag += f", {format.seconds(status.lag_seconds)}"
    facts = [
        ("Version", status.version or "—"),
        ("Documents", format.count(status.documents)),
        ("Chunks", format.count(status.chunks)),
        ("Size on disk", f"{status.bytes / 1e6:,.1f} MB"),
        ("Lag", lag),
        ("Failed", format.count(len(status.failed))),
    ]
    markup.show(markup.facts(facts), key="facts")
    if status.problem and status.version is not None:
        st.warning(notices.plain(status.problem), icon=":material/warning:")
    if status.failed:
        with st.expander(f"{len(status.failed)} documents of the last ingestion failed"):
            rows = [
                markup.row([markup.cell(escape(name), "text"), markup.cell(escape(reason), "text")])
                for name, reason in status.failed.items()
            ]
            markup.show(markup.table(["Document", "Why"], rows), key="failed")


# What runs now


def _busy(kb: str) -> bool:
    ingests = bases.ingested(kb)
    return any(job.state == "running" for job in ingests) or any(map(jobs.alive, bases.unborn(kb, ingests)))


def _watch(kb: str) -> None:
    """Draw the ingestions that run; the whole page once when none does any more."""
    ingests = bases.ingested(kb)
    running = [job for job in ingests if job.state == "running"]
    starting = [job for job in bases.unborn(kb, ingests) if jobs.alive(job)]
    for job in running:
        share = job.done / job.total if job.total else 0.0
        passed = format.seconds(time.time() - job.began_at)
        text = f"{job.done:,} of {job.total:,} documents" if job.total else "Reading documents"
        st.progress(min(share, 1.0), text=notices.plain(f"{text} · {passed} · {job.document}"))
        _files(job)
    for _ in starting:
        st.status("Starting the ingestion …", state="running")
    if not running and not starting:
        st.rerun()


def _files(job: Ingestion) -> None:
    files = bases.files(job)
    if not files:
        names = [path.rsplit("/", 1)[-1] for path in job.paths]
        st.caption(notices.plain(", ".join(names[:20])))
        return
    rows = [
        markup.row(
            [
                markup.cell(escape(candidate.name), "text"),
                markup.cell(markup.chip(candidate.state, STATES[candidate.state])),
                markup.cell(escape(candidate.reason), "text quiet"),
            ]
        )
        for candidate in files[:MOST_FILES]
    ]
    markup.show(markup.table(["Document", "State", "What came of it"], rows), key=f"files-{job.job_id}")
    if len(files) > MOST_FILES:
        st.caption(f"{len(files) - MOST_FILES:,} more are in the download.")
    downloads.button([asdict(candidate) for candidate in files], f"ingestion-{job.job_id}")


# Sections


def _documents(base: KnowledgeBase) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        text = st.text_input(
            "Search",
            key="named",
            bind="query-params",
            placeholder="part of a title or id",
            icon=":material/search:",
            width=340,
        )
        matching = _matching(base.documents, text.strip().casefold())
        _remove(base.status.kb, matching)
        downloads.button(
            lambda: [
                {"document": document.document_id, "title": document.title, "file": document.source}
                for document in matching
            ],
            "documents",
        )
    pages = max(1, -(-len(matching) // PAGE))
    at = min(st.session_state.get("docs", 1), pages)
    rows = [
        markup.row(
            [
                markup.cell(escape(document.title or document.document_id), "text"),
                markup.cell(escape(document.document_id), "text mono"),
                markup.cell(escape(document.source or "—"), "text quiet extra"),
            ]
        )
        for document in matching[(at - 1) * PAGE : at * PAGE]
    ]
    markup.show(markup.table(["Title", "Document", "File"], rows), key="documents")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{len(matching):,} of {len(base.documents):,} documents", width="content")
        if pages > 1:
            st.pagination(pages, key="docs", bind="query-params")


def _matching(documents: list[Stored], part: str) -> list[Stored]:
    return [
        document
        for document in documents
        if part in document.title.casefold() or part in document.document_id.casefold()
    ]


def _remove(kb: str, matching: list[Stored]) -> None:
    with st.popover("Remove", icon=":material/delete:"):
        chosen = st.multiselect(
            "Documents", [document.document_id for document in matching[:1000]], key="remove"
        )
        st.caption("They stop answering at once. You can undo it here and, later, under Versions.")
        if st.button("Remove these", type="primary", disabled=not chosen):
            before = bases.forget(kb, chosen)
            st.session_state["removed"] = (kb, chosen, before)
            st.rerun()


def _undo(kb: str) -> None:
    removed = st.session_state.get("removed")
    if removed is None or removed[0] != kb:
        return
    _, documents, version = removed
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(notices.plain(f"{len(documents)} removed: {', '.join(documents[:5])}"), width="stretch")
        if st.button("Undo", icon=":material/undo:", key="undo-remove"):
            now = bases.restore(kb, documents, version)
            del st.session_state["removed"]
            notices.done(None, f"They are back; {kb} answers from version {now}.")


def _ingestions(base: KnowledgeBase) -> None:
    ingests = bases.ingested(base.status.kb)
    for job in bases.unborn(base.status.kb, ingests)[:1]:
        if not jobs.alive(job):
            with st.status("The last ingestion did not start", state="error", expanded=True):
                st.code(bases.output(job) or "It ended without a word.", language=None)
    if not ingests:
        notices.note(
            "No ingestion yet",
            "Each one is listed here with what came of every file, wherever it was started.",
            key="no-ingestions",
        )
        return
    now = datetime.now(UTC)
    rows = [
        markup.row(
            [
                markup.cell(escape(format.ago(datetime.fromtimestamp(job.began_at, UTC), now))),
                markup.cell(markup.chip(job.state, STATES[job.state])),
                markup.cell(f"{job.done:,} of {job.total:,}", "right"),
                markup.cell(escape(job.outcome), "text"),
                markup.cell(
                    escape(", ".join(path.rsplit("/", 1)[-1] for path in job.paths[:4])), "text quiet"
                ),
            ],
            markup.address("knowledge", kb=base.status.kb, show="Ingestions", job=job.job_id),
        )
        for job in ingests[:PAGE]
    ]
    heads = ["When", "State", "Documents ", "What came of it", "Given"]
    markup.show(markup.table(heads, rows), key="ingestions")
    job_id = st.query_params.get("job", ingests[0].job_id)
    for job in ingests:
        if job.job_id == job_id and job.state != "running":
            st.header(f"Files of the ingestion of {_when(job)}", anchor=False)
            _resume(job)
            _files(job)


def _resume(job: Ingestion) -> None:
    """Offer to go on with an ingestion that did not end well."""
    if job.state not in ("interrupted", "failed"):
        return
    if st.button(
        "Go on with it", icon=":material/resume:", help="What was stored already is not embedded again."
    ):
        bases.resume(job)
        st.rerun()


def _when(job: Ingestion) -> str:
    return clock.plain(datetime.fromtimestamp(job.began_at, UTC))


def _versions(base: KnowledgeBase) -> None:
    kb, labels = base.status.kb, [release.version for release in base.releases]
    rows = [
        markup.row(
            [
                markup.cell(_version(release)),
                markup.cell(clock.moment(release.created_at)),
                markup.cell(f"{release.documents:,}", "right"),
                markup.cell(f"{release.chunks:,}", "right"),
            ]
        )
        for release in base.releases
    ]  # fmt: skip
    markup.show(markup.table(["Version", clock.head("Made"), "Documents ", "Chunks "], rows), key="versions")
    downloads.button([asdict(release) for release in base.releases], "versions")
    if len(labels) < 2:
        st.caption("The next ingestion makes a second version; it is compared and undone here.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        before = st.selectbox("From", labels, index=1, key="from_version", bind="query-params", width=140)
        after = st.selectbox("To", labels, key="to_version", bind="query-params", width=140)
        _rollback(kb, labels)
    if before and after and before != after:
        _difference(kb, before, after)


def _version(release: Release) -> str:
    name = f"<b>{escape(release.version)}</b>"
    return f"{name} {markup.chip('in force', palette.GOOD)}" if release.current else name


def _rollback(kb: str, labels: list[str]) -> None:
    with st.popover("Roll back", icon=":material/history:"):
        version = st.selectbox("Answer from", labels[1:], key="back-to")
        st.caption("The running chat follows with its next turn; going forward again is the same click.")
        if version and st.button("Roll back", type="primary"):
            now = bases.rollback(kb, version)
            notices.done(None, f"{kb} answers from version {now}.")


def _difference(kb: str, before: str, after: str) -> None:
    change = bases.difference(kb, before, after)
    kinds = (("added", change.added, palette.GOOD), ("removed", change.removed, palette.BAD),
             ("changed", change.changed, palette.OUTCOMES["no_context"]))  # fmt: skip
    rows = [
        markup.row([markup.cell(markup.chip(kind, colour)), markup.cell(escape(name), "text mono")])
        for kind, documents, colour in kinds
        for name in documents[:MOST_FILES]
    ]
    st.caption(
        f"{len(change.added)} added, {len(change.removed)} removed, {len(change.changed)} changed, "
        f"{change.same} the same."
    )
    if rows:
        markup.show(markup.table(["Change", "Document"], rows), key="difference")
    if change.removed and st.button(f"Take the {len(change.removed)} removed back", icon=":material/undo:"):
        now = bases.restore(kb, change.removed, before)
        notices.done(None, f"{kb} answers from version {now}.")


DRAW = {
    "Documents": _documents,
    "Ingestions": _ingestions,
    "Versions": _versions,
    "Search test": knowledge_checks.search,
    "Suspicious": knowledge_checks.suspicious,
    "Settings": knowledge_checks.settings,
}
