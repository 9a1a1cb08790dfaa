"""The chat page in a real browser."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.console.axe import violations
from tests.console.chat_reader import UNDER_WAY, ask, begin, broken, outside
from tests.console.chat_server import Chat
from tests.console.chat_server import chat as chat  # fixtures
from tests.console.chat_server import server as server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser
UNNAMED = """() => [...document.querySelectorAll('button, a, textarea, input:not([type=hidden])')]
  .filter((e) => e.checkVisibility() && !(e.ariaLabel || e.innerText.trim() || e.title || e.labels?.length))
  .map((e) => e.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[BrowserContext]:
    """One window, so that what was fetched for a page is there for the next."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(window: BrowserContext, chat: str) -> Iterator[Page]:
    """A fresh reader's page; afterwards: nothing was fetched from elsewhere and nothing broke."""
    window.clear_cookies()
    page = window.new_page()
    problems: list[str] = []
    page.on("request", lambda request: problems.extend(outside(chat, request.url)))
    page.on("pageerror", lambda error: problems.extend(broken(str(error))))
    page.on("console", lambda said: problems.extend(broken(said.text) if said.type == "error" else []))
    page.goto(chat)
    page.wait_for_selector("html[data-words]")  # its script has begun
    page.wait_for_selector("#drawer .drawer")
    yield page
    page.evaluate("localStorage.clear(), sessionStorage.clear()")
    page.close()
    assert problems == []


def test_an_answer_streams_and_its_numbers_open_the_passages(page: Page) -> None:
    from playwright.sync_api import expect

    ask(page, "How do I descale the machine?")
    expect(page.locator("#live .answer")).to_contain_text("Descale the machine when the red drop lights up")
    expect(page.locator("#live .cite")).to_have_count(5)
    address = page.url
    page.get_by_role("link", name="Rinse the machine").click()
    expect(page.locator("#source-2")).to_have_class(re.compile(r"\blit\b"))
    expect(page.locator("#source-2 mark")).to_be_visible()
    assert page.url == address
    expect(page.locator(".rest")).not_to_have_attribute("open", "")
    page.locator("#live .cite").nth(3).click()
    expect(page.locator("mark.now:visible")).to_have_text(
        "5. Fill the tank with fresh water when the pump falls silent."
    )
    page.locator("#live .cite").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#source-1 > summary")).to_be_focused()
    expect(page.locator("#source-1 .document")).to_have_attribute("target", "_blank")
    assert page.url == address


def test_escape_stops_the_answer_and_the_pipeline(page: Page, server: Chat) -> None:
    from playwright.sync_api import expect

    before = server.abandoned()
    begin(page, "How do I descale the slow machine?")
    expect(page.locator("#live .answer")).to_contain_text("Descale")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.keyboard.press("Enter")  # an empty box sends nothing
    page.keyboard.press("Escape")
    expect(page.locator("#live .notice")).to_have_text("You stopped this answer.")
    expect(page.get_by_label("Your question", exact=True)).to_be_focused()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    stopped(server, before + 1)


def stopped(server: Chat, turns: int) -> None:
    for _ in range(300):
        if server.abandoned() == turns:
            return
        time.sleep(0.1)
    pytest.fail("the turn went on after its reader had gone")


def test_closing_the_page_stops_the_pipeline(browser: Browser, chat: str, server: Chat) -> None:
    before = server.abandoned()
    context = browser.new_context()
    page = context.new_page()
    page.goto(chat)
    begin(page, "How do I descale the slow machine?")
    page.wait_for_selector("#live .answer")
    context.close()
    stopped(server, before + 1)


def test_again_edit_and_undo(page: Page) -> None:
    from playwright.sync_api import expect

    ask(page, "How do I descale the machine first?")
    ask(page, "How do I rinse the machine then?")
    turn = page.locator("#live .turn").get_attribute("data-turn")
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator("#live .turn")).not_to_have_attribute("data-turn", turn or "")
    page.wait_for_selector(UNDER_WAY, state="detached")
    expect(page.locator(".turn")).to_have_count(2)
    page.locator("#past .asked").hover()
    page.locator("#past").get_by_role("button", name="Edit the question").click()
    page.get_by_label("Your question, changed").first.fill("How do I choose a grind?")
    page.keyboard.press("Enter")
    expect(page.locator("#live .bubble")).to_have_text("How do I choose a grind?")
    page.wait_for_selector(UNDER_WAY, state="detached")
    expect(page.locator(".turn")).to_have_count(1)
    page.get_by_role("button", name="Take back this question").click()
    expect(page.get_by_label("Your question", exact=True)).to_have_value("How do I choose a grind?")
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()


