// ---- Keys that work everywhere on the page.

const keys = $('keys');
const single = $('single');
// Without storage, the choice lasts as long as the page.
try { single.checked = localStorage.getItem('single-keys') !== 'off'; } catch { /* it is on */ }
single.addEventListener('change', () => {
  try { localStorage.setItem('single-keys', single.checked ? 'on' : 'off'); } catch { /* it lasts as long as the page */ }
});
$('help').addEventListener('click', () => keys.showModal());
$('close').addEventListener('click', () => keys.close());

/** Moves the choice, and leaves the focus on the side where it was. */
function step(by) {
  const isInDetail = $('detail').contains(document.activeElement);
  const at = view.indexOf(chosen);
  go(at < 0 ? 0 : at + by);
  if (isInDetail) $('title').focus({ preventScroll: true });
}
const EVERYWHERE = {
  '/': () => { $('filter').focus(); $('filter').select(); },
  j: () => step(1),
  k: () => step(-1),
  '?': () => keys.showModal(),
};

document.addEventListener('keydown', (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || keys.open) return;
  if (target === $('filter')) {
    const isDone = key === 'ArrowDown' || key === 'Enter' || (key === 'Escape' && !target.value);
    if (!isDone || !view.length) return;
    event.preventDefault();
    go(Math.max(0, view.indexOf(chosen)));
  } else if (Object.hasOwn(EVERYWHERE, key) && single.checked) {
    event.preventDefault();
    EVERYWHERE[key]();
  }
});
