// ---- The deliveries.

const ROW = 66;
const deliveries = new Map();
let view = [];
let chosen = null;
let filter = '';

function matches(delivery) {
  if (!filter) return true;
  const text = [`#${delivery.number}`, delivery.provider, names.get(delivery.provider), delivery.verdict, outcomeOf(delivery).words, delivery.event ?? delivery.claimed,
    delivery.variant, delivery.error, delivery.idempotency_key, delivery.duplicate_of ? 'duplicate' : '', delivery.answered].join(' ').toLowerCase();
  return filter.split(/\s+/).every((word) => text.includes(word));
}

const dirty = { list: false };
function later() {
  if (dirty.list) return;
  dirty.list = true;
  requestAnimationFrame(() => { dirty.list = false; renderList(); });
}

function take({ oldest, deliveries: changed }) {
  const fresh = [];
  for (const delivery of changed) {
    if (!deliveries.has(delivery.number)) fresh.push(delivery);
    deliveries.set(delivery.number, delivery);
  }
  for (const [number, { verdict }] of deliveries) {
    if (number < (verdict === 'accepted' ? oldest.accepted : oldest.refused)) deliveries.delete(number);
  }
  const top = Math.floor(scroller.scrollTop / ROW);
  const before = view[top];
  arrange();
  // The rows in sight stay in place.
  const there = view.findIndex((number) => number <= before);
  if (scroller.scrollTop > 0 && there >= 0) scroller.scrollTop += (there - top) * ROW;
  follow();
  const now = changed.find(({ number }) => number === chosen);
  if (now) { showVerdict(now); load(); }
  announce(fresh);
}

function arrange() {
  view = [];
  let refused = 0;
  for (const delivery of deliveries.values()) {
    refused += delivery.verdict !== 'accepted';
    if (matches(delivery)) view.push(delivery.number);
  }
  // They are in the order of arrival.
  view.reverse();
  const shown = filter ? `${view.length} of ${deliveries.size}` : deliveries.size ? String(deliveries.size) : '';
  $('count').textContent = shown + (refused ? ` · ${refused} refused` : '');
  document.title = deliveries.size ? `${deliveries.size} · countersign` : 'countersign';
  // Without deliveries, there is no list either: the addresses stand alone.
  const isEmpty = deliveries.size === 0;
  $('empty').hidden = !isEmpty;
  $('deliveries').hidden = isEmpty;
  $('shown').hidden = displayed === null;
  $('none').hidden = isEmpty || view.length > 0;
  $('scroller').hidden = view.length === 0;
  $('sought').textContent = visible($('filter').value.trim());
  later();
}

/** Shows the newest delivery, until the user chooses another, or works with or reads one. */
let following = true;
function follow() {
  if (chosen !== null && !deliveries.has(chosen)) chosen = null;
  const reading = $('detail').contains(document.activeElement);
  const isScrolled = $('detail').scrollTop > 0 || scrollY > 0;
  const busy = reading || isScrolled || list.contains(document.activeElement);
  const lost = chosen === null || (!reading && !view.includes(chosen));
  if (view.length && (lost || (following && !busy && view[0] !== chosen))) choose(view[0]);
  const newer = view.indexOf(chosen);
  $('newer').hidden = newer <= 0;
  if (newer > 0) $('newer').textContent = `${newer} newer`;
}

// ---- The list. Only the rows in sight exist.

const scroller = $('scroller');
const list = $('list');
const rows = new Map();

function renderList() {
  list.style.height = `${view.length * ROW}px`;
  const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - 3);
  const last = Math.min(view.length, Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW) + 3);
  const wanted = new Set(view.slice(first, last));
  const place = view.indexOf(chosen);
  if (place >= 0) wanted.add(chosen);
  for (const [number, row] of rows) {
    if (!wanted.has(number)) { row.remove(); rows.delete(number); }
  }
  for (const number of wanted) {
    const at = number === chosen ? place : view.indexOf(number, first);
    let row = rows.get(number);
    if (!row) {
      row = element('div', { class: 'row', role: 'option', id: `row-${number}`, tabindex: '-1', onclick: () => { following = number === view[0]; choose(number, true); } });
      rows.set(number, row);
      list.append(row);
    }
    const delivery = deliveries.get(number);
    if (row.delivery !== delivery) { fill(row, delivery); row.delivery = delivery; }
    row.style.transform = `translateY(${at * ROW}px)`;
    row.setAttribute('aria-posinset', at + 1);
    row.setAttribute('aria-setsize', view.length);
    row.setAttribute('aria-selected', number === chosen);
    // The first row takes the focus if the filter hides the chosen one.
    row.tabIndex = number === chosen || (place < 0 && at === 0) ? 0 : -1;
  }
}

