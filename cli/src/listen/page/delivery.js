// ---- One delivery.

let loading = null;
let again = false;
/** Loads the chosen delivery. One load runs at a time, and the last choice counts. */
async function load() {
  if (loading) { again = true; return; }
  const number = chosen;
  loading = number;
  try {
    const response = await ask(`/api/deliveries/${number}`);
    if (response.ok && number === chosen) showDelivery(await response.json());
  } catch { /* the stream reports a lost connection */ }
  // In a burst, not every delivery is loaded.
  await new Promise((resolve) => setTimeout(resolve, 60));
  loading = null;
  if (again) { again = false; load(); }
}

function verdictOf(delivery) {
  const { verdict, error, status, message, finding, causes = [], hints = [] } = delivery.judgement;
  if (verdict === 'accepted') {
    return element('div', { class: 'verdict' }, icon('good'), element('div', {}, element('strong', { class: 'good' }, 'Accepted'),
      element('p', {}, delivery.duplicate_of ? `The signature is right. The event came before, as #${delivery.duplicate_of}: a receiver handles it once.` : 'The signature is right.')));
  }
  const body = element('div', {}, element('strong', { class: 'bad' }, `Refused with ${status ?? 400}: ${words(error ?? verdict).toLowerCase()}`));
  if (delivery.in_diagnosis) body.append(element('p', {}, 'Looking for the reason…'));
  else if (!causes.length) body.append(element('p', {}, ...prose(finding ?? message)));
  const reasons = causes.map((cause) => element('li', {}, element('p', { class: 'cause' }, ...prose(cause.message)), element('p', { class: 'cure' }, ...prose(cause.cure))));
  reasons.push(...hints.map((hint) => element('li', {}, ...prose(hint.message))));
  if (reasons.length) body.append(element('ul', {}, ...reasons));
  if (delivery.can_be_diagnosed) body.append(element('p', { class: 'does' }, element('button', { type: 'button', id: 'diagnose', onclick: diagnose }, 'Find the reason')));
  return element('div', { class: 'verdict is-bad' }, icon('bad'), body);
}

/** A warning, if the endpoint's answer contradicts the verdict. */
function warningOf({ judgement, endpoint }) {
  if (endpoint.state !== 'answered') return null;
  const taken = endpoint.status >= 200 && endpoint.status < 300;
  if (judgement.verdict !== 'accepted' && judgement.error !== 'secret_unavailable' && taken) {
    return ['is-bad', 'Your endpoint accepted it', `It answered ${endpoint.status} to a delivery that anyone could have sent. Verify the raw body before you use it.`];
  }
  if (judgement.verdict === 'accepted' && endpoint.status === 401) {
    return ['is-care', 'Your endpoint refused it', 'It has another secret than this listener, or does not verify the raw body: a body that was parsed and written again has another signature.'];
  }
  return null;
}

function showDelivery(delivery) {
  const { number, judgement, endpoint } = delivery;
  displayed = number;
  $('shown').hidden = false;
  const good = judgement.verdict === 'accepted';
  $('kicker').textContent = `#${number} · ${names[delivery.provider]} · ${clock.format(delivery.at)} · ${bytes(delivery.bytes)}`;
  $('title').textContent = visible(good ? judgement.event : words(judgement.error ?? judgement.verdict));
  const warning = warningOf(delivery);
  $('verdicts').replaceChildren(verdictOf(delivery), ...(warning ? [element('div', { class: `verdict ${warning[0]}` }, icon('care'), element('div', {}, element('strong', { class: warning[0].slice(3) }, warning[1]), element('p', {}, warning[2])))] : []));
  const link = (other) => deliveries.has(other) ? element('button', { type: 'button', class: 'link', onclick: () => { following = false; choose(other, true); } }, `#${other}`) : `#${other}`;
  const facts = [];
  if (good) {
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
  $('endpoint-said').textContent = { waiting: 'has not answered yet', answered: `answered ${endpoint.status} in ${endpoint.ms} ms`, unreachable: 'did not answer' }[endpoint.state] ?? '';
  const answer = endpoint.state === 'unreachable' ? { text: endpoint.message, form: 'text' } : delivery.answer;
  $('answer').hidden = !answer?.text;
  if (answer?.text) show($('answer'), answer);

  const { form } = delivery.body;
  $('payload-said').textContent = delivery.bytes === 0 ? 'empty' : { json: '', text: 'not JSON', binary: 'neither JSON nor UTF-8: � replaces bytes that are not text' }[form];
  show($('payload'), delivery.body);
  $('payload').hidden = delivery.bytes === 0;
  $('headers').replaceChildren(...delivery.headers.map(({ name, value, redacted }) => element('tr', {}, element('th', { scope: 'row', class: 'mono' }, visible(name)),
    element('td', redacted ? { class: 'kicker' } : { class: 'mono' }, redacted ? 'not shown: it carries a credential' : visible(value)))));
}

/** The number of the shown delivery. The buttons act on it. */
let displayed = null;
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
    show($('payload'), { text: command, form: 'text' });
    getSelection().selectAllChildren($('payload'));
    say('The browser did not allow copying: the command is selected below.');
  } catch { say('Not copied: the listener does not answer.'); }
});

