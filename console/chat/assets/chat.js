// What the page does by itself, without asking Python: theme, scrolling, copying, opening source cards.
() => {
  if (!location.pathname.endsWith('/')) history.replaceState(history.state, '', location.pathname + '/' + location.search); // addresses here are relative
  const find = (selector, root = document) => root.querySelector(selector);
  const box = () => find('#box textarea');
  const running = () => Boolean(find('#live .turn.searching, #live .turn.reading, #live .turn.answering'));
  const phone = window.matchMedia('(max-width: 860px)');
  const wide = window.matchMedia('(min-width: 1280px)');
  const memory = { get: (key) => localStorage.getItem('answerdeck-' + key), set: (key, value) => localStorage.setItem('answerdeck-' + key, value), remove: (key) => localStorage.removeItem('answerdeck-' + key) };
  let words = {};
  const say = (text, values = {}) => (words[text] || text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  const waits = new Map();
  let wanted = null; // the card to open once the panel shows its turn
  let stick = true; // whether the reader is at the end of the conversation
  let newest = '';
  let wasRunning = false;

  // Theme: the reader's choice, else the system's.
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const paint = () => document.body.classList.toggle('dark', (memory.get('theme') || (dark.matches ? 'dark' : 'light')) === 'dark');
  dark.addEventListener('change', paint);
  paint();

  const flip = () => {
    memory.set('theme', document.body.classList.contains('dark') ? 'light' : 'dark');
    paint();
  };

  // The drawer: beside the chat on wide windows, over it on narrow ones.
  const setDrawer = (open) => {
    if (wide.matches) memory.set('drawer', open ? 'open' : 'shut');
    document.body.classList.toggle('drawer-open', open);
    find('#top [data-local=drawer]')?.setAttribute('aria-expanded', String(open));
  };
  const fitDrawer = () => setDrawer(wide.matches && memory.get('drawer') !== 'shut');
  wide.addEventListener('change', fitDrawer);

  // Source cards.
  const reveal = ({ n, k, byKeyboard }) => {
    const card = document.getElementById('source-' + n);
    if (wanted?.why) {
      const why = document.getElementById('why');
      if (!why) return;
      why.open = true;
      why.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
      if (byKeyboard) find('summary', why).focus({ preventScroll: true });
      return;
    }
    if (!card) return;
    card.closest('details.rest')?.setAttribute('open', '');
    card.open = true;
    document.querySelectorAll('.source.lit').forEach((other) => other.classList.remove('lit'));
    card.classList.add('lit');
    document.querySelectorAll('mark.now').forEach((other) => other.classList.remove('now'));
    const said = k === undefined ? null : `mark[data-k~="${k}"]`;
    if (said && !find(`.snippet ${said}`, card) && find(`.whole ${said}`, card)) find('.whole', card).open = true;
    const mark = said && [...card.querySelectorAll(said)].find((other) => other.checkVisibility());
    mark?.classList.add('now');
    (mark || card).scrollIntoView({ block: phone.matches || mark ? 'center' : 'nearest', behavior: 'smooth' });
    if (byKeyboard) find('summary', card).focus({ preventScroll: true });
  };
  const cite = (event, link) => {
    event.preventDefault();
    wanted = { ...link.dataset, byKeyboard: event.detail === 0 };
    if (find('#sources .panel')?.dataset.turn !== wanted.turn) return;
    event.stopPropagation();
    drawnPanel();
  };

  // Copying.
  const write = async (text, button) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = Object.assign(document.createElement('textarea'), { value: text });
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
    }
    button.classList.add('copied');
    setTimeout(() => button.classList.remove('copied'), 1400);
  };
  const answerText = (turn) => {
    const copy = find('.answer', turn).cloneNode(true);
    const sources = new Map();
    copy.querySelectorAll('.cite').forEach((chip) => {
      sources.set(chip.dataset.n, chip.title);
      chip.replaceWith(` [${chip.dataset.n}]`);
    });
    copy.style.cssText = 'position:fixed;left:-9999px;width:600px';
    document.body.append(copy); // innerText keeps line breaks only for what is laid out
    const text = copy.innerText.trim();
    copy.remove();
    const list = [...sources].map(([n, title]) => `[${n}] ${title}`).join('\n');
    return list ? `${text}\n\n${list}` : text;
  };

  const { rewrite } = window.answerdeckForms; // see forms.js
  const more = (button, item) => {
    const on = item.classList.toggle('more');
    button.setAttribute('aria-expanded', String(on));
  };
  const rename = (item) => {
    const form = find('.naming', item);
    form.hidden = !form.hidden;
    if (!form.hidden) find('input', form).select();
  };
  const sure = (item, on) => {
    item.classList.toggle('sure', on);
    find(on ? '.danger' : '.ask-remove', item).focus();
  };

  const local = {
    theme: flip,
    back: () => (find(`.turn[data-turn="${find('#sources .panel').dataset.turn}"]`) || find('#live .turn'))?.scrollIntoView({ block: 'start', behavior: 'smooth' }),
    drawer: () => setDrawer(!document.body.classList.contains('drawer-open')),
    'copy-answer': (button, turn) => write(answerText(turn), button),
    'copy-question': (button, turn) => write(find('.bubble', turn).innerText, button),
    'copy-id': (button) => write(button.dataset.id, button),
    'edit-question': (button, turn) => rewrite(turn, true),
    'keep-question': (button, turn) => rewrite(turn, false),
    confirm: (button) => sure(button.closest('.item'), true),
    keep: (button) => sure(button.closest('.item'), false),
    more: (button) => more(button, button.closest('.item')),
    rename: (button) => rename(button.closest('.item')),
    'copy-link': (button) => write(find('.address', button.closest('.link')).value, button),
  };

  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-local]');
    if (button) local[button.dataset.local](button, button.closest('.turn'));
    const link = event.target.closest('a.cite, a.to-sources');
    if (link) cite(event, link);
    if (event.target.closest('#send') && (running() || !box().value.trim())) event.stopPropagation();
    if (event.target.closest('#drawer [data-do=open], #drawer [data-do=fresh]') && !wide.matches) setDrawer(false);
    if (event.target.closest('[data-do=fresh], [data-do=open]')) turning = true;
    if (event.target.closest('[data-do=forget]')) forgetting = true;
    if (event.isTrusted && event.target.closest('[data-do]') && !event.target.closest('[data-do=open], [data-do=fresh]')) mine = true;
    if (event.target.closest('[data-do=fresh], [data-do=open]') && !phone.matches) setTimeout(() => box().focus());
    if (!event.isTrusted) return; // a click of our own, which looks anew: nobody has left the drawer
    if (document.body.classList.contains('drawer-open') && !wide.matches && !event.target.closest('#drawer, [data-local=drawer]')) setDrawer(false);
  }, true);

  document.addEventListener('keydown', (event) => {
    const area = event.target;
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      if (area === box() && (running() || !area.value.trim())) { event.preventDefault(); event.stopPropagation(); }
      if (area.matches?.('.rewrite textarea')) { event.preventDefault(); area.form.requestSubmit(); }
    }
    if (event.key === 'Escape') {
      const turn = area.closest?.('.turn.rewriting');
      if (turn) rewrite(turn, false);
      else if (running()) { find('#stop').click(); box().focus(); }
      else if (!wide.matches) setDrawer(false);
    }
  }, true);

  // Scrolling: stay at the end unless the reader has scrolled up.
  const scroller = () => (phone.matches ? document.scrollingElement : find('#thread'));
  document.addEventListener('scroll', () => {
    const s = scroller();
    if (s) stick = s.scrollHeight - s.scrollTop - s.clientHeight < 90;
  }, true);
  const follow = () => {
    const turn = find('#live .turn');
    if (!turn) return;
    if (phone.matches) { if (turn.dataset.fresh !== 'no') turn.scrollIntoView({ block: 'start', behavior: 'smooth' }); return; }
    const s = scroller();
    s.scrollTop = s.scrollHeight;
  };

  const drawnLive = () => {
    const turn = find('#live .turn');
    const now = running();
    const question = turn ? find('.bubble', turn).innerText : '';
    if (now) arrived = true;
    if (now) line('');
    if (turn && !now && question === sending) sending = '';
    const began = now && (!wasRunning || question !== newest);
    if (mine && (began || (wasRunning && !now))) news(!now);
    if (began) stick = true;
    if ((began || !phone.matches) && stick) requestAnimationFrame(follow);
    if (wasRunning && !now && !phone.matches && [document.body, find('#stop')].includes(document.activeElement)) box()?.focus();
    newest = question;
    wasRunning = now;
    for (const button of document.querySelectorAll('#live [data-wait]')) hold(button);
  };
  const hold = (button) => {
    const turn = button.dataset.turn;
    if (!waits.has(turn)) waits.set(turn, Date.now() + 1000 * button.dataset.wait);
    const label = find('span', button);
    const tick = () => {
      const left = Math.ceil((waits.get(turn) - Date.now()) / 1000);
      button.disabled = left > 0;
      label.textContent = left > 0 ? say('Try again in {n} s', { n: left }) : say('Try again');
      if (left > 0 && button.isConnected) setTimeout(tick, 500);
    };
    tick();
  };
  let form = '';
  const drawnForm = () => {
    const open = find('.comment');
    if (open && open.dataset.turn !== form) requestAnimationFrame(() => open.scrollIntoView({ block: 'nearest', behavior: 'smooth' }));
    form = open?.dataset.turn || '';
  };
  let whyOf = ''; // the turn whose "Why" is open: it stays so when the panel is drawn anew
  let forgetting = false;
  document.addEventListener('toggle', (event) => {
    if (event.target.id === 'why') whyOf = event.target.open ? find('#sources .panel').dataset.turn : '';
  }, true);
  const drawnPanel = () => {
    const why = document.getElementById('why');
    if (why && whyOf === find('#sources .panel').dataset.turn) {
      why.open = true;
      if (forgetting) find('summary', why).focus({ preventScroll: true });
    }
    forgetting = false;
    if (wanted && find('#sources .panel')?.dataset.turn === wanted.turn) {
      reveal(wanted);
      wanted = null;
    }
  };
  const drawnDrawer = () => {
    const conversation = find('#drawer .drawer')?.dataset.conversation || '';
    document.body.classList.remove('restoring');
    const url = new URL(location.href);
    conversation ? url.searchParams.set('c', conversation) : url.searchParams.delete('c');
    if (url.href !== location.href) history.replaceState(history.state, '', url);
    for (const address of document.querySelectorAll('#drawer .address')) address.value = new URL(address.dataset.path, document.baseURI).href;
    if (searching) {
      const field = find('#search');
      field?.focus();
      field?.setSelectionRange(field.value.length, field.value.length);
      searching = false;
    }
    restoreDraft();
    if (mine && !running()) news(true);
  };

  // Other tabs of this reader stay in step: what was done here is drawn there too.
  let mine = false; // something was done in this tab
  const tabs = new BroadcastChannel('answerdeck');
  const news = (last) => {
    mine = !last;
    tabs.postMessage('');
  };
  tabs.onmessage = () => { if (!running() && !sending) find('#top [data-do=resume]')?.click(); };

  // Searching while typing; the list is drawn anew, so the field gets its focus back.
  let searching = false;
  let pause = 0;
  document.addEventListener('input', (event) => {
    if (event.target.id !== 'search') return;
    mine = false; // what is searched for concerns this tab alone
    clearTimeout(pause);
    pause = setTimeout(() => { searching = true; event.target.form.requestSubmit(); }, 350);
  });

  // What was typed and not sent survives a reload, for each conversation.
  const draftKey = () => 'draft-' + (new URLSearchParams(location.search).get('c') || '');
  const put = (text) => {
    const area = box();
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(area, text);
    area.dispatchEvent(new Event('input', { bubbles: true }));
  };
  let draftOf = null;
  let turning = false; // the reader opens another conversation
  const restoreDraft = () => {
    const key = draftKey();
    if (draftOf === key || running()) {
      turning = false;
      return;
    }
    const before = draftOf;
    const kept = memory.get(key) || '';
    draftOf = key;
    if (turning) { if (kept !== box().value) put(kept); } else if (before === null) { if (kept && !box().value) put(kept); } else if (box().value) {
      memory.remove(before); // a conversation that begins takes along what is typed meanwhile
      memory.set(key, box().value);
    }
    turning = false;
  };
  document.addEventListener('input', (event) => {
    if (event.target !== box()) return;
    const key = draftOf ?? draftKey();
    if (event.target.value.trim()) memory.set(key, event.target.value); else memory.remove(key);
  });

  // The words of Gradio's own controls and of this script, in the reader's language.
  const drawnTop = () => {
    const bar = find('#top .bar');
    if (!bar || document.documentElement.dataset.words === bar.dataset.words) return;
    words = JSON.parse(bar.dataset.words);
    Object.assign(document.documentElement, { lang: bar.dataset.lang });
    document.documentElement.dataset.words = bar.dataset.words;
    const area = box();
    area.placeholder = say('Ask a question…');
    area.setAttribute('aria-label', say('Your question'));
    for (const [id, text] of [['send', 'Send'], ['stop', 'Stop']]) find('#' + id).textContent = say(text);
    find('#thread')?.setAttribute('aria-label', say('Conversation'));
    find('#top [data-local=drawer]')?.setAttribute('aria-expanded', String(document.body.classList.contains('drawer-open')));
    poll();
  };

  // Health, asked for lightly and only while somebody looks.
  const poll = async () => {
    if (document.hidden) return;
    const pill = find('#status');
    let state = 'down';
    let text = say('Connection lost');
    try {
      const response = await fetch('readyz', { headers: { accept: 'application/json' } });
      const told = (await response.json()).state;
      state = told === 'ok' ? 'good' : 'poor';
      text = say({ ok: 'All systems normal', starting: 'Starting…' }[told] || 'Limited service');
    } catch { /* the pill says so */ }
    if (!pill) return;
    pill.hidden = false;
    pill.className = 'pill ' + state;
    find('.say', pill).textContent = text;
  };

  // A question that could not be sent goes back into the box; who has been signed out signs in again.
  let sending = ''; // what was asked last, until its answer is over
  let arrived = false; // whether the server has it
  const giveBack = () => {
    line('');
    if (!sending || box().value) return;
    put(sending);
    sending = '';
    poll();
  };
  const below = window.fetch; // see stream.js
  window.fetch = async (...request) => {
    const response = await below(...request);
    if (response.status === 401) location.assign('login');
    if (!response.ok && String(request[0]?.url || request[0]).includes('/queue/join')) giveBack();
    return response;
  };

  // The line above the box: what the connection does while a question waits for it.
  const line = (text, button = false) => {
    let place = find('#line');
    if (!place) {
      place = Object.assign(document.createElement('div'), { id: 'line' });
      place.setAttribute('role', 'status');
      place.append(document.createElement('span'), Object.assign(document.createElement('button'), { type: 'button', className: 'quiet', onclick: () => window.answerdeckLine.wake() }));
      find('#composer')?.before(place);
    }
    const [words_, again] = place.children;
    if (words_.textContent !== text) words_.textContent = text;
    again.textContent = say('Try now');
    again.hidden = !button;
    place.classList.toggle('shown', Boolean(text));
  };
  let broken = false;
  const LINES = {
    waiting: () => line(say(broken ? 'The connection was lost. The answer goes on as soon as it is back.' : 'No connection. What you asked is sent as soon as it is back.'), true) ?? poll(),
    lost: () => { broken = true; LINES.waiting(); },
    resume: () => find('#top [data-do=resume]')?.click(),
    back: () => {
      line('');
      if (!broken) return;
      broken = false;
      poll();
      setTimeout(() => { // the server has been started anew, and does not know the question
        const bubbles = [...document.querySelectorAll('.turn .bubble')];
        if (sending && !running() && bubbles.at(-1)?.innerText !== sending) giveBack(); else if (!running()) sending = '';
      }, 1000);
    },
  };
  window.addEventListener('answerdeck-line', ({ detail }) => LINES[detail]());
  window.addEventListener('pagehide', () => { if (sending && !arrived && !box().value) memory.set(draftOf ?? draftKey(), sending); });
  const key = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

  // Own documents: sent one after the other; the list is drawn anew while one of them is read.
  let filesOpen = false;
  let sent = '';
  const tell = (text) => {
    sent = text;
    const place = find('#own .sent');
    if (place) place.textContent = text;
  };
  const listFiles = () => find('#own [data-do=documents]')?.click();
  const sendFile = (file) => new Promise((done) => {
    const name = file.name.toWellFormed?.() ?? file.name;
    const request = new XMLHttpRequest();
    request.open('POST', 'documents?name=' + encodeURIComponent(name || 'document'));
    request.upload.onprogress = ({ loaded, total }) => tell(say('Sending {name}: {percent} %', { name, percent: total ? Math.round((100 * loaded) / total) : 0 }));
    request.onloadend = () => {
      if (request.status === 401) location.assign('login');
      let trouble = say('Connection lost');
      try { trouble = JSON.parse(request.responseText).error?.message || trouble; } catch { /* no answer */ }
      done(request.status === 202 ? '' : trouble);
    };
    request.send(file);
  });
  const addFiles = async (files) => {
    filesOpen = true;
    find('#own').open = true;
    const troubles = [];
    for (const file of files) {
      const trouble = await sendFile(file);
      if (trouble) troubles.push(trouble);
      tell(troubles.join(' '));
      listFiles();
    }
  };
  document.addEventListener('change', (event) => {
    if (event.target.id === 'files' && event.target.files.length) addFiles([...event.target.files]);
  });
  document.addEventListener('toggle', (event) => {
    if (event.target.id !== 'own') return;
    filesOpen = event.target.open;
    if (filesOpen && phone.matches) scroller().scrollTop = scroller().scrollHeight; // the box stands before its end
  }, true);
  const brought = (event) => find('#own') && event.dataTransfer?.types.includes('Files');
  document.addEventListener('dragover', (event) => {
    if (!brought(event)) return;
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  document.addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) document.body.classList.remove('dropping');
  });
  document.addEventListener('drop', (event) => {
    document.body.classList.remove('dropping');
    if (!brought(event)) return;
    event.preventDefault();
    addFiles([...event.dataTransfer.files]);
  });
  let looking = 0;
  const look = () => {
    if (find('#own')?.dataset.busy) return listFiles();
    clearInterval(looking);
    looking = 0;
  };
  const drawnChoice = () => {
    const own = find('#own');
    if (!own) return;
    if (filesOpen) own.open = true;
    find('.sent', own).textContent = sent;
    if (own.dataset.busy && !looking) looking = setInterval(look, 1500); // a list that stays the same is not drawn
  };

  window.answerdeck = {
    key,
    busy: running,
    take: (given) => {
      const text = given.trim() ? given : box().value; // what was typed before Gradio listened it does not know
      if (text !== given) put('');
      window.answerdeckLine.taken();
      sending = text.trim();
      arrived = false;
      mine = true;
      if (sending) memory.remove(draftOf ?? draftKey());
      setTimeout(() => { if (sending && !arrived && !find('#line.shown')) line(say('Sending…')); }, 400);
      return [text, key(), ''];
    },
    drawn: (element) => {
      const region = element.closest('#live, #past, #sources, #drawer, #top, #choice')?.id;
      if (region === 'live') drawnLive();
      if (region === 'live' || region === 'past') drawnForm();
      if (region === 'sources') drawnPanel();
      if (region === 'drawer') drawnDrawer();
      if (region === 'top') drawnTop();
      if (region === 'choice') drawnChoice();
      window.answerdeckForms.drawn(phone.matches ? null : box());
    },
  };

  const thread = find('#thread');
  thread?.setAttribute('role', 'log');
  thread?.setAttribute('aria-live', 'polite');
  thread?.setAttribute('aria-label', 'Conversation');
  document.body.classList.toggle('restoring', new URLSearchParams(location.search).has('c'));
  setTimeout(() => document.body.classList.remove('restoring'), 1500);
  fitDrawer();
  poll();
  drawnTop();
  if (draftKey() === 'draft-') restoreDraft(); // else once the conversation is there
  setInterval(poll, 30000);
  document.addEventListener('visibilitychange', poll);
}
