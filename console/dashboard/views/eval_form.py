"""What a run is made of: variants, repetitions, judge and budget, its price said before it starts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import streamlit as st

from console import format
from console.dashboard import amounts, data, jobs, notices, target_form, visitor, whose
from console.dashboard.jobs import CONFIGURED, Expected, Wanted
from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import EvalsetError
from evalsets.metrics.judged import MARKED
from evalsets.metrics.table import JUDGED, find_metric, judged_of
from pipeline.configuration.sections import PROVIDERS

SETTINGS = (CONFIGURED, "passages=3", "passages=8", "text_weight=0", "floor=0.2")
FREE = ("extractive",)
DEFAULT_METRICS = ("faithfulness", "answer_relevancy")
MOST_VARIANTS = 12


def draw() -> None:
    """Draw the form and start what it says."""
    sets = data.evalsets()
    with st.container(border=True):
        if target_form.other():
            _other(sets)
            return
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            linked = st.query_params.get("evalset", "")
            name = st.selectbox(
                "Evalset",
                list(sets),
                index=list(sets).index(linked) if linked in sets else 0,
                format_func=lambda name: f"{name} ({sets[name]} cases)",
                width=230,
            )
            prompts, models = data.prompts(), data.known_models()
            chosen = st.multiselect("Prompts", prompts, default=prompts[:1], width=270)
            names = st.multiselect(
                "Models",
                models,
                default=models[:1],
                accept_new_options=True,
                width=260,
                help="Of the configuration or of earlier turns, or type provider:name.",
            )
            limit = st.number_input(
                "Cases", min_value=1, value=None, step=10, width=150, placeholder="all",
                help="Chosen by a fixed seed.",
            )  # fmt: skip
        order = Wanted(name or "", tuple(chosen), tuple(names), limit=limit)
        _start(*_more(order, _judged(name or "")))


def _other(sets: dict[str, int]) -> None:
    """Draw the form that asks another chatbot, and start what it says."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox("Evalset of its questions", list(sets), width=230)
        limit = st.number_input(
            "Cases to ask", min_value=1, value=None, step=10, width=150, placeholder="all"
        )
        repetitions = st.number_input("Times each", min_value=1, max_value=100, value=1, width=120)
        judge = st.selectbox(
            "Judged by", _judges(), index=None, placeholder="none", accept_new_options=True, width=260
        )
        judged = _judged(name or "")
        metrics = st.multiselect(
            "Judged on", judged, default=[name for name in DEFAULT_METRICS if name in judged], width=300,
            format_func=lambda metric: find_metric(metric).title,
        )  # fmt: skip
    chatbot = target_form.draw()
    times = min(limit or sets.get(name or "", 0), sets.get(name or "", 0)) * int(repetitions)
    ready = chatbot is not None and bool(name)
    if st.button("Start run", type="primary", icon=":material/play_arrow:", disabled=not ready) and chatbot:
        visitor.need("editor", "start work")
        job = jobs.start(
            data.settings().own.path,
            Wanted(
                name or "", limit=limit, repetitions=int(repetitions), judge=judge, metrics=tuple(metrics),
                target=chatbot.url, target_model=chatbot.model or None, template=target_form.keep(chatbot),
            ),
        )  # fmt: skip
        st.toast(f"Started {notices.plain(job.title)}", icon=":material/science:")
    st.caption(f"{times:,} questions; what they cost there is not known.")


def _judges() -> list[str]:
    return [name for name in data.known_models() if name.partition(":")[0] in PROVIDERS]