def test_a_thumb_down_asks_what_was_wrong(page: Page, server: Chat) -> None:
    from playwright.sync_api import expect

    ask(page, "How do I descale the machine?")
    page.wait_for_selector("#live .foot")
    turn = page.locator("#live .turn").get_attribute("data-turn")
    page.get_by_role("button", name="Bad answer").click()
    page.get_by_text("Not complete").click()
    page.get_by_label("Anything to add?").fill("It does not say where.")
    page.get_by_role("button", name="Send feedback").click()
    expect(page.locator("#live .thanks")).to_contain_text("Thank you")
    expect(page.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    assert server.comments(turn or "") == ["It does not say where."]


def test_what_is_being_written_and_the_focus_outlive_a_new_drawing(page: Page) -> None:
    focused = "[document.activeElement.dataset.value ?? '', document.activeElement.id.split('-')[0]]"
    ask(page, "How do I descale the machine?")
    page.locator("#live [data-local=edit-question]").click()
    page.locator("#live .rewrite textarea").fill("How do I rin")
    page.locator("#live [data-value=up]").focus()
    page.keyboard.press("Enter")  # the answer is drawn anew, with its thumb
    page.locator("#live [data-value=up].pressed").wait_for()
    assert page.evaluate(focused) == ["up", ""]
    assert page.locator("#live .rewrite textarea").input_value() == "How do I rin"
    page.locator("#live .rewrite textarea").press("Escape")
    page.locator("#live [data-value=down]").press("Enter")
    page.locator("#live .comment").wait_for()
    page.wait_for_function("document.activeElement.closest('.comment')")
    page.locator("#live .comment [data-do=dismiss]").press("Enter")
    page.locator("#live .comment").wait_for(state="detached")
    page.wait_for_function("document.activeElement.closest('#live .foot')")


def test_conversations_come_back_and_can_be_deleted(page: Page, browser: Browser) -> None:
    from playwright.sync_api import expect

    ask(page, "How do I descale the machine?")
    page.get_by_label("New conversation").first.click()
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    ask(page, "How do I choose a grind?")
    page.locator("#drawer").get_by_role("button", name="How do I descale the machine?", exact=True).click()
    expect(page.locator("#live .bubble")).to_have_text("How do I descale the machine?")
    address = page.url
    page.reload()
    expect(page.locator("#live .bubble")).to_have_text("How do I descale the machine?")
    expect(page.locator("#live .cite")).to_have_count(5)
    stranger = browser.new_context().new_page()
    stranger.goto(address)
    expect(stranger.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    expect(stranger.locator(".turn")).to_have_count(0)
    stranger.context.close()
    page.locator(".item.current").hover()
    page.get_by_role("button", name="More for How do I descale the machine?").click()
    page.get_by_role("button", name="Delete the conversation: How do I descale the machine?").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".item")).to_have_count(1)
    expect(page.locator(".turn")).to_have_count(0)


def test_a_question_that_was_edited_has_its_version_before(page: Page) -> None:
    from playwright.sync_api import expect

    ask(page, "How do I descale the machine?")
    page.locator("#live .asked").hover()
    page.get_by_role("button", name="Edit the question").click()
    page.get_by_label("Your question, changed").fill("How do I rinse the machine?")
    page.keyboard.press("Enter")
    expect(page.locator("#live .versions")).to_contain_text("2/2")
    page.get_by_role("button", name="Version before").click()
    expect(page.locator("#live .bubble")).to_have_text("How do I descale the machine?")
    expect(page.locator("#live .versions")).to_contain_text("1/2")


