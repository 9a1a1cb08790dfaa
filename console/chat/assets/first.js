// The page comes in English, and in its reader's language a moment later: until then its words are not shown.
(() => {
  const { tongue, spoken } = document.currentScript.dataset;
  const codes = spoken.split(' ');
  const own = navigator.languages.map((name) => name.slice(0, 2).toLowerCase()).find((code) => codes.includes(code));
  const awaited = tongue === 'auto' ? own : tongue;
  if (!awaited || awaited === 'en') return;
  document.documentElement.classList.add('awaited');
  setTimeout(() => document.documentElement.classList.remove('awaited'), 4000); // English is better than nothing
})();
