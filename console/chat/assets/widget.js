/* Answerdeck on any page: <script src="https://…/widget.js" async></script>. One shadow root, no cookies,
   no other file. Text from the server is only ever set as text. */
(() => {
  'use strict';
  const script = document.currentScript;
  const data = script.dataset;
  const server = new URL(script.src).origin + new URL(script.src).pathname.replace(/\/widget\.js$/, '');

  const WORDS = {
    en: { open: 'Open the chat', close: 'Close the chat', title: 'Ask us', ask: 'Your question', send: 'Send', stop: 'Stop',
      greeting: 'Ask anything that our documents answer.', fresh: 'New conversation', you: 'You asked', answer: 'Answer',
      source: 'Source', sources: 'Sources', good: 'Helpful', bad: 'Not helpful', thanks: 'Thank you.', seeking: 'Searching…',
      offline: 'The chat cannot be reached. Please try again in a moment.', origin: 'This page may not use the chat yet.',
      cut: 'The connection ended before the answer did. Please ask again.', stopped: 'Stopped.', openSource: 'Open the page',
      lost: 'No connection. Your question is sent as soon as it is back.', again: 'Try again', soon: 'Try again in {n} s' },
    de: { open: 'Chat öffnen', close: 'Chat schließen', title: 'Fragen Sie uns', ask: 'Ihre Frage', send: 'Senden', stop: 'Anhalten',
      greeting: 'Fragen Sie, was unsere Dokumente beantworten.', fresh: 'Neues Gespräch', you: 'Sie fragten', answer: 'Antwort',
      source: 'Quelle', sources: 'Quellen', good: 'Hilfreich', bad: 'Nicht hilfreich', thanks: 'Danke.', seeking: 'Suche…',
      offline: 'Der Chat ist nicht erreichbar. Bitte versuchen Sie es gleich noch einmal.', origin: 'Diese Seite darf den Chat noch nicht benutzen.',
      cut: 'Die Verbindung endete vor der Antwort. Bitte fragen Sie noch einmal.', stopped: 'Angehalten.', openSource: 'Seite öffnen',
      lost: 'Keine Verbindung. Ihre Frage wird gesendet, sobald sie wieder da ist.', again: 'Noch einmal versuchen', soon: 'Noch einmal versuchen in {n} s' },
    fr: { open: 'Ouvrir le chat', close: 'Fermer le chat', title: 'Une question ?', ask: 'Votre question', send: 'Envoyer', stop: 'Arrêter',
      greeting: 'Posez une question à nos documents.', fresh: 'Nouvelle conversation', you: 'Vous avez demandé', answer: 'Réponse',
      source: 'Source', sources: 'Sources', good: 'Utile', bad: 'Pas utile', thanks: 'Merci.', seeking: 'Recherche…',
      offline: 'Le chat est injoignable. Veuillez réessayer dans un instant.', origin: 'Cette page ne peut pas encore utiliser le chat.',
      cut: 'La connexion s’est arrêtée avant la réponse. Veuillez redemander.', stopped: 'Arrêté.', openSource: 'Ouvrir la page',
      lost: 'Pas de connexion. Votre question sera envoyée dès qu’elle sera rétablie.', again: 'Réessayer', soon: 'Réessayer dans {n} s' },
    es: { open: 'Abrir el chat', close: 'Cerrar el chat', title: 'Pregúntenos', ask: 'Su pregunta', send: 'Enviar', stop: 'Detener',
      greeting: 'Pregunte lo que responden nuestros documentos.', fresh: 'Nueva conversación', you: 'Usted preguntó', answer: 'Respuesta',
      source: 'Fuente', sources: 'Fuentes', good: 'Útil', bad: 'No útil', thanks: 'Gracias.', seeking: 'Buscando…',
      offline: 'No se puede acceder al chat. Inténtelo de nuevo en un momento.', origin: 'Esta página aún no puede usar el chat.',
      cut: 'La conexión terminó antes que la respuesta. Pregunte de nuevo.', stopped: 'Detenido.', openSource: 'Abrir la página',
      lost: 'Sin conexión. Su pregunta se enviará en cuanto vuelva.', again: 'Intentar de nuevo', soon: 'Intentar de nuevo en {n} s' },
    pt: { open: 'Abrir o chat', close: 'Fechar o chat', title: 'Pergunte-nos', ask: 'Sua pergunta', send: 'Enviar', stop: 'Parar',
      greeting: 'Pergunte o que os nossos documentos respondem.', fresh: 'Nova conversa', you: 'Você perguntou', answer: 'Resposta',
      source: 'Fonte', sources: 'Fontes', good: 'Útil', bad: 'Não útil', thanks: 'Obrigado.', seeking: 'Procurando…',
      offline: 'Não é possível acessar o chat. Tente de novo em instantes.', origin: 'Esta página ainda não pode usar o chat.',
      cut: 'A conexão terminou antes da resposta. Pergunte de novo.', stopped: 'Parado.', openSource: 'Abrir a página',
      lost: 'Sem conexão. A sua pergunta será enviada assim que ela voltar.', again: 'Tentar de novo', soon: 'Tentar de novo em {n} s' },
    zh: { open: '打开聊天', close: '关闭聊天', title: '向我们提问', ask: '您的问题', send: '发送', stop: '停止',
      greeting: '您可以询问我们文档中的任何内容。', fresh: '新对话', you: '您的提问', answer: '回答',
      source: '来源', sources: '来源', good: '有帮助', bad: '没有帮助', thanks: '谢谢。', seeking: '正在搜索…',
      offline: '暂时无法连接聊天，请稍后再试。', origin: '此页面尚未获准使用聊天。',
      cut: '连接在回答结束之前中断，请再问一次。', stopped: '已停止。', openSource: '打开页面',
      lost: '连接已断开。恢复后会立即发送您的问题。', again: '重试', soon: '{n} 秒后重试' },
  };
  const lang = (data.lang || document.documentElement.lang || navigator.language || 'en').slice(0, 2).toLowerCase();
  const words = WORDS[lang] || WORDS.en;

  const STYLE = `
    :host { all: initial; --accent: #4f46e5; --on: #fff; --page: #fff; --line: #e4e7ee; --ink: #171c2b; --soft: #525c70;
      --chip: #eef0ff; --chip-ink: #4338ca; --bad: #b42332; font: 15px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
    :host([dark]) { --page: #161b27; --line: #2b3346; --ink: #e9ecf4; --soft: #aab3c5; --chip: #23264a; --chip-ink: #a5b0fc; --bad: #fda4ac; }
    * { box-sizing: border-box; } button { font: inherit; cursor: pointer; color: inherit; }
    :focus-visible { outline: 2px solid var(--chip-ink); outline-offset: 2px; }
    .launch { position: fixed; bottom: 20px; right: 20px; z-index: 2147483000; width: 56px; height: 56px; border: 0; border-radius: 50%;
      background: var(--accent); color: var(--on); box-shadow: 0 8px 24px rgb(16 24 40 / 28%); display: grid; place-items: center; }
    .panel { position: fixed; bottom: 88px; right: 20px; z-index: 2147483000; width: min(400px, calc(100vw - 24px)); height: min(620px, calc(100dvh - 112px));
      display: flex; flex-direction: column; overflow: hidden; border: 1px solid var(--line); border-radius: 16px; background: var(--page);
      color: var(--ink); box-shadow: 0 18px 48px rgb(16 24 40 / 26%); }
    .left .launch, .left .panel { right: auto; left: 20px; }
    [hidden] { display: none !important; }
    header { display: flex; align-items: center; gap: 4px; padding: 12px 10px 12px 18px; border-bottom: 1px solid var(--line); }
    h2 { flex: 1; margin: 0; font-size: 16px; font-weight: 600; } .ghost { width: 36px; height: 36px; padding: 0; border: 0; border-radius: 9px;
      background: none; color: var(--soft); display: grid; place-items: center; } .ghost:hover { background: var(--chip); color: var(--chip-ink); }
    .talk { flex: 1; overflow-y: auto; padding: 16px 18px; scrollbar-width: thin; }
    .greeting { color: var(--soft); margin: 0; }
    .asked { width: fit-content; max-width: 88%; margin: 14px 0 10px auto; padding: 8px 13px; border-radius: 14px 14px 4px 14px;
      background: var(--accent); color: var(--on); white-space: pre-wrap; overflow-wrap: anywhere; }
    .told { margin: 0 0 14px; overflow-wrap: anywhere; } .told p { margin: 0 0 8px; } .told ol, .told ul { margin: 0 0 8px; padding-inline-start: 22px; }
    .told pre { margin: 0 0 8px; padding: 8px 10px; overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; font-size: 13px; }
    .line { margin-bottom: 8px; font-size: 13.5px; } .line p { margin: 0 0 6px; } .again { min-height: 32px; padding: 4px 12px; border: 1px solid var(--line); border-radius: 9px;
      background: none; color: var(--chip-ink); font-weight: 600; } .again:disabled { color: var(--soft); cursor: default; }
    .notice { color: var(--soft); font-size: 13.5px; } .wrong { color: var(--bad); }
    .chip { margin: 0 1px; padding: 0 6px; min-width: 24px; height: 24px; border: 0; border-radius: 6px; background: var(--chip); color: var(--chip-ink);
      font-size: 12.5px; font-weight: 600; vertical-align: baseline; }
    details { margin-top: 4px; border: 1px solid var(--line); border-radius: 10px; padding: 6px 10px; font-size: 13.5px; } details + details { margin-top: 6px; }
    summary { cursor: pointer; font-weight: 600; } details p { margin: 6px 0; color: var(--soft); max-height: 180px; overflow-y: auto; white-space: pre-wrap; }
    a { color: var(--chip-ink); } .thumbs { display: flex; align-items: center; gap: 2px; margin-top: 6px; color: var(--soft); font-size: 13px; }
    .ghost[aria-pressed=true] { background: var(--chip); color: var(--chip-ink); }
    form { display: flex; gap: 8px; align-items: flex-end; padding: 12px; border-top: 1px solid var(--line); }
    textarea { flex: 1; min-height: 44px; max-height: 132px; padding: 10px 12px; resize: none; border: 1px solid var(--line); border-radius: 12px;
      background: transparent; color: inherit; font: inherit; field-sizing: content; } textarea::placeholder { color: var(--soft); opacity: 1; }
    .send { height: 44px; padding: 0 16px; border: 0; border-radius: 12px; background: var(--accent); color: var(--on); font-weight: 600; }
    .unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
    @media (max-width: 480px) { .panel { inset: 0; width: 100vw; height: 100dvh; border: 0; border-radius: 0; }
      .launch[aria-expanded=true] { display: none; } }
    @media (prefers-reduced-motion: no-preference) { .panel { animation: rise .16s ease-out; } @keyframes rise { from { opacity: 0; transform: translateY(8px); } } }`;

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
      else if (value !== false && value != null) element.setAttribute(name, value === true ? '' : value);
    }
    element.append(...children);
    return element;
  };
  const icon = (path) => {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    for (const [name, value] of Object.entries({ viewBox: '0 0 24 24', width: 20, height: 20, fill: 'none', stroke: 'currentColor',
      'stroke-width': 1.8, 'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true' })) svg.setAttribute(name, value);
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    line.setAttribute('d', path);
    svg.append(line);
    return svg;
  };
  const ICONS = { chat: 'M4 5h16v11H9l-5 4z', close: 'M6 6l12 12M18 6L6 18', fresh: 'M12 5v14M5 12h14',
    good: 'M7 11v9H4v-9zM7 11l4-8c2 0 3 1 3 3v4h5c1.500 0 2 1 1.800 2l-1.500 7c-.2 .7-.8 1-1.500 1H7',
    bad: 'M7 13V4H4v9zM7 13l4 8c2 0 3-1 3-3v-4h5c1.500 0 2-1 1.800-2l-1.500-7c-.2-.7-.8-1-1.500-1H7' };

  /* What is kept stays in this site's own storage, for this tab: the visitor's made-up id and the conversation. */
  const kept = (name, value) => {
    try {
      if (value === undefined) return sessionStorage.getItem('answerdeck-' + name);
      if (value === null) sessionStorage.removeItem('answerdeck-' + name);
      else sessionStorage.setItem('answerdeck-' + name, value);
    } catch { /* storage is closed: the conversation lives as long as the page */ }
    return value ?? null;
  };
  const random = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16)))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const guest = kept('guest') || kept('guest', random());
  const parsed = (name, otherwise) => { try { return JSON.parse(kept(name)) ?? otherwise; } catch { return otherwise; } };
  let conversation = kept('conversation');
  let underway = null;
  const TRIES = [1, 2, 4, 8, 10]; // seconds before the next try, while nothing can be reached
  const SILENCE = 45000; // milliseconds; the server says something every 10 s
  const TURNS = 20; // shown again when the visitor goes to the next page

  const headers = () => ({ 'Content-Type': 'application/json', 'Accept-Language': lang, 'X-Answerdeck-Guest': guest, ...(data.key ? { Authorization: 'Bearer ' + data.key } : {}) });

  async function* events(response, heard) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      const frames = (rest + value).split('\n\n');
      rest = frames.pop();
      for (const frame of frames) {
        const name = /^event: (.*)$/m.exec(frame);
        const body = /^data: (.*)$/m.exec(frame);
        if (name && body) yield [name[1], JSON.parse(body[1])];
      }
    }
  }

  /* Markdown as far as answers use it: paragraphs, lists, code, bold, citations. Everything else stays text. */
  const inline = (parent, text, cite) => {
    for (const part of text.split(/(\[\d{1,2}\]|\*\*[^*]+\*\*|\*[^*\s](?:[^*]*[^*\s])?\*|`[^`]+`)/)) {
      const mark = /^\[(\d{1,2})\]$/.exec(part);
      if (mark) parent.append(cite(Number(mark[1])) || '');
      else if (part.startsWith('**') && part.length > 4) parent.append(make('strong', {}, part.slice(2, -2)));
      else if (part.startsWith('*') && part.length > 2) parent.append(make('em', {}, part.slice(1, -1)));
      else if (part.startsWith('`') && part.length > 2) parent.append(make('code', {}, part.slice(1, -1)));
      else parent.append(part);
    }
  };
  const draw = (box, text, cite) => {
    box.replaceChildren();
    text.split(/```/).forEach((piece, index) => {
      if (index % 2) return box.append(make('pre', { tabindex: 0 }, make('code', {}, piece.replace(/^\w*\n/, '').trimEnd())));
      let list = null;
      for (const line of piece.split('\n')) {
        const item = /^\s*(?:([-*•])|(\d+)[.)])\s+(.*)$/.exec(line);
        if (!item) list = null;
        if (!line.trim()) continue;
        const tag = item && (item[1] ? 'ul' : 'ol');
        if (item && (!list || list.localName !== tag)) { list = make(tag, tag === 'ol' ? { start: item[2] } : {}); box.append(list); }
        const element = make(item ? 'li' : 'p', { dir: 'auto' });
        inline(element, item ? item[3] : line.replace(/^#{1,6}\s+/, ''), cite);
        (item ? list : box).append(element);
      }
    });
  };

  const host = make('div', { 'data-answerdeck': '' });
  const root = host.attachShadow({ mode: 'open' });
  const talk = make('div', { class: 'talk', role: 'log', 'aria-live': 'off', tabindex: 0, 'aria-label': data.title || words.title });
  const live = make('p', { class: 'unseen', role: 'status' });
  const box = make('textarea', { rows: 1, placeholder: words.ask, 'aria-label': words.ask, maxlength: 4000, dir: 'auto' });
  const send = make('button', { class: 'send' }, words.send);
  const form = make('form', {}, box, send);
  const panel = make('section', { class: 'panel', role: 'dialog', 'aria-label': data.title || words.title, hidden: true },
    make('header', {}, make('h2', {}, data.title || words.title),
      make('button', { class: 'ghost', 'aria-label': words.fresh, title: words.fresh, onclick: begin }, icon(ICONS.fresh)),
      make('button', { class: 'ghost', 'aria-label': words.close, title: words.close, onclick: () => show(false) }, icon(ICONS.close))),
    talk, live, form);
  const launch = make('button', { class: 'launch', 'aria-label': words.open, 'aria-expanded': 'false', onclick: () => show(panel.hidden) }, icon(ICONS.chat));
  const frame = make('div', { class: data.side === 'left' ? 'left' : '', lang }, panel, launch);
  root.append(make('style', {}, STYLE), frame);
  const darkness = matchMedia('(prefers-color-scheme: dark)');
  const shade = () => host.toggleAttribute('dark', data.theme === 'dark' || (data.theme !== 'light' && darkness.matches));
  darkness.addEventListener('change', shade);
  shade();
  if (/^#[0-9a-f]{6}$/i.test(data.colour || '')) {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(data.colour.slice(at, at + 2), 16) / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    host.style.setProperty('--accent', data.colour);  /* black or white on it, whichever reads better */
    host.style.setProperty('--on', 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? '#111827' : '#fff');
  }

  function show(open) {
    panel.hidden = !open;
    launch.setAttribute('aria-expanded', String(open));
    launch.setAttribute('aria-label', open ? words.close : words.open);
    launch.replaceChildren(icon(open ? ICONS.close : ICONS.chat));
    (open ? box : launch).focus();
  }
  function begin() {
    const before = underway;
    underway = null;
    before?.abort();
    send.textContent = words.send;
    for (const name of ['conversation', 'turns', 'asked']) kept(name, null);
    conversation = null;
    welcome();
    box.focus();
  }
  function welcome() {
    talk.replaceChildren(make('p', { class: 'greeting', dir: 'auto' }, data.greeting || words.greeting));
  }

  const card = (passage) => make('details', { 'data-n': passage.n }, make('summary', { dir: 'auto' }, `${passage.n} · ${passage.title || words.source}`),
    make('p', { dir: 'auto', tabindex: 0 }, passage.text),
    /^https?:\/\//.test(passage.url || '') ? make('a', { href: passage.url, target: '_blank', rel: 'noopener noreferrer' }, words.openSource) : '');

  function thumbs(turn) {
    const row = make('div', { class: 'thumbs' });
    const thumb = (value, label, path) => make('button', { class: 'ghost', 'aria-label': label, title: label, 'aria-pressed': 'false', onclick: async (event) => {
      const pressed = event.currentTarget;
      const response = await fetch(server + '/api/feedback', { method: 'POST', headers: headers(), credentials: 'omit', body: JSON.stringify({ turn_id: turn, value }) }).catch(() => null);
      row.querySelectorAll('button').forEach((button) => button.setAttribute('aria-pressed', String(button === pressed && !!(response && response.ok))));
      live.textContent = note.textContent = response && response.ok ? words.thanks : words.offline;
    } }, icon(path));
    const note = make('span');
    row.append(thumb(1, words.good, ICONS.good), thumb(-1, words.bad, ICONS.bad), note);
    return row;
  }

  /* The place of a turn in the talk: its question, its text, and what stands below that. */
  function place(question, id) {
    const turn = { question, id, answer: '', passages: [], text: make('div', { class: 'told' }), below: make('div') };
    talk.querySelector('.greeting')?.remove();
    talk.append(make('div', { class: 'asked', dir: 'auto' }, make('span', { class: 'unseen' }, words.you + ': '), question), turn.text, turn.below);
    talk.scrollTop = talk.scrollHeight;
    return turn;
  }
  const say = (turn, sentence, kind, ...more) => {
    turn.below.querySelector('.line')?.remove();
    turn.below.prepend(make('div', { class: 'line ' + kind }, make('p', { dir: 'auto' }, sentence), ...more));
    live.textContent = sentence;
    talk.scrollTop = talk.scrollHeight;
  };
  const paint = (turn) => {
    const cite = (n) => turn.passages.some((passage) => passage.n === n) && make('button', { class: 'chip', type: 'button', 'aria-label': `${words.source} ${n}`, onclick: () => {
      const source = turn.below.querySelector(`details[data-n="${n}"]`);
      if (source) { source.open = true; source.scrollIntoView({ block: 'nearest' }); source.querySelector('summary').focus(); }
    } }, String(n));
    const low = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60;
    draw(turn.text, turn.answer, cite);
    if (low) talk.scrollTop = talk.scrollHeight;
  };
  function complete(turn, done) {
    Object.assign(turn, { answer: done.answer, passages: done.passages });
    turn.below.replaceChildren();
    paint(turn);
    turn.below.append(...done.passages.map(card), thumbs(done.turn_id));
    if (done.notice) say(turn, done.notice, 'notice');
  }
  const keep = (question, done) => {
    const cited = done.passages.filter((passage) => done.citations.some((citation) => citation.n === passage.n));
    const turn = { answer: done.answer, passages: cited.map(({ n, title, url, text }) => ({ n, title, url, text })), turn_id: done.turn_id, notice: done.notice };
    kept('turns', JSON.stringify([...parsed('turns', []), { question, done: turn }].slice(-TURNS)));
    kept('asked', null);
    return turn;
  };

  async function ask(question) {
    const turn = place(question, random());
    kept('asked', JSON.stringify({ question, id: turn.id }));
    await persist(turn);
  }

  /* Ask until there is an answer, the visitor stops it, or more tries are no use. The id of a turn goes with
     each try, so that the server answers it once. */
  async function persist(turn) {
    const control = underway = new AbortController();
    let cuts = 0, closed = 0, trouble;
    send.textContent = words.stop;
    for (let tries = 0; ; tries += 1) {
      if (!turn.answer) turn.text.replaceChildren(make('p', { class: 'notice' }, words.seeking));
      trouble = await attempt(turn, control);
      if (!trouble || control.signal.aborted || !trouble.lost) break;
      cuts += trouble.begun ? 1 : 0;
      if (!trouble.begun && await reachable()) closed += 1; // it answers, but not this page: or it came back just now
      if (closed > 1) trouble = { sentence: words.origin, final: true };
      if (closed > 1 || cuts > 1 || (tries >= TRIES.length && navigator.onLine)) break;
      if (!turn.answer) turn.text.replaceChildren();
      say(turn, words.lost, 'notice', retry(() => wake()));
      await rest(TRIES[Math.min(tries, TRIES.length - 1)], control.signal);
      if (control.signal.aborted) break;
    }
    if (underway !== control) return; // a new conversation was begun
    underway = null;
    send.textContent = words.send;
    if (control.signal.aborted) { kept('asked', null); say(turn, words.stopped, 'notice', retry(() => underway || persist(turn))); }
    else if (trouble) say(turn, trouble.sentence || words.offline, 'wrong', ...(trouble.final ? [] : [retry(() => underway || persist(turn), trouble.after)]));
    if (trouble?.final) kept('asked', null);
    if (trouble && !turn.answer) turn.text.replaceChildren();
    talk.scrollTop = talk.scrollHeight;
  }
  const retry = (act, after = 0) => {
    const button = make('button', { class: 'again', type: 'button', onclick: () => { button.closest('.line').remove(); box.focus(); act(); } });
    const until = Date.now() + 1000 * after;
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      button.disabled = left > 0;
      button.textContent = left > 0 ? words.soon.replace('{n}', left) : words.again;
      if (left > 0) setTimeout(tick, 500);
    };
    tick();
    return button;
  };
  let wake = () => {};
  const rest = (seconds, signal) => new Promise((go) => {
    wake = go;
    setTimeout(go, 1000 * seconds);
    signal.addEventListener('abort', go);
  });
  addEventListener('online', () => wake());
  const reachable = () => fetch(server + '/healthz', { mode: 'no-cors', credentials: 'omit', cache: 'no-store' }).then(() => true, () => false);

  /* Ask once. Return null when there is an answer, else what is wrong: lost when a later try may help by itself. */
  async function attempt(turn, control) {
    let drawn = 0, begun = false, quiet = 0;
    const silent = new AbortController();
    control.signal.addEventListener('abort', () => silent.abort());
    const heard = () => { clearTimeout(quiet); quiet = setTimeout(() => silent.abort(), SILENCE); };
    try {
      heard();
      const response = await fetch(server + '/api/chat', { method: 'POST', headers: { ...headers(), Accept: 'text/event-stream' }, credentials: 'omit',
        signal: silent.signal,
        body: JSON.stringify({ question: turn.question, client_turn_id: turn.id, ...(conversation ? { conversation_id: conversation } : {}), ...(data.kb ? { kb: data.kb } : {}) }) });
      if (!response.ok && !(response.headers.get('content-type') || '').startsWith('text/event-stream')) return await refused(response);
      for await (const [name, body] of events(response, heard)) {
        begun = true;
        if (name === 'turn') { conversation = kept('conversation', body.conversation_id); turn.answer = ''; turn.below.replaceChildren(); }
        else if (name === 'sources') turn.passages = body;
        else if (name === 'delta') { turn.answer += body.text; if (Date.now() - drawn > 80) { paint(turn); drawn = Date.now(); } }
        else if (name === 'retract') { turn.answer = body.text; paint(turn); }
        else if (name === 'error') return { sentence: body.message, after: body.retry_after };
        else if (name === 'done') {
          conversation = kept('conversation', body.conversation_id);
          complete(turn, keep(turn.question, body));
          live.textContent = `${words.answer}: ${body.answer.replace(/\[\d{1,2}\]/g, '')}${body.notice ? ' ' + body.notice : ''}`;
          return null;
        }
      }
      throw new Error('it ended');
    } catch {
      if (turn.answer) paint(turn);
      return { lost: true, begun, sentence: begun ? words.cut : words.offline };
    } finally {
      clearTimeout(quiet);
    }
  }
  async function refused(response) {
    const body = await response.json().catch(() => null);
    if (!body?.error?.message) return { lost: true, sentence: words.offline }; // a proxy in between: the server is away
    const busy = response.status === 429 || response.status >= 500;
    return { sentence: body.error.message, final: !busy, after: Number(response.headers.get('retry-after')) || 0 };
  }

  /* What this tab has asked so far, on the page the visitor came from. */
  function restore() {
    for (const { question, done } of parsed('turns', [])) complete(place(question, ''), done);
    const { question, id } = parsed('asked', {});
    if (question) { const turn = place(question, id); say(turn, words.cut, 'wrong', retry(() => underway || persist(turn))); }
    live.textContent = '';
    box.value = kept('draft') || '';
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (underway) { underway.abort(); return; }
    const question = box.value.trim();
    if (question) { box.value = ''; kept('draft', null); ask(question); }
  });
  box.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); if (!underway) form.requestSubmit(); }
  });
  panel.addEventListener('keydown', (event) => { if (event.key === 'Escape') show(false); });

  box.addEventListener('input', () => kept('draft', box.value || null));

  welcome();
  restore();
  const put = () => document.body.append(host);
  if (document.body) put(); else addEventListener('DOMContentLoaded', put);
})();
