"""The console: run by Streamlit, lists the pages and runs the chosen one."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from console.dashboard import boundary, visitor, whose
from console.dashboard.views import (
    alerts,
    annotate,
    breakers,
    compare,
    configuration,
    conversations,
    costs,
    evals,
    health,
    history,
    knowledge,
    models,
    overview,
    people,
    playground,
    prompts,
    searches,
    sql,
    topics,
    turns,
)

ASSETS = Path(__file__).parent / "assets"

st.set_page_config(page_title="Answerdeck", page_icon=str(ASSETS / "favicon.png"), layout="wide")
pages = {
    "": st.Page(overview.page, title="Overview", icon=":material/monitoring:", url_path="home", default=True),
    "turns": st.Page(turns.page, title="Turns", icon=":material/forum:", url_path="turns"),
    "breakers": st.Page(
        breakers.page, title="Breakers", icon=":material/electrical_services:", url_path="breakers"
    ),
    "costs": st.Page(costs.page, title="Costs", icon=":material/payments:", url_path="costs"),
    "evals": st.Page(evals.page, title="Evals", icon=":material/science:", url_path="evals"),
    "history": st.Page(history.page, title="History", icon=":material/timeline:", url_path="history"),
    "playground": st.Page(
        playground.page, title="Playground", icon=":material/replay:", url_path="playground"
    ),
    "prompts": st.Page(prompts.page, title="Prompts", icon=":material/edit_note:", url_path="prompts"),
    "compare": st.Page(compare.page, title="Compare", icon=":material/compare_arrows:", url_path="compare"),
    "knowledge": st.Page(
        knowledge.page, title="Knowledge", icon=":material/library_books:", url_path="knowledge"
    ),
    "topics": st.Page(topics.page, title="Topics & gaps", icon=":material/hub:", url_path="topics"),
    "conversations": st.Page(
        conversations.page, title="Conversations", icon=":material/chat:", url_path="conversations"
    ),
    "alerts": st.Page(alerts.page, title="Alerts", icon=":material/notifications:", url_path="alerts"),
    "health": st.Page(health.page, title="Health", icon=":material/ecg_heart:", url_path="health"),
    "models": st.Page(models.page, title="Models & prompts", icon=":material/balance:", url_path="models"),
    "retrieval": st.Page(
        searches.page, title="Retrieval", icon=":material/travel_explore:", url_path="retrieval"
    ),
    "settings": st.Page(
        configuration.page, title="Settings & audit", icon=":material/settings:", url_path="settings"
    ),
    "sql": st.Page(sql.page, title="SQL", icon=":material/database:", url_path="sql"),
    "annotate": st.Page(annotate.page, title="Annotate", icon=":material/rate_review:", url_path="annotate"),
}
# the default page answers at / alone: its name leads there too
named = st.Page(overview.page, title="Overview", url_path="overview", visibility="hidden")
pages["people"] = st.Page(people.page, title="People & keys", icon=":material/key:", url_path="people")
st.session_state["pages"] = pages
st.logo(ASSETS / "logo.svg", size="large", icon_image=ASSETS / "icon.svg")
st.html(ASSETS / "console.css")
monitor = ["", "turns", "costs", "topics", "conversations", "alerts", "models", "retrieval", "health"]
monitor += ["breakers", "settings", "sql", *(["people"] if visitor.person().may("admin") else [])]
monitor = [name for name in monitor if visitor.sees(name)]
improve = ["knowledge", "evals", "compare", "history", "annotate", "prompts", "playground"]
chosen = st.navigation(
    {
        "Monitor": [*(pages[name] for name in monitor), named],
        "Improve": [pages[name] for name in improve],
    },
    expanded=True,  # with the choice of workspace below them, half of the pages would be hidden
)
if chosen is named:
    st.switch_page(pages[""], query_params=dict(st.query_params))
if chosen is pages[""] and "turn" in st.query_params:
    st.switch_page(pages["turns"], query_params={"turn": st.query_params["turn"]})
visitor.sign()
whose.pick()
visitor.enter(chosen.url_path)
boundary.guarded(chosen.run, chosen.title)()