/** How long after its arrival a row may be marked as new, in milliseconds. */
const NEW = 1_500;
function fill(row, delivery) {
  const { sign, words: outcome } = outcomeOf(delivery);
  const about = [nameOf(delivery.provider)];
  if (delivery.resend_of) about.push(`#${delivery.resend_of} again`);
  if (delivery.verdict !== 'accepted') about.push(delivery.causes?.length ? delivery.causes.map((cause) => cause.message).join(', and ') : words(delivery.error ?? delivery.verdict));
  const again = delivery.duplicate_of ? [element('span', { class: 'again' }, `duplicate of #${delivery.duplicate_of}`)] : [];
  const mark = icon(sign, 18);
  mark.classList.add('mark');
  row.classList.toggle('is-new', !row.delivery && Date.now() - delivery.at < NEW);
  row.replaceChildren(
    mark,
    element('div', { class: 'line first' }, element('span', {}, element('span', { class: 'unseen' }, `${outcome}: `), titleOf(delivery)), element('time', {}, clock.format(delivery.at))),
    element('div', { class: 'line second' }, element('span', {}, visible(about.join(' · '))), ...again, answerTag(delivery, sign)),
  );
}

/** The event, which a refused delivery only claims. */
const titleOf = (delivery) => visible(delivery.event ?? delivery.claimed ?? 'No event named');

function answerTag({ endpoint, answered }, sign) {
  if (endpoint.state === 'waiting') return element('span', { class: 'tag' }, 'waiting…');
  if (endpoint.state === 'unreachable') return element('span', { class: 'tag bad' }, 'no answer');
  if (endpoint.state === 'answered') return element('span', { class: `tag ${sign}` }, `${endpoint.status} · ${took(endpoint.ms)}`);
  return element('span', { class: 'tag' }, String(answered ?? ''));
}

function choose(number, focus = false) {
  const delivery = deliveries.get(number);
  if (!delivery) {
    // It has made room for others since it was drawn.
    if (focus) say('That delivery is no longer kept.');
    return;
  }
  chosen = number;
  if (focus) renderList();
  else later();
  const at = view.indexOf(number) * ROW;
  if (focus) {
    if (at < scroller.scrollTop) scroller.scrollTop = at;
    else if (at + ROW > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = at + ROW - scroller.clientHeight;
    rows.get(number)?.focus({ preventScroll: true });
  }
  // A message stays when the next delivery is chosen automatically.
  if (focus) say('');
  showVerdict(delivery);
  load();
  const newer = view.indexOf(chosen);
  $('newer').hidden = newer <= 0;
  if (newer > 0) $('newer').textContent = `${newer} newer`;
}

scroller.addEventListener('scroll', later, { passive: true });
new ResizeObserver(later).observe(scroller);
/** Chooses the delivery at this place of the list, or the nearest one. */
function go(to) {
  if (!view.length) return;
  const number = view[Math.min(view.length - 1, Math.max(0, to))];
  following = number === view[0];
  choose(number, true);
}
list.addEventListener('keydown', (event) => {
  const at = view.indexOf(chosen);
  const page = Math.max(1, Math.floor(scroller.clientHeight / ROW) - 1);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: view.length - 1, PageDown: at + page, PageUp: at - page }[event.key];
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (to !== undefined) {
    event.preventDefault();
    go(to);
  } else if (event.key === 'Enter' || event.key === ' ') {
    event.preventDefault();
    $('title').focus();
  }
});
$('detail').addEventListener('keydown', (event) => {
  if (event.key === 'Escape') rows.get(chosen)?.focus();
});
$('newer').addEventListener('click', () => {
  following = true;
  scroller.scrollTop = 0;
  choose(view[0], true);
});
function sift() {
  filter = $('filter').value.trim().toLowerCase();
  scroller.scrollTop = 0;
  arrange();
  follow();
}
$('filter').addEventListener('input', sift);
$('all').addEventListener('click', () => {
  $('filter').value = '';
  sift();
  $('filter').focus();
});

