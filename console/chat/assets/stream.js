// Gradio's client waits for ever when the stream of its events ends in any way but the usual, or just when
// something new was asked. So the stream it reads here never ends; the connections under it come and go.
(() => {
  const plain = window.fetch.bind(window);
  const SILENCE = 45000; // milliseconds; the server says something every 15 s
  const LONGEST = 10000; // milliseconds between two tries
  const bytes = new TextEncoder();
  const asked = new Map(); // events that are not over: their id, and the number of their function
  const sleepers = new Set();
  let life = 0; // sessions at the server: what a lost connection leaves there is nobody's any more
  let pause = 1000;
  let reading = false;
  let sink = null; // what Gradio reads
  let early = []; // what came before it read

  const tell = (state) => window.dispatchEvent(new CustomEvent('answerdeck-line', { detail: state }));
  const wake = () => [...sleepers].forEach((go) => go());
  const sleep = async () => {
    await new Promise((go) => { sleepers.add(go); setTimeout(go, pause); });
    sleepers.clear();
    pause = Math.min(2 * pause, LONGEST);
  };
  window.addEventListener('online', wake);

  const forward = (frame) => {
    const piece = bytes.encode(frame + '\n\n');
    if (sink) sink.enqueue(piece); else early.push(piece);
  };
  const endless = (signal) => {
    const body = new ReadableStream({
      start: (controller) => { sink = controller; early.splice(0).forEach((piece) => controller.enqueue(piece)); },
      cancel: () => { sink = null; },
    });
    signal?.addEventListener('abort', () => { sink?.close(); sink = null; });  // the page is left
    return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
  };

  // Hand on what the server sends; tell whether it says that all is over.
  const take = (frame) => {
    if (!frame.startsWith('data:')) return false;
    const message = JSON.parse(frame.slice(5));
    if (message.msg === 'close_stream') return true;
    if (message.msg === 'unexpected_error' && !message.event_id) throw new Error(message.message);
    if (message.msg !== 'heartbeat') forward(frame);
    if (message.msg === 'process_completed') asked.delete(message.event_id);
    return false;
  };
  // Read one connection to its end; tell whether it ended as it should.
  const read = async (address) => {
    const control = new AbortController();
    let quiet = 0;
    const heard = () => { clearTimeout(quiet); quiet = setTimeout(() => control.abort(), SILENCE); };
    try {
      heard();
      const response = await plain(address, { headers: { Accept: 'text/event-stream' }, credentials: 'same-origin', signal: control.signal });
      if (!response.ok) return false;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return false;
        heard();
        const frames = (rest + value).split('\n\n');
        rest = frames.pop();
        for (const frame of frames) if (take(frame)) return true;
      }
    } catch {
      return false;
    } finally {
      clearTimeout(quiet);
      control.abort();
    }
  };
  const listen = async (address) => {
    if (reading) return;
    reading = true;
    let whole = true;
    while (asked.size && whole) whole = await read(address); // it may end just when something new was asked
    reading = false;
    if (!whole) { lost(); return; }
    pause = 1000;
    tell('back');
  };
  // What was under way is over for Gradio, without a change; the page asks anew what became of it.
  const lost = async () => {
    life += 1;
    const over = [...asked];
    asked.clear();
    for (const [id, number] of over) {
      const outputs = window.gradio_config?.dependencies.find(({ id: other }) => other === number)?.outputs ?? [];
      const output = { data: outputs.map(() => ({ __type__: 'update' })) };
      forward('data: ' + JSON.stringify({ msg: 'process_completed', event_id: id, success: true, output }));
    }
    if (!over.length) return;
    tell('lost');
    await sleep();
    tell('resume');
  };

  // Send an event; without a connection it waits until there is one.
  const join = async (input, init) => {
    const body = JSON.parse(init.body);
    const address = new URL(input, document.baseURI);
    for (;;) {
      const now = life;
      const session = now ? `${body.session_hash}-${now}` : body.session_hash;
      let response, text;
      try {
        response = await plain(input, { ...init, body: JSON.stringify({ ...body, session_hash: session }) });
        text = await response.text();
      } catch { /* no connection */ }
      if (text === undefined || [502, 503, 504].includes(response.status)) {
        tell('waiting');
        await sleep();
        continue;
      }
      if (response.ok && now !== life) continue; // what it would say is lost already
      if (response.ok) {
        asked.set(JSON.parse(text).event_id, body.fn_index);
        address.pathname = address.pathname.replace(/join$/, 'data');
        address.search = '?session_hash=' + encodeURIComponent(session);
        listen(address);
      }
      return new Response(text, { status: response.status, headers: response.headers });
    }
  };

  window.fetch = (input, init) => {
    const path = new URL(input?.url ?? input, document.baseURI).pathname;
    if (path.endsWith('/queue/join') && typeof init?.body === 'string') return join(input, init);
    if (path.endsWith('/queue/data')) return Promise.resolve(endless(input?.signal ?? init?.signal));
    return plain(input, init);
  };

  // What is sent before Gradio listens to its box is sent again, until the page takes it.
  let pressed = null;
  const box = () => document.querySelector('#box textarea');
  const again = () => {
    if (pressed === null || box()?.value !== pressed || window.answerdeck?.busy()) { pressed = null; return; }
    box().dispatchEvent(new Event('input', { bubbles: true })); // typed before Gradio listened, too
    document.querySelector('#send')?.click(); // drawn after the box
    setTimeout(again, 250);
  };
  const press = () => {
    if (!box()?.value.trim() || window.answerdeck?.busy()) return;
    if (pressed === null) setTimeout(again, 250);
    pressed = box().value;
  };
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.target === box()) press();
  }, true);
  document.addEventListener('click', (event) => { if (event.target.closest('#send')) press(); }, true);
  window.answerdeckLine = { wake, taken: () => { pressed = null; } };
})();