def _more(order: Wanted, judged: list[str]) -> tuple[Wanted, str | None]:
    """Draw the rarer choices; return the run with them, and what is wrong with its budget."""
    with st.expander("More: retrieval settings, repetitions, judge, budget"):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            settings = st.multiselect(
                "Retrieval settings",
                SETTINGS,
                default=[CONFIGURED],
                accept_new_options=True,
                width=300,
                help="Each is tried with every variant; type KEY=VALUE of the configuration's [retrieval].",
            )
            repetitions = st.number_input("Repetitions", min_value=1, max_value=100, value=1, width=120)
            budget = amounts.field(
                "Budget, $", more_than=0, width=120, help="For each run: no further case is begun there."
            )
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            judge = st.selectbox(
                "Judge", _judges(), index=None, placeholder="none", accept_new_options=True, width=260,
                help="A model that judges the answers afterwards; RAGAS's metrics need the extra `evals`.",
            )  # fmt: skip
            own = [metric for metric in judged if metric.startswith(MARKED)]
            metrics = st.multiselect(
                "Judged", judged, default=[*DEFAULT_METRICS, *own], width=360, key=f"judged-{order.evalset}",
                format_func=lambda metric: find_metric(metric).title,
                help="A criterion of your own is a line in [rubric] of the evalset's .toml.",
            )  # fmt: skip
        only = st.checkbox("Retrieval only", help="Searches without asking a model: seconds, and no cost.")
    more = replace(
        order,
        retrieval=tuple(settings) or (CONFIGURED,),
        only_retrieval=only,
        repetitions=int(repetitions),
        budget_usd=budget.value,
        judge=judge,
        metrics=tuple(metrics),
    )
    return more, budget.problem and f"Budget: {budget.problem}."


@whose.cached(ttl=10, show_spinner=False)
def _judged(evalset: str) -> list[str]:
    """Return the metrics that a judge can score on an evalset."""
    with suppress(EvalsetError):
        return list(judged_of(load_evalset(evalset)))
    return list(JUDGED)


def _start(order: Wanted, problem: str | None) -> None:
    """Draw the price and the button; what costs money starts only once its price is shown."""
    if problem:
        st.warning(notices.plain(problem), icon=":material/rule:")
    runs = order.variants
    asks = order.judge is not None or any(model not in FREE for model in order.models)
    paid = asks and not order.only_retrieval
    key = repr(order)
    expected = st.session_state.get("eval_estimate", ("", []))
    estimates = expected[1] if expected[0] == key else []
    why = (
        problem
        or _held(order, runs)
        or ("Ask for the estimate first: this costs money." if paid and not estimates else None)
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        pressed = st.button(
            "Start run" if runs == 1 else f"Start {runs} runs",
            type="primary", icon=":material/play_arrow:", disabled=why is not None, help=why,
        )  # fmt: skip
        if paid and st.button("Estimate", icon=":material/payments:"):
            _estimate(key, order)
        if estimates:
            st.caption(_price(estimates, order.budget_usd))
    if pressed:
        job = jobs.start(data.settings().own.path, order)
        st.toast(f"Started {job.title}", icon=":material/science:")


def _held(order: Wanted, runs: int) -> str | None:
    if not order.evalset:
        return "Choose an evalset."
    if not order.only_retrieval and not (order.prompts and order.models):
        return "Choose at least one prompt and one model."
    return f"At most {MOST_VARIANTS} runs at a time, not {runs}." if runs > MOST_VARIANTS else None


def _estimate(key: str, order: Wanted) -> None:
    try:
        with st.spinner("Assembling a few prompts …"):
            rows = jobs.estimate(order)
    except (ValueError, OSError) as error:
        st.error(f"No estimate: {notices.plain(str(error))}")
        return
    st.session_state["eval_estimate"] = (key, rows)
    st.rerun()


def _price(estimates: list[Expected], budget: float | None) -> str:
    """Say what the runs are expected to take in all."""
    calls = sum(row.calls for row in estimates)
    unpriced = [row.variant for row in estimates if row.usd is None]
    usual = format.usd(sum(row.usd or 0.0 for row in estimates))
    most = format.usd(sum(row.most_usd or 0.0 for row in estimates))
    text = f"{calls:,} calls; about {usual}, at most {most}".replace("$", "\\$")
    if unpriced:
        text += f"; no price is known of {', '.join(unpriced)}, which is not in it"
    if budget is not None:
        text += f"; stops at {format.usd(budget)} a run".replace("$", "\\$")
    return text
