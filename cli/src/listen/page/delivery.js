// ---- One delivery.

/** The number of the delivery whose verdict is shown. The buttons act on it. */
let displayed = null;
/** The number of the delivery whose other parts are shown. */
let loaded = null;

let loading = null;
let again = false;
/** Loads what the list does not have of the chosen delivery. One load runs at a time, and the last choice counts. */
async function load() {
  if (loading) { again = true; return; }
  const number = chosen;
  loading = number;
  try {
    const response = await ask(`/api/deliveries/${number}`);
    const delivery = response.ok ? await response.json() : null;
    if (delivery && number === displayed) showRest(delivery);
  } catch { /* the stream reports a lost connection */ }
  // In a burst, not every delivery is loaded.
  await new Promise((resolve) => setTimeout(resolve, 60));
  loading = null;
  if (again) { again = false; load(); }
}

function verdictOf(delivery) {
  const { verdict, error, status, message, finding, causes = [], hints = [] } = delivery;
  if (verdict === 'accepted') {
    return element('div', { class: 'verdict' }, icon('good'), element('div', {}, element('strong', { class: 'good' }, 'Accepted'),
      element('p', {}, delivery.duplicate_of ? `The signature is right. The event came before, as #${delivery.duplicate_of}: a receiver handles it once.` : 'The signature is right.')));
  }
  const body = element('div', {}, element('strong', { class: 'bad' }, `Refused with ${status ?? 400}: ${words(error ?? verdict)}`));
  if (delivery.in_diagnosis) body.append(element('p', {}, 'Looking for the reason…'));
  else if (!causes.length && !hints.length) body.append(element('p', {}, ...prose(finding ?? message)));
  const reasons = causes.map((cause) => element('li', {}, element('p', { class: 'cause' }, ...prose(cause.message)), element('p', { class: 'cure' }, ...prose(cause.cure))));
  reasons.push(...hints.map((hint) => element('li', {}, ...prose(hint.message))));
  if (reasons.length) body.append(element('ul', {}, ...reasons));
  if (delivery.can_be_diagnosed) body.append(element('p', { class: 'does' }, element('button', { type: 'button', id: 'diagnose', onclick: diagnose }, 'Find the reason')));
  return element('div', { class: 'verdict is-bad' }, icon('bad'), body);
}

/** Shows what the list knows of a delivery: its title and its verdict. The rest is hidden until it is loaded. */
function showVerdict(delivery) {
  const { number, verdict } = delivery;
  const isOther = displayed !== number;
  displayed = number;
  $('shown').hidden = false;
  if (loaded !== number) {
    if ($('rest').contains(document.activeElement)) $('title').focus({ preventScroll: true });
    $('rest').hidden = true;
    loaded = null;
  }
  $('kicker').textContent = `#${number} · ${nameOf(delivery.provider)} · ${clock.format(delivery.at)} · ${bytes(delivery.bytes)}`;
  $('title').textContent = titleOf(delivery);
  $('claimed').hidden = verdict === 'accepted' || !delivery.claimed;
  const { sign, box } = outcomeOf(delivery);
  $('verdicts').replaceChildren(verdictOf(delivery));
  if (box) {
    const [kind, title, text] = box;
    $('verdicts').append(element('div', { class: `verdict ${kind}` }, icon(sign), element('div', {}, element('strong', { class: kind.slice(3) }, title), element('p', {}, text))));
  }
  if (isOther) toTop();
}

