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
      cut: 'The connection ended before the answer did. Please ask again.', stopped: 'Stopped.', openSource: 'Open the page' },
    de: { open: 'Chat öffnen', close: 'Chat schließen', title: 'Fragen Sie uns', ask: 'Ihre Frage', send: 'Senden', stop: 'Anhalten',
      greeting: 'Fragen Sie, was unsere Dokumente beantworten.', fresh: 'Neues Gespräch', you: 'Sie fragten', answer: 'Antwort',
      source: 'Quelle', sources: 'Quellen', good: 'Hilfreich', bad: 'Nicht hilfreich', thanks: 'Danke.', seeking: 'Suche…',
      offline: 'Der Chat ist nicht erreichbar. Bitte versuchen Sie es gleich noch einmal.', origin: 'Diese Seite darf den Chat noch nicht benutzen.',
      cut: 'Die Verbindung endete vor der Antwort. Bitte fragen Sie noch einmal.', stopped: 'Angehalten.', openSource: 'Seite öffnen' },
    fr: { open: 'Ouvrir le chat', close: 'Fermer le chat', title: 'Une question ?', ask: 'Votre question', send: 'Envoyer', stop: 'Arrêter',
      greeting: 'Posez une question à nos documents.', fresh: 'Nouvelle conversation', you: 'Vous avez demandé', answer: 'Réponse',
      source: 'Source', sources: 'Sources', good: 'Utile', bad: 'Pas utile', thanks: 'Merci.', seeking: 'Recherche…',
      offline: 'Le chat est injoignable. Veuillez réessayer dans un instant.', origin: 'Cette page ne peut pas encore utiliser le chat.',
      cut: 'La connexion s’est arrêtée avant la réponse. Veuillez redemander.', stopped: 'Arrêté.', openSource: 'Ouvrir la page' },
    es: { open: 'Abrir el chat', close: 'Cerrar el chat', title: 'Pregúntenos', ask: 'Su pregunta', send: 'Enviar', stop: 'Detener',
      greeting: 'Pregunte lo que responden nuestros documentos.', fresh: 'Nueva conversación', you: 'Usted preguntó', answer: 'Respuesta',
      source: 'Fuente', sources: 'Fuentes', good: 'Útil', bad: 'No útil', thanks: 'Gracias.', seeking: 'Buscando…',
      offline: 'No se puede acceder al chat. Inténtelo de nuevo en un momento.', origin: 'Esta página aún no puede usar el chat.',
      cut: 'La conexión terminó antes que la respuesta. Pregunte de nuevo.', stopped: 'Detenido.', openSource: 'Abrir la página' },
    pt: { open: 'Abrir o chat', close: 'Fechar o chat', title: 'Pergunte-nos', ask: 'Sua pergunta', send: 'Enviar', stop: 'Parar',
      greeting: 'Pergunte o que os nossos documentos respondem.', fresh: 'Nova conversa', you: 'Você perguntou', answer: 'Resposta',
      source: 'Fonte', sources: 'Fontes', good: 'Útil', bad: 'Não útil', thanks: 'Obrigado.', seeking: 'Procurando…',
      offline: 'Não é possível acessar o chat. Tente de novo em instantes.', origin: 'Esta página ainda não pode usar o chat.',
      cut: 'A conexão terminou antes da resposta. Pergunte de novo.', stopped: 'Parado.', openSource: 'Abrir a página' },
    zh: { open: '打开聊天', close: '关闭聊天', title: '向我们提问', ask: '您的问题', send: '发送', stop: '停止',
      greeting: '您可以询问我们文档中的任何内容。', fresh: '新对话', you: '您的提问', answer: '回答',
      source: '来源', sources: '来源', good: '有帮助', bad: '没有帮助', thanks: '谢谢。', seeking: '正在搜索…',
      offline: '暂时无法连接聊天，请稍后再试。', origin: '此页面尚未获准使用聊天。',
      cut: '连接在回答结束之前中断，请再问一次。', stopped: '已停止。', openSource: '打开页面' },
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
  let conversation = kept('conversation');
  let underway = null;

  const headers = () => ({ 'Content-Type': 'application/json', 'X-Answerdeck-Guest': guest, ...(data.key ? { Authorization: 'Bearer ' + data.key } : {}) });

  async function* events(response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
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
  const talk = make('div', { class: 'talk', role: 'log', tabindex: 0, 'aria-label': data.title || words.title });
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
    if (underway) underway.abort();
    conversation = kept('conversation', null);
    talk.replaceChildren(make('p', { class: 'greeting', dir: 'auto' }, data.greeting || words.greeting));
    box.focus();
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

  async function ask(question) {
    const text = make('div', { class: 'told' }, make('p', { class: 'notice' }, words.seeking));
    const below = make('div');
    talk.querySelector('.greeting')?.remove();
    talk.append(make('div', { class: 'asked', dir: 'auto' }, make('span', { class: 'unseen' }, words.you + ': '), question), text, below);
    talk.scrollTop = talk.scrollHeight;
    const say = (sentence, kind) => { below.prepend(make('p', { class: kind, dir: 'auto' }, sentence)); live.textContent = sentence; };
    let passages = [], answer = '', ended = false, drawn = 0;
    const cite = (n) => passages.some((passage) => passage.n === n) && make('button', { class: 'chip', type: 'button', 'aria-label': `${words.source} ${n}`, onclick: () => {
      const source = below.querySelector(`details[data-n="${n}"]`);
      if (source) { source.open = true; source.scrollIntoView({ block: 'nearest' }); source.querySelector('summary').focus(); }
    } }, String(n));
    const paint = () => {
      const low = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60;
      draw(text, answer, cite);
      if (low) talk.scrollTop = talk.scrollHeight;
    };
    underway = new AbortController();
    send.textContent = words.stop;
    try {
      const response = await fetch(server + '/api/chat', { method: 'POST', headers: { ...headers(), Accept: 'text/event-stream' }, credentials: 'omit', signal: underway.signal,
        body: JSON.stringify({ question, client_turn_id: random(), ...(conversation ? { conversation_id: conversation } : {}), ...(data.kb ? { kb: data.kb } : {}) }) });
      if (!response.ok && !(response.headers.get('content-type') || '').startsWith('text/event-stream')) {
        const body = await response.json().catch(() => null);
        throw Object.assign(new Error(), { sentence: (body && body.error && body.error.message) || words.offline });
      }
      for await (const [name, body] of events(response)) {
        if (name === 'turn') conversation = kept('conversation', body.conversation_id);
        else if (name === 'sources') passages = body;
        else if (name === 'delta') { answer += body.text; if (Date.now() - drawn > 80) { paint(); drawn = Date.now(); } }
        else if (name === 'retract') { answer = body.text; paint(); }
        else if (name === 'error') throw Object.assign(new Error(), { sentence: body.message });
        else if (name === 'done') {
          ended = true;
          answer = body.answer;
          passages = body.passages;
          paint();
          below.append(...body.passages.filter((passage) => body.citations.some((citation) => citation.n === passage.n)).map(card), thumbs(body.turn_id));
          if (body.notice) say(body.notice, 'notice');
          live.textContent = `${words.answer}: ${answer.replace(/\[\d{1,2}\]/g, '')}`;
        }
      }
      if (!ended) { paint(); say(words.cut, 'wrong'); }
    } catch (error) {
      if (answer) paint(); else text.replaceChildren();
      if (error.name === 'AbortError') say(words.stopped, 'notice');
      else say(error.sentence || words.offline, 'wrong');
    } finally {
      underway = null;
      send.textContent = words.send;
      talk.scrollTop = talk.scrollHeight;
    }
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (underway) { underway.abort(); return; }
    const question = box.value.trim();
    if (question) { box.value = ''; ask(question); }
  });
  box.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) { event.preventDefault(); if (!underway) form.requestSubmit(); }
  });
  panel.addEventListener('keydown', (event) => { if (event.key === 'Escape') show(false); });

  begin();
  const place = () => document.body.append(host);
  if (document.body) place(); else addEventListener('DOMContentLoaded', place);
})();