def test_why_shows_what_was_searched_and_how_each_sentence_is_supported(page: Page) -> None:
    from playwright.sync_api import expect

    ask(page, "My machine has a red drop. How do I descale the machine?")
    page.locator("#live .to-sources", has_text="Why").click()
    expect(page.locator("#why")).to_have_attribute("open", "")
    expect(page.locator("#why .checks")).to_contain_text("Fill the tank with fresh water")
    expect(page.locator("#why .supported").first).to_contain_text("Supported [1]")


def test_conversations_are_searched_named_pinned_and_shared(page: Page, browser: Browser) -> None:
    from playwright.sync_api import expect

    ask(page, "How do I descale the machine?")
    page.get_by_label("New conversation").first.click()
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, "How do I choose a grind?")
    search = page.get_by_label("Search the conversations")
    search.fill("tea grind")
    expect(page.locator("#drawer .none")).to_have_text("No conversation has these words.")
    search.fill("choose grind")
    expect(page.locator(".item")).to_have_count(1)
    expect(search).to_be_focused()
    page.locator(".item").hover()
    page.get_by_role("button", name="More for How do I choose a grind?").click()
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name of the conversation").fill("The grinder")
    page.keyboard.press("Enter")
    expect(page.locator(".item .open")).to_have_text("The grinder")
    page.locator(".item").hover()
    page.get_by_role("button", name="More for The grinder").click()
    page.get_by_role("button", name="Share").click()
    address = page.locator(".link .address")
    expect(address).to_have_value(re.compile("^http"))
    with page.expect_download() as download:
        page.locator(".item").get_by_role("link", name="Markdown").click()
    assert download.value.suggested_filename == "the-grinder.md"
    reader = browser.new_context().new_page()
    reader.goto(address.input_value())
    expect(reader.get_by_role("heading", level=1)).to_have_text("The grinder")
    expect(reader.locator("h2")).to_have_text("How do I choose a grind?")
    reader.context.close()


def test_what_was_typed_survives_a_reload(page: Page) -> None:
    from playwright.sync_api import expect

    ask(page, "How do I descale the machine?")
    box = page.get_by_label("Your question", exact=True)
    box.fill("How do I")
    page.reload()
    page.wait_for_selector("#live .turn")
    expect(box).to_have_value("How do I")
    ask(page, "How do I rinse the machine?")
    page.reload()
    page.wait_for_selector("#past .turn")
    expect(box).to_have_value("")


