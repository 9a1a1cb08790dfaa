"""The stream of events under the chat page, as a network may treat it: its script alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import console.chat

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
SCRIPT = (Path(console.chat.__file__).parent / "assets" / "stream.js").read_text()
# A server whose connections the test feeds and ends; what Gradio would read is in `read`.
SERVER = """
window.connections = []; window.joins = []; window.states = []; window.read = []; window.refuse = 0;
window.answered = 0;
window.gradio_config = { dependencies: [{ id: 7, outputs: [1, 2] }] };
window.addEventListener('answerdeck-line', ({ detail }) => states.push(detail));
window.fetch = async (input, init) => {
  const url = new URL(input);
  if (url.pathname.endsWith('/join')) {
    if (refuse-- > 0 && !answered) throw new TypeError('no connection');
    if (refuse >= 0) return new Response('{}', { status: answered });
    joins.push(JSON.parse(init.body).session_hash);
    return new Response(JSON.stringify({ event_id: 'e' + joins.length }), { status: 200 });
  }
  let control;
  const bytes = new TextEncoder();
  const body = new ReadableStream({ start: (given) => { control = given; } });
  connections.push({ session: url.searchParams.get('session_hash'), end: () => control.close(),
    say: (message) => control.enqueue(bytes.encode('data: ' + JSON.stringify(message) + '\\n\\n')) });
  return new Response(body, { status: 200 });
};
"""
HELPERS = """
window.tick = () => new Promise((go) => setTimeout(go));
window.ask = () => fetch('http://x.example/gradio_api/queue/join?', { method: 'POST',
  body: JSON.stringify({ session_hash: 's', fn_index: 7 }) }).then((response) => response.json());
window.over = (id) => ({ msg: 'process_completed', event_id: id, success: true, output: { data: [] } });
window.listen = async () => {
  const reader = (await fetch('http://x.example/gradio_api/queue/data?session_hash=s')).body.getReader();
  for (;;) read.push(JSON.parse(new TextDecoder().decode((await reader.read()).value).slice(5)));
};
"""


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.fixture
def run(blank: Page) -> Any:
    blank.goto("about:blank")
    blank.evaluate(SERVER + SCRIPT + HELPERS + "undefined")
    return lambda steps: blank.evaluate(f"async () => {{ {steps} }}")


def test_what_is_asked_just_when_the_stream_ends_is_answered(run: Any) -> None:
    ends = run("""
      await ask(); listen(); await tick();
      connections[0].say(over('e1')); await tick();
      await Promise.all([ask(), connections[0].say({ msg: 'close_stream' })]); await tick();
      connections[1].say(over('e2')); await tick();
      return [connections.map(({ session }) => session), read.map(({ event_id }) => event_id)];
    """)
    assert ends == [["s", "s"], ["e1", "e2"]]


def test_a_lost_stream_ends_its_events_and_asks_in_a_new_session(run: Any) -> None:
    ends = run("""
      await ask(); listen(); await tick();
      connections[0].end(); await tick();
      answerdeckLine.wake(); await tick();
      await ask(); await tick();
      connections[1].say(over('e2')); connections[1].say({ msg: 'close_stream' }); await tick();
      return [states, joins, connections[1].session, read];
    """)
    states, joins, session, read = ends
    assert states == ["lost", "resume", "back"]
    assert joins == ["s", "s-1"]
    assert session == "s-1"
    assert [message["event_id"] for message in read] == ["e1", "e2"]
    assert read[0]["output"]["data"] == [{"__type__": "update"}] * 2


@pytest.mark.parametrize("status", [0, 502, 503, 504])
def test_what_cannot_be_sent_waits(run: Any, status: int) -> None:
    ends = run(
        f"refuse = 1; window.answered = {status};"
        + """
      const asked = ask(); await tick(); await tick();
      const before = joins.length;
      answerdeckLine.wake();
      return [before, (await asked).event_id, states];
    """
    )
    assert ends == [0, "e1", ["waiting"]]


def test_a_server_that_knows_the_session_no_more_counts_as_lost(run: Any) -> None:
    assert run("""
      await ask(); await tick();
      connections[0].say({ msg: 'unexpected_error', message: '404', session_not_found: true });
      await tick(); await tick();
      return states;
    """) == ["lost"]


def test_what_is_sent_before_the_button_is_drawn_is_sent_by_it(run: Any) -> None:
    sent = run("""
      document.body.innerHTML = '<div id="box"><textarea>Ask me</textarea></div>';
      const box = document.querySelector('textarea');
      const key = new KeyboardEvent('keydown', { key: 'Enter', bubbles: true });
      window.answerdeck = { busy: () => false };
      box.dispatchEvent(key);
      await new Promise((go) => setTimeout(go, 300));
      document.body.insertAdjacentHTML('beforeend', '<button id="send"></button>');
      const send = document.querySelector('#send');
      return await new Promise((go) => send.addEventListener('click', () => go(box.value)));
    """)
    assert sent == "Ask me"
