// A region that is drawn anew keeps what is being written in it, and the focus: on the same control, else on
// the one that took its place.
(() => {
  const REGIONS = '#live, #past, #sources, #drawer, #choice';
  const NAMES = ['do', 'local', 'turn', 'value', 'id', 'head', 'n', 'k'];
  const find = (selector, root = document) => root.querySelector(selector);
  const texts = new Map(); // of the fields that were changed, by their id
  let rewritten = ''; // the turn whose question is being edited
  let last = null; // the control that had the focus

  const settle = (form) => form.querySelectorAll('[id]').forEach(({ id }) => texts.delete(id));
  const show = (turn, on) => {
    find('.rewrite', turn).hidden = !on;
    turn.classList.toggle('rewriting', on);
  };
  const rewrite = (turn, on) => {
    const area = find('.rewrite textarea', turn);
    show(turn, on);
    rewritten = on ? turn.dataset.turn : '';
    if (on) { area.focus(); area.setSelectionRange(area.value.length, area.value.length); return; }
    settle(area.form);
    area.value = area.defaultValue;
    find('[data-local=edit-question]', turn).focus();
  };
  const marks = ({ id, dataset }) => (id ? '#' + CSS.escape(id) : NAMES.filter((name) => dataset[name] !== undefined).map((name) => `[data-${name}="${CSS.escape(dataset[name])}"]`).join(''));

  document.addEventListener('focusin', ({ target }) => {
    const region = target.closest(REGIONS)?.id;
    last = region ? { region, marks: marks(target), turn: target.closest('.turn')?.dataset.turn, item: target.closest('.item')?.dataset.conversation } : null;
  });
  document.addEventListener('focusout', ({ target }) => setTimeout(() => {
    if (target.isConnected && document.activeElement === document.body) last = null; // its reader left it
  }));
  document.addEventListener('selectionchange', () => {
    const area = document.activeElement;
    if (last && area?.matches('textarea, input')) Object.assign(last, { from: area.selectionStart, to: area.selectionEnd });
  });
  document.addEventListener('input', ({ target }) => {
    if (target.id && target.type !== 'checkbox' && target.closest('.turn form, .naming')) texts.set(target.id, target.value);
  });
  document.addEventListener('submit', ({ target }) => {
    if (target.matches('.rewrite')) rewritten = '';
    settle(target);
  });
  document.addEventListener('click', ({ target }) => {
    const form = target.closest('.comment [type=button]')?.form;
    if (form) settle(form);
  });

  const refill = () => {
    for (const [id, text] of texts) {
      const field = document.getElementById(id);
      if (!field || field.value === text) continue;
      field.value = text;
      if (field.form.matches('.naming')) { field.form.hidden = false; field.closest('.item').classList.add('more'); }
    }
    const turn = rewritten && find(`.turn[data-turn="${rewritten}"]:not(.rewriting)`);
    if (turn && find('.rewrite', turn)) show(turn, true);
  };
  const all = (root, selector) => (root && selector ? [...root.querySelectorAll(selector)] : []);
  const refocus = (otherwise) => {
    const now = document.activeElement;
    const stays = now && now !== document.body && !now.disabled && now.checkVisibility({ visibilityProperty: true });
    if (!last || (stays && !/rate|contact/.test(last.marks))) return;
    const { marks: own, region, from, to } = last;
    const turn = last.turn && find(`.turn[data-turn="${last.turn}"]`);
    const item = last.item && find(`.item[data-conversation="${last.item}"]`);
    const same = all(item || turn || document.getElementById(region), own);
    const form = /rate|contact/.test(own) ? all(turn, '.comment :is(input, textarea)') : []; // it opens one
    const written = same.some((other) => other.matches('textarea, input'));
    const rest = [...all(item, '.open'), ...all(turn, '.foot .tool'), ...(region === 'drawer' ? all(document, '#drawer .fresh') : [otherwise])];
    for (const next of written ? [...same, ...rest] : [...form, ...same, ...rest]) {
      next?.focus({ preventScroll: true }); // what is hidden or disabled does not take it
      if (next && next === document.activeElement) break;
    }
    const area = document.activeElement;
    if (typeof from === 'number' && written && same.includes(area)) area.setSelectionRange(from, to);
  };

  window.answerdeckForms = {
    rewrite,
    drawn: (otherwise) => { refill(); refocus(otherwise); },
  };
})();