def test_the_page_speaks_the_language_of_the_browser(browser: Browser, chat: str) -> None:
    from playwright.sync_api import expect

    page = browser.new_context(locale="de-DE").new_page()
    page.goto(chat)
    expect(page.get_by_role("heading", name="Was möchten Sie wissen?")).to_be_visible()
    expect(page.get_by_role("button", name="Senden", exact=True)).to_be_visible()
    expect(page.get_by_label("Ihre Frage", exact=True)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.context.close()


def test_trouble_is_told_calmly(page: Page) -> None:
    from playwright.sync_api import expect

    ask(page, "What is absent from the machine?")
    expect(page.locator("#live .answer.absent")).to_contain_text("could not find this in the documents")
    expect(page.locator("#sources")).to_contain_text("Nothing was cited")
    ask(page, "How do I descale an unreachable machine?")
    expect(page.locator("#live .notice")).to_contain_text("not reachable")
    for number in range(6):
        ask(page, f"How do I descale machine {number}?")
    expect(page.get_by_role("alert")).to_contain_text("asking faster than allowed")
    expect(page.get_by_role("button", name=re.compile("Try again in"))).to_be_disabled()


def test_hostile_text_stays_text(page: Page) -> None:
    from playwright.sync_api import expect

    ask(page, "What does the hostile page <b onclick=alert(1)> say?")
    expect(page.locator("#live .bubble")).to_contain_text("<b onclick=alert(1)>")
    expect(page.locator("#live .answer code")).to_have_text("<b>code</b>")
    expect(page.locator("#source-1 strong")).to_have_text('<img src=x onerror="window.hacked=1">')
    assert page.evaluate("window.hacked") is None
    assert page.locator("#thread img, #sources img, #thread script, #sources script").count() == 0
    hrefs = page.locator("#thread a, #sources a").evaluate_all("links => links.map((a) => a.href)")
    assert all(href.startswith(("http://", "https://")) for href in hrefs)


def test_axe_finds_nothing_before_and_after_an_answer(page: Page) -> None:
    assert not violations(page)
    ask(page, "How do I descale the machine?")
    assert not violations(page)


def test_light_dark_and_names(page: Page) -> None:
    from playwright.sync_api import expect

    expect(page.get_by_role("heading", level=1)).to_have_text("Answerdeck")
    expect(page.get_by_role("log", name="Conversation")).to_be_visible()
    expect(page.locator("#status")).to_have_text("All systems normal")
    ask(page, "How do I descale the machine?")
    assert page.evaluate(UNNAMED) == []
    page.get_by_role("button", name="Dark or light").click()
    assert page.evaluate("document.body.classList.contains('dark')")
    page.reload()
    page.wait_for_selector("#live .turn")
    assert page.evaluate("document.body.classList.contains('dark')")


def test_a_question_without_a_connection_waits_for_one(browser: Browser, chat: str) -> None:
    from playwright.sync_api import expect

    page = browser.new_context().new_page()
    page.goto(chat)
    page.wait_for_selector("#drawer .drawer")
    page.route("**/queue/join*", lambda route: route.abort())
    begin(page, "How do I descale the machine?")
    expect(page.locator("#line")).to_contain_text("No connection.")
    with page.expect_request("**/queue/join*"):  # with none still: the page tries by itself, too
        page.get_by_role("button", name="Try now").click()
    expect(page.locator("#line")).to_contain_text("No connection.")
    page.unroute("**/queue/join*")
    expect(page.locator("#live .cite")).to_have_count(5)
    expect(page.locator("#line")).to_be_hidden()
    page.context.close()


def test_an_answer_goes_on_after_its_stream_was_lost(browser: Browser, chat: str) -> None:
    from playwright.sync_api import expect

    page = browser.new_context().new_page()
    page.goto(chat)
    page.wait_for_selector("#drawer .drawer")
    page.route("**/queue/data*", lambda route: route.abort(), times=1)
    begin(page, "How do I descale the machine?")
    expect(page.locator("#live .cite")).to_have_count(5)
    expect(page.locator(".turn")).to_have_count(1)
    page.context.close()


def test_two_tabs_of_a_reader_stay_in_step(page: Page, chat: str) -> None:
    from playwright.sync_api import expect

    ask(page, "How do I descale the machine?")
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator(".turn")).to_have_count(1)
    ask(page, "How do I rinse the machine?")
    expect(other.locator(".turn")).to_have_count(2)
    other.close()


def test_a_phone_shows_the_sources_under_the_conversation(page: Page) -> None:
    from playwright.sync_api import expect

    page.set_viewport_size({"width": 390, "height": 844})
    ask(page, "How do I descale the machine?")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.evaluate("window.scrollTo(0, 0)")
    expect(page.get_by_label("Your question", exact=True)).to_be_in_viewport(ratio=1)
    page.get_by_role("link", name="2 sources").click()
    expect(page.locator("#source-1")).to_be_in_viewport()
    page.get_by_role("button", name="Back to the answer").click()
    expect(page.locator("#live .bubble")).to_be_in_viewport()
    page.get_by_role("button", name="Conversations", exact=True).click()
    page.evaluate("document.querySelector('#top [data-do=resume]').click()")  # as when another tab acts
    expect(page.get_by_role("navigation", name="Conversations")).to_be_in_viewport()


def test_doors_that_gradio_leaves_open_are_closed(chat: str) -> None:
    for path in ("/gradio_api/upload", "/gradio_api/file=/etc/passwd", "/gradio_api/runs"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(chat + path, data=b"x", method="POST"))
        refused.value.close()
        assert refused.value.code == 404