/** Shows the other parts of the delivery. */
function showRest(delivery) {
  const { number, judgement, endpoint } = delivery;
  const isOther = loaded !== number;
  loaded = number;
  const link = (other) => deliveries.has(other) ? element('button', { type: 'button', class: 'link', onclick: () => { following = false; choose(other, true); } }, `#${other}`) : `#${other}`;
  const facts = [];
  if (judgement.verdict === 'accepted') {
    const known = judgement.variant !== 'Unknown';
    facts.push(['Typed as', known ? element('span', { class: 'mono' }, `${delivery.provider.replace('3qpr', 'threeqpr')}::Event::${judgement.variant}`) : 'Unknown: this version has no type for it, and keeps it unchanged']);
    facts.push(['Idempotency key', element('span', { class: 'mono' }, visible(judgement.idempotency_key))]);
    facts.push(['Signed with', `${judgement.secret === 0 ? 'the newest secret' : 'an older secret'}${judgement.secret_label ? `, ${visible(judgement.secret_label)}` : ''}`]);
    if (judgement.timestamp) facts.push(['Event time', visible(judgement.timestamp)]);
  }
  if (delivery.duplicate_of) facts.push(['Duplicate of', link(delivery.duplicate_of)]);
  if (delivery.resend_of) facts.push(['Sent again from', link(delivery.resend_of)]);
  if (endpoint.state === 'none') facts.push(['Answered', String(delivery.answered ?? '')]);
  $('facts').replaceChildren(...facts.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]));

  $('endpoint').hidden = endpoint.state === 'none';
  $('endpoint-said').textContent = { waiting: 'has not answered yet', answered: `answered ${endpoint.status} in ${took(endpoint.ms ?? 0)}`, unreachable: `did not answer in ${took(endpoint.ms ?? 0)}` }[endpoint.state] ?? '';
  const { answer } = delivery;
  const said = answer?.laid_out ?? answer?.raw ?? atob(answer?.base64 ?? '');
  $('answer').hidden = !said;
  show($('answer'), said, { form: answer?.form, after: answer?.cut || answer?.laid_out_cut ? '… cut here' : '' });
  showPayload(delivery);
  $('headers').replaceChildren(...delivery.headers.map(headerRow));
  $('rest').hidden = false;
  if (isOther) for (const part of $('rest').querySelectorAll('pre')) part.scrollTo(0, 0);
}

/** The longest value of a header that is shown without a scroll bar of its own, in characters. */
const LONG_VALUE = 400;
function headerRow({ name, value, redacted }) {
  const shown = redacted ? 'not shown: it carries a credential' : visible(value);
  const label = visible(name);
  const capped = shown.length > LONG_VALUE ? { class: 'capped', tabindex: '0', role: 'group', 'aria-label': `The value of ${label}` } : {};
  return element('tr', {}, element('th', { scope: 'row', class: 'mono' }, label), element('td', { class: redacted ? 'kicker' : 'mono' }, element('div', capped, shown)));
}

/** Begins a delivery at its verdict, wherever the last one was read to. */
function toTop() {
  const detail = $('detail');
  detail.scrollTo(0, 0);
  // In one column, the page itself scrolls.
  if (detail.getBoundingClientRect().top < 0) detail.scrollIntoView();
}

function say(text) { $('said').textContent = text; }

/** Begins a diagnosis. It may take a while, and the stream reports its end. */
async function diagnose() {
  // The button disappears.
  $('title').focus();
  say('');
  try {
    const response = await ask(`/api/deliveries/${displayed}/diagnose`, 'POST');
    if (!response.ok) say(`Not diagnosed: ${await response.text()}`);
  } catch { say('Not diagnosed: the listener does not answer.'); }
}

$('resend').addEventListener('click', async () => {
  if ($('resend').ariaDisabled === 'true') return;
  $('resend').setAttribute('aria-disabled', 'true');
  say('Sending…');
  try {
    const response = await ask(`/api/deliveries/${displayed}/resend`, 'POST');
    const sent = response.ok ? await response.json() : null;
    say(sent ? `Sent again as #${sent.number}, and answered ${sent.answered}.` : `Not sent: ${await response.text()}`);
  } catch { say('Not sent: the listener does not answer.'); }
  $('resend').removeAttribute('aria-disabled');
});

async function copy(text) {
  try { await navigator.clipboard.writeText(text); return true; } catch { return false; }
}
$('curl').addEventListener('click', async () => {
  try {
    const command = await (await ask(`/api/deliveries/${displayed}/curl`)).text();
    if (await copy(command)) return say('Copied as a curl command.');
    // If the browser does not allow it, the user copies by hand.
    show($('payload'), command);
    $('payload').hidden = false;
    getSelection().selectAllChildren($('payload'));
    say('The browser did not allow copying: the command is selected below.');
  } catch { say('Not copied: the listener does not answer.'); }
});

